"""Ruuvi's sensors: the specification's own vectors at the ends of the ranges, and what is new in what is repeated."""

import time
from typing import Any

import pytest

from drivers.codecs.radio_peer import RadioOptions
from drivers.ruuvi import Ruuvi
from gateway import Advert, DecodeError, Quantity, Reading

ADDRESS = "CB:B8:33:4C:88:4F"
TAG = bytes.fromhex("0512fc5394c37c0004fffc040cac364200cdcbb8334c884f")  # format 5, sequence 205
AIR = bytes.fromhex("06170c5668c79e007000c90501d9ffcd004c884f")  # format 6, sequence 205
EXTENDED = bytes.fromhex("e1170c5668c79e0065007004bd11ca00c90a0213e0acffffffdecdee01ffffffffffcbb8334c884f")
NO_LINK: Any = None  # what is heard is given


def ruuvi() -> Ruuvi:
    return Ruuvi(RadioOptions(address=ADDRESS), NO_LINK)


def advert(data: bytes) -> Advert:
    return Advert(ADDRESS, rssi=-60, company={0x0499: data})


def tag(sequence: int) -> Advert:
    return advert(TAG[:16] + sequence.to_bytes(2) + TAG[18:])


def air(sequence: int) -> Advert:
    return advert(AIR[:15] + bytes([sequence % 256]) + AIR[16:])


def extended(sequence: int) -> Advert:
    return advert(EXTENDED[:25] + sequence.to_bytes(3) + EXTENDED[28:])


def sequences(driver: Ruuvi, adverts: list[Advert]) -> list[object]:
    """What each advert says its number is; None where it says nothing new."""
    told = [{r.name: r.value for r in driver.decode(frame)} for frame in adverts]
    return [one.get("sequence") if one else None for one in told]


# docs.ruuvi.com: data format 5, minimum values; data formats 6 and E1, maximum and minimum values


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            "058001000000008001800180010000000000cbb8334c884f",
            {"temperature": -163.835, "humidity": 0, "pressure": 50000, "acceleration_x": -32.767, "tx_power": -40}
            | {"battery_voltage": 1.6, "movement_counter": 0, "sequence": 0},
        ),
        (
            "067fff9c40fffe27109c40fafafeffff074c8f4f",
            {"temperature": 163.835, "humidity": 100, "pressure": 115534, "pm2_5": 1000, "co2": 40000}
            | {"voc_index": 500, "nox_index": 500, "illuminance": 65535, "sequence": 255, "calibrating": True},
        ),
        (
            "0680010000000000000000000000ff00004c884f",
            {"temperature": -163.835, "humidity": 0, "pressure": 50000, "pm2_5": 0, "co2": 0}
            | {"voc_index": 0, "nox_index": 0, "illuminance": 0, "sequence": 0, "calibrating": False},
        ),
        (
            "e17fff9c40fffe27102710271027109c40fafadc28f0fffffffffffe3fffffffffffcbb8334c884f",
            {"temperature": 163.835, "humidity": 100, "pressure": 115534, "pm1_0": 1000, "pm2_5": 1000, "pm4_0": 1000}
            | {"pm10": 1000, "co2": 40000, "voc_index": 500, "nox_index": 500, "illuminance": 144284}
            | {"sequence": 16777214, "calibrating": True},
        ),
        (
            "e1800100000000000000000000000000000000000000ffffff00000000ffffffffffcbb8334c884f",
            {"temperature": -163.835, "humidity": 0, "pressure": 50000, "pm1_0": 0, "pm10": 0, "co2": 0}
            | {"voc_index": 0, "nox_index": 0, "illuminance": 0, "sequence": 0, "calibrating": False},
        ),
    ],
)
def test_the_ends_of_the_ranges(data: str, said: dict[str, float]) -> None:
    found = {r.name: r.value for r in Ruuvi.decode_input(None, bytes.fromhex(data), {})}
    assert {name: found[name] for name in said} == said


def test_the_lowest_bits_of_voc_and_nox_stand_in_the_flags() -> None:
    found = {r.name: r.value for r in Ruuvi.decode_input(None, AIR[:16] + b"\xc0" + AIR[17:], {})}
    assert (found["voc_index"], found["nox_index"]) == (11, 3)


