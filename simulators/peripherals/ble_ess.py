"""Environmental sensor: temperature indoors and outdoors, humidity and pressure, to be read and by notification.

Source: Environmental Sensing Service 1.0: of several characteristics with one UUID each has an ES Measurement (290C),
and may have a Characteristic User Description (2901); GATT Specification Supplement: 2A6E, 2A6F, 2A6D, low byte first.
"""

import struct
from random import Random
from typing import NamedTuple

from simulators.bluez.model import Characteristic, Descriptor, Service
from simulators.mains import Source, pinned_or, wander
from simulators.modbus_slave import Given
from simulators.peripherals._sensor import COMMON, Sensor, address, address_type, device_information, name, scaled
from simulators.settings import Settings, number, period

SETTINGS = ("temperature", "outdoor", "humidity", "pressure", *COMMON)

_THERMOMETER = 768  # appearance


class Quantity(NamedTuple):
    """One characteristic: what it is called in the record, what it says of itself, UUID, and how it is written."""

    name: str
    description: str
    uuid: str
    layout: str
    step: str
    unit: str

    def said(self, value: float) -> tuple[bytes, list[Given]]:
        """The bytes, and what they say."""
        raw = round(value / float(self.step))
        return struct.pack(self.layout, raw), [(self.name, self.unit, scaled(raw, self.step))]


INDOOR = Quantity("temperature", "indoor", "2a6e", "<h", "0.01", "Cel")
OUTDOOR = Quantity("temperature.2", "outdoor", "2a6e", "<h", "0.01", "Cel")
HUMIDITY = Quantity("humidity", "indoor", "2a6f", "<H", "0.01", "%RH")
PRESSURE = Quantity("pressure", "indoor", "2a6d", "<I", "0.1", "Pa")


class EnvironmentalSensor(Sensor):
    """At a window."""

    def __init__(self, seed: int, settings: Settings) -> None:
        where = address(settings, "ble_ess", seed)
        random = Random(seed)
        self.every = period(settings, 1.0)
        self._t = 0.0
        self._told: list[tuple[Quantity, Source, Characteristic]] = []
        for quantity, setting, low, high, middle, swing in (
            (INDOOR, "temperature", -273.15, 327.67, 21.5, 1.5),
            (OUTDOOR, "outdoor", -273.15, 327.67, 4.0, 6.0),
            (HUMIDITY, "humidity", 0, 100, 45.0, 8.0),
            (PRESSURE, "pressure", 0, 429_496_729, 100_800.0, 1200.0),
        ):
            source = pinned_or(number(settings, setting, low, high), wander(random, middle, swing))
            self._told.append((quantity, source, self._characteristic(quantity, source)))
        super().__init__(
            where,
            name(settings, f"Weather {where[-5:].replace(':', '')}"),
            address_type=address_type(where),
            uuids=["181a"],
            appearance=_THERMOMETER,
            interval=0.2,
            services=[
                Service("181a", [characteristic for *_, characteristic in self._told]),
                device_information("Labgate Simulations", "Weather", f"{random.randrange(10**8):08d}"),
            ],
        )

    def measure(self, t: float) -> None:
        """See Sensor."""
        self._t = t
        for quantity, source, characteristic in self._told:
            self.tell(characteristic, *quantity.said(source(t)))

    def _characteristic(self, quantity: Quantity, source: Source) -> Characteristic:
        # flags, sampled now and then, period, update interval (s), of air, uncertainty not known
        sampling = struct.pack("<HB3s3sBB", 0, 1, bytes(3), max(1, round(self.every)).to_bytes(3, "little"), 1, 0xFF)
        return Characteristic(
            quantity.uuid,
            ["read", "notify"],
            on_read=lambda: self.answer(*quantity.said(source(self._t))),
            descriptors=[Descriptor("290c", sampling), Descriptor("2901", quantity.description.encode())],
        )


def build(seed: int, settings: Settings) -> EnvironmentalSensor:
    """A sensor; `temperature` and `outdoor` in Cel, `humidity` in %RH, `pressure` in Pa, told each `every` (1s)."""
    return EnvironmentalSensor(seed, settings)
