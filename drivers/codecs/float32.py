"""Float32 values with the fewest decimal digits that read back to the same float32."""

import math
import struct
from collections.abc import Sequence

# A double made from a float32 prints its binary neighbour: 230.2 becomes 230.1999969482422. The fewest digits that
# read back (at most 9) are what the device meant. FLT_DIG is 6: a number of 6 digits or fewer always survives.
# Within a binade all float32 are equally far apart, so two figures per exponent are enough: the power of ten that
# makes integers of 9 or 10 digits, and half the distance of two neighbours in that scale, a hair wider so that
# rounding here never refuses a candidate; each result is proved by packing it again.
_GRID: list[tuple[float, float] | None] = [None] * 512  # by the upper 9 bits: sign and exponent
for _exponent in range(-44, 32):  # 5e-14 to 2e9: powers of ten up to 1e22 are exact doubles
    _decimals = 8 - math.floor(math.log10(2.0 ** (_exponent - 1)))
    if 0 <= _decimals <= 22:
        _half = 2.0 ** (_exponent - 25) * 10.0**_decimals * (1 + 1e-9)
        _GRID[_exponent + 126] = _GRID[_exponent + 126 + 256] = (10.0**_decimals, _half)

# Added and taken away again it rounds to a whole number, half to even, as round() does in three times the time:
# from 2^52 to 2^53 doubles are whole numbers. Negative ones go down from the middle.
_WHOLE = 1.5 * 2.0**52


def shortest(values: Sequence[float]) -> list[float | None]:
    """Each float32 (given as its exact double) as the double of its shortest decimal; None for NaN and infinity."""
    wire, whole = struct.pack(f">{len(values)}f", *values), _WHOLE
    result: list[float | None] = []
    keep = result.append
    for value, bits in zip(values, struct.unpack(f">{len(values)}I", wire), strict=True):
        grid = _GRID[bits >> 23]
        if grid is None:
            keep(shortest_one(value) if value else value)
            continue
        scale, half = grid
        exact = value * scale
        number = (exact / 100.0 + whole - whole) * 100.0
        if -half <= number - exact <= half:  # 7 or 8 digits do; perhaps fewer
            fewer = (exact / 10000.0 + whole - whole) * 10000.0
            if not -half <= fewer - exact <= half:
                fewer = (exact / 1000.0 + whole - whole) * 1000.0
            if -half <= fewer - exact <= half:
                number = fewer
        else:
            number = (exact / 10.0 + whole - whole) * 10.0
            if not -half <= number - exact <= half:
                number = exact + whole - whole
        keep(number / scale)
    # Just below a power of two neighbours are nearer.
    proved = None not in result and struct.pack(f">{len(values)}f", *result) == wire
    return result if proved else [shortest_one(value) for value in values]


def shortest_one(value: float) -> float | None:
    """As `shortest`, for one value of any size, by trying.

    (2^-96, 2^87 and 2^90 get one digit more than they need: their neighbours below are nearer than those above.)
    """
    if not math.isfinite(value):
        return None
    wire = struct.pack(">f", value)
    for digits in range(1 if abs(value) < 1.2e-38 else 6, 9):  # subnormals have fewer than 6 digits
        number = float(f"{value:.{digits}g}")
        if struct.pack(">f", number) == wire:
            return number
    return float(f"{value:.9g}")
