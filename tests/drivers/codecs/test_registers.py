"""Blocks planned and decoded, against a second implementation that takes each register alone."""

import math
import struct
from decimal import Decimal, localcontext
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs.register_map import BIT_TABLES, Register
from drivers.codecs.registers import Block, plan
from gateway import DecodeError, Reading

# A second implementation, from contract.md and the names of the orders

LETTERS = {"uint16": "H", "int16": "h", "uint32": "I", "int32": "i", "uint64": "Q", "int64": "q", "float64": "d"}


def in_order(raw: bytes, order: str) -> bytes:
    """The bytes of a value, high byte first. CDAB: low word first; BADC: bytes of each word swapped; DCBA: both."""
    words = [raw[i : i + 2] for i in range(0, len(raw), 2)]
    if order in ("BADC", "DCBA", "BA"):
        words = [word[::-1] for word in words]
    if order in ("CDAB", "DCBA"):
        words = words[::-1]
    return b"".join(words)


def alone(register: Register, memory: bytes) -> Any:
    """The value of one register in a device whose table is `memory`; None where there is none."""
    raw = in_order(memory[2 * register.address : 2 * register.address + 2 * register.size], register.order)
    unsigned = int.from_bytes(raw, "big")
    if any(code % 2 ** (8 * len(raw)) == unsigned for code in register.missing):
        return None
    if register.bit is not None:
        return bool(unsigned & 2**register.bit)
    if register.type == "text":
        text = raw.split(b"\0")[0].strip(b" ")
        return text.decode("ascii") if text and all(32 <= c <= 126 for c in text) else None
    with localcontext() as context:
        context.prec = 1000
        if register.type in ("float32", "float64"):
            value = struct.unpack(">f" if register.type == "float32" else ">d", raw)[0]
            if not math.isfinite(value):
                return None
            if register.type == "float32":
                shortest = (float(f"{value:.{n}g}") for n in range(1, 10))
                value = next(x for x in shortest if struct.pack(">f", x) == raw or x == value == 0)
            number = Decimal(repr(value)) * register.scale + register.offset
            return float(number) if math.isfinite(float(number)) else None
        number = struct.unpack(">" + LETTERS[register.raw_type], raw)[0] * register.scale + register.offset
        if register.values is not None:
            return register.values.get(int(number), str(int(number)))
        places = max(0, -int(register.scale.normalize().as_tuple().exponent))
        places = max(places, -int(register.offset.normalize().as_tuple().exponent))
        return float(number) if places else int(number)


def read(blocks: tuple[Block, ...], memory: bytes) -> dict[str, Reading]:
    found = [r for block in blocks for r in block.decode(memory[2 * block.address : 2 * (block.address + block.count)])]
    assert len({reading.name for reading in found}) == len(found)
    return {reading.name: reading for reading in found}


SIZE = 60
DECIMALS = st.decimals(-1000, 1000, places=3, allow_nan=False).filter(bool)
WHOLE = st.sampled_from([Decimal(1), Decimal(10), Decimal("1.0"), Decimal(-2), Decimal("1E+2")])


@st.composite
def register(draw: st.DrawFn, name: str) -> Register:
    kind = draw(st.sampled_from(["float32", "text", *LETTERS]))
    told: dict[str, Any] = {"name": name, "table": draw(st.sampled_from(["holding", "input"])), "type": kind}
    one_word = kind in ("uint16", "int16", "text")
    swapped = ["ABCD", "BADC"] if kind == "text" else ["ABCD", "CDAB", "BADC", "DCBA"]
    told["order"] = draw(st.sampled_from(swapped + (["AB", "BA"] if one_word else [])))
    if kind == "text":
        told["length"] = draw(st.integers(1, 8))
        size = told["length"]
    else:
        size = struct.calcsize(LETTERS.get(kind, "f")) // 2
        if draw(st.booleans()):
            told["missing"] = draw(st.lists(st.integers(0, 2 ** (16 * size) - 1), max_size=2)) + [0xFF]
        special = draw(st.sampled_from(["scale", "offset", "none", "values", "bit"]))
        if special in ("values", "bit") and not kind.startswith("float"):
            told[special] = {0: "off", 255: "on"} if special == "values" else draw(st.integers(0, 16 * size - 1))
        elif special in ("scale", "offset"):
            told["scale"] = draw(st.one_of(DECIMALS, WHOLE))
            told["offset"] = draw(st.one_of(DECIMALS, WHOLE)) if special == "offset" else 0
    told["address"] = draw(st.integers(0, SIZE - size))
    return Register.model_validate(told)


