"""Frames by hand and ports without a library, for tests of simulated wires."""

import asyncio
import itertools
import os
import struct
import time
import tty
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from simulators.catalog import load
from simulators.conversation import Station
from simulators.faults import parse_fault
from simulators.modbus_slave import Given, crc16
from simulators.truth import Moment, Truth

H = bytes.fromhex
WITHIN = 5.0  # s; what has not come by then never will


def on_wire(name: str, *faults: str, unit_id: int = 1, seed: int = 0, **settings: str) -> dict[int, Station]:
    slave = load(name).build(unit_id, seed, settings)
    return {unit_id: Station(slave, [parse_fault(text) for text in faults])}


def mbap(transaction: int, pdu: str, unit_id: int = 1) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(H(pdu)) + 1, unit_id) + H(pdu)


def rtu(pdu: str, unit_id: int = 1) -> bytes:
    frame = bytes((unit_id,)) + H(pdu)
    return frame + crc16(frame)


class Port:
    """A client's end of a wire, in bytes."""

    def __init__(self) -> None:
        self.heard = b""
        self.pieces: list[tuple[float, int]] = []  # when, how many bytes
        self.closed = False
        self._news = asyncio.Event()

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def hear(self, data: bytes) -> None:
        self.heard += data
        self.pieces.append((asyncio.get_running_loop().time(), len(data)))
        self._news.set()

    def lost(self) -> None:
        self.closed = True
        self._news.set()

    async def news(self, enough: Callable[[], bool]) -> None:
        """Waits until `enough` has come; fails the test where the wire is closed before."""
        async with asyncio.timeout(WITHIN):
            while not enough():
                assert not self.closed, f"closed after {self.heard!r}"
                self._news.clear()
                await self._news.wait()

    async def read(self, count: int) -> bytes:
        """The next `count` bytes; fails the test where the wire is closed before."""
        await self.news(lambda: len(self.heard) >= count)
        taken, self.heard = self.heard[:count], self.heard[count:]
        return taken

    async def until(self, frame: bytes, times: int) -> bytes:
        """What has come when `frame` has come so many times."""
        await self.news(lambda: self.heard.count(frame) >= times)
        taken, self.heard = self.heard, b""
        return taken

    async def rest(self) -> bytes:
        """All that comes until the wire is closed."""
        async with asyncio.timeout(WITHIN):
            while not self.closed:
                self._news.clear()
                await self._news.wait()
        return self.heard


class _Terminal(Port):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._fd)
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 4096)
        except OSError:  # EIO, or nothing: the other end is gone
            data = b""
        if data:
            self.hear(data)
        else:
            asyncio.get_running_loop().remove_reader(self._fd)
            self.lost()

    def write(self, data: bytes) -> None:
        assert os.write(self._fd, data) == len(data)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)


@asynccontextmanager
async def terminal(path: str) -> AsyncIterator[Port]:
    """Opens a pseudo-terminal."""
    port = _Terminal(path)
    try:
        yield port
    finally:
        port.close()


class _Socket(Port, asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.hear(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost()

    def write(self, data: bytes) -> None:
        self.transport.write(data)


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[Port]:
    """Connects to a TCP wire; closed when the block has ended."""
    where = urlsplit(url)
    _, port = await asyncio.get_running_loop().create_connection(_Socket, where.hostname, where.port)
    try:
        yield port
    finally:
        port.transport.close()
        await port.rest()


class Record(Truth):
    """A truth in memory: what was given, as (unit id, quantity, value as text)."""

    def __init__(self) -> None:
        self.given: list[tuple[int | None, str, str]] = []

    def record(self, device: str, unit_id: int | None, values: Iterable[Given], when: Moment) -> None:
        assert abs(when[0] - time.time()) < WITHIN
        self.given += [(unit_id, name, value) for name, _, value in values]


async def asked(station: Station, count: int) -> None:
    """Waits until a station has been asked so often."""
    async with asyncio.timeout(WITHIN):
        for _ in itertools.repeat(None):
            if station.asked >= count:
                return
            await asyncio.sleep(0.001)
