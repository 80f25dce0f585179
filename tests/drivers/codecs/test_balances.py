"""Balances, SCPI instruments and VE.Direct: replies of their documents, and those that are no values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs import mt_sics, printed_units, scale_lines, scpi, ve_direct
from drivers.codecs.balance_units import MASS
from drivers.codecs.nmea_fields import FLOWN
from drivers.codecs.printed_units import in_brackets, stated, unit_of
from gateway import DecodeError, Reading
from gateway.units import is_senml, is_ucum

# MT-SICS reference manual 11780711, S and SI
SICS = [
    ("S S     100.00 g", 100.0, "g", True),
    ("S D      -0.02 g", -0.02, "g", False),
    ("S S      60.18 kg", 60.18, "kg", True),
    ("S S    1543.24 GN", 1543.24, "[gr]", True),
    ("S S      -0.00 g", 0.0, "g", True),
    ("S S        12. mg", 12.0, "mg", True),
    ("S S       0.35 ozt", 0.35, "[oz_tr]", True),
]


@pytest.mark.parametrize(("line", "value", "unit", "stable"), SICS)
def test_sics_weight(line: str, value: float, unit: str, stable: bool) -> None:
    weight, rest = mt_sics.weight(line)
    assert (weight, rest) == (Reading("weight", value, unit), Reading("stable", stable))
    assert str(weight.value)[:2] != "-0" or value < 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("S +", "overload"),
        ("S -", "underload"),
        ("S I", "busy"),
        ("SI +", "overload"),
        ("ES", "command"),
        ("ET", "parity"),
        ("EL", "execute"),
        ("S S 12:07.50 lb:oz", "choose g or kg"),
        ("S S     100.00", "choose g or kg"),
        ("S S     1,000.5 g", "choose g or kg"),
        ("S X     100.00 g", "no weight"),
        ("S S 100.00.1 g", "choose g or kg"),
        ("S A", "no weight"),
        ("", "no weight"),
    ],
)
def test_sics_refusals(line: str, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        mt_sics.weight(line)


def test_sics_identity() -> None:
    assert mt_sics.identity('I4 A "0123456789"') == ("serial", "0123456789")
    assert mt_sics.identity('I2 A "ICS469 OU 60.18 kg"\r') == ("model", "ICS469 OU 60.18 kg")
    assert mt_sics.identity('I3 A "2.10 10.28.0.493.142"') == ("firmware", "2.10 10.28.0.493.142")
    assert mt_sics.identity("I4 I") is mt_sics.identity("S S 1 g") is None


# Kern and G&G as captured, Sartorius SBI (sign, value, unit of three), A&D and CAS (ST, US)
PRINTED: list[tuple[str, list[tuple[Any, ...]]]] = [
    ("     -29.186 g  ", [("weight", -29.186, "g")]),
    ("-  29.182 g ", [("weight", -29.182, "g")]),
    ("+   62.916 GN", [("weight", 62.916, "[gr]")]),
    ("-    0.000 gn", [("weight", 0.0, "[gr]")]),
    ("N     +   62.916 g  ", [("weight", 62.916, "g")]),
    ("\x02  0.123 kg\x03", [("weight", 0.123, "kg")]),
    ("12.5 lb", [("weight", 12.5, "[lb_av]")]),
    ("ST,GS,+  0.123kg", [("weight", 0.123, "kg"), ("stable", True, None)]),
    ("US,-00012.34  g", [("weight", -12.34, "g"), ("stable", False, None)]),
    ("-  29.182   ", []),  # the pan moves: no unit
]


@pytest.mark.parametrize(("line", "expected"), PRINTED)
def test_printed_weight(line: str, expected: list[tuple[Any, ...]]) -> None:
    assert [(r.name, r.value, r.unit) for r in scale_lines.readings(line)] == expected


@pytest.mark.parametrize(
    "line",
    [
        "12:07.50 lb:oz",
        "OL,+999999g",
        "OL",
        "   High   ",
        "Low",
        "------",
        "Err 54",
        "Error",
        "1 2 g",
        "12.5 C",
        "g",
        "",
    ],
)
def test_no_printed_weight(line: str) -> None:
    with pytest.raises(DecodeError):
        scale_lines.readings(line)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+1.86850000E-03\n", [(0.0018685, "V")]),
        ("1,2,+9.91E37,-9.9E+37,3", [(1, "V"), (2, "V"), (3, "V")]),
        ("12.000V", [(12.0, "V")]),
        ("0.25 A", [(0.25, "A")]),
        ("V1 12.000", [(12.0, "V")]),
        (":VOLT +5.0E0", [(5.0, "V")]),
        ('"VOLT:DC","say ""hi"", then"', [("VOLT:DC", None), ('say "hi", then', None)]),
        ("ON", [("ON", None)]),
        ("9.90000000E+37", []),
        ("1e400", []),
    ],
)
def test_scpi_answers(text: str, expected: list[tuple[Any, Any]]) -> None:
    assert [(r.value, r.unit) for r in scpi.answer(text, "x", "V")] == expected


def test_scpi_identity_and_errors() -> None:
    assert (
        scpi.identified("Agilent Technologies,34410A,MY47,2.35-2.35-0.09-46-09\n")["firmware"] == "2.35-2.35-0.09-46-09"
    )
    assert scpi.error('-113,"Undefined header"\n') == (-113, "Undefined header")
    assert scpi.error('-222,"Data out of range;voltage, 99"') == (-222, "Data out of range;voltage, 99")
    assert scpi.error('+0,"No error"') == (0, "No error")
    assert scpi.error("0") == (0, "")
    for wrong in ("", "1.5", "a,b,c", "\x00\x01,b,c,d"):
        for read in (scpi.identified, scpi.error):
            with pytest.raises(DecodeError):
                read(wrong)
    for text in ("", "\x00\x80", "5\n6"):
        with pytest.raises(DecodeError):
            scpi.answer(text, "x")


@pytest.mark.parametrize(
    ("request_", "unit"),
    [
        ("MEAS:VOLT:DC?", "V"),
        ("MEASure:CURRent?", "A"),
        ("MEAS:FRES?", "Ohm"),
        ("READ?", "V"),
        ("OUTP?", None),
        ("", None),
    ],
)
def test_the_unit_of_a_captured_answer(request_: str, unit: str | None) -> None:
    assert scpi.decode_input(b"1.5\n", {"request": request_})[0].unit == unit
    assert scpi.decode_input(b"1.5\n", {"request": request_, "unit": "K"})[0].unit == "K"


def block(*lines: tuple[str, str]) -> bytes:
    text = b"".join(b"\r\n" + label.encode() + b"\t" + value.encode() for label, value in lines) + b"\r\nChecksum\t"
    return text + bytes([-sum(text) % 256])


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**9))
def test_ve_direct_scales(millivolts: int, energy: int) -> None:
    data = block(("V", str(millivolts)), ("H19", str(energy)), ("PPV", "8"))
    assert [(r.name, r.value, r.unit) for r in ve_direct.decode_input(data, {})] == [
        ("V", millivolts / 1000, "V"),
        ("H19", energy / 100, "kWh"),
        ("PPV", 8, "W"),
    ]


def test_ve_direct_what_is_not_there() -> None:
    data = block(("V", "---"), ("T", "---"), ("TTG", "-1"), ("SOC", "839"), ("I", "nan"), ("NEW", "x"))
    assert [(r.name, r.value) for r in ve_direct.decode_input(data, {})] == [("SOC", 83.9), ("NEW", "x")]


@given(st.integers(0, 255), st.binary(max_size=20))
def test_ve_direct_finds_blocks_whatever_their_checksum_byte_is(value: int, before: bytes) -> None:
    """Of 256 blocks one ends in a line feed, one in a tab, one in a colon."""
    data = block(("V", "12000"), ("LOAD", chr(33 + value % 90)), ("X", "a" * (value % 3)))
    assert ve_direct.readings(ve_direct.blocks(data + data)[1]) == ve_direct.readings(ve_direct.blocks(data)[0])
    if b"\r\n" not in before:
        assert ve_direct.blocks(before.replace(b"\r", b"") + data) == ve_direct.blocks(data)


@pytest.mark.parametrize(
    ("printed", "name", "unit"),
    [
        ("°C", "", "Cel"),
        ("˚C", "", "Cel"),
        ("degrees C", "", "Cel"),
        ("deg F", "", "[degF]"),
        ("F", "capacity", "F"),
        ("F", "temp", "[degF]"),
        ("%", "rel. humidity", "%RH"),
        ("%", "duty", "%"),
        ("m/s^2", "", "m/s2"),
        ("m/s²", "", "m/s2"),
        ("µS/cm", "", "uS/cm"),
        ("g", "acc x", "[g]"),
        ("g", "sugar", "g"),
        ("Ω", "", "Ohm"),
        ("kΩ", "", "kOhm"),
        ("mAh", "", "mA.h"),
        ("items", "", None),
        ("", "", None),
        ("x" * 30, "", None),
    ],
)
def test_units_as_printed(printed: str, name: str, unit: str | None) -> None:
    assert unit_of(printed, name) == unit


def test_every_unit_is_one_of_senml_or_ucum() -> None:
    units = {*printed_units._PRINTED.values(), *MASS.values(), *FLOWN.values()}
    units |= {unit for unit, _ in ve_direct._NUMBERS.values()}
    assert [unit for unit in units if not (is_senml(unit) or is_ucum(unit))] == []


def test_units_that_are_told_to_be_units() -> None:
    assert (stated("km²"), stated("furlong"), stated(" "), stated("°C")) == ("km2", "furlong", None, "Cel")
    assert (in_brackets("T (°C)"), in_brackets("p [hPa] "), in_brackets("T (in)"), in_brackets("T (room)")) == (
        "Cel",
        "hPa",
        "[in_i]",
        None,
    )
