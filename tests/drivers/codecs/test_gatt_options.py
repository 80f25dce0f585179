"""Characteristics that a list describes: their numbers, and what is wrong with a list told where it stands."""

from typing import Any

import pytest
from pydantic import ValidationError

from drivers.codecs.gatt_options import GattOptions, decode_value
from drivers.codecs.radio_peer import long_uuid
from gateway import DecodeError, Peer, Reading

OWN = "ef680201-9b35-4933-9b10-52ffa9740042"


def options(*fields: dict[str, Any], **others: Any) -> GattOptions:
    told = {"characteristics": [OWN], "fields": [{"characteristic": OWN, **field} for field in fields]}
    return GattOptions.model_validate(told | others)


def decoded(field: dict[str, Any], data: str) -> list[Reading]:
    return decode_value(options({"name": "n", **field}), bytes.fromhex(data), {})


@pytest.mark.parametrize(
    ("field", "data", "value"),
    [
        ({"type": "uint16", "scale": 0.1}, "1027", 1000.0),  # low byte first
        ({"type": "int24", "at": 1}, "ff feffff", -2),
        ({"type": "float32"}, "66664743", 199.4),
        ({"type": "int8", "hundredths_at": 1}, "17 30", 23.48),
        ({"type": "int8", "hundredths_at": 1}, "ff e7", -1.25),  # firmware that casts -25 to a byte
        ({"type": "int8", "hundredths_at": 1}, "00 ce", -0.5),
        ({"type": "int32", "hundredths_at": 4}, "f5030000 0c", 1013.12),
    ],
)
def test_numbers(field: dict[str, Any], data: str, value: float) -> None:
    assert decoded(field, data) == [Reading("n", value)]


def test_what_is_missing_is_left_out() -> None:
    assert decoded({"type": "uint16", "missing": [0xFFFF]}, "ffff") == []
    assert decoded({"type": "int8", "hundredths_at": 1, "missing": [-128]}, "8000") == []


@pytest.mark.parametrize(
    ("field", "data"), [({"type": "uint16"}, "10"), ({"type": "int8", "hundredths_at": 1}, "17 64")]
)
def test_a_value_that_is_too_short_or_has_a_hundred_hundredths_is_refused(field: dict[str, Any], data: str) -> None:
    with pytest.raises(DecodeError, match="another kind"):
        decoded(field, data)


def test_a_list_goes_before_what_the_sig_says() -> None:
    own = {"name": "level", "type": "uint8", "characteristic": "2a19"}
    told = GattOptions.model_validate({"characteristics": ["2a19"], "fields": [own]})
    assert decode_value(told, b"\xff", {}) == [Reading("level", 255)]
    assert set(told.measured) == {"level"}


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ({"characteristics": ["2aff"]}, "what is in 2aff is not known here; write `fields` for it"),
        ({"characteristics": []}, "nothing to read; write at least one UUID"),
        ({"characteristics": ["2a19"], "read": ["2a00"]}, "write `fields`"),
        ({"characteristics": ["2a24"]}, "write `fields`"),  # a name is no measurement
        ({"characteristics": [2819]}, "write it in quotes"),
        ({"fields": [{"characteristic": OWN, "name": "a", "type": "uint8"}] * 2}, "two fields are named 'a'"),
        ({"fields": [{"characteristic": OWN, "name": "a", "type": "float32", "hundredths_at": 4}]}, "no float32"),
        ({"fields": [{"characteristic": OWN, "name": "a", "type": "int8", "hundredths_at": -1}]}, "write 0"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_write(told: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        GattOptions.model_validate({"characteristics": [OWN]} | told)


def test_the_service_finds_a_device_only_where_nobody_says_which() -> None:
    told = {"characteristics": ["2a19"], "service": "180f"}
    assert GattOptions.model_validate(told).peer == Peer(service=long_uuid("180f"))
    named = GattOptions.model_validate(told | {"match": {"name": "Polar*"}})
    assert named.peer == Peer(name="Polar*")
    with pytest.raises(ValidationError, match="which device is meant"):
        GattOptions.model_validate(told, context={"base": "/etc/labgate"})


def test_which_characteristic_a_capture_is_of() -> None:
    told = GattOptions.model_validate({"characteristics": ["2a6e"], "read": ["2a19"]})
    assert decode_value(told, bytes.fromhex("6408"), {}) == [Reading("temperature", 21.48, "Cel")]
    assert decode_value(told, b"\x33", {"characteristic_uuid": "2A19"}) == [Reading("battery", 51, "%EL")]
    for context, wrong in (
        ({"characteristic_uuid": "2a6f"}, "2a6f is not known here"),
        ({"characteristic_uuid": "?"}, "UUID"),
    ):
        with pytest.raises(DecodeError, match=wrong):
            decode_value(told, b"\x33", context)
    with pytest.raises(DecodeError, match="which characteristic"):
        decode_value(None, b"\x33", {})
