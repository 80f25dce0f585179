"""What simulated peripherals share: they measure again and again, tell it on the radio, and keep the record of that."""

import asyncio
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from random import Random
from typing import Literal

from simulators.bluez.model import Characteristic, Peripheral, Service
from simulators.modbus_slave import Given
from simulators.settings import Settings
from simulators.truth import Truth

COMMON = ("every", "address", "name")
"""What can be set of each of them."""

_ADDRESS = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}")


class Sensor(Peripheral):
    """A peripheral that measures when it is put on the air, and then each `every` seconds, at a time of its own.

    What it tells is in `truth`, by its address: the values of a measurement that is advertised once, when the first
    advert of it is heard; others when they are sent on a link that is up, or are read.
    """

    every = 1.0  # s
    silent = False  # nothing is said unasked, neither in adverts nor on a link
    truth: Truth | None = None
    trouble: Callable[[], None] | None = None  # called before each measurement: what goes wrong with it
    _timer_of_measurement: asyncio.TimerHandle | None = None
    _measurements = 0
    _due = 0.0
    _unheard: tuple[Given, ...] = ()

    def measure(self, t: float) -> None:
        """Take a measurement, `t` s after the first, and tell it."""

    def start(self) -> None:
        """See Peripheral."""
        # the second one sooner: those that were put on the air together shall not measure together for ever
        self._due = asyncio.get_running_loop().time() - Random(self.address).uniform(0, self.every)
        self._measure()

    def stop(self) -> None:
        """See Peripheral."""
        if self._timer_of_measurement is not None:
            self._timer_of_measurement.cancel()

    def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = max(self._due + self.every, loop.time())
        self._timer_of_measurement = loop.call_at(self._due, self._measure)
        if self.trouble is not None:
            self.trouble()
        t, self._measurements = self._measurements * self.every, self._measurements + 1
        self.measure(t)

    def advertises(self, given: Iterable[Given]) -> None:
        """What adverts say from now on is a new measurement, with these values."""
        self._unheard = tuple(given)

    def advertise_now(self) -> bool:
        """See Peripheral."""
        when = Truth.now()  # before: who hears it may run first
        heard = not self.silent and super().advertise_now()
        if heard and self._unheard:
            if self.truth is not None:
                self.truth.record(self.address, None, self._unheard, when)
            self._unheard = ()
        return heard

    def send(self, characteristic: Characteristic, data: bytes) -> bool:
        """See Peripheral."""
        return not self.silent and super().send(characteristic, data)

    def tell(self, characteristic: Characteristic, data: bytes, given: Iterable[Given]) -> bool:
        """Notify, or indicate, these values; whether it went out on a link that is up, to a subscriber."""
        when = Truth.now()
        told = characteristic.notify(data)
        if told and self.truth is not None:
            self.truth.record(self.address, None, given, when)
        return told

    def answer(self, data: bytes, given: Iterable[Given]) -> bytes:
        """What a read of these values is answered with."""
        if self.truth is not None:
            self.truth.record(self.address, None, given, Truth.now())
        return data


def scaled(raw: int, step: str) -> str:
    """`raw` times `step`, exactly, as JSON writes a number."""
    return f"{raw * Decimal(step):f}"


def address(settings: Settings, kind: str, seed: int) -> str:
    """The address that is set, else one of the seed's own: random static (Core 5.4, volume 6, part B, 1.3.2.1).

    Raises ValueError for what is no address.
    """
    if "address" in settings:
        found = settings["address"].upper()
        if not _ADDRESS.fullmatch(found):
            raise ValueError(f"address must be like CB:B8:33:4C:88:4F, not {settings['address']!r}")
        return found
    first, *others = Random(f"{kind} {seed}").randbytes(6)
    return ":".join(f"{byte:02X}" for byte in (first | 0xC0, *others))


def address_type(address: str) -> Literal["random", "public"]:
    """Random static where the two highest bits are set, else public."""
    return "random" if int(address[:2], 16) >= 0xC0 else "public"


def name(settings: Settings, default: str) -> str:
    """What it calls itself; raises ValueError for what fits no advert (29 bytes, Core 5.4, volume 3, part C, 11)."""
    found = settings.get("name", default)
    if not 0 < len(found.encode()) <= 29:
        raise ValueError(f"name must have 1 to 29 bytes, not {len(found.encode())}")
    return found


def device_information(maker: str, model: str, serial: str) -> Service:
    """Device Information Service 1.1: names of manufacturer and model, and the serial number."""
    texts = (("2a29", maker), ("2a24", model), ("2a25", serial))
    return Service("180a", [Characteristic(uuid, ["read"], text.encode()) for uuid, text in texts])
