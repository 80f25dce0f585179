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

# A second implementation, from the names of the orders

LETTERS = {"uint16": "H", "int16": "h", "uint32": "I", "int32": "i", "uint64": "Q", "int64": "q", "float64": "d"}
BCD = {"bcd16": 1, "bcd32": 2, "bcd64": 4}


def in_order(raw: bytes, order: str) -> bytes:
    """The bytes of a value, high byte first. CDAB: low word first; BADC: bytes of each word swapped; DCBA: both."""
    words = [raw[i : i + 2] for i in range(0, len(raw), 2)]
    if order in ("BADC", "DCBA", "BA"):
        words = [word[::-1] for word in words]
    if order in ("CDAB", "DCBA"):
        words = words[::-1]
    return b"".join(words)


def power_of_ten(register: Register, memory: bytes) -> Decimal | None:
    """What the scale register multiplies with; None: no power of ten."""
    if register.scale_register is None:
        return Decimal(1)
    wire = memory[2 * register.scale_register :][:2]
    tens = int.from_bytes(in_order(wire, register.order), "big", signed=True)
    return Decimal(10) ** tens if abs(tens) <= 10 else None


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
    if (power := power_of_ten(register, memory)) is None:
        return None
    with localcontext() as context:
        context.prec = 1000
        scale = register.scale * power
        if register.type in ("float32", "float64"):
            value = struct.unpack(">f" if register.type == "float32" else ">d", raw)[0]
            if not math.isfinite(value):
                return None
            if register.type == "float32":
                shortest = (float(f"{value:.{n}g}") for n in range(1, 10))
                value = next(x for x in shortest if struct.pack(">f", x) == raw or x == value == 0)
            number = Decimal(repr(value)) * scale + register.offset
            return float(number) if math.isfinite(float(number)) else None
        if register.raw_type in BCD:
            if any(letter in raw.hex() for letter in "abcdef"):
                return None
            whole = int(raw.hex())
        else:
            whole = struct.unpack(">" + LETTERS[register.raw_type], raw)[0]
        number = whole * scale + register.offset
        if register.values is not None:
            return register.values.get(int(number), str(int(number)))
        places = max(0, -int(scale.normalize().as_tuple().exponent))
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
    kind = draw(st.sampled_from(["float32", "text", *LETTERS, *BCD]))
    told: dict[str, Any] = {"name": name, "table": draw(st.sampled_from(["holding", "input"])), "type": kind}
    one_word = kind in ("uint16", "int16", "text")
    swapped = ["ABCD", "BADC"] if kind == "text" else ["ABCD", "CDAB", "BADC", "DCBA"]
    told["order"] = draw(st.sampled_from(swapped + (["AB", "BA"] if one_word else [])))
    if kind == "text":
        told["length"] = draw(st.integers(1, 8))
        size = told["length"]
    else:
        size = BCD.get(kind) or struct.calcsize(LETTERS.get(kind, "f")) // 2
        if draw(st.booleans()):
            told["missing"] = draw(st.lists(st.integers(0, 2 ** (16 * size) - 1), max_size=2)) + [0xFF]
        special = draw(st.sampled_from(["scale", "offset", "none", "values", "bit"]))
        if special in ("values", "bit") and not kind.startswith(("float", "bcd")):
            told[special] = {0: "off", 255: "on"} if special == "values" else draw(st.integers(0, 16 * size - 1))
        elif special in ("scale", "offset"):
            told["scale"] = draw(st.one_of(DECIMALS, WHOLE))
            told["offset"] = draw(st.one_of(DECIMALS, WHOLE)) if special == "offset" else 0
    address = told["address"] = draw(st.integers(0, SIZE - size))
    if told.keys().isdisjoint({"values", "bit", "length"}) and draw(st.booleans()):
        near = [i for i in range(address - 4, address + 8) if 0 <= i < SIZE and not address <= i < address + size]
        told["scale_register"] = draw(st.sampled_from(near))
    return Register.model_validate(told)


REGISTERS = st.integers(1, 12).flatmap(lambda n: st.tuples(*(register(f"r{i}") for i in range(n))))
SMALL = st.lists(st.sampled_from([0, 1, 3, 10, 11, 0x1234, 0xFFFF, 0xFFF6, 0xFFF5]), min_size=SIZE, max_size=SIZE)
BYTES = st.one_of(
    st.binary(min_size=2 * SIZE, max_size=2 * SIZE),
    SMALL.map(lambda words: struct.pack(f">{SIZE}H", *words)),
    st.sampled_from([0, 0xFF, 0x41]).map(lambda byte: bytes([byte]) * 2 * SIZE),
)


