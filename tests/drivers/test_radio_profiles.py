"""Every profile of a connected device, because it is there: it holds, names its source, and decodes its own vectors."""

import math
from pathlib import Path
from typing import Any

import pytest

from drivers.codecs.gatt_options import GattOptions
from gateway import DecodeError
from gateway.cli.decode import find, named
from gateway.config import load_profile
from gateway.driver import load_driver, options_model
from tests.drivers.codecs.broken import damaged

FOLDER = Path(__file__).parents[2] / "drivers/profiles"
ALL = {path.stem: load_profile(str(path), FOLDER) for path in sorted(FOLDER.glob("*.yaml"))}
CONNECTED = {name: profile for name, profile in ALL.items() if profile.driver in ("gatt", "gatt_read", "ble_lines")}
VECTORS = [(name, vector) for name, profile in CONNECTED.items() for vector in profile.vectors]
IDS = [f"{name}-{vector['id']}" for name, vector in VECTORS]


def captured(vector: dict[str, Any]) -> bytes:
    return vector["input_text"].encode() if "input_text" in vector else bytes.fromhex(vector["input_hex"])


def test_the_profiles_of_this_release_are_there() -> None:
    assert CONNECTED.keys() >= {
        "heart_rate", "thermometer", "oximeter", "weight_scale", "blood_pressure",
        "environmental_sensing", "battery", "thingy52", "uart",
    }  # fmt: skip


@pytest.mark.parametrize("name", CONNECTED)
def test_profile(name: str) -> None:
    profile = CONNECTED[name]
    options = options_model(load_driver(profile.driver, FOLDER)).model_validate(profile.options)
    assert profile.vendor
    assert profile.model
    assert profile.source
    assert profile.version.isdecimal()
    assert any(vector["expected"] for vector in profile.vectors)
    if isinstance(options, GattOptions):
        assert options.service
        assert set(options.characteristics) <= options.decoders.keys()
        assert set(options.characteristics).isdisjoint(options.read)


@pytest.mark.parametrize(("name", "vector"), VECTORS, ids=IDS)
def test_profile_decodes_its_vectors(name: str, vector: dict[str, Any]) -> None:
    decode, context = find(name, FOLDER), vector.get("context", {})
    assert vector["source"]
    if not vector["expected"]:
        with pytest.raises(DecodeError):
            decode(captured(vector), context)
        return
    found = named(decode(captured(vector), context))
    expected = {key: told for key, told in vector["expected"].items() if told["value"] is not None}
    assert {key: told["unit"] for key, told in found.items()} == {key: told["unit"] for key, told in expected.items()}
    for key, told in expected.items():
        value = found[key]["value"]
        if isinstance(told["value"], str | bool):
            assert (type(value), value) == (type(told["value"]), told["value"])
        else:
            assert math.isclose(value, float(told["value"]), rel_tol=2e-6)


@pytest.mark.parametrize(("name", "vector"), VECTORS, ids=IDS)
def test_every_truncation_and_flip_gives_readings_or_a_decode_error(name: str, vector: dict[str, Any]) -> None:
    decode = find(name, FOLDER)
    for data in damaged(captured(vector)):
        try:
            said = ""
            decode(data, vector.get("context", {}))
        except DecodeError as error:
            said = str(error)
        assert "\n" not in said
