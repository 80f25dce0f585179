import json
import re

import pytest

from gateway import units

RFC_8798_PRIMARY = {"B", "VA", "VAs", "var", "vars", "J/m", "kg/m3", "deg"}
REGISTRY_LATER = {"ppb", "ppt", "VAh", "mg/l", "ug/l", "g/l"}


def test_a_unit_is_primary_or_secondary_never_both():
    assert not units.PRIMARY & units.SECONDARY
    assert units.PRIMARY >= RFC_8798_PRIMARY
    assert units.SECONDARY >= REGISTRY_LATER


def test_senml_has_no_brackets_so_bracketed_units_cannot_be_confused():
    assert not [u for u in units.PRIMARY | units.SECONDARY if re.search(r"[\[\]{}]", u)]


@pytest.mark.parametrize("unit", ["kWh", "hPa", "ppm", "ug/m3", "dBm", "kvarh", "min"])
def test_secondary(unit):
    assert units.is_senml(unit)
    assert units.is_secondary(unit)


@pytest.mark.parametrize("unit", ["V", "Cel", "%RH", "%EL", "/", "%", "lat", "beat/min"])
def test_primary(unit):
    assert units.is_senml(unit)
    assert not units.is_secondary(unit)


# UCUM codes from the tables of the UCUM specification (version 2.1) and from the contract
UCUM = "[g] mm[Hg] [lb_av] [degF] [in_i'Hg] m[H2O] m3/h uS/cm kg/m2 km2 kPa mbar N.m kW.h/m2 1/h 10*3/ul mol/l"


@pytest.mark.parametrize("unit", UCUM.split())
def test_ucum(unit):
    assert units.is_ucum(unit)
    assert not units.is_senml(unit)


@pytest.mark.parametrize(
    "unit", ["", "kwh", "°C", "foo", "m³", "psi", "[]", "[a b]", "m//s", "/", "Kw", "x" * 50, "[" * 40]
)
def test_not_ucum(unit):
    assert not units.is_ucum(unit)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("°C", "Cel"), ("C", "Cel"), ("degC", "Cel"), ("Celsius", "Cel"), ("kwh", "kWh"), ("KWh", "kWh"),
        ("% RH", "%RH"), ("%rh", "%RH"), ("m³/h", "m3/h"), ("µg/m³", "ug/m3"), ("W/m²", "W/m2"),
        ("m/s^2", "m/s2"), ("Ω", "Ohm"),
        ("kΩ", "kOhm"), ("VAr", "var"), ("kVAR", "kvar"), ("Volts", "V"), ("rpm", "1/min"), ("psi", "[psi]"),
        ("mmHg", "mm[Hg]"), ("MWh", "MW.h"), ("mWh", "mW.h"), ("hpa", "hPa"), ("L", "l"), ("L/min", "l/min"),
        ("°", "deg"),
    ],
)  # fmt: skip
def test_what_people_write(written, meant):
    assert units.suggest_unit(written) == meant


def test_no_guess_where_there_is_none():
    assert units.suggest_unit("florps") is None
    assert units.suggest_unit("x" * 1000) is None


def test_every_suggestion_is_a_unit():
    for unit in [*units._ALIASES.values(), *units._EXACT.values(), *units._BY_LOWER.values()]:
        assert units.is_senml(unit) or units.is_ucum(unit), json.dumps(unit)
