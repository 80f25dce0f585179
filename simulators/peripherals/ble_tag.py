"""RuuviTag: temperature, humidity, pressure, acceleration in adverts (data format 5), each measurement five times.

Source: docs.ruuvi.com, Data Format 5 (RAWv2): manufacturer data of company 0x0499, all numbers high byte first, clipped
to what can be represented; Bluetooth advertisements: firmware 3.x advertises each 1285 ms, named "Ruuvi XXXX".
"""

import struct
from random import Random
from typing import NamedTuple

from simulators.mains import pinned_or, wander
from simulators.modbus_slave import Given
from simulators.peripherals._sensor import COMMON, Sensor, address, address_type, name, scaled
from simulators.settings import Settings, number, period, whole_number

SETTINGS = (
    "temperature", "humidity", "pressure", "acceleration_x", "acceleration_y", "acceleration_z", "voltage", "tx_power",
    "adverts", *COMMON,
)  # fmt: skip

_RUUVI = 0x0499
_ADVERTS = 5  # of each measurement, unless set
_EVERY = _ADVERTS * 1.285  # s


class Measurement(NamedTuple):
    """Cel, %RH, Pa, g, V, dBm; movements and measurements so far."""

    temperature: float
    humidity: float
    pressure: float
    x: float
    y: float
    z: float
    voltage: float
    tx_power: float
    movements: int
    sequence: int


class Tag(Sensor):
    """Lies on a table, and is moved now and then."""

    def __init__(self, seed: int, settings: Settings) -> None:
        where = address(settings, "ble_tag", seed)
        self.every = period(settings, _EVERY)
        adverts = whole_number(settings, "adverts", _ADVERTS, 1000)
        called = name(settings, f"Ruuvi {where[-5:].replace(':', '')}")
        super().__init__(
            where, called, address_type=address_type(where), interval=self.every / adverts, connectable=False
        )
        self._random = random = Random(seed)
        self._sources = [
            pinned_or(number(settings, setting, low, high), wander(random, middle, swing))
            for setting, low, high, middle, swing in (
                ("temperature", -163.835, 163.835, 22.0, 1.5),
                ("humidity", 0, 163.835, 45.0, 8.0),
                ("pressure", 50_000, 115_534, 100_800.0, 1200.0),
                ("acceleration_x", -32.767, 32.767, 0.01, 0.02),
                ("acceleration_y", -32.767, 32.767, -0.01, 0.02),
                ("acceleration_z", -32.767, 32.767, 1.0, 0.02),
                ("voltage", 1.6, 3.646, 2.95, 0.05),
            )
        ]
        power = number(settings, "tx_power", -40, 20)
        self._tx_power = 4.0 if power is None else power
        self._movements, self._sequence = random.randrange(0xFF), random.randrange(0xFFFF)

    def measure(self, t: float) -> None:
        """See Sensor."""
        self._sequence = (self._sequence + 1) % 0xFFFF  # the highest numbers mean that there is none
        self._movements = (self._movements + (self._random.random() < 0.05)) % 0xFF
        temperature, humidity, pressure, x, y, z, voltage = (source(t) for source in self._sources)
        measured = Measurement(
            temperature, humidity, pressure, x, y, z, voltage, self._tx_power, self._movements, self._sequence
        )
        data, given = data_format_5(measured, bytes.fromhex(self.address.replace(":", "")))
        self.manufacturer_data = {_RUUVI: data}
        self.advertises(given)


def data_format_5(m: Measurement, mac: bytes) -> tuple[bytes, list[Given]]:
    """The payload, 24 bytes, and what it says."""
    signed = [_clip(m.temperature / 0.005, 0x7FFF), *(_clip(g * 1000, 0x7FFF) for g in (m.x, m.y, m.z))]
    humidity, pressure = _clip(m.humidity / 0.0025, 0xFFFE, 0), _clip(m.pressure - 50_000, 0xFFFE, 0)
    millivolts, power = _clip((m.voltage - 1.6) * 1000, 2046, 0), _clip((m.tx_power + 40) / 2, 30, 0)
    data = struct.pack(
        ">BhHHhhhHBH6s", 5, signed[0], humidity, pressure, *signed[1:], millivolts << 5 | power, m.movements,
        m.sequence, mac,
    )  # fmt: skip
    return data, [
        ("temperature", "Cel", scaled(signed[0], "0.005")),
        ("humidity", "%RH", scaled(humidity, "0.0025")),
        ("pressure", "Pa", str(pressure + 50_000)),
        *((f"acceleration_{axis}", "[g]", scaled(raw, "0.001")) for axis, raw in zip("xyz", signed[1:], strict=True)),
        ("battery_voltage", "V", scaled(millivolts + 1600, "0.001")),
        ("tx_power", "dBm", str(2 * power - 40)),
        ("movement_counter", "count", str(m.movements)),
        ("sequence", "count", str(m.sequence)),
    ]


def _clip(value: float, high: int, low: int | None = None) -> int:
    return max(-high if low is None else low, min(high, round(value)))


def build(seed: int, settings: Settings) -> Tag:
    """A tag; in Cel, %RH, Pa, g, V and dBm; a measurement each `every` (6.425s or as set) goes out five times."""
    return Tag(seed, settings)
