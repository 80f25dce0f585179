"""What the Environmental Sensing Service may hold (Bluetooth SIG ESS 1.0.1; GATT Specification Supplement).

Concentrations that are told as mass in a volume are not among them.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import partial

from drivers.codecs.frame_fields import FieldType
from drivers.codecs.gatt_fields import ValueField, described
from drivers.codecs.radio_peer import long_uuid
from drivers.codecs.sig_octets import Characteristic, decode_captured, named_code, suspected
from gateway import DecodeError, Quantity, Reading

# UUID, name, type, step, unit, raw codes for "not known" and for "so much or more".
_NUMBERS: list[tuple[str, str, FieldType, str, str | None, tuple[int, ...]]] = [
    ("2a6e", "temperature", "int16", "0.01", "Cel", (-0x8000,)),
    ("2a6f", "humidity", "uint16", "0.01", "%RH", (0xFFFF,)),
    ("2a6d", "pressure", "uint32", "0.1", "Pa", ()),
    ("2a7b", "dew_point", "int8", "1", "Cel", ()),
    ("2a7a", "heat_index", "int8", "1", "Cel", ()),
    ("2a79", "wind_chill", "int8", "1", "Cel", ()),
    ("2a6c", "elevation", "int24", "0.01", "m", ()),
    ("2a70", "wind_speed", "uint16", "0.01", "m/s", ()),
    ("2a71", "wind_direction", "uint16", "0.01", "deg", ()),
    ("2a72", "apparent_wind_speed", "uint16", "0.01", "m/s", ()),
    ("2a73", "apparent_wind_direction", "uint16", "0.01", "deg", ()),
    ("2a74", "gust_factor", "uint8", "0.1", None, ()),
    ("2a75", "pollen", "uint24", "1", "/m3", ()),
    ("2a76", "uv_index", "uint8", "1", None, ()),
    ("2a77", "irradiance", "uint16", "0.1", "W/m2", ()),
    ("2a78", "rainfall", "uint16", "0.001", "m", ()),
    ("2a2c", "magnetic_declination", "uint16", "0.01", "deg", ()),
    ("2afb", "illuminance", "uint24", "0.01", "lx", (0xFFFFFF,)),
    ("2b8c", "co2", "uint16", "1", "ppm", (0xFFFE, 0xFFFF)),
    ("2be7", "voc", "uint16", "1", "ppb", (0xFFFE, 0xFFFF)),
    ("2be4", "noise", "uint8", "1", "dB[SPL]", (0xFE, 0xFF)),
]
_AXES = {"2aa0": "xy", "2aa1": "xyz"}  # magnetic flux density, 10^-7 T

# What the supplement allows, where a value may hold more.
_ALLOWED: dict[str, tuple[float, float]] = {
    "temperature": (-273.15, 327.67),
    "humidity": (0, 100),
    "wind_direction": (0, 359.99),
    "apparent_wind_direction": (0, 359.99),
    "magnetic_declination": (0, 359.99),
}

TRENDS = (
    "unknown", "continuously falling", "continuously rising", "falling, then steady", "rising, then steady",
    "falling before a lesser rise", "falling before a greater rise", "rising before a greater fall",
    "rising before a lesser fall", "steady",
)  # fmt: skip


def trend(data: bytes) -> list[Reading]:
    """What the air pressure has done of late. Raises DecodeError."""
    if len(data) != 1:
        raise DecodeError(f"{len(data)} bytes are no barometric pressure trend; it is one")
    return [named_code("pressure_trend", TRENDS, data[0])]


def _characteristics() -> dict[str, Characteristic]:
    fields = [
        ValueField(characteristic=uuid, name=name, type=kind, scale=Decimal(step), unit=unit, missing=missing)
        for uuid, name, kind, step, unit, missing in _NUMBERS
    ]
    fields += [
        ValueField(
            characteristic=uuid,
            name=f"magnetic_flux_density.{axis}",
            at=2 * i,
            type="int16",
            scale=Decimal("1e-7"),
            unit="T",
        )
        for uuid, axes in _AXES.items()
        for i, axis in enumerate(axes)
    ]
    found = described(fields, exact=True)
    for uuid, name, *_ in _NUMBERS:
        if name in _ALLOWED:
            known = found[long_uuid(uuid)]
            found[long_uuid(uuid)] = Characteristic(partial(_within, known.decode, *_ALLOWED[name]), known.quantities)
    return {**found, long_uuid("2aa3"): Characteristic(trend, {"pressure_trend": Quantity(None, "state")})}


def _within(decode: Callable[[bytes], list[Reading]], low: float, high: float, data: bytes) -> list[Reading]:
    """What `decode` says; beyond `low` and `high` it is suspect."""
    return [
        found for reading in decode(data) for found in suspected([reading], not low <= float(reading.value) <= high)
    ]


CHARACTERISTICS = _characteristics()

decode_input = partial(decode_captured, CHARACTERISTICS)
