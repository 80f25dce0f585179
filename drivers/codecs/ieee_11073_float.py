"""FLOAT of health devices, 32 bits: a signed exponent of ten and a signed mantissa (IEEE 11073-20601, Annex F.7).

Both parts are two's complement, little-endian on Bluetooth (GATT Specification Supplement, 2.3 and 2.4).
"""

from collections.abc import Mapping

from gateway import DecodeError, Reading

INFINITE = {2: "+INF", -2: "-INF"}  # distance from half the range of the mantissa: 007FFFFE and 00800002


def from_parts(mantissa: int, exponent: int, bits: int, tens: int = 0) -> float | str | None:
    """The value of a mantissa of so many bits, times 10^`tens`.

    None: not a number, not at this resolution, or reserved. `+INF` and `-INF` are out of the range of the
    sensor. The special values have exponent 0.
    """
    half = 1 << bits - 1
    if exponent == 0 and (mantissa >= half - 2 or mantissa <= 2 - half):
        return INFINITE.get(half - mantissa if mantissa > 0 else -half - mantissa)
    exponent += tens
    power: int = 10 ** abs(exponent)
    if exponent < 0:
        return mantissa / power  # one division, correctly rounded
    whole = mantissa * power
    return whole if abs(whole) < 1 << 53 else float(whole)


def signed(raw: int, bits: int) -> int:
    """Two's complement."""
    return raw - (1 << bits) if raw >> bits - 1 else raw


def read(data: bytes) -> float | str | None:
    """The value of four bytes. Raises DecodeError."""
    if len(data) != 4:
        raise DecodeError(f"{len(data)} bytes are no FLOAT; it has 4")
    raw = int.from_bytes(data, "little")
    return from_parts(signed(raw & 0xFFFFFF, 24), signed(raw >> 24, 8), 24)


def decode_input(data: bytes, _context: Mapping[str, str]) -> list[Reading]:
    """`value` of one captured FLOAT; nothing where there is none."""
    value = read(data)
    return [] if value is None else [Reading("value", value)]
