"""The tables of simulated devices: quantities in registers, and bits."""

from collections.abc import Iterable, Mapping, Sequence
from struct import Struct, error
from typing import NamedTuple

from simulators.modbus_slave import Given

_STRUCTS = {code: Struct(">" + code) for code in "fhHI"}


class Quantity(NamedTuple):
    """Where a quantity stands and how: value = raw / scale. `code` is the struct code of the raw value (f, h, H, I)."""

    address: int
    name: str
    unit: str = ""
    code: str = "f"
    scale: int = 1

    @property
    def end(self) -> int:
        """First address after it."""
        return self.address + _STRUCTS[self.code].size // 2


class _Block:
    """Quantities that stand side by side: one struct call packs them all."""

    def __init__(self, quantities: Sequence[Quantity]) -> None:
        self.quantities = quantities
        self.start, self.end = quantities[0].address, quantities[-1].end
        self.edges = {q.address for q in quantities} | {self.end}
        self.struct = Struct(">" + "".join(q.code for q in quantities))
        self.data = bytes(self.struct.size)

    def pack(self, values: Mapping[str, float]) -> None:
        raw = [values[q.name] if q.code == "f" else round(values[q.name] * q.scale) for q in self.quantities]
        self.data = self.struct.pack(*raw)


class RegisterTable:
    """Registers that hold quantities. What lies between them is not there, and half a quantity is not given."""

    def __init__(self, quantities: Iterable[Quantity]) -> None:
        self.quantities = sorted(quantities)
        self._at = {q.address: q for q in self.quantities}
        groups: list[list[Quantity]] = []
        for quantity in self.quantities:
            if groups and groups[-1][-1].end == quantity.address:
                groups[-1].append(quantity)
            else:
                groups.append([quantity])
        self._blocks = [_Block(group) for group in groups]

    def set(self, values: Mapping[str, float]) -> None:
        """Takes the new value of every quantity. Raises ValueError for a value its register cannot hold."""
        try:
            for block in self._blocks:
                block.pack(values)
        except (OverflowError, error):
            for q in self.quantities:
                if not _fits(q, values[q.name]):
                    raise ValueError(f"{q.name} cannot be {values[q.name]:g}: its register cannot hold it") from None

    def read(self, address: int, count: int) -> bytes | None:
        """See Table."""
        end = address + count
        for block in self._blocks:
            if block.start <= address and end <= block.end and address in block.edges and end in block.edges:
                return block.data[2 * (address - block.start) : 2 * (end - block.start)]
        return None

    def given(self, address: int, count: int, data: bytes) -> Iterable[Given]:
        """See Table."""
        at = address
        while at < address + count:
            q = self._at[at]
            (raw,) = _STRUCTS[q.code].unpack_from(data, 2 * (at - address))
            yield q.name, q.unit, shortest(raw) if q.code == "f" else repr(raw if q.scale == 1 else raw / q.scale)
            at = q.end


def _fits(quantity: Quantity, value: float) -> bool:
    try:
        _STRUCTS[quantity.code].pack(value if quantity.code == "f" else round(value * quantity.scale))
    except (OverflowError, error):
        return False
    return True


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
