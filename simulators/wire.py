"""Simulated Modbus slaves on a real wire: a TCP port or a pseudo-terminal."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import cast

from simulators.conversation import Conversation, Reply, Station, Stations
from simulators.line import Line
from simulators.links import point, unlink
from simulators.modbus_slave import Mbap, Rtu

__all__ = ["Station", "Stations", "pseudo_terminal", "tcp_port"]


class _Client(asyncio.Protocol):
    """A TCP connection with a conversation of its own; it stands in `clients` as long as it lasts."""

    def __init__(self, conversation: Conversation, clients: list[asyncio.Transport]) -> None:
        self._conversation = conversation
        self._clients = clients

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._clients.append(self._transport)
        self._conversation.send, self._conversation.hang_up = self._transport.write, self._hang_up

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._conversation.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._clients.remove(self._transport)
        self._conversation.end()

    def _hang_up(self) -> None:
        self._conversation.end()
        self._transport.close()


class _Box:
    """A box that carries bytes between TCP connections and one serial line. What the line says goes to who asked last;
    when that one has gone, to who came last, as a late answer does on real boxes."""

    def __init__(self, conversation: Conversation) -> None:
        self.asking: asyncio.Transport | None = None
        self.hear = _on_line(conversation, self.send)
        conversation.hang_up = self.hang_up

    def send(self, data: bytes) -> None:
        if self.asking:
            self.asking.write(data)

    def hang_up(self) -> None:
        if self.asking:
            self.asking.close()


class _BoxClient(asyncio.Protocol):
    """A connection to a box."""

    def __init__(self, box: _Box, clients: list[asyncio.Transport]) -> None:
        self._box = box
        self._clients = clients

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._clients.append(self._transport)
        self._box.asking = self._box.asking or self._transport

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._box.asking = self._transport
        self._box.hear(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._clients.remove(self._transport)
        if self._box.asking is self._transport:
            self._box.asking = self._clients[-1] if self._clients else None


def _on_line(conversation: Conversation, send: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Connects a conversation, and its line where it has one, with the master; gives who takes the master's bytes."""
    line = conversation.line
    if line is None:
        conversation.send = send
        return conversation.data_received
    line.hear, line.send = conversation.data_received, send
    return line.ask


@asynccontextmanager
async def tcp_port(
    stations: Stations, port: int = 0, rtu: bool = False, host: str = "127.0.0.1", line: Line | None = None
) -> AsyncIterator[str]:
    """Puts `stations` on a TCP port, Modbus TCP or RTU framed over TCP; gives tcp://host:port or rtu+tcp://host:port.

    RTU is one serial `line` behind a box. Raises OSError where the port cannot be had.
    """
    clients: list[asyncio.Transport] = []
    held: list[Reply] = []
    conversation = Conversation(stations, Rtu(), held, line)
    box = _Box(conversation)

    def connection() -> asyncio.Protocol:
        return _BoxClient(box, clients) if rtu else _Client(Conversation(stations, Mbap(), held), clients)

    server = await asyncio.get_running_loop().create_server(connection, host, port)
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
        conversation.end()
        if line:
            line.end()
        await server.wait_closed()
        await asyncio.sleep(0)  # aborted connections are closed in the next turn of the loop


@asynccontextmanager
async def pseudo_terminal(stations: Stations, link: Path | None = None, line: Line | None = None) -> AsyncIterator[str]:
    """Puts `stations` on a pseudo-terminal, in RTU; gives its path, or `link` where that shall point at it.

    It is as fast as `line`; without one, as fast as it can.

    Clients may come and go. What is sent while nobody reads is lost once the terminal's buffer is full, as on a wire.
    A connection cannot be dropped here. Raises OSError where the link cannot be made.
    """
    master, slave = os.openpty()
    loop = asyncio.get_running_loop()
    conversation = Conversation(stations, Rtu(), line=line)
    try:
        tty.setraw(slave)
        os.set_blocking(master, False)
        path = os.ttyname(slave)
        if link:
            point(link, path)
        for station in stations.values():
            station.device = str(link or path)
        loop.add_reader(master, _read, master, _on_line(conversation, partial(_write, master)))
        yield str(link or path)
    finally:
        conversation.end()
        if line:
            line.end()
        loop.remove_reader(master)
        if link:
            unlink(link, path)
        os.close(master)
        os.close(slave)  # held open until here: with no one holding it, the master would read an error


def _read(master: int, hear: Callable[[bytes], None]) -> None:
    with suppress(BlockingIOError):
        hear(os.read(master, 4096))


def _write(master: int, frame: bytes) -> None:
    with suppress(BlockingIOError):
        os.write(master, frame)
