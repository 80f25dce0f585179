"""Registers of a Modbus device: planned once into blocks, each block decoded by one precompiled struct."""

import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import Any

from drivers.codecs.float32 import shortest
from drivers.codecs.reads import Reads
from drivers.codecs.register_map import BIT_TABLES, FORMATS, LONGEST_READ, Register
from drivers.codecs.register_values import Convert, converter, converters, fraction
from gateway import DecodeError, Reading, Table

LONGEST_READ_OF_BITS = 2000  # Modbus Application Protocol V1.1b3, 6.1 and 6.2
MOST_TENS = 10  # a power of ten beyond is no scale: 8000 hex of SunSpec, or another register read by mistake

Decode = Callable[[bytes], list[Reading]]
Step = Callable[[list[Any]], bool]  # converts some of a block's values in place; True: left some out as None
Layout = Callable[[bytes], Sequence[Any]]


@dataclass(frozen=True)
class Block:
    """One read: `count` registers or bits from `address`, and what they mean.

    `decode` takes the data bytes of the answer as they were on the wire; raises DecodeError when their number is
    not the one asked for. Values that are not available are left out.
    """

    table: Table
    address: int
    count: int
    decode: Decode = field(repr=False, compare=False)

    @property
    def size(self) -> int:
        """Data bytes of the answer."""
        return (self.count + 7) // 8 if self.table in BIT_TABLES else 2 * self.count


