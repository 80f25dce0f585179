"""Codecs of serial devices: whatever is cut, turned or made up gives values or a DecodeError, and in good time."""

import json
import math
import os
import random
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from drivers.codecs import mt_sics, nmea_0183, scale_lines, scpi, serial_lines, ve_direct
from gateway import DecodeError, Reading

HERE = Path(__file__).parents[2] / "vectors"
CODECS: dict[str, ModuleType] = {
    "serial-lines": serial_lines,
    "nmea-0183": nmea_0183,
    "mt-sics": mt_sics,
    "scale-lines": scale_lines,
    "scpi": scpi,
    "ve-direct": ve_direct,
}
RANDOM = int(os.environ.get("LABGATE_RANDOM_INPUTS", "3000"))  # for each codec; 100,000 where there is time
CONTEXTS: list[dict[str, str]] = [
    {},
    {"request": "READ?"},
    {"request": "*IDN?"},
    {"request": "SYST:ERR?"},
    {"dialect": "json"},
    {"dialect": "senml"},
    {"dialect": "teleplot"},
    {"stream_start": "unknown"},
]


def captures(protocol: str) -> list[bytes]:
    vectors: list[dict[str, Any]] = json.loads((HERE / f"{protocol}.json").read_text("utf-8"))["vectors"]
    return [v["input_text"].encode() if "input_text" in v else bytes.fromhex(v["input_hex"]) for v in vectors]


def values_or_refused(codec: ModuleType, data: bytes, context: dict[str, str]) -> None:
    readings, refusal = [], "none"
    try:
        readings = codec.decode_input(data, context)
    except DecodeError as error:
        refusal = str(error)
    assert refusal.isprintable()
    assert 0 < len(refusal) < 400
    for reading in readings:
        assert isinstance(reading, Reading)
        assert reading.name.encode()
        assert isinstance(reading.value, int | float | str)
        assert not isinstance(reading.value, float) or math.isfinite(reading.value)
        assert isinstance(reading.value, bool | float | str) or -(2**63) <= reading.value < 2**63
        for text in (reading.value, reading.unit):
            assert not isinstance(text, str) or text.encode().decode() == text
        assert len(reading.unit or "") <= 40


@pytest.mark.parametrize("protocol", CODECS)
def test_every_truncation_and_turned_bit(protocol: str) -> None:
    for data in captures(protocol):
        for end in range(len(data) + 1):
            values_or_refused(CODECS[protocol], data[:end], {})
        for i in range(len(data)):
            for bit in range(8):
                turned = bytearray(data)
                turned[i] ^= 1 << bit
                values_or_refused(CODECS[protocol], bytes(turned), {})


@pytest.mark.parametrize("protocol", ["nmea-0183", "ve-direct"])
def test_no_value_behind_a_wrong_checksum(protocol: str) -> None:
    """A turned bit never becomes another value: in a single sentence or block nothing is told at all."""
    for data in captures(protocol):
        try:
            right = CODECS[protocol].decode_input(data, {})
        except DecodeError:
            continue
        for i in range(len(data)):
            for bit in range(8):
                turned = bytearray(data)
                turned[i] ^= 1 << bit
                try:
                    assert CODECS[protocol].decode_input(bytes(turned), {}) == right  # a line end, a hexadecimal case
                except DecodeError:
                    continue


def spoiled(data: bytes, alphabet: bytes, chance: random.Random) -> bytes:
    new = bytearray(data)
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(new) + 1)
        match chance.randrange(3):
            case 0:
                new[at : at + 1] = bytes([chance.choice(alphabet)])
            case 1:
                del new[at : at + chance.randrange(5)]
            case _:
                new[at:at] = bytes(chance.choices(alphabet, k=chance.randrange(6)))
    return bytes(new)


@pytest.mark.parametrize("protocol", CODECS)
def test_random_inputs(protocol: str) -> None:
    codec, known, chance = CODECS[protocol], captures(protocol), random.Random(4)
    alphabet = b"".join(known) + b'0123456789.,:;=-+ \t\r\n{}[]">|eE\x00\xff'
    slowest = 0.0
    for i in range(RANDOM):
        match i % 3:
            case 0:
                data = chance.randbytes(chance.randrange(80))
            case 1:
                data = bytes(chance.choices(alphabet, k=chance.randrange(80)))
            case _:
                data = spoiled(chance.choice(known), alphabet, chance)
        began = time.process_time()
        values_or_refused(codec, data, chance.choice(CONTEXTS))
        slowest = max(slowest, time.process_time() - began)
    assert slowest < 0.5  # s; nothing grows without bounds


@pytest.mark.parametrize(
    "piece", ["9", ".", "1.", "-", "1,", "a:", "a:1 ", ": ", "{", "[", '{"a":', ">a:", "1 C ", " is "]
)
@pytest.mark.parametrize("protocol", CODECS)
def test_long_inputs_take_no_long_time(protocol: str, piece: str) -> None:
    began = time.process_time()
    for prefix in ("", "T: ", "$GPRMC,", "S S ", "{", ">x:"):
        values_or_refused(CODECS[protocol], (prefix + piece * (4096 // len(piece))).encode(), {})
    assert time.process_time() - began < 2
