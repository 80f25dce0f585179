"""Radio links of ours over a simulated BlueZ, and the peers that tests connect to.

from tests.gateway.links.radio_rig import Links, links
from tests.radio import Radio, radio
__all__ = ["links", "radio"]
"""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.config_ble import BleLinkConfig
from gateway.errors import LinkError
from gateway.links.air import Adverts, Peer, Stream, Value, Values
from gateway.links.framing import Lines
from gateway.links.radio import Radio as RadioLink
from simulators.bluez.model import Characteristic, Peripheral, Service
from tests.radio import ADAPTER, WITHIN, Radio

HEART_RATE, MEASUREMENT, LOCATION = (f"0000{n}-0000-1000-8000-00805f9b34fb" for n in ("180d", "2a37", "2a38"))
BATTERY, LEVEL = (f"0000{n}-0000-1000-8000-00805f9b34fb" for n in ("180f", "2a19"))
UART, UART_IN, UART_OUT = (f"6e40000{n}-b5a3-f393-e0a9-e50e24dcca9e" for n in (1, 2, 3))
COMPANY = 0x0499
SOON = 0.02  # s between adverts of a peer in these tests

Links = Callable[..., RadioLink]


@pytest.fixture
async def links(radio: Radio, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Links]:
    """`links(connections=2)`: a link named air to the adapter of `radio`, closed in the end. No task may be left."""
    made: list[RadioLink] = []
    unexpected: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: unexpected.append(told))
    before = asyncio.all_tasks()

    def make(**more: Any) -> RadioLink:
        made.append(RadioLink("air", BleLinkConfig.model_validate({"ble": ADAPTER, **more})))
        return made[-1]

    yield make
    for one in made:
        await one.close()
    ours = [task for task in asyncio.all_tasks() - before if "air" in task.get_name()]
    assert not ours
    assert not unexpected, "something ended in the loop, as a traceback in the log"
    assert not [r for r in caplog.records if r.name.startswith("labgate") and r.levelno >= logging.ERROR]


class Strap(Peripheral):
    """A heart-rate strap that measures when told; 72 = b"\\x00\\x48" (HRS 1.0, section 3.1)."""

    def __init__(self, address: str, name: str = "Strap", **more: Any) -> None:
        self.pulse = Characteristic(MEASUREMENT, ["notify"])
        self.location = Characteristic(LOCATION, ["read"], b"\x01")
        self.level = Characteristic(LEVEL, ["read", "notify"], b"\x5a")
        services = [Service(HEART_RATE, [self.pulse, self.location]), Service(BATTERY, [self.level])]
        super().__init__(address, name, services=services, uuids=["180d"], interval=SOON, **more)

    def beat(self, rate: int) -> bool:
        return self.pulse.notify(bytes((0, rate)))


class Beacon(Peripheral):
    """A tag that only advertises; what it sends is set by `say`."""

    def __init__(self, address: str, data: bytes = b"\x00", **more: Any) -> None:
        interval = more.pop("interval", SOON)
        super().__init__(address, connectable=False, manufacturer_data={COMPANY: data}, interval=interval, **more)

    def say(self, data: bytes) -> None:
        self.manufacturer_data = {COMPANY: data}


_numbers = itertools.count(1)


def address() -> str:
    """A new one."""
    return f"C0:FF:EE:00:00:{next(_numbers) % 256:02X}"


def adverts(peer: Peripheral, **more: Any) -> Adverts:
    return Adverts(Peer(peer.address), companies=(COMPANY,), **more)


def pulses(peer: Peripheral, read: tuple[str, ...] = ()) -> Values:
    return Values(Peer(peer.address), (MEASUREMENT,), read)


def lines(peer: Peripheral) -> Stream:
    return Stream(Peer(peer.address), UART, (Lines(),))


async def heard(link: RadioLink, hear: Any, count: int = 1, ear: str = "ear", within: float = WITHIN) -> list[Any]:
    """So many frames; what is wrong meanwhile is passed over."""
    frames: list[Any] = []
    async with asyncio.timeout(within):
        while len(frames) < count:
            try:
                frames += await link.frames(ear, hear, 1.0)
            except LinkError:
                await asyncio.sleep(0)
    return frames


async def trouble(link: RadioLink, hear: Any, ear: str = "ear", within: float = WITHIN) -> LinkError:
    """The next thing that is wrong; frames before it are passed over."""

    async def listen() -> None:
        while True:
            await link.frames(ear, hear, 1.0)

    async with asyncio.timeout(within):
        return await fails(listen())


async def fails(question: Any) -> LinkError:
    """One line that says what, where and what to do."""
    with pytest.raises(LinkError, match=r"^[^\n]*\bair\b[^\n]*; [^\n]*$") as caught:
        await question
    return caught.value


async def connected(link: RadioLink, hear: Any, strap: Strap, ear: str = "ear") -> None:
    """Until the strap is subscribed to."""
    async with asyncio.timeout(WITHIN):
        while not strap.pulse.subscribed:
            try:
                await link.frames(ear, hear, 0.001)
            except LinkError:
                await asyncio.sleep(0)


def data(frames: list[Value]) -> list[bytes]:
    return [frame.data for frame in frames]