def plan(
    registers: Iterable[Register],
    max_registers: int = LONGEST_READ,
    max_gap: int = 0,
    breaks: Collection[tuple[Table, int]] = (),
) -> tuple[Block, ...]:
    """The fewest reads that cover the registers, in the order of their addresses, table by table as first named.

    A read is no longer than `max_registers` (bits: 2000), spans at most `max_gap` registers nobody asked for in a
    row, and begins and ends with an asked one: some devices refuse a read that runs past their last register. What
    lies between a register and its scale register counts as asked for; both are in one read. No read holds an address
    below a break of its table and one at or above it; a register that itself does is read alone.
    Where it costs no further read, successive reads of a table differ in size, the last and the first too when there
    is one table: a late answer is then known by its byte count.
    """
    tables: dict[Table, list[Register]] = {}
    for register in registers:
        tables.setdefault(register.table, []).append(register)
    blocks: list[Block] = []
    for table, of_table in tables.items():
        of_table.sort(key=lambda register: register.extent)
        reads = Reads(
            spans=[register.extent for register in of_table],
            longest=LONGEST_READ_OF_BITS if table in BIT_TABLES else max_registers,
            max_gap=max_gap,
            breaks=sorted(address for broken, address in breaks if broken == table),
            size=(lambda count: (count + 7) // 8) if table in BIT_TABLES else (lambda count: 2 * count),
        )
        for first, behind in pairwise([0, *reads.varied(around=len(tables) == 1)]):
            group = of_table[first:behind]
            start = group[0].extent[0]
            count = max(register.extent[1] for register in group) - start
            blocks.append(_block(table, start, count, _one_a_reading(group)))
    return tuple(blocks)


def _one_a_reading(group: list[Register]) -> list[Register]:
    """A register with named bits becomes one register a bit."""
    found = []
    for one in group:
        for name, bit in zip(one.names, one.bits or [None], strict=True):
            found.append(one if bit is None else one.model_copy(update={"name": name, "bit": bit, "bits": None}))
    return found


def _block(table: Table, address: int, count: int, group: list[Register]) -> Block:
    size = (count + 7) // 8 if table in BIT_TABLES else 2 * count
    unpack = _bits(address, group) if table in BIT_TABLES else _words(address, group)
    names = [register.name for register in group]
    units = [register.unit for register in group]
    steps = _steps(group)
    texts = [(i, register.values) for i, register in enumerate(group) if register.values is not None]

    def decode(data: bytes) -> list[Reading]:
        if len(data) != size:
            raise DecodeError(f"{len(data)} bytes where {size} were asked: {table} {address}..{address + count - 1}")
        values = unpack(data)
        missing = False
        if steps:
            values = list(values)
            for step in steps:
                missing |= step(values)
        readings = list(map(Reading, names, values, units))  # the cheapest way: 57 ns a reading, no bytecode
        for i, known in texts:
            code: Any = readings[i].value
            if code in known:
                readings[i] = Reading(names[i], known[code], units[i])
            elif code is not None:
                readings[i] = Reading(names[i], str(code), units[i], "suspect")
        return [reading for reading in readings if reading.value is not None] if missing else readings

    return Block(table, address, count, decode)


def _bits(address: int, group: list[Register]) -> Layout:
    offsets = [register.address - address for register in group]

    def unpack(data: bytes) -> list[bool]:
        bits = int.from_bytes(data, "little")
        return [bits >> offset & 1 == 1 for offset in offsets]

    return unpack


def _words(address: int, group: list[Register]) -> Layout:
    """Raw values of a group, by one struct; its bytes are put in order first where they are not yet.

    The scale registers of the group follow, in the order of `_scales`.
    """
    fields: list[tuple[str, list[int]]] = []
    for register in group:
        start = 2 * (register.address - address)
        wire = [start + i for i in _wire_order(register)]
        fields.append((FORMATS.get(register.raw_type) or f"{len(wire)}s", wire))
    for at, swapped in _scales(group):
        high = 2 * (at - address)
        fields.append(("h", [high + 1, high] if swapped else [high, high + 1]))
    positions = [position for _, wire in fields for position in wire]
    if positions == sorted(set(positions)):
        form, at = ">", 0
        for letter, wire in fields:
            form, at = f"{form}{wire[0] - at}x{letter}", wire[-1] + 1
        return struct.Struct(form).unpack
    unpack = struct.Struct(">" + "".join(letter for letter, _ in fields)).unpack
    pick = itemgetter(*positions)
    return lambda data: unpack(bytes(pick(data)))


def _wire_order(register: Register) -> list[int]:
    """Where on the wire the bytes of a register are, high byte first."""
    words = [[i, i + 1] for i in range(0, 2 * register.size, 2)]
    if register.order in ("CDAB", "DCBA"):
        words.reverse()
    return [i for word in words for i in (reversed(word) if _swapped(register) else word)]


def _swapped(register: Register) -> bool:
    return register.order in ("BADC", "DCBA", "BA")


def _scales(group: list[Register]) -> list[tuple[int, bool]]:
    """The scale registers of a group: address, and whether its bytes are swapped, as those of who uses it are."""
    return sorted({(r.scale_register, _swapped(r)) for r in group if r.scale_register is not None})


def _steps(group: list[Register]) -> list[Step]:
    """What remains to do with the raw values, kind by kind: loops over a kind are cheaper than calls a value."""
    scaled: list[tuple[int, int, int, int]] = []
    floats: list[int] = []
    others: list[tuple[int, Convert]] = []
    by_power: list[tuple[int, int, Callable[[int], Convert]]] = []
    scales = {scale: len(group) + i for i, scale in enumerate(_scales(group))}
    for i, register in enumerate(group):
        a, b, divisor = fraction(register.scale, register.offset)
        plain = (a, b, divisor) == (1, 0, 1)
        if register.table in BIT_TABLES:
            continue
        if register.scale_register is not None:
            by_power.append((i, scales[register.scale_register, _swapped(register)], converters(register)))
        elif register.missing or register.bit is not None or register.type in ("text", "bcd16", "bcd32", "bcd64"):
            others.append((i, converter(register)))
        elif register.type == "float32" and plain:
            floats.append(i)
        elif register.type in ("float32", "float64") or (divisor == 1 and not plain):
            others.append((i, converter(register)))
        elif not plain:
            scaled.append((i, a, b, divisor))
    steps: list[Step] = []
    if scaled:
        steps.append(lambda values: _scale(values, scaled))
    if floats:
        steps.append(lambda values: _shorten(values, floats))
    if others:
        steps.append(lambda values: _convert(values, others))
    if by_power:
        steps.append(lambda values: _convert_by_power(values, by_power))
    return steps


def _scale(values: list[Any], scaled: list[tuple[int, int, int, int]]) -> bool:
    for i, a, b, divisor in scaled:
        values[i] = (values[i] * a + b) / divisor
    return False


def _shorten(values: list[Any], floats: list[int]) -> bool:
    short = shortest([values[i] for i in floats])
    for i, value in zip(floats, short, strict=True):
        values[i] = value
    return None in short


def _convert(values: list[Any], others: list[tuple[int, Convert]]) -> bool:
    missing = False
    for i, convert in others:
        value = values[i] = convert(values[i])
        missing |= value is None
    return missing


def _convert_by_power(values: list[Any], by_power: list[tuple[int, int, Callable[[int], Convert]]]) -> bool:
    missing = False
    for i, at, convert in by_power:
        tens = values[at]
        value = values[i] = convert(tens)(values[i]) if -MOST_TENS <= tens <= MOST_TENS else None
        missing |= value is None
    return missing
