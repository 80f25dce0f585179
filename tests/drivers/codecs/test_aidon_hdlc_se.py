"""Aidon's lists in HDLC: a public capture, lists built by the standard's rules, and what must be refused."""

import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from drivers.codecs import hdlc
from drivers.codecs.aidon_hdlc_se import clock, decode_input, readings
from gateway import DecodeError, Parser, Reading
from tests.drivers.codecs.broken import damaged, random_inputs

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/aidon-hdlc-se.json").read_text("utf-8"))["vectors"]
CAPTURE = bytes.fromhex(VECTORS[0]["input_hex"])


def crc(data: bytes) -> bytes:
    """FCS-16 bit by bit, as in ISO/IEC 13239; low byte first."""
    found = 0xFFFF
    for byte in data:
        found ^= byte
        for _ in range(8):
            found = found >> 1 ^ (0x8408 if found & 1 else 0)
    return (found ^ 0xFFFF).to_bytes(2, "little")


def frame(information: bytes, addresses: bytes = b"\x41\x08\x83") -> bytes:
    head = (0xA000 | len(information) + len(addresses) + 7).to_bytes(2, "big") + addresses + b"\x13"
    inside = head + crc(head) + information
    return b"\x7e" + inside + crc(inside) + b"\x7e"


def notification(*items: bytes, count: int | None = None, time: bytes = b"\x00") -> bytes:
    body = b"\xe6\xe7\x00\x0f\x40\x00\x00\x00" + time + b"\x01"
    return body + bytes([len(items) if count is None else count]) + b"".join(items)


def item(code: str, value: str, tens: int = 0, unit: int = 27) -> bytes:
    """A register: COSEM structure of OBIS code, value, and structure of scaler and unit."""
    return bytes.fromhex(f"020309 06{code}{value}0202 0f{tens & 255:02x}16{unit:02x}")


POWER = item("0100010700ff", "0600000ddb")


def values(data: bytes) -> dict[str, tuple[Any, str | None]]:
    return {reading.name: (reading.value, reading.unit) for reading in readings(data)}


def test_the_capture() -> None:
    told = {name: (value["value"], value["unit"]) for name, value in VECTORS[0]["expected"].items()}
    assert values(CAPTURE) == told


def test_a_capture_that_was_cut_off() -> None:
    with pytest.raises(DecodeError, match="no whole frame"):
        decode_input(bytes.fromhex(VECTORS[1]["input_hex"]), {})


def test_a_second_swedish_capture() -> None:
    """github.com/UtilitechAS/amsreader-firmware test/payloads/aidon/gh156-1.hex, its first values, rebuilt."""
    data = frame(
        notification(
            bytes.fromhex("020209060000010000ff090c07e50c0a0510390 0ff8000ff".replace(" ", "")),
            item("0100010700ff", "06000007e5"),
            item("01001f0700ff", "100009", -1, 33),
            item("0100200700ff", "1208e3", -1, 35),
            item("0100010800ff", "0603c25a64", 0, 30),
        )
    )
    assert values(data) == {
        "0-0:1.0.0": ("2021-12-10T16:57:00", None),
        "1-0:1.7.0": (2021, "W"),
        "1-0:31.7.0": (0.9, "A"),
        "1-0:32.7.0": (227.5, "V"),
        "1-0:1.8.0": (63068772, "Wh"),
    }


def test_scalers_and_types() -> None:
    data = frame(
        notification(
            item("0100010800ff", "0600a729d9", 1, 30),  # Norwegian lists count tens of Wh
            item("01001f0700ff", "10fffa", -1, 33),
            item("0100220700ff", "121386", -2, 44),
            item("0100030800ff", "15ffffffffffffffff", 0, 32),
            item("0100040800ff", "14ffffffffffffffff", 0, 32),
            item("0100020700ff", "0fff"),
            item("0100090700ff", "1105", 0, 28),
        )
    )
    assert values(data) == {
        "1-0:1.8.0": (0xA729D9 * 10, "Wh"),
        "1-0:31.7.0": (-0.6, "A"),
        "1-0:34.7.0": (49.98, "Hz"),
        "1-0:3.8.0": (2**64 - 1, "varh"),
        "1-0:4.8.0": (-1, "varh"),
        "1-0:2.7.0": (-1, "W"),
        "1-0:9.7.0": (5, "VA"),
    }


