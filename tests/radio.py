"""A radio for tests: a private bus and a simulated BlueZ with one adapter, for an unmodified bleak in the test's loop.

In a conftest: `from tests.radio import radio` and `__all__ = ["radio"]`. A fixture that opens links of its own must ask
for `radio`, so that it ends before it: clients first, then what they speak to.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bleak import AdvertisementData, BleakScanner, BLEDevice
from bleak.backends.bluezdbus import manager
from bleak.backends.bluezdbus.version import BlueZFeatures

from simulators.bluez.adapter import Adapter
from simulators.bluez.bluetoothd import FakeBluez
from simulators.bluez.bus import PrivateBus
from simulators.bluez.model import Peripheral

ADAPTER = "DC:A6:32:01:02:03"
WITHIN = 5.0  # s; what has not come by then never will


@dataclass
class Radio:
    bus: PrivateBus
    bluez: FakeBluez
    adapter: Adapter
    folder: Path

    def add(self, *peripherals: Peripheral) -> None:
        for peripheral in peripherals:
            self.adapter.add(peripheral)

    def bluetoothctl(self, version: str) -> None:
        """What `bluetoothctl --version` says from now on; bleak asks once in a process."""
        program = self.folder / "bluetoothctl"
        program.write_text(f"#!/bin/sh\necho 'bluetoothctl: {version}'\n")
        program.chmod(0o755)


@pytest.fixture
async def radio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Radio]:
    """A host with one adapter that is on, DC:A6:32:01:02:03 = hci0. Disconnect takes 20 ms instead of 2 s.

    No socket may be left when it ends, and nothing may have been raised where nobody catches it.
    """
    before = sockets()
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: raised.append(told))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(BlueZFeatures, "_check_bluez_event", None)  # of another loop, if one was cancelled
    async with PrivateBus() as bus, FakeBluez(bus.address, seed=0) as bluez:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        bluez.times.disconnect = 0.02
        held = Radio(bus, bluez, bluez.add_adapter(ADAPTER), tmp_path)
        held.bluetoothctl("5.66")
        yield held
        await close_bleak()
    assert sockets() <= before
    assert not [told for told in raised if "handle" in told], "in a call-back of the loop"
    said = [record.getMessage() for record in caplog.get_records("call")]
    assert not [text for text in said if "message handler raised" in text], "in a handler of messages"


async def close_bleak() -> None:
    """End what bleak holds on to in this loop, as nothing of its own does."""
    held: Any = manager._global_instances.pop(asyncio.get_running_loop(), None)
    if held is not None and held._bus is not None:
        held._bus.disconnect()
        if held._bus_watcher_task is not None:  # else it was about to look for the bus again
            await asyncio.wait({held._bus_watcher_task})


def sockets() -> int:
    """How many this process holds."""
    return sum(link.startswith("socket:") for link in descriptors().values())


def descriptors() -> dict[int, str]:
    """Open files of this process: number -> what it is."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except OSError:
            continue  # the one that reads the folder
    return found


async def until(condition: Callable[[], object], within: float = WITHIN) -> None:
    """Wait for what the loop brings about; fails when it has not by then."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - bleak tells nobody
            await asyncio.sleep(0.001)


async def find(address: str, within: float = WITHIN, **options: Any) -> BLEDevice:
    """Scan until an advert of this device comes."""
    device = await BleakScanner.find_device_by_address(address, within, **options)
    assert device is not None, f"{address} was not heard within {within} s"
    return device


class Adverts:
    """A scanner whose callbacks are kept: `async with Adverts() as heard: await heard.until(3)`."""

    def __init__(self, **options: Any) -> None:
        self.all: list[tuple[BLEDevice, AdvertisementData]] = []
        self.scanner = BleakScanner(lambda device, data: self.all.append((device, data)), **options)

    async def __aenter__(self) -> "Adverts":
        await self.scanner.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.scanner.stop()

    async def until(self, count: int) -> list[AdvertisementData]:
        """Wait for so many callbacks in all; gives what was advertised."""
        await until(lambda: len(self.all) >= count)
        return [data for _, data in self.all]

    async def device(self, address: str) -> BLEDevice:
        """The newest of this address."""
        await until(lambda: any(device.address == address for device, _ in self.all))
        return next(device for device, _ in reversed(self.all) if device.address == address)
