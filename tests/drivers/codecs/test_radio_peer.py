"""Which Bluetooth device is meant: what a person may write, and what is said of the rest."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.codecs.radio_peer import RadioOptions, long_uuid
from gateway import Peer

# Bluetooth Core Specification, Volume 3, Part B, 2.5.1: 0000xxxx-0000-1000-8000-00805F9B34FB
HEART_RATE = "0000180d-0000-1000-8000-00805f9b34fb"
UART = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"


@pytest.mark.parametrize(
    ("text", "uuid"),
    [
        ("180d", HEART_RATE),
        ("0x180D", HEART_RATE),
        ("0000180D", HEART_RATE),
        (HEART_RATE.upper(), HEART_RATE),
        (UART.upper(), UART),
    ],
)
def test_uuids_are_written_short_or_long(text: str, uuid: str) -> None:
    assert long_uuid(text) == uuid


@pytest.mark.parametrize("text", ["", "180", "0x", "180g", "hello", UART[:-1], UART.replace("-", "")])
def test_what_is_no_uuid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a UUID; write "):
        long_uuid(text)


def test_the_peer_a_device_means() -> None:
    by_address = RadioOptions.model_validate({"address": "cb:b8:33:4c:88:4f"})
    assert by_address.peer == Peer("CB:B8:33:4C:88:4F")
    by_match = RadioOptions.model_validate({"match": {"name": "Polar H10*", "service": "180D", "company": 0x6B}})
    assert by_match.peer == Peer(None, "Polar H10*", HEART_RATE, 0x6B)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "which device is meant?"),
        ({"address": "CB:B8:33:4C:88"}, "is not the address of a Bluetooth device"),
        ({"address": "CB-B8-33-4C-88-4F"}, "write it like "),
        ({"match": {}}, "nothing to match"),
        ({"match": {"name": "*"}}, "is every name"),
        ({"match": {"name": ""}}, "is every name"),
        ({"match": {"service": 1809}}, "write it in quotes"),
        ({"match": {"company": 0x10000}}, "is no company id"),
    ],
)
def test_what_is_said_of_the_rest(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        RadioOptions.model_validate(options, context={"base": Path()})
    (error,) = refused.value.errors()
    text, semicolon, instead = error["msg"].partition("; ")
    assert said in error["msg"]
    assert text
    assert semicolon
    assert instead.startswith("write ")


def test_a_profile_need_not_say_which_device() -> None:
    assert RadioOptions.model_validate({}, context={}).peer == Peer()
