"""Every Modbus profile, because it is there: it holds, names its source, and decodes its own vectors."""

import math
from pathlib import Path
from typing import Any

import pytest

from drivers.modbus import Modbus, ModbusOptions
from gateway import DecodeError, Reading
from gateway.config import load_profile

FOLDER = Path(__file__).parents[2] / "drivers/profiles"
PROFILES = {path.stem: load_profile(str(path), FOLDER) for path in sorted(FOLDER.glob("*.yaml"))}
MODBUS = [name for name, profile in PROFILES.items() if profile.driver == "modbus"]
VECTORS = [(name, vector) for name in MODBUS for vector in PROFILES[name].vectors]


def options(name: str) -> ModbusOptions:
    return ModbusOptions.model_validate(PROFILES[name].options)


def context(vector: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in vector["context"].items()}


def test_the_profiles_of_this_release_are_there() -> None:
    assert {"eastron_sdm120", "eastron_sdm630", "xy_md02"} <= set(MODBUS)


@pytest.mark.parametrize("name", MODBUS)
def test_profile(name: str) -> None:
    profile = PROFILES[name]
    assert options(name).warnings() == []
    assert profile.vendor
    assert profile.model
    assert profile.source
    assert profile.version.isdecimal()
    assert set(profile.factory) <= {"baudrate", "bytesize", "parity", "stopbits", "unit_id"}
    assert any(vector["expected"] for vector in profile.vectors)
    # what changes over time has a unit
    assert all(
        register.unit for register in options(name).registers if register.quantity.kind in ("measurement", "counter")
    )


@pytest.mark.parametrize(("name", "vector"), VECTORS, ids=[f"{name}-{vector['id']}" for name, vector in VECTORS])
def test_profile_decodes_its_vectors(name: str, vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["input_hex"])
    assert vector["source"]
    if not vector["expected"]:
        with pytest.raises(DecodeError):
            Modbus.decode_input(options(name), data, context(vector))
        return
    found = {r.name: r for r in Modbus.decode_input(options(name), data, context(vector))}
    assert {key: reading.unit for key, reading in found.items()} == {
        key: told["unit"] for key, told in vector["expected"].items()
    }
    for key, told in vector["expected"].items():
        value = found[key].value
        assert isinstance(value, int | float)
        assert math.isclose(value, float(told["value"]), rel_tol=2e-6)


@pytest.mark.parametrize(("name", "vector"), VECTORS, ids=[f"{name}-{vector['id']}" for name, vector in VECTORS])
def test_every_truncation_and_byte_flip_gives_readings_or_a_decode_error(name: str, vector: dict[str, Any]) -> None:
    data, told = bytes.fromhex(vector["input_hex"]), options(name)
    broken = [data[:n] for n in range(len(data))]
    for i in range(len(data)):
        broken += [data[:i] + bytes([byte]) + data[i + 1 :] for byte in range(256) if byte != data[i]]
    framed = context(vector).get("framing") == "RTU"
    for capture in broken:
        try:
            readings = Modbus.decode_input(told, capture, context(vector))
        except DecodeError:
            continue
        assert not framed or not vector["expected"], "a broken frame became a value"
        assert all(isinstance(reading, Reading) for reading in readings)


# Eastron's protocol documents for SDM120, SDM230 and SDM630: two registers a parameter, at most 40 parameters a request


@pytest.mark.parametrize("name", ["eastron_sdm120", "eastron_sdm630"])
def test_eastron_meters_are_asked_for_whole_parameters(name: str) -> None:
    meter = Modbus(options(name), None)
    assert all(block.address % 2 == 0 and block.count % 2 == 0 and block.count <= 80 for block in meter.blocks)
    assert {block.table for block in meter.blocks} == {"input"}


def test_xy_md02_is_asked_for_exactly_two_registers() -> None:
    assert [(b.table, b.address, b.count) for b in Modbus(options("xy_md02"), None).blocks] == [("input", 1, 2)]
