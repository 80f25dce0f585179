"""The fewest digits of a float32, against the definition: exact intervals in rational numbers."""

import math
import struct
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs.float32 import shortest, shortest_one

EXCEPTIONS = (2.0**-96, 2.0**87, 2.0**90)  # one digit more than needed, as the docstring says


def of_bits(bits: int) -> float:
    return struct.unpack(">f", bits.to_bytes(4))[0]


def fewest_digits(bits: int) -> int:
    """By definition: the smallest n for which a number of n digits lies where decimals read back as this float32."""
    bits &= 0x7FFFFFFF
    value = Fraction(of_bits(bits))
    above = Fraction(of_bits(bits + 1)) if bits < 0x7F7FFFFF else value + (value - Fraction(of_bits(bits - 1)))
    low, high = (value + Fraction(of_bits(bits - 1))) / 2, (value + above) / 2
    even = bits % 2 == 0  # a decimal exactly between two float32 goes to the even one
    exponent = math.floor(math.log10(value))
    while Fraction(10) ** (exponent + 1) <= high:
        exponent += 1
    while Fraction(10) ** exponent > high:
        exponent -= 1
    for digits in range(1, 10):
        step = Fraction(10) ** (exponent - digits + 1)
        first = math.ceil(low / step) * step  # may be `low` itself, which an odd one does not get
        if any(low < number < high or (even and number in (low, high)) for number in (first, first + step)):
            return digits
    raise AssertionError(f"{value} needs more than 9 digits")


def digits_of(number: float) -> int:
    return len(repr(number).lower().partition("e")[0].replace("-", "").replace(".", "").strip("0"))


@pytest.mark.parametrize(
    ("wire", "number"),
    [
        ("43663333", 230.2),  # the next float32 to 230.2
        ("43663334", 230.20001),  # its neighbour, in the Eastron document
        ("3dcccccd", 0.1),
        ("3aa95853", 0.001292),  # 8 digits read back as well, but not by this number: 0.0012919999
        ("00000000", 0.0),
        ("80000000", 0.0),
        ("4b800000", 16777216.0),
        ("4cbebc20", 1e8),
        ("501502f9", 1e10),
        ("7f7fffff", 3.4028235e38),  # the largest
        ("00800000", 1.1754944e-38),  # the smallest normal
        ("00000001", 1e-45),  # the smallest
        ("aabbccdd", -3.3360025e-13),  # telegraf, configuration_register_test.go
        ("c2c80000", -100.0),
    ],
)
def test_known_numbers(wire: str, number: float) -> None:
    value = struct.unpack(">f", bytes.fromhex(wire))[0]
    assert shortest([value]) == [number] == [shortest_one(value)]


@given(st.integers(1, 0x7F7FFFFF))
def test_reads_back_with_the_fewest_digits(bits: int) -> None:
    value = of_bits(bits)
    (number,) = shortest([value])
    assert number is not None
    assert struct.pack(">f", number) == bits.to_bytes(4)
    if value not in EXCEPTIONS:
        assert digits_of(number) <= fewest_digits(bits)


@given(st.lists(st.floats(-1e9, 1e9, width=32).filter(lambda x: x == 0 or abs(x) > 1e-30), min_size=1, max_size=60))
def test_many_at_once_are_as_one_by_one(values: list[float]) -> None:
    assert shortest(values) == [shortest_one(value) for value in values]


@pytest.mark.parametrize("exponent", range(-149, 128))
def test_powers_of_two(exponent: int) -> None:
    value = 2.0**exponent
    (number,) = shortest([value])
    assert number is not None
    assert struct.pack(">f", number) == struct.pack(">f", value)
    excess = digits_of(number) - fewest_digits(int.from_bytes(struct.pack(">f", value)))
    assert excess == (1 if value in EXCEPTIONS else 0)


def test_numbers_of_six_digits_survive() -> None:
    """FLT_DIG is 6: a decimal of at most 6 digits comes back from a float32 as it went in."""
    random = Random(3)
    numbers = [
        float(
            f"{random.choice((-1, 1)) * random.uniform(0.1, 1):.{random.randrange(1, 7)}g}e{random.randrange(-12, 10)}"
        )
        for _ in range(20_000)
    ]
    values = [struct.unpack(">f", struct.pack(">f", number))[0] for number in numbers]
    assert shortest(values) == numbers
    assert [shortest_one(value) for value in values] == numbers


def test_not_a_number_is_none_and_spoils_no_other() -> None:
    assert shortest([math.nan, 1.5, math.inf, -math.inf, 2.5]) == [None, 1.5, None, None, 2.5]
    assert shortest([]) == []
