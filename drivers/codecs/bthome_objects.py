"""BTHome v2: what each object id means. Pure data.

Source: bthome.io/format, "Supported data types". Little-endian. Ids that are not here end a payload for us: only the
table tells how long an object is.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from gateway import Quantity

Kind = Literal["measurement", "counter", "state", "event"]

PACKET_ID = 0x00
DEVICE_TYPE, FIRMWARE, FIRMWARE_SHORT = 0xF0, 0xF1, 0xF2
BUTTON, DIMMER = 0x3A, 0x3C
TIMESTAMP, TEXT, RAW = 0x50, 0x53, 0x54

BUTTON_EVENTS = {
    0x01: "press",
    0x02: "double_press",
    0x03: "triple_press",
    0x04: "long_press",
    0x05: "long_double_press",
    0x06: "long_triple_press",
    0x80: "hold_press",
}  # 0: of several buttons this one was not pressed
DIMMER_EVENTS = {0x01: "rotate_left", 0x02: "rotate_right"}


class Number(NamedTuple):
    """A number of `size` bytes: value = raw * factor / divisor."""

    name: str
    size: int
    signed: bool = False
    factor: int = 1
    divisor: int = 1
    unit: str | None = None
    kind: Kind = "measurement"


NUMBERS = {
    PACKET_ID: Number("packet_id", 1, unit="count", kind="counter"),
    0x01: Number("battery", 1, unit="%EL"),
    0x02: Number("temperature", 2, True, divisor=100, unit="Cel"),
    0x03: Number("humidity", 2, divisor=100, unit="%RH"),
    0x04: Number("pressure", 3, divisor=100, unit="hPa"),
    0x05: Number("illuminance", 3, divisor=100, unit="lx"),
    0x06: Number("mass", 2, divisor=100, unit="kg"),
    0x07: Number("mass", 2, divisor=100, unit="[lb_av]"),
    0x08: Number("dew_point", 2, True, divisor=100, unit="Cel"),
    0x09: Number("count", 1, unit="count"),
    0x0A: Number("energy", 3, divisor=1000, unit="kWh", kind="counter"),
    0x0B: Number("power", 3, divisor=100, unit="W"),
    0x0C: Number("voltage", 2, divisor=1000, unit="V"),
    0x0D: Number("pm2_5", 2, unit="ug/m3"),
    0x0E: Number("pm10", 2, unit="ug/m3"),
    0x12: Number("co2", 2, unit="ppm"),
    0x13: Number("tvoc", 2, unit="ug/m3"),
    0x14: Number("moisture", 2, divisor=100, unit="%"),
    0x2E: Number("humidity", 1, unit="%RH"),
    0x2F: Number("moisture", 1, unit="%"),
    0x3D: Number("count", 2, unit="count"),
    0x3E: Number("count", 4, unit="count"),
    0x3F: Number("rotation", 2, True, divisor=10, unit="deg"),
    0x40: Number("distance", 2, unit="mm"),
    0x41: Number("distance", 2, divisor=10, unit="m"),
    0x42: Number("duration", 3, divisor=1000, unit="s"),
    0x43: Number("current", 2, divisor=1000, unit="A"),
    0x44: Number("speed", 2, divisor=100, unit="m/s"),
    0x45: Number("temperature", 2, True, divisor=10, unit="Cel"),
    0x46: Number("uv_index", 1, divisor=10),
    0x47: Number("volume", 2, divisor=10, unit="l"),
    0x48: Number("volume", 2, unit="ml"),
    0x49: Number("volume_flow_rate", 2, divisor=1000, unit="m3/h"),
    0x4A: Number("voltage", 2, divisor=10, unit="V"),
    0x4B: Number("gas", 3, divisor=1000, unit="m3", kind="counter"),
    0x4C: Number("gas", 4, divisor=1000, unit="m3", kind="counter"),
    0x4D: Number("energy", 4, divisor=1000, unit="kWh", kind="counter"),
    0x4E: Number("volume", 4, divisor=1000, unit="l"),
    0x4F: Number("water", 4, divisor=1000, unit="l", kind="counter"),
    0x51: Number("acceleration", 2, divisor=1000, unit="m/s2"),
    0x52: Number("gyroscope", 2, divisor=1000, unit="deg/s"),
    0x55: Number("volume_storage", 4, divisor=1000, unit="l"),
    0x56: Number("conductivity", 2, unit="uS/cm"),
    0x57: Number("temperature", 1, True, unit="Cel"),
    0x58: Number("temperature", 1, True, 35, 100, "Cel"),
    0x59: Number("count", 1, True, unit="count"),
    0x5A: Number("count", 2, True, unit="count"),
    0x5B: Number("count", 4, True, unit="count"),
    0x5C: Number("power", 4, True, divisor=100, unit="W"),
    0x5D: Number("current", 2, True, divisor=1000, unit="A"),
    0x5E: Number("direction", 2, divisor=100, unit="deg"),
    0x5F: Number("precipitation", 2, divisor=10, unit="mm"),
    0x60: Number("channel", 1, kind="state"),
    0x61: Number("rotational_speed", 2, unit="1/min"),
    0x62: Number("speed", 4, True, divisor=1_000_000, unit="m/s"),
    0x63: Number("acceleration", 4, True, divisor=1_000_000, unit="m/s2"),
    0x64: Number("light_level", 1, kind="state"),
    0x65: Number("settings_revision", 1, kind="state"),
    DEVICE_TYPE: Number("device_type", 2, kind="state"),
}

BINARY = {  # one byte, true or false
    0x0F: "generic",
    0x10: "power",
    0x11: "opening",
    0x15: "battery_low",
    0x16: "battery_charging",
    0x17: "carbon_monoxide",
    0x18: "cold",
    0x19: "connectivity",
    0x1A: "door",
    0x1B: "garage_door",
    0x1C: "gas",
    0x1D: "heat",
    0x1E: "light",
    0x1F: "lock",
    0x20: "moisture",
    0x21: "motion",
    0x22: "moving",
    0x23: "occupancy",
    0x24: "plug",
    0x25: "presence",
    0x26: "problem",
    0x27: "running",
    0x28: "safety",
    0x29: "smoke",
    0x2A: "sound",
    0x2B: "tamper",
    0x2C: "vibration",
    0x2D: "window",
}

SIZES = (
    {id_: number.size for id_, number in NUMBERS.items()}
    | dict.fromkeys(BINARY, 1)
    | {BUTTON: 1, DIMMER: 2, TIMESTAMP: 4, FIRMWARE: 4, FIRMWARE_SHORT: 3}
)

Told = tuple[str, float | int | bool | str | None, Quantity]  # name, value (None: says nothing), what it is


def told(id_: int, raw: bytes) -> Iterator[Told]:
    """What one object says: one quantity, of a dimmer two."""
    if (number := NUMBERS.get(id_)) is not None:
        whole = int.from_bytes(raw, "little", signed=number.signed) * number.factor
        value = whole if number.divisor == 1 else whole / number.divisor
        yield number.name, value, Quantity(number.unit, number.kind)
    elif id_ in BINARY:
        yield BINARY[id_], raw != b"\0", Quantity(kind="state")
    elif id_ == BUTTON:
        yield "button_event", BUTTON_EVENTS.get(raw[0]), Quantity(kind="event")
    elif id_ == DIMMER:
        event = DIMMER_EVENTS.get(raw[0])
        yield "dimmer_event", event, Quantity(kind="event")
        yield "dimmer_steps", raw[1] if event else None, Quantity("count", "event")
    elif id_ == TIMESTAMP:
        at = datetime.fromtimestamp(int.from_bytes(raw, "little"), UTC)
        yield "timestamp", f"{at:%Y-%m-%dT%H:%M:%SZ}", Quantity(kind="state")
    elif id_ in (FIRMWARE, FIRMWARE_SHORT):
        yield "firmware", ".".join(str(part) for part in reversed(raw)), Quantity(kind="state")
    elif id_ == TEXT:
        yield "text", _text(raw), Quantity(kind="state")
    elif id_ == RAW:
        yield "raw", raw.hex() or None, Quantity(kind="state")


def _text(raw: bytes) -> str | None:
    try:
        return raw.decode() or None
    except UnicodeDecodeError:
        return None
