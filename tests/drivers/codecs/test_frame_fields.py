"""Binary frames described by a list: fields, framing, what is refused in a profile, and what never becomes a value."""

import contextlib
import math
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.asked_frames import AskedFrames
from drivers.codecs.frame_fields import FrameOptions, decode_capture
from drivers.frames import Frames
from gateway import Between, DecodeError, Fixed, Headed, Parser, Reading
from gateway.config import load_profile
from gateway.driver import load_driver, options_model
from tests.drivers.codecs.broken import damaged, random_inputs
from tests.examples import examples

FOLDER = Path(__file__).parents[3] / "drivers/profiles"
PROFILES = {path.stem: load_profile(str(path), FOLDER) for path in sorted(FOLDER.glob("*.yaml"))}
FRAMES = [name for name, profile in PROFILES.items() if profile.driver in ("frames", "asked_frames")]
VECTORS = [(name, vector) for name in FRAMES for vector in PROFILES[name].vectors]
GOOD = [(name, vector) for name, vector in VECTORS if vector["expected"]]

SIMPLE: dict[str, Any] = {"header": "AA", "size": 12, "fields": [{"name": "a", "at": 1, "type": "uint8"}]}


def options(name: str) -> FrameOptions:
    profile = PROFILES[name]
    found = options_model(load_driver(profile.driver, FOLDER)).model_validate(profile.options)
    assert isinstance(found, FrameOptions)
    return found


def told(frame: bytes, **field: Any) -> Any:
    """The value of one field, or None."""
    one = {"name": "a", "at": 1} | field
    found = FrameOptions.model_validate(SIMPLE | {"byte_order": one.pop("byte_order", "big"), "fields": [one]})
    readings = found.readings(frame)
    return readings[0].value if readings else None


# Profiles


def test_the_profiles_of_this_release_are_there() -> None:
    assert set(FRAMES) >= {"sds011", "pms5003", "pms5003t", "mh_z19", "sps30"}


@pytest.mark.parametrize("name", FRAMES)
def test_profile(name: str) -> None:
    profile = PROFILES[name]
    assert profile.vendor
    assert profile.model
    assert profile.source
    assert set(profile.factory) == {"baudrate", "bytesize", "parity", "stopbits"}
    assert any(vector["expected"] for vector in profile.vectors)
    assert any(not vector["expected"] for vector in profile.vectors) or name == "pms5003t"
    assert all(field.unit for field in options(name).fields)


