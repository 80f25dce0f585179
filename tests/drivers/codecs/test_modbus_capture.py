"""Captured answers through `decode`: the public vectors, and what must be refused."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus import Modbus, ModbusOptions
from gateway import DecodeError, Reading
from gateway.config import load_profile

ROOT = Path(__file__).parents[3]
VECTORS: list[dict[str, Any]] = json.loads((ROOT / "tests/vectors/modbus.json").read_text("utf-8"))["vectors"]
SHARED = ROOT.parent / "shared/vectors/vectors.json"
PROFILES = {"Eastron SDM630": "eastron_sdm630", "XY-MD02 (SHT20)": "xy_md02"}


def profile(name: str) -> ModbusOptions:
    return ModbusOptions.model_validate(load_profile(name, ROOT).options)


def line(name: str, address: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "table": "input", "address": address, **more}


# Peacefair PZEM-014/016 user manual: 32-bit values low word first, FFFF of the last register is an alarm
PZEM = ModbusOptions.model_validate(
    {
        "registers": [
            line("voltage", 0, scale="0.1", unit="V"),
            line("current", 1, type="uint32", order="CDAB", scale="0.001", unit="A"),
            line("power", 3, type="uint32", order="CDAB", scale="0.1", unit="W"),
            line("energy", 5, type="uint32", order="CDAB", unit="Wh"),
            line("frequency", 7, scale="0.1", unit="Hz"),
            line("power_factor", 8, scale="0.01", unit="/"),
            line("alarm", 9, bit=15),
        ]
    }
)
# ABB B23/B24: signed, 7FFF is not available
ABB = ModbusOptions.model_validate(
    {
        "registers": [
            {
                "name": name,
                "table": "holding",
                "address": address,
                "type": kind,
                "scale": scale,
                "unit": unit,
                "missing": na,
            }
            for name, address, kind, scale, unit, na in [
                ("power", 0x5B14, "int32", "0.01", "W", [0x7FFFFFFF]),
                ("power_factor", 0x5B3A, "int16", "0.001", "/", [0x7FFF]),
                ("power_factor_l1", 0x5B3B, "int16", "0.001", "/", [0x7FFF]),
            ]
        ]
    }
)


def context_of(vector: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in vector["context"].items() if value is not None}


def options_of(vector: Mapping[str, Any]) -> ModbusOptions | None:
    device = vector["device"]
    if device in PROFILES:
        return profile(PROFILES[device])
    return PZEM if "PZEM" in device else ABB if "ABB" in device else None


def same(value: Any, expected: Any) -> bool:
    """As the vectors' conventions say: relative 2e-6."""
    if isinstance(expected, bool) or not isinstance(expected, int | float):
        return value is expected
    return not isinstance(value, bool) and math.isclose(value, expected, rel_tol=2e-6)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_public_vector(vector: dict[str, Any]) -> None:
    data, context = bytes.fromhex(vector["input_hex"]), context_of(vector)
    if not vector["expected"]:
        with pytest.raises(DecodeError):
            Modbus.decode_input(options_of(vector), data, context)
        return
    found = {r.name: r for r in Modbus.decode_input(options_of(vector), data, context)}
    expected = {name: told for name, told in vector["expected"].items() if told["value"] is not None}
    if vector["id"] == "cg-et112-voltage":  # no register list: what was read has no name
        found["voltage_l1"] = found.pop("value")
    if vector["id"] == "discrete-ok":  # the answer carries eight inputs, the device has four
        found = {name: reading for name, reading in found.items() if name in expected or reading.value}
    assert set(found) == set(expected)
    for name, told in expected.items():
        assert same(found[name].value, told["value"]), found[name]
        assert found[name].unit == told["unit"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if "ABB" in v["device"]], ids=lambda vector: vector["id"])
def test_registers_described_by_the_context_alone(vector: dict[str, Any]) -> None:
    context = context_of(vector)
    (reading,) = Modbus.decode_input(None, bytes.fromhex(vector["input_hex"]), context)
    (told,) = vector["expected"].values()
    assert reading.name == "value"
    assert reading.unit == (told["unit"] if context["scale"].endswith("W") else None)
    # What its codes for missing are, only a register list says.
    assert same(reading.value, 32.767 if told["value"] is None else told["value"])


def test_the_copy_of_the_public_vectors_is_whole() -> None:
    if not SHARED.exists():
        pytest.skip("not here: the public vectors lie beside the checkout only where they were collected")
    everything = json.loads(SHARED.read_text("utf-8"))["vectors"]
    assert [vector for vector in everything if vector["protocol"] == "modbus"] == VECTORS


def decode(wire: str, options: ModbusOptions | None = None, **context: str) -> dict[str, Any]:
    return {reading.name: reading.value for reading in Modbus.decode_input(options, bytes.fromhex(wire), context)}


def test_exactly_the_registers_that_lie_inside() -> None:
    meter = profile("eastron_sdm630")
    words = "43663333 43663333 4366"  # voltage_l1, voltage_l2 and half of voltage_l3
    assert decode(words, meter, register_address="0") == {"voltage_l1": 230.2, "voltage_l2": 230.2}
    assert set(decode(words, meter, register_address="0x0001")) == {"voltage_l2", "voltage_l3"}
    only = meter.model_copy(update={"only": ("voltage_l2",)})
    assert decode(words, only, register_address="0") == {"voltage_l2": 230.2}


