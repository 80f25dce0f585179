"""What adverts cost: a process of its own with many beacons, and a radio link with an ear for each.

python -m tests.gateway.links.radio_load            # 50 beacons at 10 adverts/s, 10 s: us of CPU for each advert
"""

import asyncio
import os
import struct
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.config_ble import BleLinkConfig
from gateway.errors import LinkError
from gateway.links.air import Adverts, Peer
from gateway.links.radio import Radio
from simulators.bluez.bluetoothd import FakeBluez
from simulators.bluez.bus import PrivateBus
from simulators.bluez.model import Peripheral
from tests.radio import ADAPTER

COMPANY = 0x0499
CHANGES = 1.285  # s between measurements of a RuuviTag: its firmware's default


class Tag(Peripheral):
    """Advertises data format 5 (docs.ruuvi.com), numbered anew with each measurement."""

    def __init__(self, number: int, interval: float) -> None:
        super().__init__(f"CB:B8:33:4C:{number // 256:02X}:{number % 256:02X}", connectable=False, interval=interval)
        self._number = number
        self._measure(0)

    def start(self) -> None:
        self._later(1)

    def _later(self, sequence: int) -> None:
        self._change = asyncio.get_running_loop().call_later(CHANGES, self._next, sequence)

    def _next(self, sequence: int) -> None:
        self._measure(sequence)
        self._later(sequence + 1)

    def stop(self) -> None:
        self._change.cancel()

    def _measure(self, sequence: int) -> None:
        body = struct.pack(">BhHHhhhHBH", 5, 4860 + sequence, 21398, 50000, 4, -4, 1036, 0xAC36, 66, sequence)
        self.manufacturer_data = {COMPANY: body + bytes.fromhex(self.address.replace(":", ""))}


async def beacons(count: int, interval: float) -> None:
    """Advertise until the standard input ends; the first line written is the bus."""
    async with PrivateBus() as bus, FakeBluez(bus.address) as bluez:
        adapter = bluez.add_adapter(ADAPTER)
        for number in range(count):
            adapter.add(Tag(number, interval))
        sys.stdout.write(f"{bus.address}\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


Decode = Callable[[Any], object]


async def cost(
    count: int = 50, interval: float = 0.1, seconds: float = 10.0, decode: Decode = lambda advert: None
) -> dict[str, float]:
    """CPU of this process for each advert (us), adverts a second, and the share of repeats.

    `decode` is given each advert that is no repeat.
    """
    args = ("-m", __name__ if __name__ != "__main__" else "tests.gateway.links.radio_load", str(count), str(interval))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *args, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    assert process.stdin is not None
    before = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
    os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = (await process.stdout.readline()).decode().strip()
    link = Radio("air", BleLinkConfig.model_validate({"ble": ADAPTER}))
    names = [f"CB:B8:33:4C:{number // 256:02X}:{number % 256:02X}" for number in range(count)]
    frames = 0

    async def listen(name: str) -> None:
        nonlocal frames
        hear = Adverts(Peer(name), (COMPANY,))
        while True:
            for advert in await link.frames(name, hear, 30.0):
                decode(advert)
                frames += 1

    def heard() -> tuple[int, int]:
        repeats = sum(link.counts(name).get("repeats", 0) for name in names)
        return frames + repeats, repeats

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_passing(listen(name))) for name in names]
            await asyncio.sleep(2.0)
            total, repeated = heard()
            cpu, began = time.process_time(), time.monotonic()
            await asyncio.sleep(seconds)
            cpu, lasted = time.process_time() - cpu, time.monotonic() - began
            now, repeats = heard()
            for task in tasks:
                task.cancel()
    finally:
        await link.close()
        process.stdin.close()
        await process.wait()
        if before is None:
            del os.environ["DBUS_SYSTEM_BUS_ADDRESS"]
        else:
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = before
    adverts = now - total
    return {"us": 1e6 * cpu / adverts, "per_second": adverts / lasted, "repeats": (repeats - repeated) / adverts}


async def _passing(listening: Coroutine[Any, Any, None]) -> None:
    try:
        await listening
    except LinkError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(beacons(int(sys.argv[1]), float(sys.argv[2])))
    else:
        for name, figure in asyncio.run(cost()).items():
            sys.stdout.write(f"{name}: {figure:.3g}\n")