REGISTERS = st.integers(1, 12).flatmap(lambda n: st.tuples(*(register(f"r{i}") for i in range(n))))
BYTES = st.one_of(
    st.binary(min_size=2 * SIZE, max_size=2 * SIZE),
    st.sampled_from([0, 0xFF, 0x41]).map(lambda byte: bytes([byte]) * 2 * SIZE),
)


@given(REGISTERS, BYTES, st.integers(8, 125), st.integers(0, 20))
def test_blocks_give_what_each_register_alone_gives(
    registers: tuple[Register, ...], memory: bytes, longest: int, gap: int
) -> None:
    found = read(plan(registers, longest, gap), memory)
    for one in registers:
        expected = alone(one, memory)
        if expected is None:
            assert one.name not in found
        else:
            value = found[one.name].value
            assert (type(value), value) == (type(expected), expected)
            assert found[one.name].unit == one.unit
            known = one.values is None or expected in one.values.values()
            assert found[one.name].quality == ("good" if known else "suspect")


@given(REGISTERS, st.integers(8, 125), st.integers(0, 20))
def test_a_read_is_never_longer_than_allowed_nor_past_a_register(
    registers: tuple[Register, ...], longest: int, gap: int
) -> None:
    blocks = plan(registers, longest, gap)
    for table in {register.table for register in registers}:
        mine = [register for register in registers if register.table == table]
        of_table = [block for block in blocks if block.table == table]
        for block in of_table:
            end = block.address + block.count
            inside = [r for r in mine if block.address <= r.address and r.end <= end]
            assert block.count <= longest
            assert min(r.address for r in inside) == block.address
            assert max(r.end for r in inside) == end
            read_by_nobody = [i for i in range(block.address, end) if not any(r.address <= i < r.end for r in inside)]
            runs = [
                i
                for i in read_by_nobody
                if i - gap in read_by_nobody and all(i - k in read_by_nobody for k in range(gap))
            ]
            assert not runs
        for left, right in pairwise(of_table):
            joined = max(left.address + left.count, right.address + right.count) - left.address
            assert joined > longest or right.address - left.address - left.count > gap, "two reads where one would do"


@given(
    st.lists(
        st.tuples(st.sampled_from(["coil", "discrete"]), st.integers(0, 2500)), min_size=1, max_size=40, unique=True
    ),
    st.integers(),
)
def test_bits_come_lowest_first(points: list[tuple[Any, int]], seed: int) -> None:
    random = Random(seed)
    memory = {table: [random.random() < 0.5 for _ in range(2600)] for table in BIT_TABLES}
    registers = [Register(name=f"{table}{address}", table=table, address=address) for table, address in points]
    found = {}
    for block in plan(registers, 2, 3):
        bits = memory[block.table][block.address : block.address + block.count]
        data = bytes(sum(bit << i for i, bit in enumerate(bits[at : at + 8])) for at in range(0, block.count, 8))
        assert block.size == len(data)
        found |= {reading.name: reading.value for reading in block.decode(data)}
    assert found == {f"{table}{address}": memory[table][address] for table, address in points}


def holding(name: str = "x", address: int = 0, **more: Any) -> Register:
    return Register.model_validate({"name": name, "table": "holding", "address": address, **more})


def decode(wire: str, **more: Any) -> Any:
    readings = plan([holding(**more)])[0].decode(bytes.fromhex(wire))
    return readings[0].value if readings else None


