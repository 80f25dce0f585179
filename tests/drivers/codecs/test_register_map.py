"""What a register list may say, and what people are told who wrote something else."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.codecs.register_map import Register
from gateway import Quantity


def told(**line: Any) -> list[str]:
    """What is wrong with a line, each with its field."""
    with pytest.raises(ValidationError) as caught:
        Register.model_validate({"name": "x", "table": "holding", "address": 0, **line})
    return [f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in caught.value.errors()]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            {"name": "a b"},
            "name: 'a b' is no name of a quantity; write ASCII letters, digits and - _ . : , at most 64, "
            "beginning with a letter or digit",
        ),
        ({"address": 65536}, "address: address 65536 cannot be on the wire; write 0 to 65535 (addresses count from 0)"),
        ({"address": 400017}, "address: address 400017 cannot be on the wire; write 16 (addresses count from 0)"),
        ({"address": -1}, "address: address -1 cannot be on the wire; write 0 to 65535 (addresses count from 0)"),
        ({"address": 65535, "type": "uint32"}, ": x ends behind address 65535; write a lower address"),
        (
            {"table": "coil", "type": "uint16"},
            "type: `type` has no meaning for table coil; leave it out, a coil is a bit",
        ),
        ({"table": "coil", "bit": 3}, "bit: `bit` has no meaning for table coil; leave it out, a coil is a bit"),
        ({"length": 2}, "length: `length` is for type text; leave it out"),
        ({"type": "text"}, ": a text needs its size; write `length: N`, N registers"),
        ({"type": "text", "length": 0}, "length: a text of 0 registers cannot be read; write 1 to 125"),
        (
            {"type": "text", "length": 2, "scale": 2},
            "scale: `scale` has no meaning for type text; leave it out",
        ),
        (
            {"type": "text", "length": 2, "missing": [0]},
            "missing: text has no codes for missing; leave it out, an empty text is not available",
        ),
        (
            {"type": "text", "length": 2, "order": "DCBA"},
            "order: text has no order DCBA; write BADC where the two letters of a register are swapped",
        ),
        (
            {"type": "uint32", "order": "BA"},
            "order: order BA is of one register; write ABCD, CDAB, BADC or DCBA",
        ),
        ({"scale": "abc"}, "scale: 'abc' is not a number; write it like 0.01"),
        ({"scale": True}, "scale: not a number; write it like 0.01"),
        ({"offset": "nan"}, "offset: nan is not a finite number; write it like 0.01"),
        ({"scale": "1e99"}, "scale: more than 30 digits; write it like 0.01"),
        ({"scale": 0}, "scale: scale 0 makes every value the same; write the step of one count, like 0.1"),
        ({"missing": [0x10000]}, "missing: code 65536 does not fit uint16; write the raw code like 0xffff"),
        ({"missing": [-1]}, "missing: code -1 does not fit uint16; write the raw code like 0xffff"),
        (
            {"type": "int16", "missing": [-32769]},
            "missing: code -32769 does not fit int16; write the raw code like 0xffff",
        ),
        ({"bit": 16}, "bit: there is no bit 16; write 0 (the lowest) to 15"),
        ({"bit": 1, "values": {0: "a"}}, "bit: a bit is true or false; leave out `values` or `bit`"),
        (
            {"type": "float32", "bit": 1},
            "bit: `bit` needs a whole number, not float32; leave it out or correct `type`",
        ),
        (
            {"scale": 2, "values": {0: "off"}},
            "values: `values` is of the raw number; leave out `scale` and `offset`",
        ),
        (
            {"scale_register": 0},
            ": x holds its own scale register; write the address of another",
        ),
        (
            {"scale_register": 125},
            ": x and its scale register span 126 registers, a read at most 125; "
            "leave `scale_register` out and write `scale`, if it never changes",
        ),
        (
            {"scale_register": -1},
            "scale_register: address -1 cannot be on the wire; write 0 to 65535 (addresses count from 0)",
        ),
        (
            {"table": "coil", "scale_register": 1},
            "scale_register: `scale_register` has no meaning for table coil; leave it out, a coil is a bit",
        ),
        (
            {"scale_register": 0, "address": 1, "values": {0: "off"}},
            "values: `values` is of the raw number; leave out `scale` and `offset`",
        ),
        ({"type": "bcd16", "bit": 1}, "bit: `bit` has no meaning for decimal digits; leave it out or correct `type`"),
        (
            {"type": "bcd32", "bits": {1: "a"}},
            "bits: `bits` has no meaning for decimal digits; leave it out or correct `type`",
        ),
        (
            {"type": "bcd16", "missing": [65536]},
            "missing: code 65536 does not fit bcd16; write the raw code like 0xffff",
        ),
        ({"bits": {}}, "bits: no bit is named; write them like {0: overvoltage, 3: overload}"),
        ({"bits": {16: "a"}}, "bits: there is no bit 16; write 0 (the lowest) to 15"),
        ({"bit": 1, "bits": {0: "a"}}, "bits: a bit is true or false; leave out `values` or `bit`"),
        ({"bits": {0: "a", 1: "a"}}, "bits: two bits have one name; write another for one of them"),
        (
            {"bits": {0: "too hot"}},
            "bits: 'x.too hot' is no name of a quantity; write ASCII letters, digits and - _ . : , at most 64",
        ),
        ({"type": "text", "length": 1, "bits": {0: "a"}}, "bits: `bits` has no meaning for type text; leave it out"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(line: dict[str, Any], text: str) -> None:
    assert told(**line) == [text]


def test_unknown_keys_are_refused() -> None:
    assert told(adress=3) == ["adress: Extra inputs are not permitted"]


@pytest.mark.parametrize("written", [Decimal("0.1"), "0.1", 0.1])
def test_scale_is_exact_however_it_arrives(written: Any) -> None:
    line = Register.model_validate({"name": "x", "table": "holding", "address": 0, "scale": written})
    assert line.scale == Decimal("0.1")


@pytest.mark.parametrize(
    ("table", "address", "wire"),
    [
        ("holding", 40017, 16),
        ("holding", 40001, 0),
        ("holding", 40000, None),  # SunSpec's base
        ("holding", 16, None),
        ("input", 30001, 0),
        ("input", 40017, None),
        ("discrete", 10008, 7),
        ("coil", 40017, None),
    ],
)
def test_addresses_of_the_old_numbering_are_noticed(table: str, address: int, wire: int | None) -> None:
    line = Register.model_validate({"name": "x", "table": table, "address": address})
    assert line.numbered() == wire


@pytest.mark.parametrize(
    ("line", "quantity"),
    [
        ({"unit": "V"}, Quantity("V", "measurement")),
        ({"unit": "kWh", "kind": "counter"}, Quantity("kWh", "counter")),
        ({"bit": 2}, Quantity(None, "state")),
        ({"values": {0: "off"}}, Quantity(None, "state")),
        ({"bits": {0: "hot"}}, Quantity(None, "state")),
        ({"type": "text", "length": 2}, Quantity(None, "state")),
        ({"table": "coil"}, Quantity(None, "state")),
        ({"table": "discrete", "kind": "event"}, Quantity(None, "event")),
    ],
)
def test_quantity(line: dict[str, Any], quantity: Quantity) -> None:
    assert Register.model_validate({"name": "x", "table": "holding", "address": 0, **line}).quantity == quantity


def test_names_and_extent() -> None:
    line = Register.model_validate({"name": "x", "table": "input", "address": 5, "bits": {0: "hot", 1: "cold"}})
    assert (line.names, line.extent) == (["x.hot", "x.cold"], (5, 6))
    line = Register.model_validate({"name": "x", "table": "input", "address": 5, "scale_register": 9})
    assert (line.names, line.size, line.end, line.extent) == (["x"], 1, 6, (5, 10))
