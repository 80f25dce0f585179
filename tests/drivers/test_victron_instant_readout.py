"""Victron Instant Readout: records of each kind, and keys that are not the device's."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from pydantic import SecretStr

from drivers.codecs.bindkey import KeyedRadioOptions
from drivers.victron_instant_readout import VictronInstantReadout
from gateway import Advert, DecodeError, Quantity, Reading

KEY = "aff4d0995b7d1e176c0c33ecb9e70dcd"
MONITOR = "100289a302b040af925d09a4d89aa0128bdef48c6298a9"  # with that key
ADDRESS = "C0:FF:EE:00:00:01"
NO_LINK: Any = None  # what is heard is given


def sealed(kind: int, record: str, nonce: int = 0x40B0) -> bytes:
    """An advert as a device makes it, of a record in clear."""
    counter = nonce.to_bytes(16, "little")
    cipher = Cipher(algorithms.AES(bytes.fromhex(KEY)), modes.CTR(counter)).encryptor()
    head = bytes([0x10, 0x02, 0x89, 0xA3, kind]) + nonce.to_bytes(2, "little") + bytes.fromhex(KEY[:2])
    return head + cipher.update(bytes.fromhex(record))


def said(kind: int, record: str) -> dict[str, object]:
    found = VictronInstantReadout.decode_input(None, sealed(kind, record), {"bindkey": KEY})
    return {r.name: r.value for r in found}


# github.com/keshavdv/victron-ble @c721522 tests: records in clear and what the devices meant


@pytest.mark.parametrize(
    ("kind", "record", "values"),
    [
        (0x01, "04006c050e000300130000fe409ac069", {"voltage": 13.88, "current": 1.4, "yield_today": 30}),
        (0x01, "0300f80402000200030000fe8c9a5572", {"state": "bulk", "load_current": 0}),
        (0x01, "0300fb09650032000901ffff31bc45ad", {"voltage": 25.55, "current": 10.1, "pv_power": 265}),
        (0x02, "ffffe50400000000030000f40140df03", {"voltage": 12.53, "current": 0, "consumed_charge": -50}),
        (0x02, "ffffe6040000feff010000000080fe0c", {"midpoint_voltage": 655.34}),
        (0x02, "ffffe6040000feff000000000080feac", {"starter_voltage": -0.02}),
    ],
)
def test_records_of_real_devices(kind: int, record: str, values: dict[str, object]) -> None:
    found = said(kind, record)
    assert {name: found[name] for name in values} == values


def test_what_is_not_available_is_left_out() -> None:
    assert "load_current" not in said(0x01, "0300fb09650032000901ffff31bc45ad")
    assert set(said(0x02, "ffffe50400000000030000f40140df03")) == {
        *("voltage", "alarm", "current", "consumed_charge", "state_of_charge")
    }
    with pytest.raises(DecodeError, match="the record is whole and says nothing"):
        said(0x01, "ffffff7fff7fffffffffff01")  # a solar charger in which nothing is available


def test_signs_and_offsets() -> None:
    """Extra Manufacturer Data: battery current of 22 bits, VE.Bus temperature from -40 Cel, kelvin of the auxiliary."""
    minus_one_milliampere_and_more = (1 << 22) - 2  # -2 mA; all ones are not available
    aux_mode = 2
    bits = 0xFFFF | 1253 << 16 | 29315 << 48 | aux_mode << 64 | minus_one_milliampere_and_more << 66
    found = said(0x02, bits.to_bytes(16, "little").hex())
    assert (found["temperature"], found["current"]) == (20, -0.002)
    vebus = 4 | 0 << 8 | 0xFFF6 << 16 | 2650 << 32 | 1 << 46 | (1 << 19) - 100 << 48 | 65 << 88
    found = said(0x0C, vebus.to_bytes(16, "little").hex())
    assert (found["current"], found["voltage"], found["ac_input"], found["ac_input_power"], found["temperature"]) == (
        *(-1, 26.5, "ac_in_2", -100),
        25,
    )


def test_a_state_nobody_has_named_is_its_number() -> None:
    found = VictronInstantReadout.decode_input(None, sealed(0x01, "c8" + "00" * 15), {"bindkey": KEY})
    assert found[0] == Reading("state", "200", quality="suspect")


def test_a_device_and_its_key() -> None:
    driver = VictronInstantReadout(KeyedRadioOptions(address=ADDRESS, bindkey_file=SecretStr(KEY)), NO_LINK)
    found = driver.decode(Advert(ADDRESS, rssi=-50, company={0x02E1: bytes.fromhex(MONITOR)}))
    assert found[0] == Reading("voltage", 12.53, "V")
    assert found[-1] == Reading("rssi", -50, "dBm")
    assert driver.identity() == {"model": "0xA389"}
    assert driver.quantities()["alarm"] == Quantity(kind="state")


@pytest.mark.parametrize(
    ("data", "told", "wrong"),
    [
        (MONITOR, {}, "encrypted; write bindkey_file: NAME at the device"),
        (MONITOR, {"bindkey": "0" * 32}, "encrypted with another key; compare the file"),
        (MONITOR, {"bindkey": "0"}, "bindkey is no key"),
        (MONITOR[:-20], {"bindkey": KEY}, "a record of 5 bytes, not 15; it was cut off"),
        (MONITOR[:8], {"bindkey": KEY}, "no Instant Readout in 10"),
        ("02" + MONITOR[2:], {"bindkey": KEY}, "no Instant Readout in 02"),
        (MONITOR[:8] + "EE" + MONITOR[10:], {"bindkey": KEY}, "records of kind 0xEE are not known"),
    ],
)
def test_what_is_refused(data: str, told: dict[str, str], wrong: str) -> None:
    with pytest.raises(DecodeError, match=wrong):
        VictronInstantReadout.decode_input(None, bytes.fromhex(data), told)