def test_who_the_meter_is_is_passed_over() -> None:
    data = frame(
        notification(
            bytes.fromhex("02020906010100 0281ff0a0b4149444f4e5f5630303031".replace(" ", "")),
            bytes.fromhex("0202090600006001 00ff0a1037333539393932383930343937393937".replace(" ", "")),
            POWER,
        )
    )
    assert values(data) == {"1-0:1.7.0": (3547, "W")}


def test_a_unit_nobody_knows_costs_only_itself() -> None:
    data = frame(notification(item("01000d0700ff", "1203e8", -3, 255), item("0100020700ff", "1200", 0, 9), POWER))
    with pytest.raises(DecodeError):
        values(data)  # the second is cut short, and with it all that follows
    data = frame(notification(item("01000d0700ff", "1203e8", -3, 255), item("0100020700ff", "120001", 100), POWER))
    assert values(data) == {"1-0:1.7.0": (3547, "W")}


def test_the_notification_may_have_a_time_of_its_own() -> None:
    time = bytes.fromhex("0c07e50c0103091832ff8000ff")
    assert values(frame(notification(POWER, time=time))) == {"1-0:1.7.0": (3547, "W")}


@pytest.mark.parametrize("addresses", ["4101", "0241ff", "0002002341", "02410883"])
def test_addresses_have_one_to_four_bytes(addresses: str) -> None:
    data = frame(notification(POWER), bytes.fromhex(addresses))
    assert values(data) == {"1-0:1.7.0": (3547, "W")}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (frame(b""), "middle"),
        (frame(notification(POWER)[3:]), "belongs"),
        (frame(notification(POWER, count=2)), "middle"),
        (frame(notification(POWER, POWER, count=1)), "longer"),
        (frame(notification()), "no value"),
        (frame(notification(POWER), b"\x40\x42\x44\x46\x48\x4a"), "address"),
        (frame(notification(item("0100010700ff", "2300"))), "type"),
    ],
)
def test_lists_that_are_none(data: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=text):
        readings(data)


def test_a_wrong_checksum_of_the_header_is_refused() -> None:
    good = frame(notification(POWER))
    inside = good[1:7] + bytes([good[7] ^ 1]) + good[8:-3]
    with pytest.raises(DecodeError, match="header"):
        decode_input(b"\x7e" + inside + crc(inside) + b"\x7e", {})


@pytest.mark.parametrize(
    ("octets", "time"),
    [
        ("07e50c0103091832ff8000ff", "2021-12-01T09:24:50"),
        ("07e9060e0610000 0ff000000".replace(" ", ""), "2025-06-14T16:00:00"),  # zone 0 in local time: not believed
        ("ffffffffffffffffff8000ff", None),
        ("07e50c010309183cff8000ff", None),
        ("07e50c01", None),
    ],
)
def test_clock(octets: str, time: str | None) -> None:
    assert clock(bytes.fromhex(octets)) == time


def test_every_truncation_and_byte_flip_is_refused_by_the_framing() -> None:
    for broken in damaged(CAPTURE):
        with pytest.raises(DecodeError):
            decode_input(broken, {})


def test_behind_the_checksum_too_only_readings_or_a_decode_error() -> None:
    """Whatever a frame with a right checksum holds."""
    chance = random.Random(4)
    information = notification(POWER, bytes.fromhex("020209060000010000ff090c07e50c0103091832ff8000ff"))
    given = [frame(broken) for broken in damaged(information)]
    given += [frame(information[:10] + data) for data in random_inputs(chance)]
    given += list(random_inputs(chance))
    for data in given:
        with contextlib.suppress(DecodeError):
            assert all(isinstance(reading, Reading) for reading in readings(data))


def test_frames_one_after_the_other_are_found() -> None:
    other = frame(notification(POWER))
    assert Parser([hdlc.FRAME]).feed(CAPTURE[200:] + CAPTURE + other + other) == [CAPTURE, other, other]
