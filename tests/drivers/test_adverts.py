"""Adverts that a profile describes: how formats are told apart, what fields say, and what is wrong with a list."""

from typing import Any

import pytest
from pydantic import ValidationError

from drivers.adverts import AdvertListener
from drivers.codecs.advert_formats import AdvertOptions
from gateway import Advert, Adverts, DecodeError, Peer, Quantity, Reading

ADDRESS = "CB:B8:33:4C:88:4F"
COMPANY = 0x0757
ENVIRONMENT = "0000181a-0000-1000-8000-00805f9b34fb"
NO_LINK: Any = None  # what is heard is given


def listener(*formats: dict[str, Any], **told: Any) -> AdvertListener:
    source = {} if "service" in told else {"company": COMPANY}
    options = AdvertOptions.model_validate({"address": ADDRESS, "formats": formats} | source | told)
    return AdvertListener(options, NO_LINK)


def heard(driver: AdvertListener, data: str) -> list[Reading]:
    return driver.decode(Advert(ADDRESS, company={COMPANY: bytes.fromhex(data)}))


def field(**told: Any) -> dict[str, Any]:
    return {"name": "x", "at": 0, "type": "uint8"} | told


def values(told: dict[str, Any], data: str, **format_: Any) -> list[object]:
    return [r.value for r in heard(listener({"fields": [told]} | format_), data)]


def test_what_it_wants_to_hear() -> None:
    assert listener({"fields": [field()]}).hear == Adverts(Peer(ADDRESS), companies=(COMPANY,))
    told = listener({"fields": [field()]}, service="181A", repeats=True)
    assert told.hear == Adverts(Peer(ADDRESS), services=(ENVIRONMENT,), repeats=True)
    assert told.decode(Advert(ADDRESS, service={ENVIRONMENT: b"\7"})) == [Reading("x", 7)]


@pytest.mark.parametrize(
    ("told", "data", "value"),
    [
        (field(type="int16"), "feff", -2),
        (field(type="uint24"), "010203", 0x030201),
        (field(type="int16", scale=0.01, offset=-40), "e803", -30),
        (field(type="float32"), "00004040", 3),
        (field(at=1), "0207", 7),
        (field(mask=0xF0), "a5", 0xA),
        (field(type="uint16", mask=0x0FF0, scale=0.1), "f50f", 25.5),
        (field(flag=0x20), "20", True),
        (field(flag=0x21), "01", True),
        (field(flag=0x20), "df", False),
        (field(values={1: "green"}), "01", "green"),
        (field(type="hex", length=2), "0aff01", "0aff"),
        (field(type="hex"), "0aff01", "0aff01"),
        (field(type="mac"), "cbb8334c884f", ADDRESS),
        (field(type="mac_reversed"), "4f884c33b8cb", ADDRESS),
        (field(type="uuid"), "e2c56db5dffb48d2b060d0f5a71096e0", "e2c56db5-dffb-48d2-b060-d0f5a71096e0"),
    ],
)
def test_what_a_field_says(told: dict[str, Any], data: str, value: object) -> None:
    assert values(told, data) == [value]


def test_high_bytes_first() -> None:
    assert values(field(type="uint16"), "0102", byte_order="big") == [0x0102]
    assert values(field(type="uint16", mask=0xFF00), "0102", byte_order="big") == [1]


@pytest.mark.parametrize(
    ("told", "data"),
    [
        (field(missing=[0xFF]), "ff"),
        (field(type="int16", missing=[0x8000]), "0080"),
        (field(type="int16", missing=[-0x8000]), "0080"),
        (field(mask=0x0F, missing=[0x0F]), "af"),
        (field(type="float32"), "0000c07f"),
    ],
)
def test_what_is_not_available_is_no_reading(told: dict[str, Any], data: str) -> None:
    assert values(told, data) == []


def test_a_code_that_is_not_listed_is_its_number() -> None:
    driver = listener({"fields": [field(values={1: "green"})]})
    assert heard(driver, "07") == [Reading("x", "7", quality="suspect")]


# github.com/google/eddystone eddystone-url/README.md: schemes and endings


@pytest.mark.parametrize(
    ("data", "url"),
    [
        ("0067676c65", "http://www.ggle"),
        ("0367676c6500", "https://ggle.com/"),
        ("0267676c6507", "http://ggle.com"),
        ("0167676c650d", "https://www.ggle.gov"),
        ("03670c2f78", "https://g.biz/x"),
    ],
)
def test_web_addresses(data: str, url: str) -> None:
    assert values(field(type="eddystone_url"), data) == [url]


@pytest.mark.parametrize(("data", "said"), [("0467", "04 is no scheme"), ("030e", "byte 0e"), ("0320", "byte 20")])
def test_what_is_no_web_address(data: str, said: str) -> None:
    with pytest.raises(DecodeError, match=said):
        values(field(type="eddystone_url"), data)


