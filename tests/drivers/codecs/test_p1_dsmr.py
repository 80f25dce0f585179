"""P1 telegrams: real ones, what the documents allow, and what must never become a value."""

import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from drivers.codecs.p1_dsmr import clock, decode_input, readings
from gateway import DecodeError, Parser, Reading
from tests.drivers.codecs.broken import damaged, random_inputs

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/p1-dsmr.json").read_text("utf-8"))["vectors"]
GOOD = [vector for vector in VECTORS if vector["expected"] and "checksum" not in vector["context"]]


def crc(data: bytes) -> int:
    """CRC-16/ARC bit by bit: DSMR 5.0.2 P1, 6.2: x16+x15+x2+1, no XOR in or out, lowest bit first."""
    found = 0
    for byte in data:
        found ^= byte
        for _ in range(8):
            found = found >> 1 ^ (0xA001 if found & 1 else 0)
    return found


def telegram(*lines: str, form: str = "{:04X}") -> bytes:
    body = ("/TST5\\lab\r\n\r\n" + "".join(line + "\r\n" for line in lines) + "!").encode()
    return body + form.format(crc(body)).encode()


def values(data: bytes, checked: bool = True) -> dict[str, tuple[Any, str | None]]:
    return {reading.name: (reading.value, reading.unit) for reading in readings(data, checked)}


def test_units_are_told_apart_whatever_their_capitals() -> None:
    told = telegram(
        "1-0:1.7.0(01727*W)", "1-0:3.7.0(0000.321*KVAR)", "1-0:3.8.0(00000916*VArh)", "1-0:14.7.0(50.01*HZ)"
    )
    assert values(told) == {
        "1-0:1.7.0": (1727, "W"),
        "1-0:3.7.0": (0.321, "kvar"),
        "1-0:3.8.0": (916, "varh"),
        "1-0:14.7.0": (50.01, "Hz"),
    }


def test_the_letter_is_the_truth_about_the_time() -> None:
    assert clock("(240407122854S)") == "2024-04-07T10:28:54Z"
    assert clock("(240407122854W)") == "2024-04-07T11:28:54Z"  # winter time in April: the meter means it
    assert clock("(210101003000W)") == "2020-12-31T23:30:00Z"
    assert clock("(240407122854)") == "2024-04-07T12:28:54"  # no letter: the zone is not known
    assert clock("(241307122854S)") is None
    assert clock("(240407122854X)") is None


def test_a_time_that_is_none_costs_only_itself() -> None:
    assert values(telegram("0-0:1.0.0(000000000000W)", "1-0:1.7.0(0001.453*kW)")) == {"1-0:1.7.0": (1.453, "kW")}


def test_three_digits_of_checksum() -> None:
    told = next(t for n in range(999) if crc((t := telegram(f"1-0:1.7.0({n:04}*W)"))[:-4]) < 0x1000)
    body = told.partition(b"!")[0] + b"!"
    assert values(told)
    assert values(body + f"{crc(body):X}".encode()) == values(told)
    assert values(body + f"{crc(body):x}".encode()) == values(told)
    with pytest.raises(DecodeError, match="checksum"):
        values(body + f"{crc(body):X}0".encode())


def test_what_has_no_unit_and_who_the_meter_is_are_no_readings() -> None:
    told = telegram(
        "1-3:0.2.8(50)",
        "0-0:96.1.1(4532323036303137363437393334353135)",
        "0-0:96.14.0(0002)",
        "0-0:96.13.0()",
        "1-0:99.97.0(2)(0-0:96.7.19)(170520130938S)(0000005627*s)(170325044014W)(0043178677*s)",
        "0-1:96.1.0(4731303138333430313538383732343334)",
        "1-0:1.8.0(00009621.983*kWh)",
    )
    assert values(told) == {"1-0:1.8.0": (9621.983, "kWh")}


