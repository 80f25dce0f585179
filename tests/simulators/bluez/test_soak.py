"""Twenty devices, fifty beacons, faults at random for some seconds, an unmodified bleak: nothing lost, nothing left."""

import asyncio
import contextlib
from random import Random

from bleak import BleakClient, BleakScanner, BLEDevice
from bleak.exc import BleakError

from simulators.bluez.model import Characteristic, Peripheral, Service
from tests.radio import Radio, descriptors, until

MEASUREMENT = "00002a37-0000-1000-8000-00805f9b34fb"
FOR = 3.0  # s
FAULT_EVERY = 0.05  # s


class Strap(Peripheral):
    """Sends numbers while its client listens, and keeps those that went out."""

    def __init__(self, address: str) -> None:
        self.measurement = Characteristic("2a37", ["notify"])
        super().__init__(address, interval=0.03, services=[Service("180d", [self.measurement])])
        self.supervision = 0.05
        self.listened = False
        self.went_out: list[bytes] = []
        self.links = 0

    def start(self) -> None:
        self.tick()

    def stop(self) -> None:
        self.timer.cancel()

    def on_connect(self) -> None:
        self.links += 1

    def on_disconnect(self) -> None:
        self.listened = False

    def tick(self) -> None:
        self.timer = asyncio.get_running_loop().call_later(0.01, self.tick)
        number = len(self.went_out).to_bytes(4, "big")
        if self.listened and self.measurement.notify(number):
            self.went_out.append(number)


class Driver:
    """What every user of bleak has to write: connect one at a time, listen, disconnect, again."""

    def __init__(self, strap: Strap, heard: dict[str, BLEDevice], turn: asyncio.Lock) -> None:
        self.strap, self.heard, self.turn = strap, heard, turn
        self.got: list[bytes] = []

    async def run(self) -> None:
        while True:
            await until(lambda: self.strap.address in self.heard, 60.0)
            lost = asyncio.Event()
            client = BleakClient(self.heard.pop(self.strap.address), lambda _, lost=lost: lost.set(), timeout=0.5)
            try:
                async with self.turn:
                    await client.connect()
                await client.start_notify(MEASUREMENT, lambda _, data: self.got.append(bytes(data)))
                self.strap.listened = self.strap.connected
                await lost.wait()
            except (BleakError, TimeoutError, EOFError, OSError):
                pass
            finally:
                with contextlib.suppress(BleakError, TimeoutError, EOFError, OSError):
                    async with asyncio.timeout(1):  # without end after a connect that was cancelled early
                        await client.disconnect()


def fault(random: Random, strap: Strap) -> None:
    match random.randrange(7):
        case 0:
            strap.disconnect()
        case 1:
            strap.go_out_of_range()
            asyncio.get_running_loop().call_later(random.uniform(0, 0.2), strap.come_back)
        case 2:
            strap.faults.connect_errors.append("Software caused connection abort")
        case 3:
            strap.faults.lost_at_once = 1
        case 4:
            strap.faults.delays["connect"] = random.uniform(0, 0.05)
        case 5:
            strap.faults.in_progress = 1
        case 6:
            strap.faults.lose = 0.2


async def test_soak(radio: Radio) -> None:
    random = Random(0)
    straps = [Strap(f"24:AC:AC:05:A9:{n:02X}") for n in range(20)]
    beacons = [Peripheral(f"CB:B8:33:4C:88:{n:02X}", interval=0.1, manufacturer_data={0x0499: bytes([n])},
                          connectable=False) for n in range(50)]  # fmt: skip
    radio.add(*straps, *beacons)
    heard: dict[str, BLEDevice] = {}
    turn = asyncio.Lock()
    drivers = [Driver(strap, heard, turn) for strap in straps]
    tasks, files = len(asyncio.all_tasks()), len(descriptors())
    async with BleakScanner(lambda device, _: heard.__setitem__(device.address, device)):
        working = [asyncio.ensure_future(driver.run()) for driver in drivers]
        for _ in range(round(FOR / FAULT_EVERY)):
            await asyncio.sleep(FAULT_EVERY)
            fault(random, random.choice(straps))
        for strap in straps:
            strap.listened = False
        await until(lambda: all(driver.got == driver.strap.went_out for driver in drivers))
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await until(lambda: not any(strap.connected for strap in straps))
    assert len(heard) >= 50
    assert sum(strap.links for strap in straps) > 30
    assert sum(len(driver.got) for driver in drivers) > 2000
    await until(lambda: len(asyncio.all_tasks()) <= tasks + 1)  # bleak watches its connection
    await until(lambda: len(descriptors()) <= files + 1)  # which it keeps