def test_formats_are_told_apart_by_header_size_and_bits() -> None:
    driver = listener(
        {"header": "01", "size": 3, "fields": [field(name="a", at=1)]},
        {"header": "01", "when": {"at": 1, "mask": 0x80}, "fields": [field(name="b", at=1)]},
        {"header": "01", "size": [2, 4], "fields": [field(name="c", at=1)]},
        {"header": "01 02", "refused": "it sleeps; wake it"},
    )
    assert [heard(driver, data)[0].name for data in ("018000", "0180", "0100", "01020304")] == ["a", "b", "c", "c"]
    with pytest.raises(DecodeError, match="it sleeps; wake it"):
        heard(driver, "0102030405")
    for data in ("", "01", "02", "0103030405"):
        with pytest.raises(DecodeError, match="are of no format known here; is it of another device"):
            heard(driver, data)


def test_a_field_is_there_when_a_bit_says_so() -> None:
    kg = field(name="weight", at=1, unit="kg", when={"at": 0, "mask": 1, "equals": 0})
    lb = field(name="weight", at=1, unit="[lb_av]", when={"at": 0, "mask": 1})
    driver = listener({"fields": [kg, lb]})
    assert heard(driver, "0207") == [Reading("weight", 7, "kg")]
    assert heard(driver, "0307") == [Reading("weight", 7, "[lb_av]")]


def test_who_the_device_is_is_no_reading() -> None:
    driver = listener({"fields": [field(), field(name="mac", at=1, type="mac", identity="serial")]})
    assert driver.identity() == {}
    assert heard(driver, "07cbb8334c884f") == [Reading("x", 7)]
    assert driver.identity() == {"serial": ADDRESS}
    assert driver.quantities() == {"x": Quantity()}
    shown = AdvertListener.decode_input(driver.options, bytes.fromhex("07cbb8334c884f"), {})
    assert shown == [Reading("x", 7), Reading("mac", ADDRESS)]


def test_how_strong_it_was_heard_is_said_of_values_only() -> None:
    driver = listener({"fields": [field(missing=[0xFF])]})
    assert driver.decode(Advert(ADDRESS, rssi=-60, company={COMPANY: b"\1"}))[1:] == [Reading("rssi", -60, "dBm")]
    assert driver.decode(Advert(ADDRESS, rssi=-60, company={COMPANY: b"\xff"})) == []


def test_kinds() -> None:
    fields = [
        field(name="a", flag=1),
        field(name="b", values={0: "off"}),
        field(name="c", type="hex", length=1),
        field(name="d", unit="count", kind="counter"),
        field(name="e", unit="V"),
    ]
    state = Quantity(kind="state")
    assert listener({"fields": fields}).quantities() == {
        "a": state,
        "b": state,
        "c": state,
        "d": Quantity("count", "counter"),
        "e": Quantity("V"),
    }


def test_a_name_without_a_profile_says_nothing_of_an_advert() -> None:
    with pytest.raises(DecodeError, match="is known to profiles only; name the profile of the device"):
        AdvertListener.decode_input(None, b"\1", {})


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"formats": []}, "at least 1 item"),
        ({"formats": [{"fields": [field()]}], "service": "181a"}, "write `company` or `service`"),
        ({"formats": [{}]}, "write `fields`, or in `refused` why it tells nothing"),
        ({"formats": [{"fields": [field()], "refused": "no"}]}, "write `fields`, or in `refused`"),
        ({"formats": [{"fields": [field(), field(at=1)]}]}, "two fields are named 'x'; write another name"),
        ({"formats": [{"size": [2, 4], "fields": [field(at=2)]}]}, "x ends behind byte 1, the last; write a lower"),
        ({"formats": [{"fields": [field(type="int8", flag=1)]}]}, "not of type int8; write uint8"),
        ({"formats": [{"fields": [field(type="float32", mask=1)]}]}, "not of type float32; write uint8"),
        ({"formats": [{"fields": [field(flag=1, scale=0.1)]}]}, "leave out `scale` and `offset`"),
        ({"formats": [{"fields": [field(flag=1, mask=3)]}]}, "leave out `mask` and `values`"),
        ({"formats": [{"fields": [field(type="mac", length=6)]}]}, "a mac is 6 bytes long; leave out `length`"),
        ({"formats": [{"fields": [field(type="uint9")]}]}, "'uint8', 'int8'"),
        ({"formats": [{"fields": [field(type="mac-address")]}]}, "'hex', 'uuid', 'mac'"),
        ({"formats": [{"fields": [{"name": "x", "at": 0}]}]}, "Field required"),
        ({"formats": [{"fields": [field(type="hex", scale=2)]}]}, "Extra inputs are not permitted"),
        ({"formats": [{"fields": [field(mask=0)]}]}, "greater than or equal to 1"),
        ({"formats": [{"when": {"at": 0, "mask": 256}, "fields": [field()]}]}, "less than or equal to 255"),
    ],
)
def test_what_is_said_of_a_wrong_list(told: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        AdvertOptions.model_validate({"company": COMPANY} | told)
    assert said in str(refused.value)