@pytest.mark.parametrize(
    ("wire", "told", "value"),
    [
        ("8000", {"type": "int16", "missing": [0x8000]}, None),
        ("8000", {"type": "int16", "missing": [-32768]}, None),
        ("7fff", {"type": "int16", "missing": [0x8000]}, 32767),
        ("ffff7fff", {"type": "int32", "order": "CDAB", "missing": [0x7FFFFFFF]}, None),  # Carlo Gavazzi, over range
        ("091b0000", {"type": "int32", "order": "CDAB", "scale": "0.1"}, 233.1),
        ("0003", {"scale": "0.1", "offset": -40}, -39.7),
        ("0003", {"scale": 10, "offset": -40}, -10),
        ("0011", {"scale": Decimal("1.10")}, 18.7),
        ("ffffffffffffffff", {"type": "uint64"}, 2**64 - 1),
        ("0020000000000001", {"type": "uint64", "scale": 3}, 3 * (2**53 + 1)),
        ("7fc00000", {"type": "float32"}, None),
        ("7ff0000000000000", {"type": "float64"}, None),
        ("fff8000000000000", {"type": "float64", "scale": "0.5"}, None),
        ("43663333", {"type": "float32", "scale": "0.001"}, 0.2302),
        ("43663333", {"type": "float32", "missing": [0x43663333]}, None),
        ("80000000", {"type": "float32", "missing": [0]}, 0.0),
        ("7fefffffffffffff", {"type": "float64", "scale": 10}, None),  # too large for a double
        ("0001", {"values": {0: "off", 1: "heating"}}, "heating"),
        ("fffe", {"type": "int16", "values": {-2: "low"}}, "low"),
        ("0008", {"bit": 3}, True),
        ("0010", {"bit": 3}, False),
        ("80000000", {"type": "uint32", "bit": 31}, True),
        ("41424300", {"type": "text", "length": 2}, "ABC"),
        ("42412043", {"type": "text", "length": 2, "order": "BADC"}, "ABC"),
        ("20414220", {"type": "text", "length": 2}, "AB"),
        ("00000000", {"type": "text", "length": 2}, None),
        ("20202020", {"type": "text", "length": 2}, None),
        ("41e44200", {"type": "text", "length": 2}, None),  # a byte that is not ASCII
    ],
)
def test_one_register(wire: str, told: dict[str, Any], value: Any) -> None:
    found = decode(wire, **told)
    assert (type(found), found) == (type(value), value)


def test_an_unnamed_code_is_suspect() -> None:
    (block,) = plan([holding(values={1: "on"}, unit=None)])
    assert block.decode(b"\x00\x07") == [Reading("x", "7", None, "suspect")]


def test_registers_that_overlap_share_a_read() -> None:
    flags = [holding(f"flag{i}", 5, bit=i) for i in range(16)]
    blocks = plan([*flags, holding("all", 5), holding("wide", 4, type="uint32")])
    assert [(block.address, block.count) for block in blocks] == [(4, 2)]
    found = {r.name: r.value for r in blocks[0].decode(bytes.fromhex("12348001"))}
    assert found["all"] == 0x8001
    assert found["wide"] == 0x12348001
    assert [i for i in range(16) if found[f"flag{i}"]] == [0, 15]


def test_the_most_a_read_may_ask() -> None:
    assert [b.count for b in plan([holding(f"r{i}", i) for i in range(250)])] == [125, 125]
    coils = [Register(name=f"c{i}", table="coil", address=i) for i in range(2001)]
    assert [b.count for b in plan(coils, max_registers=10)] == [2000, 1]
    assert plan([]) == ()


@given(st.binary(max_size=300))
def test_any_bytes_give_values_or_a_decode_error(data: bytes) -> None:
    for block in plan([holding("a"), holding("f", 1, type="float32"), holding("t", 3, type="text", length=3)]):
        if len(data) == 12:
            assert all(reading.value is not None for reading in block.decode(data))
        else:
            with pytest.raises(DecodeError, match=rf"^{len(data)} bytes where 12 were asked: holding 0\.\.5$"):
                block.decode(data)
