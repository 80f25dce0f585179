"""Every Modbus profile, because it is there: it holds, names its source, and decodes its own vectors."""

import math
from pathlib import Path
from random import Random
from typing import Any

import pytest

from drivers.codecs.modbus_frame import checksum
from drivers.codecs.registers import Block, plan
from drivers.modbus import Modbus, ModbusOptions
from gateway import DecodeError, Reading
from gateway.config import load_profile

FOLDER = Path(__file__).parents[2] / "drivers/profiles"
PROFILES = {path.stem: load_profile(str(path), FOLDER) for path in sorted(FOLDER.glob("*.yaml"))}
MODBUS = [name for name, profile in PROFILES.items() if profile.driver == "modbus"]
VECTORS = [(name, vector) for name in MODBUS for vector in PROFILES[name].vectors]


def options(name: str) -> ModbusOptions:
    return ModbusOptions.model_validate(PROFILES[name].options)


def blocks(name: str) -> tuple[Block, ...]:
    told = options(name)
    return plan(told.asked, told.max_registers, told.max_gap)


def context(vector: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in vector["context"].items()}


def test_the_profiles_of_this_release_are_there() -> None:
    assert set(MODBUS) >= {
        *(f"eastron_sdm{model}" for model in (120, 230, 630, 72)),
        *("carlo_gavazzi_em340", "carlo_gavazzi_et112", "garo_gnm3d"),
        *("abb_b21", "abb_b23", "abb_b24"),
        *("xy_md02", "xy_md02_zero_based", "xy_md02_hundredths", "pzem016", "relay_board"),
    }


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
    expected = {key: told for key, told in vector["expected"].items() if told["value"] is not None}
    assert {key: reading.unit for key, reading in found.items()} == {
        key: told["unit"] for key, told in expected.items()
    }
    for key, told in expected.items():
        value = found[key].value
        if isinstance(told["value"], str | bool):
            assert (type(value), value) == (type(told["value"]), told["value"])
        else:
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


@pytest.mark.parametrize("name", MODBUS)
def test_random_answers_of_the_right_length_are_readings(name: str) -> None:
    random, codes = Random(name), (b"\xff\xff", b"\x7f\xff", b"\x80\0", b"\0\0")
    for _ in range(100):
        for block in blocks(name):
            data = bytearray(random.randbytes(block.size))
            for at in range(0, block.size - 1, 2):
                if random.random() < 0.3:
                    data[at : at + 2] = random.choice(codes)
            for reading in block.decode(bytes(data)):
                assert isinstance(reading.value, int | float | str)
                assert not isinstance(reading.value, float) or math.isfinite(reading.value)


@pytest.mark.parametrize("name", MODBUS)
def test_random_frames_are_readings_or_refused(name: str) -> None:
    random, told = Random(name), options(name)
    for _ in range(300):
        data = bytes([1, random.choice((1, 2, 3, 4, 6, 16, 0x83)), random.randrange(256)])
        data += random.randbytes(random.choice((2, 4, 8, data[2])))
        if random.random() < 0.7:
            data = bytes([*data[:2], len(data) - 3, *data[3:]])
        if random.random() < 0.9:
            data += checksum(data).to_bytes(2, "little")
        address = random.choice([register.address for register in told.registers] + [random.randrange(65536)])
        try:
            readings = Modbus.decode_input(told, data, {"register_address": str(address)})
        except DecodeError as error:
            said = str(error)
        else:
            said = ""
            assert all(isinstance(reading, Reading) for reading in readings)
        assert "\n" not in said  # a refusal in one line is as good as readings here


# Eastron's protocol documents for SDM120, SDM230 and SDM630: two registers a parameter, at most 40 parameters a request


@pytest.mark.parametrize("name", ["eastron_sdm120", "eastron_sdm230", "eastron_sdm630", "eastron_sdm72"])
def test_eastron_meters_are_asked_for_whole_parameters(name: str) -> None:
    assert all(block.address % 2 == 0 and block.count % 2 == 0 and block.count <= 80 for block in blocks(name))
    assert {block.table for block in blocks(name)} == {"input"}


def test_xy_md02_is_asked_for_exactly_two_registers() -> None:
    assert [(b.table, b.address, b.count) for b in blocks("xy_md02")] == [("input", 1, 2)]


# GARO GNM3D and GNM3T communication protocol V1 R1: 20 words a request in the table, 50 in the text


def test_garo_is_asked_for_at_most_twenty_registers() -> None:
    assert max(block.count for block in blocks("garo_gnm3d")) <= 20


@pytest.mark.parametrize("name", MODBUS)
def test_a_profile_fits_a_device_as_it_comes(name: str) -> None:
    assert sum(len(register.names) for register in options(name).asked) <= 64  # max_quantities unless said