@given(REGISTERS, BYTES, st.integers(12, 125), st.integers(0, 20))
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


@given(REGISTERS, st.integers(12, 125), st.integers(0, 20), st.sets(st.integers(0, SIZE), max_size=3))
def test_a_read_is_never_longer_than_allowed_nor_past_a_register_nor_across_a_break(
    registers: tuple[Register, ...], longest: int, gap: int, breaks: set[int]
) -> None:
    blocks = plan(registers, longest, gap, {("holding", address) for address in breaks})
    for table in {register.table for register in registers}:
        mine = [register for register in registers if register.table == table]
        of_table = [block for block in blocks if block.table == table]
        for block in of_table:
            end = block.address + block.count
            inside = [r for r in mine if block.address <= r.extent[0] and r.extent[1] <= end]
            assert block.count <= longest
            assert min(r.extent[0] for r in inside) == block.address
            assert max(r.extent[1] for r in inside) == end
            asked = {i for r in inside for i in range(*r.extent)}
            assert "." * (gap + 1) not in "".join("x" if i in asked else "." for i in range(block.address, end))
            if table == "holding" and any(block.address < b < end for b in breaks):
                assert (block.address, end) in {r.extent for r in inside}, "more than one register across a break"
        for left, right in pairwise(of_table):
            first, end = left.address, max(left.address + left.count, right.address + right.count)
            apart = table == "holding" and any(first < b < end for b in breaks)
            assert apart or end - first > longest or right.address - left.address - left.count > gap


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
        ("1234", {"type": "bcd16"}, 1234),
        ("12345678", {"type": "bcd32", "scale": "0.01"}, 123456.78),
        ("56781234", {"type": "bcd32", "order": "CDAB"}, 12345678),
        ("9999999999999999", {"type": "bcd64"}, 9999999999999999),
        ("123a", {"type": "bcd16"}, None),
        ("ffff", {"type": "bcd16"}, None),
        ("0002", {"type": "bcd16", "values": {2: "cooling"}}, "cooling"),
        ("0942fffe", {"scale_register": 1}, 23.7),
        ("15900000", {"type": "int16", "scale_register": 1}, 5520),
        ("00030002", {"scale_register": 1, "offset": "0.5"}, 300.5),
        ("0003000a", {"scale_register": 1}, 30_000_000_000),
        ("0003000b", {"scale_register": 1}, None),
        ("0003fff6", {"scale_register": 1}, 3e-10),
        ("0003fff5", {"scale_register": 1}, None),
        ("00038000", {"scale_register": 1}, None),  # SunSpec: the point is not there
        ("fffffffe", {"scale_register": 1, "missing": [0xFFFF]}, None),
        ("43663333ffff", {"type": "float32", "scale_register": 2}, 23.02),
        ("20420100", {"order": "BA", "scale_register": 1}, 0x4220 * 10),  # whose bytes are swapped, both are
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


def test_named_bits_are_a_reading_each() -> None:
    told = {"bits": {0: "overvoltage", 15: "overload", 3: "hot"}, "missing": [0xFFFF]}
    (block,) = plan([holding("alarm", 5, **told), holding("next", 6)])
    assert (block.address, block.count) == (5, 2)
    assert block.decode(bytes.fromhex("80010007")) == [
        Reading("alarm.overvoltage", True),
        Reading("alarm.overload", True),
        Reading("alarm.hot", False),
        Reading("next", 7),
    ]
    assert block.decode(bytes.fromhex("ffff0007")) == [Reading("next", 7)]
    (wide,) = plan([holding("status", type="uint32", order="CDAB", bits={31: "high", 0: "low"})])
    assert wide.decode(bytes.fromhex("00018000")) == [Reading("status.high", True), Reading("status.low", True)]


def test_what_lies_between_a_register_and_its_scale_register_is_read_with_them() -> None:
    blocks = plan([holding("a", 10, scale_register=14), holding("b", 2, scale_register=0), holding("c", 11)])
    assert [(block.address, block.count) for block in blocks] == [(0, 3), (10, 5)]
    found = [
        r
        for data in ("ffff00000007", "00030005000000000001")
        for r in blocks[len(data) > 12].decode(bytes.fromhex(data))
    ]
    assert found == [Reading("b", 0.7), Reading("a", 30), Reading("c", 5)]


def test_one_scale_register_of_many() -> None:
    (block,) = plan([holding("a", 0, scale_register=2), holding("b", 1, type="int16", scale_register=2)])
    assert block.decode(bytes.fromhex("0007fffdffff")) == [Reading("a", 0.7), Reading("b", -0.3)]
    assert block.decode(bytes.fromhex("0007fffd8000")) == []


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
