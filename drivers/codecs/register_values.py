"""What the raw value of one register means: codes for missing, bits, decimal digits, text, exact scale and offset."""

import decimal
import math
import struct
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

from drivers.codecs.float32 import shortest_one
from drivers.codecs.register_map import FORMATS, Register

EXACT = decimal.Context(prec=800)  # float64 * scale + offset, every digit

Convert = Callable[[Any], Any]  # raw value -> value; None: not available


def converters(register: Register) -> Callable[[int], Convert]:
    """Power of ten -> (raw value -> value); made when first met, devices seldom change it."""
    return cache(lambda tens: converter(register.model_copy(update={"scale": register.scale.scaleb(tens, EXACT)})))


def fraction(scale: Decimal, offset: Decimal) -> tuple[int, int, int]:
    """Integers a, b, d with raw * scale + offset == (raw * a + b) / d, d the smallest power of ten that does."""
    digits = max(0, *(-int(number.normalize(EXACT).as_tuple().exponent) for number in (scale, offset)))
    return int(scale.scaleb(digits, EXACT)), int(offset.scaleb(digits, EXACT)), 10**digits


def converter(register: Register) -> Convert:
    """Raw value -> value of one register; None: not available."""
    convert = _available(register)
    if not register.missing:
        return convert
    form = struct.Struct(">" + FORMATS[register.raw_type])
    wire = [(code % (1 << 8 * form.size)).to_bytes(form.size) for code in register.missing]  # 0x8000 fits int16 too
    if register.raw_type.startswith("float"):
        return lambda raw: None if form.pack(raw) in wire else convert(raw)  # by its bits: -0.0 == 0.0
    codes = {form.unpack(code)[0] for code in wire}
    return lambda raw: None if raw in codes else convert(raw)


def _available(register: Register) -> Convert:
    a, b, divisor = fraction(register.scale, register.offset)
    bit, scale, offset = register.bit, register.scale, register.offset
    if bit is not None:
        return lambda raw: raw >> bit & 1 == 1
    if register.type == "text":
        return _text
    if register.type not in ("float32", "float64"):
        whole = (lambda raw: raw * a + b) if divisor == 1 else (lambda raw: (raw * a + b) / divisor)
        return _of_digits(whole) if register.raw_type.startswith("bcd") else whole
    short = shortest_one if register.type == "float32" else _finite
    if (a, b, divisor) == (1, 0, 1):
        return short

    def scaled(raw: float) -> float | None:
        value = short(raw)
        return None if value is None else _finite(float(EXACT.fma(Decimal(repr(value)), scale, offset)))

    return scaled


def _of_digits(convert: Convert) -> Convert:
    """Of a number whose decimal digits stand in four bits each; None where one is above 9."""

    def decoded(raw: int) -> Any:
        digits = f"{raw:x}"
        return convert(int(digits)) if digits.isdecimal() else None

    return decoded


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _text(raw: bytes) -> str | None:
    """Up to the first NUL, without spaces around; nothing printable in it, or a byte that is not ASCII: None."""
    text = raw.partition(b"\0")[0].strip(b" ")
    return text.decode("ascii") if text and all(0x20 <= byte < 0x7F for byte in text) else None
