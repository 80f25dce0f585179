"""Plain registers and bits for load tests: cheap, new values at every answer, and every one can be checked.

Register i (quantity i with type=float32) of answer k, counted from a seeded start, is sequence[(k + i) mod 65536] with
sequence[n] = n * 40503 mod 65536, as float32 a tenth of that. So neighbours differ by 40503 (mod 65536), successive
answers too, and the bytes do not compress better than real ones. Functions 3 and 4 give the registers; 1 and 2 give as
many bits that stand still, bit i being 1 where i is a multiple of 3.
"""

from collections.abc import Iterable
from functools import lru_cache
from random import Random
from struct import pack, unpack_from

from simulators.modbus_slave import Given, Slave
from simulators.settings import Settings, closest, whole_number
from simulators.tables import BitTable, shortest

SETTINGS = ("count", "type")
PERIOD = 65536
STEP = 40503  # odd, so that the sequence meets every number once
_CODES = {"uint16": "H", "float32": "f"}


@lru_cache
def _period(kind: str) -> bytes:
    """One period of values as they are on the wire."""
    values = (n * STEP % PERIOD for n in range(PERIOD))
    return pack(f">{PERIOD}{_CODES[kind]}", *(values if kind == "uint16" else (value / 10 for value in values)))


class Ramp:
    """Registers cut out of prebuilt bytes, one value further at each answer."""

    def __init__(self, count: int, kind: str, start: int) -> None:
        """`count` registers from address 0."""
        self._count, self._code = count, _CODES[kind]
        period = _period(kind)
        self._width = len(period) // PERIOD  # bytes a value, and so a step
        self._wire = period + period[: 2 * count]
        self._at = start % PERIOD

    def read(self, address: int, count: int) -> bytes | None:
        """See Table."""
        if address + count > self._count:
            return None
        start = self._at * self._width + 2 * address
        self._at = (self._at + 1) % PERIOD
        return self._wire[start : start + 2 * count]

    def given(self, address: int, count: int, data: bytes) -> Iterable[Given]:
        """See Table. Half a float32 tells nothing."""
        width = self._width // 2
        skip = -address % width
        values = unpack_from(f">{(count - skip) // width}{self._code}", data, 2 * skip)
        for place, value in enumerate(values):
            yield f"r{address + skip + place * width}", "", str(value) if width == 1 else shortest(value)


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """`count` registers (default 100) that hold uint16, or float32 in two registers each, high word first."""
    kind = settings.get("type", "uint16")
    if kind not in _CODES:
        raise ValueError(f"type cannot be {kind!r}; {closest(kind, _CODES)}")
    count = whole_number(settings, "count", 100, PERIOD)
    ramp = Ramp(count, kind, Random(seed).randrange(PERIOD))
    bits = [place % 3 == 0 for place in range(count)]
    return Slave(unit_id, {1: BitTable(bits, "coil"), 2: BitTable(bits, "discrete"), 3: ramp, 4: ramp})