def test_a_device_whose_tables_are_one_is_decoded_by_either_function() -> None:
    words, at = "091b0000", {"register_address": "0"}
    for function in ("3", "4"):
        assert decode(words, profile("carlo_gavazzi_em340"), function=function, **at) == {"voltage_l1": 233.1}
    with pytest.raises(DecodeError):
        decode("0100", profile("carlo_gavazzi_em340"), function="1", **at)


def test_frames_are_known_by_length_or_checksum() -> None:
    meter = profile("eastron_sdm630")
    assert decode("010404436633341b38", meter, register_address="0") == {"voltage_l1": 230.20001}
    # a coil answer has an even number of bytes; its checksum tells
    assert decode("01010102d049", None)["coil_1"] is True


def test_bits_begin_at_the_register_address() -> None:
    board = ModbusOptions.model_validate(
        {"registers": [{"name": f"k{i}", "table": "coil", "address": i} for i in (7, 12, 40)]}
    )
    assert decode("8400", board, function="1", register_address="5", register_count="11") == {"k7": True, "k12": True}
    assert decode("05", None, function="2", register_address="16", register_count="3") == {
        "input_16": True,
        "input_17": False,
        "input_18": True,
    }


def test_several_values_of_one_kind() -> None:
    assert decode("000100020003") == {"value": 1, "value.2": 2, "value.3": 3}
    assert decode("4142 4300", data_type="text") == {"value": "ABC"}
    assert Modbus.decode_input(None, bytes.fromhex("091b0000"), {"word_order": "CDAB (int32)", "scale": "0.1 V"}) == [
        Reading("value", 233.1, "V")
    ]


@pytest.mark.parametrize(
    ("wire", "with_profile", "context", "text"),
    [
        ("43663333", True, {}, "an answer does not say which registers it holds; add register_address, like 0x0034"),
        ("43663333", True, {"register_address": "500"}, "no register of the list lies in address 500..501"),
        (
            "43663333",
            True,
            {"register_address": "0", "function": "3"},
            "no register of the list lies in holding 0..1",
        ),
        (
            "43663333",
            True,
            {"register_address": "zero"},
            "register_address 'zero' is no number from 0 to 65535; write it like 52 or 0x0034",
        ),
        ("43663333", False, {"function": "6"}, "function 6 is not a read; reads are 1 to 4"),
        ("43663333", False, {"register_count": "3"}, "4 data bytes are not 3 register values"),
        ("", False, {}, "0 data bytes are not any register values"),
        ("0001", False, {"register_address": "65535", "register_count": "1", "data_type": "uint32"}, None),
        ("000100020003", False, {"data_type": "uint32"}, "3 registers are no whole number of uint32, which has 2"),
        ("00010002", False, {"register_address": "65535"}, "2 values from address 65535 end behind address 65535"),
        ("00010002", False, {"word_order": "1234"}, None),
        ("0001", False, {"scale": "x"}, "scale: 'x' is not a number; write it like 0.01"),
        ("0001", False, {"data_type": "uint17"}, None),
        ("010404436633341b38", True, {"register_address": "0", "unit_id": "2"}, "the answer is of unit_id 1, not 2"),
        ("010404436633341b38", True, {"register_address": "0", "function": "3"}, "the answer is of function 4, not 3"),
        (
            "010404436633341b38",
            True,
            {"register_address": "0", "register_count": "4"},
            "4 data bytes are not 4 input values",
        ),
    ],
)
def test_what_is_refused(wire: str, with_profile: bool, context: dict[str, str], text: str | None) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(wire, profile("eastron_sdm630") if with_profile else None, **context)
    assert "\n" not in str(caught.value)
    if text is not None:
        assert str(caught.value) == text


CONTEXT = st.fixed_dictionaries(
    {},
    optional={
        "framing": st.sampled_from(["RTU", "none"]),
        "function": st.sampled_from(["1", "2", "3", "4", "16", "x"]),
        "register_address": st.sampled_from(["0", "1", "65535", "0x10", "-1", ""]),
        "register_count": st.sampled_from(["1", "2", "8", "0", "9999"]),
        "unit_id": st.sampled_from(["1", "255"]),
        "data_type": st.sampled_from(["uint16", "float32", "int64", "text", "", "bool"]),
        "word_order": st.sampled_from(["ABCD", "CDAB (int32)", "BA", "low word first", ""]),
        "scale": st.sampled_from(["0.1", "0.01 W", "0", "", "1e40", "nan"]),
    },
)


@given(st.binary(max_size=60), CONTEXT, st.sampled_from([None, PZEM, ABB]))
def test_any_capture_gives_readings_or_a_decode_error(
    data: bytes, context: dict[str, str], options: ModbusOptions | None
) -> None:
    try:
        readings = Modbus.decode_input(options, data, context)
    except DecodeError as error:
        said = str(error)
    else:
        said = ""
        assert all(isinstance(reading, Reading) for reading in readings)
    assert "\n" not in said  # a refusal in one line is as good as readings here
