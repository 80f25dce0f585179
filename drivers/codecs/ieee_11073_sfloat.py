"""SFLOAT of health devices, 16 bits: 4 of a signed exponent of ten, 12 of a signed mantissa (IEEE 11073-20601)."""

from collections.abc import Mapping

from drivers.codecs.ieee_11073_float import from_parts, signed
from gateway import DecodeError, Reading


def read(data: bytes, tens: int = 0) -> float | str | None:
    """The value of two bytes, little-endian, times 10^`tens`; see ieee_11073_float. Raises DecodeError."""
    if len(data) != 2:
        raise DecodeError(f"{len(data)} bytes are no SFLOAT; it has 2")
    raw = int.from_bytes(data, "little")
    return from_parts(signed(raw & 0xFFF, 12), signed(raw >> 12, 4), 12, tens)


def decode_input(data: bytes, _context: Mapping[str, str]) -> list[Reading]:
    """`value` of one captured SFLOAT; nothing where there is none."""
    value = read(data)
    return [] if value is None else [Reading("value", value)]
