"""Clinical thermometer: off the air until it has measured, then indicates all it has stored, with times, and hangs up.

Source: Health Thermometer Service 1.0, Health Thermometer Profile 1.0 (it waits to be connected to when it has data,
and ends the connection when that was sent) and GATT Specification Supplement, Temperature Measurement (2A1C); IEEE
11073-20601, FLOAT: 24 bits of mantissa, then the exponent as a signed byte. Times are of its own clock, which knows no
zone: the local time of this machine, in whole seconds.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from simulators.bluez.model import Characteristic, Service
from simulators.mains import pinned_or, wander
from simulators.modbus_slave import Given
from simulators.peripherals._sensor import COMMON, Sensor, address, address_type, device_information, name, scaled
from simulators.settings import Settings, number, period, whole_number

SETTINGS = ("temperature", "stored", *COMMON)

_EVERY = 20.0  # s
_WAITS = 30.0  # s that it is on the air after a measurement
_BETWEEN = 0.03  # s from one indication to the next, which is after the first was confirmed
_IDLE = 10.0  # s that a link may last on which nobody subscribes
_FAREWELL = 0.3  # s from the last indication to the end of the link
_MEMORY = 60  # measurements; then the oldest is forgotten
_ARMPIT = 1
_THERMOMETER = 768  # appearance
_SITES = {
    1: "armpit", 2: "body", 3: "ear", 4: "finger", 5: "gastrointestinal", 6: "mouth", 7: "rectum", 8: "toe",
    9: "tympanum",
}  # fmt: skip


class Stored(NamedTuple):
    """A measurement in its memory: tenths of Cel."""

    tenths: int
    when: datetime


class Thermometer(Sensor):
    """In somebody's bathroom."""

    def __init__(self, seed: int, settings: Settings) -> None:
        where = address(settings, "ble_thermometer", seed)
        random = Random(seed)
        self.every = period(settings, _EVERY)
        self._temperature = pinned_or(number(settings, "temperature", 20, 45), wander(random, 37.0, 0.9))
        self._memory: deque[Stored] = deque(maxlen=_MEMORY)
        self._measurements = whole_number(settings, "stored", 0, _MEMORY)
        now, apart = datetime.now(), timedelta(seconds=max(1.0, self.every))
        for place in range(self._measurements):
            self._store(place * self.every, now - (self._measurements - place) * apart)
        self._timer_of_radio: asyncio.TimerHandle | None = None  # what it does next on the air, or on its link
        self._measurement = Characteristic("2a1c", ["indicate"], on_subscribe=self._subscribed)
        serial = f"{random.randrange(10**8):08d}"
        super().__init__(
            where,
            name(settings, f"Thermometer {serial[-4:]}"),
            address_type=address_type(where),
            uuids=["1809"],
            appearance=_THERMOMETER,
            interval=0.1,
            services=[
                Service("1809", [self._measurement]),
                device_information("Labgate Simulations", "Thermometer", serial),
            ],
        )
        self.advertising = False

    def stop(self) -> None:
        """See Peripheral."""
        super().stop()
        self._next(0.0)

    def measure(self, t: float) -> None:
        """See Sensor."""
        self._store(t, datetime.now())
        self.advertising = True
        if not self.connected:
            self._next(_WAITS, self._rest)
        elif self._measurement.subscribed:
            self._next(0.0, self._indicate)

    def on_connect(self) -> None:
        """See Peripheral."""
        self._next(_IDLE, self.disconnect)

    def on_disconnect(self) -> None:
        """See Peripheral."""
        self.advertising = bool(self._memory)
        self._next(_WAITS, self._rest)

    def _store(self, t: float, when: datetime) -> None:
        self._memory.append(Stored(round(10 * self._temperature(t)), when))

    def _subscribed(self, wanted: bool) -> None:
        if wanted:
            self._next(_BETWEEN, self._indicate)

    def _indicate(self) -> None:
        """The oldest of its memory, which is forgotten when it was confirmed."""
        stored = self._memory[0] if self._memory else None
        if stored is not None and self.tell(self._measurement, *measurement(stored.tenths, -1, stored.when, _ARMPIT)):
            self._memory.popleft()
        if self._memory:
            self._next(_BETWEEN, self._indicate)
        else:
            self._next(_FAREWELL, self.disconnect)

    def _rest(self) -> None:
        self.advertising = False

    def _next(self, after: float, what: Callable[[], None] | None = None) -> None:
        if self._timer_of_radio is not None:
            self._timer_of_radio.cancel()
        self._timer_of_radio = None if what is None else asyncio.get_running_loop().call_later(after, what)


def measurement(mantissa: int, exponent: int, when: datetime, site: int) -> tuple[bytes, list[Given]]:
    """A Temperature Measurement in Cel with time and site, and what it says."""
    number = (mantissa & 0xFFFFFF).to_bytes(3, "little") + struct.pack("b", exponent)
    moment = struct.pack("<H5B", when.year, when.month, when.day, when.hour, when.minute, when.second)
    return b"\x06" + number + moment + bytes((site,)), [
        ("temperature", "Cel", scaled(mantissa, f"1e{exponent}")),
        ("timestamp", "", f'"{when.isoformat(timespec="seconds")}"'),
        ("site", "", f'"{_SITES[site]}"'),
    ]


def build(seed: int, settings: Settings) -> Thermometer:
    """A thermometer; `temperature` in Cel, measured each `every` (20s or as set), `stored` ones are there already."""
    return Thermometer(seed, settings)
