"""Heart-rate strap: rate, RR intervals, contact, energy by notification, battery; off the air while connected.

Source: Heart Rate Service 1.0 and GATT Specification Supplement, Heart Rate Measurement (2A37): a byte of flags, then
the rate in 8 bits, or 16 where it needs them, kJ, and RR intervals of 1/1024 s; Battery Service 1.1.
"""

import struct
from collections.abc import Sequence
from random import Random

from simulators.bluez.model import AttError, Characteristic, Service
from simulators.mains import pinned_or, wander
from simulators.modbus_slave import Given
from simulators.peripherals._sensor import COMMON, Sensor, address, address_type, device_information, name, scaled
from simulators.settings import Settings, choice, number, period

SETTINGS = ("heart_rate", "contact", "energy", "battery", *COMMON)

_CONTACT = {"yes": True, "no": False, "unsupported": None}
_CHEST = b"\x01"  # Body Sensor Location
_RESET_ENERGY = b"\x01"
_CONTROL_POINT_NOT_SUPPORTED = 0x80
_ENERGY_EACH = 10  # measurements, as the service advises
_MOST_INTERVALS = 7  # what fits in 20 bytes with all else; older ones are left out
_KILOJOULE_PER_BEAT = 0.06
_BELT = 833  # appearance: heart rate sensor, belt


class Strap(Sensor):
    """Around a chest."""

    def __init__(self, seed: int, settings: Settings) -> None:
        where = address(settings, "ble_strap", seed)
        random = Random(seed)
        serial = f"{random.randrange(1 << 32):08X}"
        self.every = period(settings, 1.0)
        self._rate = pinned_or(number(settings, "heart_rate", 20, 300), wander(random, 80.0, 25.0))
        self._contact = _CONTACT[choice(settings, "contact", _CONTACT)]
        energy = number(settings, "energy", 0, 0xFFFF)
        self._energy, self._burns = energy or 0.0, energy is None  # kJ
        self._battery = pinned_or(number(settings, "battery", 0, 100), wander(random, 80.0, 15.0))
        self._random = random
        self._beat = 0.0  # when the last one was, s
        self._t = 0.0
        self._shown = -1  # the battery level that was told last
        self._heart = Characteristic("2a37", ["notify"])
        self._level = Characteristic("2a19", ["read", "notify"], on_read=self._read_battery)
        super().__init__(
            where,
            name(settings, f"Polar H10 {serial}"),
            address_type=address_type(where),
            uuids=["180d"],
            appearance=_BELT,
            interval=0.2,
            services=[
                Service("180d", [
                    self._heart,
                    Characteristic("2a38", ["read"], _CHEST),
                    Characteristic("2a39", ["write"], on_write=self._control),
                ]),
                Service("180f", [self._level]),
                device_information("Polar Electro Oy", "H10", serial),
            ],
        )  # fmt: skip

    def measure(self, t: float) -> None:
        """See Sensor."""
        self._t = t
        intervals = self._beats_until(t)
        if self._burns:
            self._energy = min(0xFFFF, self._energy + _KILOJOULE_PER_BEAT * len(intervals))
        energy = None if self._measurements % _ENERGY_EACH else int(self._energy)
        self.tell(self._heart, *measurement(round(self._rate(t)), self._contact, energy, intervals[-_MOST_INTERVALS:]))
        if (level := round(self._battery(t))) != self._shown:
            self._shown = level
            self.tell(self._level, *_battery(level))

    def _beats_until(self, t: float) -> list[int]:
        """The intervals, 1/1024 s, that have ended since the last time."""
        intervals = []
        while (beat := self._beat + 60 / self._rate(self._beat) * self._random.uniform(0.96, 1.04)) <= t:
            intervals.append(round((beat - self._beat) * 1024))
            self._beat = beat
        return intervals if self._contact is not False else []

    def _read_battery(self) -> bytes:
        return self.answer(*_battery(round(self._battery(self._t))))

    def _control(self, data: bytes, with_response: bool) -> None:
        if data != _RESET_ENERGY:
            raise AttError(_CONTROL_POINT_NOT_SUPPORTED)
        if self._burns:
            self._energy = 0.0


def measurement(
    rate: int, contact: bool | None, energy: int | None, intervals: Sequence[int]
) -> tuple[bytes, list[Given]]:
    """A Heart Rate Measurement and what it says.

    Beats a minute, skin contact (None: it cannot tell), kJ since the last reset (None: not said this time), 1/1024 s.
    """
    wide = rate > 0xFF
    flags = (
        wide | (contact is True) << 1 | (contact is not None) << 2 | (energy is not None) << 3 | bool(intervals) << 4
    )
    data = struct.pack("<BH" if wide else "<BB", flags, rate)
    given: list[Given] = [("heart_rate", "beat/min", str(rate))]
    if contact is not None:
        given.append(("sensor_contact", "", "true" if contact else "false"))
    if energy is not None:
        data += energy.to_bytes(2, "little")
        given.append(("energy_expended", "J", str(energy * 1000)))
    data += struct.pack(f"<{len(intervals)}H", *intervals)
    return data, given + [("rr_interval", "s", scaled(interval, "0.0009765625")) for interval in intervals]


def _battery(level: int) -> tuple[bytes, list[Given]]:
    return bytes((level,)), [("battery", "%EL", str(level))]


def build(seed: int, settings: Settings) -> Strap:
    """A strap; `heart_rate` in beats a minute, `contact` yes, no or unsupported, `energy` in kJ, `battery` in %."""
    return Strap(seed, settings)