def test_meters_that_hang_on_it_and_the_long_form_of_codes() -> None:
    told = telegram("0-1:24.2.1(180924130000S)(04890.857*m3)", "1-0:2.8.0*255(00000048.792*kWh)")
    assert values(told) == {"0-1:24.2.1": (4890.857, "m3"), "1-0:2.8.0": (48.792, "kWh")}


def test_values_have_their_sign_and_nothing_is_reckoned() -> None:
    assert values(telegram("1-0:16.7.0(-00.120*kW)", "1-0:71.7.0(-000.6*A)")) == {
        "1-0:16.7.0": (-0.12, "kW"),
        "1-0:71.7.0": (-0.6, "A"),
    }


def test_a_unit_nobody_knows_costs_only_itself() -> None:
    assert values(telegram("1-0:1.7.0(1*florp)", "1-0:2.7.0(0.02*kW)", "1-0:3.7.0(x*kvar)")) == {
        "1-0:2.7.0": (0.02, "kW")
    }


def test_without_a_checksum_only_where_somebody_says_so() -> None:
    told = telegram("1-0:1.7.0(0001.453*kW)").partition(b"!")[0] + b"!"
    with pytest.raises(DecodeError, match="checksum: false"):
        values(told)
    assert values(told, False) == {"1-0:1.7.0": (1.453, "kW")}
    with pytest.raises(DecodeError):  # where there is one it is believed
        values(told + b"0000", False)


@pytest.mark.parametrize(
    "odd", ["1-0:1.7.0(0001.4\ufffd3*kW)", "1-0:1.7.0(0001.453*kW", "1-0:1.7.0(<redacted>*kW)", "x"]
)
def test_without_a_checksum_nothing_odd_is_believed(odd: str) -> None:
    told = f"/TST5\r\n\r\n1-0:2.7.0(0*kW)\r\n{odd}\r\n!".encode()
    with pytest.raises(DecodeError):
        values(told, False)


def test_the_error_says_nothing_of_the_household() -> None:
    broken = GOOD[0]["input_text"].replace("9621", "9622").encode()
    with pytest.raises(DecodeError) as error:
        readings(broken.strip())
    assert "KAM" not in str(error.value)
    assert "962" not in str(error.value)


def test_a_capture_may_have_lost_its_carriage_returns() -> None:
    whole = GOOD[0]["input_text"]
    assert decode_input(whole.replace("\r", "").encode(), {}) == decode_input(whole.encode(), {})


def test_a_capture_may_begin_in_the_telegram_before() -> None:
    whole = GOOD[0]["input_text"].encode()
    assert decode_input(whole[300:] + whole, {}) == decode_input(whole, {})


@pytest.mark.parametrize("lines", [(), ("0-0:96.1.0(1)",)])
def test_a_telegram_without_a_value_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(DecodeError):
        values(telegram(*lines))


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["id"])
def test_every_truncation_and_byte_flip_is_refused(vector: dict[str, Any]) -> None:
    whole = vector["input_text"].encode().strip()
    good = readings(whole)
    for broken in damaged(whole):
        try:
            found = readings(broken)
        except DecodeError:
            continue
        # only what says the same: capitals of the checksum
        assert broken.lower() == whole.lower()
        assert found == good


def test_random_inputs_give_readings_or_a_decode_error() -> None:
    chance = random.Random(4)
    pieces = [b"1-0:1.7.0(", b"0-0:1.0.0(", b"*kW)", b"\r\n", b"!", b"/", b"(", b")", b"9", b"000000000000W)", b"\xff"]
    for data in random_inputs(chance):
        text = b"/" + b"".join(chance.choices(pieces, k=12))
        for given in (data, text, text + b"\r\n1-0:2.7.0(1*W)\r\n!"):
            for checked in (True, False):
                with contextlib.suppress(DecodeError):
                    assert all(isinstance(reading, Reading) for reading in readings(given, checked))


def test_the_framing_finds_each_real_telegram() -> None:
    from drivers.codecs.p1_dsmr import TELEGRAM

    texts = [vector["input_text"].encode() for vector in VECTORS]
    assert Parser([TELEGRAM]).feed(b"".join(texts)) == [text.strip() for text in texts]
