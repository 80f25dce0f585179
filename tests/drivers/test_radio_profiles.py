"""Every profile of a radio device, because it is there: it holds, names its source, and decodes its own vectors."""

import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway import DecodeError, Driver, Options, RadioLink, Reading
from gateway.cli.decode import named
from gateway.config import load_profile, load_site
from gateway.driver import link_shape, load_driver, options_model
from gateway.units import is_senml, is_ucum
from tests.drivers.codecs.broken import damaged, random_inputs

FOLDER = Path(__file__).parents[2] / "drivers/profiles"
PROFILES = {path.stem: load_profile(str(path), FOLDER) for path in sorted(FOLDER.glob("*.yaml"))}
DRIVERS = {name: load_driver(profile.driver, FOLDER) for name, profile in PROFILES.items()}
RADIO = [name for name, driver in DRIVERS.items() if link_shape(driver) is RadioLink]
VECTORS = [(name, vector) for name in RADIO for vector in PROFILES[name].vectors]
IDS = [f"{name}-{vector['id']}" for name, vector in VECTORS]


def options(name: str) -> Options:
    return options_model(DRIVERS[name]).model_validate(PROFILES[name].options, context={})


def captured(vector: Mapping[str, Any]) -> bytes:
    return str(vector["input_text"]).encode() if "input_text" in vector else bytes.fromhex(vector["input_hex"])


def context(vector: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in vector.get("context", {}).items()}


def assert_readings_or_refused(driver: type[Driver], told: Options, data: bytes, around: dict[str, str]) -> None:
    readings: list[Reading] = []
    refusal = "none"
    try:
        readings = driver.decode_input(told, data, around)
    except DecodeError as error:
        refusal = str(error)
    assert refusal.isprintable()
    assert 0 < len(refusal) < 300
    for reading in readings:
        assert isinstance(reading, Reading)
        assert reading.name
        assert isinstance(reading.value, int | float | str)
        assert not isinstance(reading.value, float) or math.isfinite(reading.value)
        assert not isinstance(reading.value, str) or reading.value.encode()
        assert reading.unit is None or is_senml(reading.unit) or is_ucum(reading.unit)


def test_the_adverts_of_this_release_are_there() -> None:
    assert set(RADIO) >= {
        *("ruuvi", "bthome", "atc_1441", "pvvx_custom", "ibeacon", "eddystone"),
        *("aranet4", "ela_blue", "sensirion_gadget", "acconeer", "mi_scale_v1", "mi_scale_v2"),
        "victron_instant_readout",
    }


@pytest.mark.parametrize("name", RADIO)
def test_profile(name: str) -> None:
    profile, told = PROFILES[name], options(name)
    assert told.warnings() == []
    assert profile.vendor
    assert profile.model
    assert profile.source
    assert profile.version.isdecimal()
    assert any(vector["expected"] for vector in profile.vectors)
    quantities = DRIVERS[name](told, None).quantities()
    assert len(quantities) <= 64  # max_quantities unless said
    for quantity in quantities.values():
        assert quantity.unit is None or is_senml(quantity.unit) or is_ucum(quantity.unit)


@pytest.mark.parametrize("name", RADIO)
def test_a_device_with_the_profile(name: str, tmp_path: Path) -> None:
    device = f'{{profile: {name}, link: radio, address: "CB:B8:33:4C:88:4F"}}'
    (tmp_path / "gateway.yaml").write_text(
        f'gateway: {{id: pi-7}}\nlinks: {{radio: {{ble: "DC:A6:32:01:02:03"}}}}\ndevices: {{tag-1: {device}}}\n'
    )
    site = load_site(tmp_path / "gateway.yaml")
    assert [str(problem) for problem in site.problems if "devices" in problem.part] == []
    assert site.devices["tag-1"].profile == name


@pytest.mark.parametrize(("name", "vector"), VECTORS, ids=IDS)
def test_profile_decodes_its_vectors(name: str, vector: dict[str, Any]) -> None:
    data = captured(vector)
    assert vector["source"]
    if not vector["expected"]:
        with pytest.raises(DecodeError):
            DRIVERS[name].decode_input(options(name), data, context(vector))
        return
    found = named(DRIVERS[name].decode_input(options(name), data, context(vector)))
    for key, told in vector["expected"].items():
        if told["value"] is None:
            assert key not in found
        elif isinstance(told["value"], str | bool | list):
            assert found[key] == {"value": told["value"], "unit": told.get("unit")}
        else:
            assert found[key]["unit"] == told.get("unit")
            tolerance = float(vector.get("context", {}).get("tolerance", 0))
            assert math.isclose(found[key]["value"], float(told["value"]), rel_tol=2e-6, abs_tol=tolerance)


@pytest.mark.parametrize(("name", "vector"), VECTORS, ids=IDS)
def test_every_truncation_and_byte_flip_gives_readings_or_a_decode_error(name: str, vector: dict[str, Any]) -> None:
    told = options(name)
    for capture in damaged(captured(vector)):
        assert_readings_or_refused(DRIVERS[name], told, capture, context(vector))


@pytest.mark.parametrize("name", RADIO)
def test_random_inputs_give_readings_or_a_decode_error(name: str) -> None:
    chance, told, vectors = random.Random(name), options(name), PROFILES[name].vectors
    for data in random_inputs(chance, longest=48):
        vector = chance.choice(vectors)
        kept = captured(vector)[: chance.randrange(4)]  # what tells formats apart stands in front
        assert_readings_or_refused(DRIVERS[name], told, kept + data, context(vector))