@pytest.mark.parametrize(("code", "lux"), [(0x00, 0), (0x01, 0.04), (0x10, 1.01), (0x7E, 244.06), (0xFE, 65535)])
def test_light_is_logarithmic(code: int, lux: float) -> None:
    """The formula and examples of docs.ruuvi.com, data format 6, luminosity; 244.06 stands beside 0x80 there."""
    found = {r.name: r.value for r in Ruuvi.decode_input(None, AIR[:13] + bytes([code]) + AIR[14:], {})}
    assert found["illuminance"] == pytest.approx(lux, abs=0.005)


def test_a_measurement_is_one_sample_however_often_it_is_sent() -> None:
    numbers = sequences(ruuvi(), [tag(n) for n in (205, 205, 206, 206, 206, 207)])
    assert numbers == [205, None, 206, None, None, 207]


def test_a_tag_that_restarts_is_heard() -> None:
    assert sequences(ruuvi(), [tag(n) for n in (65534, 0, 1, 0)]) == [65534, 0, 1, 0]


def test_what_is_not_numbered_is_never_a_repeat() -> None:
    driver = ruuvi()
    assert all(driver.decode(tag(0xFFFF)) for _ in range(3))
    old = advert(bytes.fromhex("03291a1ece1efc18f94202ca0b53"))
    assert all(driver.decode(old) for _ in range(3))


def test_an_air_that_is_heard_in_full_is_not_heard_in_short() -> None:
    numbers = sequences(ruuvi(), [extended(511), air(511), air(511), extended(512), air(512), air(513), extended(513)])
    assert numbers == [511, None, None, 512, None, None, 513]


def test_an_air_without_extended_adverts_is_heard_in_short() -> None:
    assert sequences(ruuvi(), [air(254), air(254), air(255), air(256), air(257)]) == [254, None, 255, 0, 1]


def test_an_air_whose_extended_adverts_are_lost_is_heard_in_short_again() -> None:
    driver = ruuvi()
    assert sequences(driver, [extended(250), *(air(n) for n in range(251, 258))]) == [250, *[None] * 4, 255, 0, 1]
    assert sequences(driver, [extended(258), air(258), air(259)]) == [258, None, None]


def test_how_strong_it_was_heard_and_who_it_is() -> None:
    driver = ruuvi()
    assert driver.identity() == {}
    assert driver.decode(tag(1))[-1] == Reading("rssi", -60, "dBm")
    assert driver.identity() == {"serial": ADDRESS}


def test_what_is_no_measurement_is_known_when_the_kind_of_device_is() -> None:
    driver = ruuvi()
    assert set(driver.quantities()) == {"temperature", "humidity", "pressure"}
    driver.decode(tag(1))
    assert driver.quantities()["movement_counter"] == Quantity("count", "counter")
    driver.decode(extended(1))
    assert driver.quantities()["calibrating"] == Quantity(kind="state")


@pytest.mark.parametrize(
    ("advert", "said"),
    [
        (Advert(ADDRESS, company={0x004C: TAG}), "without manufacturer data of company 0x0499: it has company 0x004C"),
        (Advert(ADDRESS), "it has no data"),
        (Advert(ADDRESS, company={0x0499: b""}), "Ruuvi format missing"),
        (Advert(ADDRESS, company={0x0499: b"\x08" + TAG}), "Ruuvi format 08 is not known here"),
        (Advert(ADDRESS, company={0x0499: TAG + b"\0"}), "25 bytes that begin with 05, not 24"),
    ],
)
def test_what_is_refused(advert: Advert, said: str) -> None:
    with pytest.raises(DecodeError, match=said):
        ruuvi().decode(advert)


def test_what_is_refused_does_not_hide_what_comes_after() -> None:
    driver = ruuvi()
    with pytest.raises(DecodeError):
        driver.decode(advert(TAG[:-1]))
    assert driver.decode(advert(TAG))


def test_an_advert_takes_a_hundredth_of_a_millisecond_at_most() -> None:
    driver, frames = ruuvi(), [tag(n) for n in range(2000)]
    costs = []
    for _ in range(3):
        began = time.process_time()
        for frame in frames:
            driver.decode(frame)
        costs.append((time.process_time() - began) / len(frames))
    assert min(costs) < 10e-6
