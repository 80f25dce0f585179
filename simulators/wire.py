"""Simulated devices on a real wire: a TCP port or a pseudo-terminal."""

import asyncio
import math
import os
import time
import tty
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from simulators.faults import Fault, Outcome
from simulators.modbus_slave import Framing, FramingError, Mbap, Request, Rtu, Slave, exception
from simulators.truth import Truth


@dataclass
class Station:
    """A slave on a wire, its faults, and the record of what it gives. `device`, how to reach it, is set by the wire."""

    slave: Slave
    faults: list[Fault] = field(default_factory=list)
    truth: Truth | None = None
    device: str = ""


Stations = Mapping[int, Station]
"""Who is on the wire, by unit id."""


class Conversation:
    """One client on a wire: requests in, answers out, one after the other as a device gives them."""

    def __init__(self, stations: Stations, framing: Framing) -> None:
        self.send: Callable[[bytes], None] = lambda _: None
        self.hang_up: Callable[[], None] = lambda: None
        self._stations = stations
        self._framing = framing
        self._rest = b""
        self._heard = -math.inf
        self._over = False
        self._waiting: deque[tuple[float, Station | None, Request, bytes]] = deque()
        self._due = -math.inf
        self._timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Takes bytes as they come: pieces of a request, or several at once."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        if self._rest and now - self._heard < self._framing.patience:
            data = self._rest + data
        self._heard = now
        try:
            requests, self._rest = self._framing.split(data)
        except FramingError:
            self._drop()
            return
        for request in requests:
            if self._over:
                break
            self._take(request, now)

    def end(self) -> None:
        """The client is gone: gives up answers that are still to come."""
        self._over = True
        self._waiting.clear()
        if self._timer:
            self._timer.cancel()

    def _take(self, request: Request, now: float) -> None:
        station = self._stations.get(request.unit_id)
        if station is None:
            pdu = self._framing.stranger(request)
            if pdu is not None:
                self._give(0.0, None, request, pdu)
        elif not station.faults:
            self._give(0.0, station, request, station.slave.answer(request.pdu, now))
        else:
            outcome = Outcome()
            for fault in station.faults:
                fault.apply(outcome)
            if outcome.drop:
                self._drop()
            elif outcome.exception is not None and not outcome.silent:
                self._give(outcome.delay, station, request, exception(request.pdu[0], outcome.exception))
            elif not outcome.silent:
                self._give(outcome.delay, station, request, station.slave.answer(request.pdu, now))

    def _give(self, delay: float, station: Station | None, request: Request, pdu: bytes) -> None:
        """Sends an answer, `delay` seconds after now and after the answers before it."""
        if not delay and not self._waiting:
            self._send(station, request, pdu)
            return
        loop = asyncio.get_running_loop()
        self._due = max(self._due, loop.time()) + delay
        self._waiting.append((self._due, station, request, pdu))
        if len(self._waiting) == 1:
            self._timer = loop.call_at(self._due, self._send_oldest)

    def _send_oldest(self) -> None:
        _, station, request, pdu = self._waiting.popleft()
        self._send(station, request, pdu)
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_at(self._waiting[0][0], self._send_oldest)

    def _send(self, station: Station | None, request: Request, pdu: bytes) -> None:
        truth = station.truth if station else None
        when = truth.now() if truth else None  # before: who hears it may run first
        self.send(self._framing.join(request, pdu))
        if station and truth and when:
            truth.record(station.device, request.unit_id, station.slave.given(request.pdu, pdu), when)

    def _drop(self) -> None:
        self.end()
        self.hang_up()


class _Client(Conversation, asyncio.Protocol):
    """A conversation over a TCP connection; it stands in `clients` as long as it lasts."""

    def __init__(self, stations: Stations, framing: Framing, clients: set[asyncio.Transport]) -> None:
        super().__init__(stations, framing)
        self._clients = clients

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._clients.add(self._transport)
        self.send, self.hang_up = self._transport.write, self._transport.close

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._clients.discard(self._transport)
        self.end()


@asynccontextmanager
async def tcp_port(stations: Stations, port: int = 0, rtu: bool = False, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Puts `stations` on a TCP port, Modbus TCP or RTU framed over TCP; gives tcp://host:port or rtu+tcp://host:port.

    Raises OSError where the port cannot be had.
    """
    clients: set[asyncio.Transport] = set()
    framing = Rtu() if rtu else Mbap()
    server = await asyncio.get_running_loop().create_server(lambda: _Client(stations, framing, clients), host, port)
    bound = server.sockets[0].getsockname()[1]
    url = f"{'rtu+tcp' if rtu else 'tcp'}://{host}:{bound}"
    for station in stations.values():
        station.device = url
    try:
        yield url
    finally:
        server.close()
        for transport in list(clients):
            transport.abort()
        await server.wait_closed()
        await asyncio.sleep(0)  # aborted connections are closed in the next turn of the loop


@asynccontextmanager
async def pseudo_terminal(stations: Stations, link: Path | None = None) -> AsyncIterator[str]:
    """Puts `stations` on a pseudo-terminal, in RTU; gives its path, or `link` where that shall point at it.

    Clients may come and go. What is sent while nobody reads is lost once the terminal's buffer is full, as on a wire.
    A connection cannot be dropped here. Raises OSError where the link cannot be made.
    """
    master, slave = os.openpty()
    loop = asyncio.get_running_loop()
    conversation = Conversation(stations, Rtu())
    try:
        tty.setraw(slave)
        os.set_blocking(master, False)
        path = os.ttyname(slave)
        if link:
            _point(link, path)
        for station in stations.values():
            station.device = str(link or path)
        conversation.send = partial(_write, master)
        loop.add_reader(master, _read, master, conversation)
        yield str(link or path)
    finally:
        conversation.end()
        loop.remove_reader(master)
        if link:
            _unlink(link, path)
        os.close(master)
        os.close(slave)  # held open until here: with no one holding it, the master would read an error


def _point(link: Path, target: str) -> None:
    """Makes `link` a symbolic link to `target` at one stroke; only an older link to a terminal makes way for it."""
    if link.is_symlink() and not str(link.readlink()).startswith("/dev/pts/"):
        raise FileExistsError(f"{link} is a link to {link.readlink()}; give another path or remove it")
    if link.exists() and not link.is_symlink():
        raise FileExistsError(f"{link} is there and is not a link; give another path or remove it")
    new = link.with_name(f".{link.name}.{os.getpid()}")
    new.symlink_to(target)
    new.replace(link)


def _unlink(link: Path, target: str) -> None:
    """Removes `link` if it still is the one to `target`."""
    if link.is_symlink() and link.readlink() == Path(target):
        link.unlink()


def _read(master: int, conversation: Conversation) -> None:
    with suppress(BlockingIOError):
        conversation.data_received(os.read(master, 4096))


def _write(master: int, frame: bytes) -> None:
    with suppress(BlockingIOError):
        os.write(master, frame)
