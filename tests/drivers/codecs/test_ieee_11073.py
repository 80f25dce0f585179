"""FLOAT and SFLOAT: the public vectors, the special values, and a second implementation with decimals."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs import ieee_11073_float, ieee_11073_sfloat
from gateway import DecodeError, Reading

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "vectors/ieee-11073.json").read_text("utf-8"))[
    "vectors"
]
CODECS = {"ieee-11073-float": ieee_11073_float, "ieee-11073-sfloat": ieee_11073_sfloat}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_public_vector(vector: dict[str, Any]) -> None:
    readings = CODECS[vector["protocol"]].decode_input(bytes.fromhex(vector["input_hex"]), {})
    told = vector["expected"]["value"]["value"]
    assert readings == ([] if told is None else [Reading("value", told)])


# GATT Specification Supplement, 2.3 and 2.4


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("ff07", None),  # not a number
        ("0008", None),  # not at this resolution
        ("0108", None),  # reserved
        ("fe07", "+INF"),
        ("0208", "-INF"),
        ("fd07", 2045),  # the largest
        ("0308", -2045),
    ],
)
def test_special_sfloats(wire: str, value: Any) -> None:
    assert ieee_11073_sfloat.read(bytes.fromhex(wire)) == value


@pytest.mark.parametrize(
    ("wire", "value"),
    [("ffff7f00", None), ("00008000", None), ("01008000", None), ("feff7f00", "+INF"), ("02008000", "-INF")],
)
def test_special_floats(wire: str, value: Any) -> None:
    assert ieee_11073_float.read(bytes.fromhex(wire)) == value


@given(st.integers(-(2**23) + 3, 2**23 - 3), st.integers(-128, 127))
def test_float_is_the_nearest(mantissa: int, exponent: int) -> None:
    data = (mantissa % 2**24).to_bytes(3, "little") + (exponent % 256).to_bytes(1)
    assert ieee_11073_float.read(data) == float(Decimal(mantissa).scaleb(exponent))


@given(st.binary(max_size=8))
def test_any_bytes_give_a_value_or_a_decode_error(data: bytes) -> None:
    for codec in CODECS.values():
        try:
            readings = codec.decode_input(data, {})
        except DecodeError:
            continue
        assert all(isinstance(reading, Reading) for reading in readings)