@pytest.mark.parametrize(("name", "vector"), VECTORS, ids=[f"{name}-{vector['id']}" for name, vector in VECTORS])
def test_profile_decodes_its_vectors(name: str, vector: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(vector["input_hex"]), vector["expected"]
    assert vector["source"]
    if not expected:
        with pytest.raises(DecodeError):
            decode_capture(options(name), data)
        return
    found = {reading.name: reading for reading in decode_capture(options(name), data)}
    assert {key: reading.unit for key, reading in found.items()} == {key: v["unit"] for key, v in expected.items()}
    for key, value in expected.items():
        got = found[key].value
        assert isinstance(got, int | float)
        assert math.isclose(got, float(value["value"]), rel_tol=2e-6)


@pytest.mark.parametrize(("name", "vector"), GOOD, ids=[f"{name}-{vector['id']}" for name, vector in GOOD])
def test_every_truncation_and_byte_flip_is_refused(name: str, vector: dict[str, Any]) -> None:
    made, good = options(name), bytes.fromhex(vector["input_hex"])
    for broken in damaged(good):
        with pytest.raises(DecodeError):
            decode_capture(made, broken)


@pytest.mark.parametrize("name", FRAMES)
def test_random_inputs_give_readings_or_a_decode_error(name: str) -> None:
    made, chance = options(name), random.Random(4)
    for data in random_inputs(chance):
        for given_ in (data, made.header + data, made.header + data + made.tail):
            with contextlib.suppress(DecodeError):
                assert all(isinstance(reading, Reading) for reading in made.readings(given_))


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_found_in_a_stream(name: str) -> None:
    made = options(name)
    good = [bytes.fromhex(v["input_hex"]) for n, v in VECTORS if n == name and v["expected"]]
    parser = Parser([made.framing])
    found = [r for f in parser.feed(b"\x00\x42\xaa" + b"".join(good) * 2) if (r := made.readings(f))]
    assert len(found) == 2 * len(good)


def test_a_frame_of_zeros_is_warming_up_live_and_refused_in_a_capture() -> None:
    zeros = bytes.fromhex("424d001c000000000000000000000000000000000000000000000000000000ab")
    assert options("pms5003").readings(zeros) == []
    with pytest.raises(DecodeError, match="warming up"):
        decode_capture(options("pms5003"), zeros)
    version = bytes.fromhex("424d001c00000000000000000000000000000000000000000000000097000142")
    assert options("pms5003").readings(version) == []


def test_clean_air_is_no_warming_up() -> None:
    clean = bytearray.fromhex("424d001c000000000000000000000000003c00090000000000000000970001")
    frame = bytes(clean[:-1]) + sum(clean[:-1]).to_bytes(2, "big")
    assert [reading.value for reading in decode_capture(options("pms5003"), frame)] == [0, 0, 0, 60, 9, 0, 0, 0, 0]


# Fields


@pytest.mark.parametrize(
    ("type_", "form"),
    [("uint8", "B"), ("int8", "b"), ("uint16", "H"), ("int16", "h"), ("uint32", "I"), ("int32", "i"), ("int64", "q")],
)
@examples(50)
@given(data=st.binary(min_size=12, max_size=12))
def test_whole_numbers_are_as_struct_reads_them(type_: str, form: str, data: bytes) -> None:
    assert told(data, type=type_) == struct.unpack_from(f">{form}", data, 1)[0]
    assert told(data, type=type_, byte_order="little") == struct.unpack_from(f"<{form}", data, 1)[0]


def test_three_bytes() -> None:
    assert told(b"\xaa\x01\x02\x03" + bytes(8), type="uint24") == 0x010203
    assert told(b"\xaa\xff\xff\xfe" + bytes(8), type="int24") == -2


def test_scaled_values_are_exact() -> None:
    for raw in range(1000):
        frame = b"\xaa" + raw.to_bytes(2, "big") + bytes(9)
        assert told(frame, type="uint16", scale="0.1") == float(f"{raw / 10:.1f}")
        assert told(frame, type="uint16", scale="0.01", offset="-40") == float(f"{raw / 100 - 40:.2f}")


def test_missing_codes_and_numbers_that_are_none() -> None:
    assert told(b"\xaa\xff\xff" + bytes(9), type="uint16", missing=[0xFFFF]) is None
    assert told(b"\xaa\xff\xff" + bytes(9), type="int16", missing=[-1]) is None
    assert told(b"\xaa" + struct.pack(">f", math.nan) + bytes(7), type="float32") is None
    assert told(b"\xaa" + struct.pack(">f", 230.2) + bytes(7), type="float32") == 230.2
    assert told(b"\xaa" + struct.pack("<f", 230.2) + bytes(7), type="float32", byte_order="little", scale=10) == 2302.0


def test_a_field_behind_the_end_of_a_short_frame_is_left_out() -> None:
    fields = [{"name": "a", "at": 2, "type": "uint8"}, {"name": "b", "at": 3, "type": "uint16"}]
    made = FrameOptions.model_validate({"header": "55", "length_at": 1, "length_adds": 2, "fields": fields})
    assert made.framing == Headed(b"\x55", 1, length_adds=2)
    assert [r.name for f in Parser([made.framing]).feed(b"\x55\x03abc\x55\x01a") for r in made.readings(f)] == [
        "a",
        "b",
        "a",
    ]


# Escaped bytes


def escaped(inside: bytes) -> bytes:
    """Sensirion, Datasheet SPS30, UART interface, byte stuffing: 7E 7D 11 13 become 7D 5E, 7D 5D, 7D 31, 7D 33."""
    return b"".join(
        bytes([0x7D, byte ^ 0x20]) if byte in (0x7E, 0x7D, 0x11, 0x13) else bytes([byte]) for byte in inside
    )


@examples(50)
@given(st.lists(st.floats(0.5, 1000, width=32), min_size=10, max_size=10), st.binary(max_size=30))
def test_escaped_frames(numbers: list[float], noise: bytes) -> None:
    inside = bytes.fromhex("00030028") + struct.pack(">10f", *numbers)
    frame = b"\x7e" + escaped(inside + bytes([~sum(inside) & 0xFF])) + b"\x7e"
    made = options("sps30")
    assert made.framing == Between(b"\x7e", b"\x7e", longest=94)
    found = []
    for heard in Parser([made.framing]).feed(noise + b"\x7e" + frame):
        try:
            found += made.readings(heard)
        except DecodeError:
            assert noise
    assert [reading.value for reading in found] == pytest.approx(numbers, rel=1e-7)


@pytest.mark.parametrize("content", ["7e7d7e", "7e7d", "7e7e", "7e007d", "", "7d"])
def test_escapes_of_nothing(content: str) -> None:
    with pytest.raises(DecodeError):
        options("sps30").readings(bytes.fromhex(content))


# What a profile may say


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"header": "A"}, "hexadecimal"),
        ({"header": 42}, "hexadecimal"),
        ({"header": ""}, "hexadecimal"),
        ({"size": None}, "length_at"),
        ({"length_at": 1}, "length_at"),
        ({"size": 0}, "no frame"),
        ({"size": 5000}, "no frame"),
        ({"fields": []}, "nothing to read"),
        ({"fields": [{"name": "a", "at": 12, "type": "uint8"}]}, "ends behind byte 11"),
        ({"fields": [{"name": "a", "at": -1, "type": "uint8"}]}, "no frame has a byte -1"),
        ({"fields": [{"name": "a b", "at": 1, "type": "uint8"}]}, "no name"),
        ({"fields": [{"name": "a", "at": 1, "type": "uint8", "scale": 0}]}, "scale 0"),
        ({"fields": SIMPLE["fields"] * 2}, "two fields"),
        ({"checked_to": -13}, "no byte -13"),
        ({"checked_from": -1}, "write 0 to 11"),
        ({"escape": "7D"}, "tail"),
        ({"escape": "7D7D", "tail": "7E"}, "one byte"),
    ],
)
def test_what_is_wrong_in_a_profile(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        FrameOptions.model_validate(SIMPLE | change)


def test_framings() -> None:
    assert FrameOptions.model_validate(SIMPLE).framing == Fixed(b"\xaa", 12)
    assert options("sds011").framing == Fixed(b"\xaa\xc0", 10, b"\xab", "sum8", 2, -2)


def test_without_a_profile_a_frame_means_nothing() -> None:
    for driver in (Frames, AskedFrames):
        with pytest.raises(DecodeError, match="profile"):
            driver.decode_input(None, b"\xaa", {})
