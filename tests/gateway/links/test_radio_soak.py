"""A radio that is never left in peace: 20 devices that connect, 50 beacons, a fault every 50 ms.

All that was sent over a connection that was up has come, in order and once; nothing is left over. 10 s by default;
LABGATE_LONG=1 is 60 s, LABGATE_LONG=600 so many.
"""

import asyncio
import gc
import os
import random
import tracemalloc
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.errors import LinkError
from gateway.links import ble, connection
from gateway.links.air import Value
from gateway.links.radio import Radio as RadioLink
from simulators.bluez import faults
from simulators.bluez.faults import Faults
from simulators.bluez.model import Characteristic, Peripheral, Service
from tests.gateway.links.radio_rig import MEASUREMENT, Beacon, Links, adverts, links, pulses
from tests.radio import Radio, descriptors, radio, until

__all__ = ["links", "radio"]

_LONG = int(os.environ.get("LABGATE_LONG", "0"))
SECONDS = {0: 10, 1: 60}.get(_LONG, _LONG)
SEED = int(os.environ.get("LABGATE_SEED", "20261121"))
FAULT_EVERY = 0.05  # s
SEND_EVERY = 0.02  # s
GROWTH = 200_000  # bytes, at most, whatever the time
RARE = 0.005  # of the faults, each, that end all connections


class Count:
    """How many numbers there were, and which, in this order; the last ones for a text."""

    def __init__(self) -> None:
        self.many, self.sum, self.last = 0, 0, deque[int](maxlen=20)

    def add(self, number: int) -> None:
        self.many += 1
        self.sum = (31 * self.sum + number) % (1 << 61)
        self.last.append(number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Count) and (self.many, self.sum) == (other.many, other.sum)

    def __repr__(self) -> str:
        return f"{self.many}, the last {list(self.last)}"


class Counting(Peripheral):
    """Numbers what it sends; `sent` are those that went out on a link that was up."""

    def __init__(self, number: int) -> None:
        self.pulse = Characteristic(MEASUREMENT, ["notify"])
        self.sent = Count()
        self.silent = False
        self._number = 0
        services = [Service("180d", [self.pulse])]
        super().__init__(f"C0:FF:EE:01:00:{number:02X}", "Counting", services=services, interval=0.1)

    def start(self) -> None:
        self._sending = asyncio.get_running_loop().call_later(SEND_EVERY, self._send)

    def stop(self) -> None:
        self._sending.cancel()

    def _send(self) -> None:
        self.start()
        if not self.silent:
            if self.pulse.notify(self._number.to_bytes(4, "little")):
                self.sent.add(self._number)
            self._number += 1


class Soak:
    """Listens to all, and does harm."""

    def __init__(self, radio: Radio, link: RadioLink) -> None:
        self.radio, self.link, self.random = radio, link, random.Random(SEED)
        self.counting = [Counting(n) for n in range(20)]
        self.beacons = [Beacon(f"C0:FF:EE:02:00:{n:02X}", interval=0.1) for n in range(50)]
        self.heard = {device.address: Count() for device in self.counting}
        self.adverts: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()
        self.harm: Counter[str] = Counter()
        radio.add(*self.counting, *self.beacons)

    async def listen(self, name: str, hear: Any, take: Callable[[Any], None]) -> None:
        while True:
            try:
                for frame in await self.link.frames(name, hear, 1.0):
                    take(frame)
            except LinkError as error:
                self.troubles[error.reason] += 1
                await asyncio.sleep(0.01)

    def take_value(self, value: Value) -> None:
        self.heard[value.address].add(int.from_bytes(value.data, "little"))

    def take_advert(self, advert: Any) -> None:
        self.adverts[advert.address] += 1

    async def run(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            await asyncio.sleep(FAULT_EVERY)
            await self._do_harm()

    async def _do_harm(self) -> None:
        """One fault, whichever."""
        device, beacon = self.random.choice(self.counting), self.random.choice(self.beacons)
        kind = self.random.choice(("drop", "drop", "range", "refuse", "abort", "hang", "busy", "slow", "quiet", "say"))
        if (rare := self.random.random()) < 2 * RARE:
            kind = "power" if rare < RARE else "restart"
        self.harm[kind] += 1
        match kind:
            case "drop":
                device.disconnect()
            case "range":
                device.go_out_of_range()
                asyncio.get_running_loop().call_later(0.6, device.come_back)
            case "refuse" if not device.faults.connect_errors:
                device.faults.connect_errors.append(self.random.choice([faults.ABORTED_BY_REMOTE, faults.CANCELLED]))
            case "abort":
                device.faults.lost_at_once = 1
            case "hang":
                device.faults.hangs = 1
                device.disconnect()
            case "busy":
                device.faults.in_progress = 2
                device.disconnect()
            case "slow":
                device.faults.delays["connect"] = self.random.uniform(0, 0.2)
            case "quiet":
                beacon.advertising = not beacon.advertising
            case "say":
                beacon.say(self.random.randbytes(8))
            case "power":
                self.radio.adapter.power_off()
                self.radio.adapter.objects.flush()
                self.radio.adapter.power_on()
            case "restart":
                await self.radio.bluez.restart()

    async def settle(self) -> tuple[int, int, int]:
        """End all faults, and see that all that was sent has come. Gives tasks, descriptors, and memory (bytes)."""
        for device in self.counting:
            device.faults = Faults()
            device.come_back()
        for beacon in self.beacons:
            beacon.advertising = True
        await until(lambda: all(device.pulse.subscribed for device in self.counting), 30)
        for device in self.counting:
            device.silent = True
        await until(lambda: all(self.heard[d.address].many >= d.sent.many for d in self.counting))
        for device in self.counting:
            assert self.heard[device.address] == device.sent, device.address
        gc.collect()
        found = len(asyncio.all_tasks()), len(descriptors()), tracemalloc.get_traced_memory()[0]
        for device in self.counting:
            device.silent = False
        return found


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start(1)
    yield
    tracemalloc.stop()


async def test_soak(radio: Radio, links: Links, monkeypatch: pytest.MonkeyPatch, traced: None) -> None:
    monkeypatch.setattr(connection, "PAUSE", (0.05, 0.5))
    monkeypatch.setattr(ble, "CONNECT_WITHIN", 1.0)
    monkeypatch.setattr(ble, "SUBSCRIBE_WITHIN", 0.3)
    soak = Soak(radio, links(connections=20))
    async with asyncio.TaskGroup() as group:
        ears = [group.create_task(soak.listen(d.address, pulses(d), soak.take_value)) for d in soak.counting]
        ears += [group.create_task(soak.listen(b.address, adverts(b), soak.take_advert)) for b in soak.beacons]
        await soak.run(SECONDS / 3)
        tasks, files, memory = await soak.settle()
        await soak.run(2 * SECONDS / 3)
        after = await soak.settle()
        for ear in ears:
            ear.cancel()
    assert sum(count.many for count in soak.heard.values()) > 50 * SECONDS
    assert len(soak.adverts) == 50
    assert after[:2] == (tasks, files), "tasks or descriptors are left over"
    assert after[2] - memory < GROWTH, f"{after[2] - memory} bytes in {SECONDS} s: {soak.harm} {soak.troubles}"
