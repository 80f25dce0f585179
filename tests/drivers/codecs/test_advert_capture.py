"""Advertising payloads taken apart, as the Core Specification Supplement says, and captures that are no payloads."""

import random

import pytest

from drivers.codecs.advert_capture import advert_of_payload, captured_advert, captured_data
from gateway import Advert, DecodeError
from tests.drivers.codecs.broken import random_inputs

ENVIRONMENT = "0000181a-0000-1000-8000-00805f9b34fb"
UART = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"


# Supplement to the Bluetooth Core Specification, Part A: 1.1 service UUIDs, 1.2 local name, 1.4 manufacturer data,
# 1.11 service data; all little-endian


@pytest.mark.parametrize(
    ("payload", "advert"),
    [
        ("020106", Advert("")),
        ("0709" + b"Tag 42".hex(), Advert("", "Tag 42")),
        ("0408" + b"Tag".hex(), Advert("", "Tag")),
        ("05ff99040102", Advert("", company={0x0499: b"\1\2"})),
        ("05161a180102", Advert("", service={ENVIRONMENT: b"\1\2"})),
        ("07201a1800000102", Advert("", service={ENVIRONMENT: b"\1\2"})),
        ("1221" + bytes.fromhex(UART.replace("-", ""))[::-1].hex() + "07", Advert("", service={UART: b"\7"})),
        ("05031a18 0d18", Advert("", services=(ENVIRONMENT, ENVIRONMENT.replace("181a", "180d")))),
        ("1107" + bytes.fromhex(UART.replace("-", ""))[::-1].hex(), Advert("", services=(UART,))),
        ("0201060000000000", Advert("")),  # what is not used is zero
        ("", Advert("")),
    ],
)
def test_a_payload(payload: str, advert: Advert) -> None:
    assert advert_of_payload(bytes.fromhex(payload)) == advert


def test_a_structure_that_is_cut_off() -> None:
    with pytest.raises(DecodeError, match="payload of 5 bytes: cut off inside the structure at byte 3"):
        advert_of_payload(bytes.fromhex("02010605ff"))


def test_random_payloads() -> None:
    for data in random_inputs(random.Random(7), longest=64):
        try:
            advert = advert_of_payload(data)
        except DecodeError:
            continue
        assert all(len(uuid) == 36 for uuid in (*advert.service, *advert.services))


def test_a_capture_is_what_its_context_says() -> None:
    assert captured_advert(b"\1", {"company_id": "0x0499"}) == Advert("", company={0x0499: b"\1"})
    assert captured_advert(b"\1", {"company_id": "1177", "address": "cb:b8:33:4c:88:4f"}) == Advert(
        "CB:B8:33:4C:88:4F", company={0x0499: b"\1"}
    )
    assert captured_advert(b"\1", {"service_uuid": "181A", "name": "x"}) == Advert(
        "", "x", service={ENVIRONMENT: b"\1"}
    )


def test_a_capture_without_context_is_what_the_device_sends() -> None:
    assert captured_data(b"\1", {}, company=0x0499) == b"\1"
    assert captured_data(b"\1", {}, service=ENVIRONMENT) == b"\1"


def test_a_capture_of_another_device() -> None:
    with pytest.raises(
        DecodeError, match="advert without manufacturer data of company 0x0499: it has service 0000181a"
    ):
        captured_data(b"\1", {"service_uuid": "181a"}, company=0x0499)
