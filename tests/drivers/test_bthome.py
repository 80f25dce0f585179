"""BTHome v2: every object of the table, what is new in what is repeated, and what a key keeps out."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from pydantic import SecretStr, ValidationError

from drivers.bthome import Bthome
from drivers.codecs.bindkey import KeyedRadioOptions
from drivers.codecs.bthome_objects import BINARY, NUMBERS
from gateway import Advert, DecodeError, Quantity, Reading

ADDRESS = "54:48:E6:8F:80:A5"  # as in the example of bthome.io/encryption, like the key
KEY = "231d39c1d7cc1ab1aee224cd096db932"
SERVICE = "0000fcd2-0000-1000-8000-00805f9b34fb"
NO_LINK: Any = None  # what is heard is given


def bthome(key: str | None = None) -> Bthome:
    return Bthome(KeyedRadioOptions(address=ADDRESS, bindkey_file=SecretStr(key) if key else None), NO_LINK)


def plain(objects: str) -> Advert:
    return Advert(ADDRESS, rssi=-70, service={SERVICE: bytes.fromhex("40" + objects)})


def sealed(objects: str, counter: int, key: str = KEY, address: str = ADDRESS) -> Advert:
    """An advert as a device makes it (bthome.io/encryption)."""
    count = counter.to_bytes(4, "little")
    nonce = bytes.fromhex(address.replace(":", "")) + b"\xd2\xfc\x41" + count
    closed = AESCCM(bytes.fromhex(key), tag_length=4).encrypt(nonce, bytes.fromhex(objects), None)
    return Advert(ADDRESS, service={SERVICE: b"\x41" + closed[:-4] + count + closed[-4:]})


def said(readings: list[Reading]) -> dict[str, object]:
    return {r.name: r.value for r in readings if r.name != "rssi"}


# bthome.io/format, "Supported data types": examples and results; below, the same arithmetic where it has no example


@pytest.mark.parametrize(
    ("example", "name", "value", "unit"),
    [
        ("0161", "battery", 97, "%EL"),
        ("12E204", "co2", 1250, "ppm"),
        ("0960", "count", 96, "count"),
        ("3D0960", "count", 24585, "count"),
        ("3E2A2C0960", "count", 1611213866, "count"),
        ("434E34", "current", 13.39, "A"),
        ("08CA06", "dew_point", 17.38, "Cel"),
        ("400C00", "distance", 12, "mm"),
        ("414E00", "distance", 7.8, "m"),
        ("424E3400", "duration", 13.39, "s"),
        ("4D12138A14", "energy", 344593.17, "kWh"),
        ("0A138A14", "energy", 1346.067, "kWh"),
        ("4B138A14", "gas", 1346.067, "m3"),
        ("4C41018A01", "gas", 25821.505, "m3"),
        ("2E23", "humidity", 35, "%RH"),
        ("03BF13", "humidity", 50.55, "%RH"),
        ("05138A14", "illuminance", 13460.67, "lx"),
        ("065E1F", "mass", 80.3, "kg"),
        ("073E1D", "mass", 74.86, "[lb_av]"),
        ("14020C", "moisture", 30.74, "%"),
        ("2F23", "moisture", 35, "%"),
        ("0D120C", "pm2_5", 3090, "ug/m3"),
        ("0E021C", "pm10", 7170, "ug/m3"),
        ("0B021B00", "power", 69.14, "W"),
        ("04138A01", "pressure", 1008.83, "hPa"),
        ("3F020C", "rotation", 307.4, "deg"),
        ("444E34", "speed", 133.9, "m/s"),
        ("451101", "temperature", 27.3, "Cel"),
        ("02CA09", "temperature", 25.06, "Cel"),
        ("133301", "tvoc", 307, "ug/m3"),
        ("0C020C", "voltage", 3.074, "V"),
        ("4A020C", "voltage", 307.4, "V"),
        ("4632", "uv_index", 5, None),
        ("3A02", "button_event", "double_press", None),
        ("3A06", "button_event", "long_triple_press", None),
        ("3A80", "button_event", "hold_press", None),
        ("478756", "volume", 2215.1, "l"),
        ("48DC87", "volume", 34780, "ml"),
        ("4E87562A01", "volume", 19551.879, "l"),
        ("5587562A01", "volume_storage", 19551.879, "l"),
        ("4F87562A01", "water", 19551.879, "l"),
        ("49DC87", "volume_flow_rate", 34.78, "m3/h"),
        ("518756", "acceleration", 22.151, "m/s2"),
        ("6340420FFF", "acceleration", -15.777216, "m/s2"),
        ("528756", "gyroscope", 22.151, "deg/s"),
        ("56E803", "conductivity", 1000, "uS/cm"),
        ("57EA", "temperature", -22, "Cel"),
        ("58EA", "temperature", -7.7, "Cel"),
        ("59EA", "count", -22, "count"),
        ("5AEAFF", "count", -22, "count"),
        ("5BEAFFFFFF", "count", -22, "count"),
        ("5C9CFFFFFF", "power", -1, "W"),
        ("5D18FC", "current", -1, "A"),
        ("5E9F8C", "direction", 359.99, "deg"),
        ("5F0A00", "precipitation", 1, "mm"),
        ("6003", "channel", 3, None),
        ("61AC0D", "rotational_speed", 3500, "1/min"),
        ("6240420F00", "speed", 1, "m/s"),
        ("6405", "light_level", 5, None),
        ("6507", "settings_revision", 7, None),
        ("5003000000", "timestamp", "1970-01-01T00:00:03Z", None),
        ("540348656C", "raw", "48656c", None),
        ("F00100", "device_type", 1, None),
        ("F100010204", "firmware", "4.2.1.0", None),
        ("F2000106", "firmware", "6.1.0", None),
    ],
)
def test_every_object(example: str, name: str, value: object, unit: str | None) -> None:
    (reading,) = Bthome.decode_input(None, bytes.fromhex("40" + example), {})
    assert reading == Reading(name, value, unit)  # type: ignore[arg-type]  # a parameter is an object


def test_every_number_of_the_table_is_looked_at_above() -> None:
    (test,) = [mark for mark in test_every_object.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]  # pytest's own
    assert {bytes.fromhex(example)[0] for example, *_ in test.args[1]} >= NUMBERS.keys() - {0}


@pytest.mark.parametrize("id_", BINARY)
def test_every_binary_sensor(id_: int) -> None:
    for raw, value in ((0, False), (1, True)):
        assert Bthome.decode_input(None, bytes([0x40, id_, raw]), {}) == [Reading(BINARY[id_], value)]


def test_a_dimmer_says_how_far_it_was_turned() -> None:
    """bthome.io/format, events: 3C0103 is rotate left 3 steps."""
    found = Bthome.decode_input(None, bytes.fromhex("403C0103"), {})
    assert found == [Reading("dimmer_event", "rotate_left"), Reading("dimmer_steps", 3, "count")]


def test_of_several_buttons_those_that_were_not_pressed_say_nothing() -> None:
    """bthome.io/format, multiple events: 3A003A01 is no event of the first button, and a press of the second."""
    driver = bthome()
    assert said(driver.decode(plain("3A003A01"))) == {"button_event_2": "press"}
    assert driver.decode(plain("3A00")) == []
    assert driver.quantities() == {"button_event_2": Quantity(kind="event")}


def test_one_quantity_in_two_units_is_numbered_too() -> None:
    assert said(bthome().decode(plain("0C020C4A020C"))) == {"voltage_1": 3.074, "voltage_2": 307.4}


@pytest.mark.parametrize(
    ("objects", "found"),
    [
        ("02CA0903BF", {"temperature": 25.06}),  # cut off in the second object
        ("02CA09530C4865", {"temperature": 25.06}),  # a text shorter than it says
        ("02CA0953", {"temperature": 25.06}),
        ("02CA095302C328", {"temperature": 25.06}),  # not UTF-8
        ("02CA093AFE", {"temperature": 25.06}),  # no such event
    ],
)
def test_what_makes_no_sense_costs_only_itself(objects: str, found: dict[str, object]) -> None:
    assert said(bthome().decode(plain(objects))) == found


def test_a_packet_is_one_sample_however_often_it_is_sent() -> None:
    driver = bthome()
    heard = [said(driver.decode(plain(objects))) for objects in ("00093A01", "00093A01", "000A3A01", "00093A01")]
    assert [one.get("packet_id") for one in heard] == [9, None, 10, 9]


def test_what_is_not_numbered_is_never_a_repeat() -> None:
    driver = bthome()
    assert all(said(driver.decode(plain("02CA09"))) == {"temperature": 25.06} for _ in range(3))


def test_how_strong_it_was_heard_and_what_firmware_it_has() -> None:
    driver = bthome()
    assert driver.decode(plain("0161F100010204"))[-1] == Reading("rssi", -70, "dBm")
    assert driver.identity() == {"firmware": "4.2.1.0"}


def test_counters_only_grow() -> None:
    driver = bthome(KEY)
    assert said(driver.decode(sealed("02CA09", 7))) == {"temperature": 25.06}
    assert driver.decode(sealed("02CA09", 7)) == []
    with pytest.raises(DecodeError, match="counter 6 comes after 7: somebody repeats old adverts, or its battery"):
        driver.decode(sealed("02CA09", 6))
    assert said(driver.decode(sealed("02CF09", 8))) == {"temperature": 25.11}


def test_a_stranger_does_not_move_the_counter() -> None:
    driver = bthome(KEY)
    with pytest.raises(DecodeError, match="not encrypted with this key"):
        driver.decode(sealed("02CA09", 1000, key="0" * 32))
    assert said(driver.decode(sealed("02CA09", 7))) == {"temperature": 25.06}


def test_one_packet_under_two_counters_is_one_sample() -> None:
    driver = bthome(KEY)
    assert said(driver.decode(sealed("00093A01", 1))) == {"packet_id": 9, "button_event": "press"}
    assert driver.decode(sealed("00093A01", 2)) == []


def test_a_device_with_a_key_is_not_believed_in_plain_text() -> None:
    with pytest.raises(DecodeError, match="not encrypted although there is a key for it"):
        bthome(KEY).decode(plain("02CA09"))


def test_an_encrypted_device_needs_a_key() -> None:
    with pytest.raises(DecodeError, match="encrypted; write bindkey_file: NAME"):
        bthome().decode(sealed("02CA09", 1))


def test_every_turned_bit_of_an_encrypted_advert_is_refused() -> None:
    data = sealed("02CA0903BF13", 7).service[SERVICE]
    told = {"bindkey": KEY, "address": ADDRESS}
    assert said(Bthome.decode_input(None, data, told)) == {"temperature": 25.06, "humidity": 50.55}
    for bit in range(8 * len(data)):
        turned = bytearray(data)
        turned[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecodeError):
            Bthome.decode_input(None, bytes(turned), told)


def test_a_real_button_with_a_key() -> None:
    """github.com/Bluetooth-Devices/bthome-ble tests/test_parser_v2.py, test_encrypted_shelly_blu_button_event."""
    told = {"bindkey": "90bffd73cb6b26ef58a7a8eba9232036", "address": "B4:35:22:F5:3D:A4"}
    found = Bthome.decode_input(None, bytes.fromhex("450aeb84467f85ba0100003188788c"), told)
    assert [r.name for r in found] == ["packet_id", "battery", "button_event"]


@pytest.mark.parametrize(
    ("data", "told", "wrong"),
    [
        ("", {}, "nothing is not of version 2"),
        ("2002CA09", {}, "20 is not of version 2"),
        ("40", {}, "no object is known in an empty payload"),
        ("4200112233", {}, "cut off inside its address"),
        ("4111223344", {"bindkey": KEY}, "too few to be encrypted"),
        ("41a47266c95f730011223378237214", {"bindkey": KEY}, "add --context address=ADDRESS"),
        ("41a47266c95f730011223378237214", {"bindkey": "12"}, "bindkey is no key"),
        ("403A00", {}, "nothing new"),
        ("4002CA09", {"company_id": "0x0499"}, "without data of service 0000fcd2"),
        ("4002CA09", {"company_id": "Ruuvi"}, "company_id='Ruuvi' is not a number"),
        ("4002CA09", {"service_uuid": "fcd"}, "service_uuid: 'fcd' is not a UUID"),
        ("4002CA09", {"address": "A4:C1"}, "address=A4:C1 is not the address"),
    ],
)
def test_what_is_refused(data: str, told: dict[str, str], wrong: str) -> None:
    with pytest.raises(DecodeError, match=wrong):
        Bthome.decode_input(None, bytes.fromhex(data), told)


def test_the_key_is_the_text_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (tmp_path / "secrets").mkdir()
    file = tmp_path / "secrets/tag"
    told = {"address": ADDRESS, "bindkey_file": "tag"}
    file.write_text(KEY.upper() + "\n")
    file.chmod(0o600)
    options = KeyedRadioOptions.model_validate(told, context={"base": tmp_path})
    assert options.key == bytes.fromhex(KEY)
    assert KEY.upper() not in repr(options)
    file.write_text("not a key")
    with pytest.raises(ValidationError, match="holds no key; write the device's, 32 hexadecimal digits"):
        KeyedRadioOptions.model_validate(told, context={"base": tmp_path})
