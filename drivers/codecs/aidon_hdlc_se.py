"""Lists that Aidon meters push: DLMS/COSEM data in HDLC, each value with its OBIS code, scaler and unit.

Sources: Tekniska verken, "Beskrivning av kundgränssnitt" 1.3A (frame, list, units); IEC 62056-5-3 (data notification);
IEC 62056-6-2, 4.1.5 (data types), 4.1.6 (date-time), 4.3.2 (scaler and unit).
"""

from collections.abc import Mapping
from datetime import datetime

from drivers.codecs import hdlc
from drivers.codecs.captures import captured_frame
from gateway import DecodeError, Reading

CLOCK = "0-0:1.0.0"
LLC = b"\xe6\xe7\x00"  # to the meter's client: IEC 62056-46, 5.3.2
NOTIFICATION = 0x0F

_ARRAY, _STRUCTURE, _OCTETS, _TEXT, _INT8, _ENUM = 0x01, 0x02, 0x09, 0x0A, 0x0F, 0x16
_NUMBERS = {  # data type -> bytes, signed
    0x05: (4, True),
    0x06: (4, False),
    0x0F: (1, True),
    0x10: (2, True),
    0x11: (1, False),
    0x12: (2, False),
    0x14: (8, True),
    0x15: (8, False),
}
_UNITS = {27: "W", 28: "VA", 29: "var", 30: "Wh", 31: "VAh", 32: "varh", 33: "A", 35: "V", 44: "Hz"}
_MOST_TENS = 12


class _Bytes:
    """What is still to be read of a notification."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        self._at += count
        if len(found) < count:
            raise DecodeError("list of a meter: it ends in the middle of a value")
        return found

    def byte(self) -> int:
        return self.take(1)[0]

    def expect(self, *told: int) -> None:
        if (found := self.take(len(told))) != bytes(told):
            raise DecodeError(f"list of a meter: {found.hex()} stands where {bytes(told).hex()} belongs")

    def length(self) -> int:
        """IEC 62056-6-2: one byte below 0x80, else how many bytes the length has."""
        first = self.byte()
        return first if first < 0x80 else int.from_bytes(self.take(min(first & 0x7F, 8)))

    @property
    def left(self) -> int:
        return len(self._data) - self._at


def readings(frame: bytes) -> list[Reading]:
    """What has a unit, under its OBIS code as A-B:C.D.E, and the meter's clock. Raises DecodeError.

    `frame` is a whole HDLC frame whose checksum the framing has checked. Who the meter is stands in the list of some,
    and is passed over: it is personal data.
    """
    data = _Bytes(hdlc.information(frame))
    data.expect(*LLC, NOTIFICATION)
    data.take(4)  # long-invoke-id-and-priority
    data.take(data.length())  # date-time of the notification: these meters leave it empty
    data.expect(_ARRAY)
    found = [reading for _ in range(data.length()) if (reading := _item(data)) is not None]
    if data.left:
        raise DecodeError("list of a meter: it is longer than it says")
    if not found:
        raise DecodeError("list of a meter: it has no value")
    return found


def _item(data: _Bytes) -> Reading | None:
    data.expect(_STRUCTURE)
    parts = data.byte()
    data.expect(_OCTETS, 6)
    a, b, c, d, e, _ = data.take(6)
    name = f"{a}-{b}:{c}.{d}.{e}"
    kind = data.byte()
    if kind in (_OCTETS, _TEXT):
        text = data.take(data.length())
        if parts != 2:
            raise DecodeError("list of a meter: a text with a unit")
        time = clock(text) if name == CLOCK else None
        return Reading(name, time) if time is not None else None
    if kind not in _NUMBERS or parts != 3:
        raise DecodeError(f"list of a meter: a value of type {kind:#04x}, in {parts} parts")
    size, signed = _NUMBERS[kind]
    raw = int.from_bytes(data.take(size), signed=signed)
    data.expect(_STRUCTURE, 2, _INT8)
    tens = int.from_bytes(data.take(1), signed=True)
    data.expect(_ENUM)
    unit = _UNITS.get(data.byte())
    if unit is None or abs(tens) > _MOST_TENS:
        return None
    return Reading(name, raw * 10**tens if tens >= 0 else raw / 10**-tens, unit)


def clock(octets: bytes) -> str | None:
    """The meter's local time in ISO 8601, without a zone; None where it is not told.

    The deviation from UTC in it is not used: most meters leave it open (0x8000), some say 0 in local time.
    """
    if len(octets) != 12:
        return None
    year, month, day, _, hour, minute, second = int.from_bytes(octets[:2]), *octets[2:8]
    try:
        return datetime(year, month, day, hour, minute, second).isoformat()
    except ValueError:
        return None


def decode_input(data: bytes, context: Mapping[str, str]) -> list[Reading]:  # noqa: ARG001 - as all codecs
    """One captured frame."""
    return readings(captured_frame([hdlc.FRAME], data))
