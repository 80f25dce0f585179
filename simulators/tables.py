"""The tables of simulated devices: quantities in registers, and bits."""

import json
from collections.abc import Iterable, Mapping, Sequence
from struct import Struct, error
from typing import NamedTuple

from simulators.modbus_slave import Given

Value = float | str | None
"""Of a quantity; None is not available."""

_STRUCTS = {code: Struct(">" + code) for code in "fhHiIqQ"}
_LOW_WORD_FIRST = "~"
_FLAG = "flag"  # a register that is FFFF or 0


class Quantity(NamedTuple):
    """Where a quantity stands and how: value = raw / scale.

    `code` is the struct code of the raw value (f, h, H, i, I, q, Q; with ~ after it the low word comes first), "16s"
    for text of 16 bytes, or "flag". `missing` is the raw value for what is not available, where there is one.
    """

    address: int
    name: str
    unit: str = ""
    code: str = "f"
    scale: int = 1
    missing: float | None = None

    @property
    def size(self) -> int:
        """Its registers."""
        return (int(self.code[:-1]) if self.code.endswith("s") else 2 if self.code == _FLAG else self._struct.size) // 2

    @property
    def end(self) -> int:
        """First address after it."""
        return self.address + self.size

    @property
    def _struct(self) -> Struct:
        return _STRUCTS[self.code[0]]

    def encode(self, value: Value) -> bytes:
        """Its registers for a value. Raises ValueError where they cannot hold it."""
        if self.code == _FLAG:
            return b"\xff\xff" if value else b"\0\0"
        if isinstance(value, str):
            return value.encode("ascii").ljust(2 * self.size, b"\0")
        if value is None:
            assert self.missing is not None, self.name
        raw = self.missing if value is None else value if self.code == "f" else round(value * self.scale)
        try:
            data = self._struct.pack(raw)
        except (OverflowError, error):
            raise ValueError(f"{self.name} cannot be {value:g}: its register cannot hold it") from None
        return _swapped(data) if self.code.endswith(_LOW_WORD_FIRST) else data

    def decode(self, data: bytes) -> str | None:
        """What its registers say, as JSON text; None for not available."""
        if self.code == _FLAG:
            return "true" if any(data) else "false"
        if self.code.endswith("s"):
            return json.dumps(data.rstrip(b"\0").decode("ascii"))
        if self.missing is not None and data == self.encode(None):
            return None
        (raw,) = self._struct.unpack(_swapped(data) if self.code.endswith(_LOW_WORD_FIRST) else data)
        return shortest(raw) if self.code == "f" else repr(raw if self.scale == 1 else raw / self.scale)


def _swapped(data: bytes) -> bytes:
    return b"".join(data[place : place + 2] for place in range(len(data) - 2, -1, -2))


class RegisterTable:
    """Registers that hold quantities. What lies between them is not there, and half a quantity is not given, but with
    `halves`."""

    def __init__(self, quantities: Iterable[Quantity], halves: bool = False) -> None:
        self.quantities = sorted(quantities)
        self._edges = {q.address for q in self.quantities} | {q.end for q in self.quantities}
        self._halves = halves
        self._blocks: list[tuple[list[Quantity], bytes]] = []  # quantities that stand side by side, and their bytes
        for quantity in self.quantities:
            if self._blocks and self._blocks[-1][0][-1].end == quantity.address:
                group, data = self._blocks.pop()
                self._blocks.append(([*group, quantity], data + bytes(2 * quantity.size)))
            else:
                self._blocks.append(([quantity], bytes(2 * quantity.size)))

    def set(self, values: Mapping[str, Value]) -> None:
        """Takes the new value of every quantity. Raises ValueError for a value its register cannot hold."""
        self._blocks = [(group, b"".join(q.encode(values[q.name]) for q in group)) for group, _ in self._blocks]

    def read(self, address: int, count: int) -> bytes | None:
        """See Table."""
        end = address + count
        if not self._halves and not (address in self._edges and end in self._edges):
            return None
        for group, data in self._blocks:
            start = group[0].address
            if start <= address and end <= group[-1].end:
                return data[2 * (address - start) : 2 * (end - start)]
        return None

    def given(self, address: int, count: int, data: bytes) -> Iterable[Given]:
        """See Table. Half a quantity tells nothing, and so does what is not available."""
        for q in self.quantities:
            if address <= q.address and q.end <= address + count:
                value = q.decode(data[2 * (q.address - address) : 2 * (q.end - address)])
                if value is not None:
                    yield q.name, q.unit, value


class BitTable:
    """Coils or discrete inputs from address 0 on."""

    def __init__(self, bits: Sequence[bool], name: str) -> None:
        self._bits = bits
        self._name = name

    def read(self, address: int, count: int) -> bytes | None:
        """See Table. The first point is the lowest bit of the first byte; the rest of the last byte is 0."""
        bits = self._bits[address : address + count]
        if len(bits) < count:
            return None
        return sum(bit << place for place, bit in enumerate(bits)).to_bytes((count + 7) // 8, "little")

    def given(self, address: int, count: int, data: bytes) -> Iterable[Given]:
        """See Table."""
        number = int.from_bytes(data, "little")
        for place in range(count):
            yield f"{self._name}{address + place}", "", "true" if number >> place & 1 else "false"


def shortest(value: float) -> str:
    """The fewest digits that read back to the same float32, as JSON text (subnormal ones may have some to spare)."""
    pack = _STRUCTS["f"].pack
    wire = pack(value)
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        if pack(float(text)) == wire:
            return text
    return f"{value:.9g}"
