"""A connection that rests between reads: nothing is lost or waits in vain, no descriptor is read for another."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.links.bus_rest import REST, BusRest
from tests.radio import until


class Bus:
    """What of a dbus-fast connection is used: signals of one byte each."""

    def __init__(self) -> None:
        self.far, self.near = socket.socketpair()
        self.near.setblocking(False)
        self._fd, self._disconnected = self.near.fileno(), False
        self.heard: list[tuple[float, int]] = []
        self.loop = asyncio.get_running_loop()
        self.rest = BusRest(self)
        self.loop.add_reader(self._fd, self._read)

    def _read(self) -> None:
        for byte in self.near.recv(8):
            now = self.loop.time()
            self.heard.append((now, byte))
            self.rest.signal(now)

    def finalize(self) -> None:
        self.loop.remove_reader(self._fd)
        self._disconnected = True
        self.near.close()

    def close(self) -> None:
        self.finalize()
        self.far.close()


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    bus = Bus()
    yield bus
    bus.close()


async def test_what_pours_in_is_read_together(bus: Bus) -> None:
    for n in range(100):
        bus.far.send(bytes([n]))
        await asyncio.sleep(0.001)
    await until(lambda: len(bus.heard) == 100)
    assert [n for _, n in bus.heard] == list(range(100))
    times = [at for at, _ in bus.heard]
    reads = 1 + sum(later - earlier > REST / 10 for earlier, later in itertools.pairwise(times))
    assert reads <= (times[-1] - times[0]) / REST + 3  # the first two are read at once, and one before the first rest


async def test_what_comes_now_and_then_is_read_at_once(bus: Bus) -> None:
    for n in range(3):
        sent = bus.loop.time()
        bus.far.send(bytes([n]))
        await until(lambda: len(bus.heard) > n)  # noqa: B023 - awaited before the next round
        assert bus.heard[-1][0] - sent < REST / 2
        await asyncio.sleep(1.5 * REST)


async def test_more_than_one_read_takes_is_read_without_a_rest(bus: Bus) -> None:
    bus.far.send(bytes(range(200)))
    began = bus.loop.time()
    await until(lambda: len(bus.heard) == 200)
    assert bus.loop.time() - began < 2 * REST


async def test_a_loop_of_another_kind_is_read_as_ever(bus: Bus) -> None:
    bus.rest._selector = None
    for n in range(20):
        bus.far.send(bytes([n]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert bus.heard[-1][1] == n
    bus.rest.drain()


async def test_what_has_come_is_taken_at_once(bus: Bus) -> None:
    async with asyncio.timeout(5):
        while bus.rest._rest is None:
            bus.far.send(b".")
            await asyncio.sleep(0.001)
    bus.far.send(b"12345678901!")  # more than one read takes
    bus.rest.drain()
    assert bus.heard[-1][1] == ord("!")
    bus.finalize()
    bus.rest.drain()


async def test_who_wants_it_awake_gets_all_at_once(bus: Bus) -> None:
    async with asyncio.timeout(5):
        while bus.rest._rest is None:
            bus.far.send(b".")
            await asyncio.sleep(0.001)
    with bus.rest.awake():
        bus.far.send(b"!")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert bus.heard[-1][1] == ord("!")
        for _ in range(5):
            bus.far.send(b".")
            await asyncio.sleep(0.001)
            assert bus.rest._rest is None


async def test_a_connection_that_was_closed_meanwhile_is_not_read(bus: Bus) -> None:
    async with asyncio.timeout(5):
        while bus.rest._rest is None:
            bus.far.send(b".")
            await asyncio.sleep(0.001)
    number = bus._fd
    bus.finalize()
    near, far = socket.socketpair()
    try:
        assert number in (near.fileno(), far.fileno()), "another has the number now"
        await asyncio.sleep(2 * REST)
        with pytest.raises(KeyError):
            bus.rest.loop._selector.get_key(number)
    finally:
        near.close()
        far.close()
