"""Characteristics of the Bluetooth SIG by its specifications, and by frames that others have published."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from drivers.codecs.radio_peer import long_uuid
from drivers.codecs.sig_characteristics import CHARACTERISTICS, Identity
from gateway import DecodeError, Reading
from gateway.units import is_senml, is_ucum
from tests.drivers.codecs.broken import damaged, random_inputs

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/sig.json").read_text("utf-8"))["vectors"]

NORDIC_PRESSURE = (
    "1e8a0058007800 00000411 14293b 3c00 01 2700"  # Android-BLE-Common-Library, BloodPressure…CallbackTest
)
BEURER = "0e783eea07050c12353601ee002607"
CHOICEMMED = "1761006000e10701010122132000200000"


def told(uuid: str, data: str) -> list[Reading]:
    return CHARACTERISTICS[long_uuid(uuid)].decode(bytes.fromhex(data))


def values(uuid: str, data: str) -> dict[str, Any]:
    return {r.name: r.value for r in told(uuid, data)}


def suspect(uuid: str, data: str) -> set[str]:
    return {r.name for r in told(uuid, data) if r.quality == "suspect"}


# Heart Rate Service 1.0; the frames are those of Nordic's and Polar's own tests.


def test_energy_and_intervals_of_a_rate_in_two_bytes() -> None:
    found = told("2a37", "1f0101320101000201ffff")
    assert [(r.name, r.value, r.unit) for r in found] == [
        ("heart_rate", 257, "beat/min"),
        ("sensor_contact", True, None),
        ("rr_interval", 1 / 1024, "s"),
        ("rr_interval", 258 / 1024, "s"),
        ("rr_interval", 65535 / 1024, "s"),
        ("energy_expended", 306_000, "J"),
    ]


def test_beats_are_as_far_apart_as_their_intervals_say_and_the_last_is_now() -> None:
    # 800, 900 and 1000 counts of 1/1024 s: the beat before the last came by the last interval earlier.
    found = [r for r in told("2a37", "10482003 8403 e803") if r.name == "rr_interval"]
    assert [(r.value, r.at) for r in found] == [
        (800 / 1024, -1900 / 1024),
        (900 / 1024, -1000 / 1024),
        (1000 / 1024, 0),
    ]
    assert told("2a37", "10480000")[1:] == [Reading("rr_interval", 0.0, "s", at=0.0)]


@pytest.mark.parametrize(
    ("data", "doubted"),
    [
        ("0648", set()),
        ("0448", {"heart_rate"}),  # contact is told, and there is none
        ("0248", set()),  # contact is not told: what its bit says means nothing
        ("14480004", {"heart_rate", "rr_interval"}),
        ("0848ffff", {"energy_expended"}),  # stays so until it is reset
    ],
)
def test_without_contact_a_rate_is_suspect(data: str, doubted: set[str]) -> None:
    assert suspect("2a37", data) == doubted
    assert ("sensor_contact" in values("2a37", data)) == bool(int(data[:2], 16) & 4)


@pytest.mark.parametrize("data", ["", "00", "0148", "0848", "084800", "1048", "104800", "10480001ff"])
def test_a_heart_rate_that_is_cut_is_refused(data: str) -> None:
    with pytest.raises(DecodeError, match="heart rate"):
        told("2a37", data)


def test_codes_by_name_and_those_nobody_knows() -> None:
    assert told("2a38", "05") == [Reading("sensor_location", "ear lobe")]
    assert told("2a38", "07") == [Reading("sensor_location", "7", quality="suspect")]
    assert told("2a1d", "09") == [Reading("site", "tympanum")]
    assert told("2a1d", "00") == [Reading("site", "0", quality="suspect")]
    assert told("2aa3", "09") == [Reading("pressure_trend", "steady")]
    for uuid in ("2a38", "2a1d", "2aa3"):
        for data in ("", "0101"):
            with pytest.raises(DecodeError):
                told(uuid, data)


# Health Thermometer Service 1.0


def test_a_temperature_in_fahrenheit_and_one_that_is_not_final() -> None:
    assert told("2a1c", "01da0300ff") == [Reading("temperature", 98.6, "[degF]")]
    assert told("2a1e", "006c0100ff") == [Reading("intermediate_temperature", 36.4, "Cel")]


@pytest.mark.parametrize("special", ["ffff7f00", "00008000", "01008000", "feff7f00", "02008000"])
def test_what_is_no_temperature_is_left_out(special: str) -> None:
    assert told("2a1c", "00" + special) == []
    assert told("2a1c", f"04{special}01") == [Reading("site", "armpit")]


@pytest.mark.parametrize(
    ("clock", "time"),
    [
        ("dc07 0c 05 0b 32 1b", "2012-12-05T11:50:27"),
        ("0000 0c 05 0b 32 1b", None),  # year not known
        ("dc07 00 05 0b 32 1b", None),  # month not known
        ("dc07 0c 00 0b 32 1b", None),  # day not known
        ("dc07 0d 05 0b 32 1b", None),
        ("dd07 02 1d 0b 32 1b", None),  # 29 February 2013
        ("dc07 02 1d 17 3b 3b", "2012-02-29T23:59:59"),
        ("dc07 02 1d 18 00 00", None),
        ("2d06 0c 05 0b 32 1b", None),  # 1581
        ("2e06 0c 05 0b 32 1b", "1582-12-05T11:50:27"),
    ],
)
def test_a_time_that_is_not_known_costs_the_measurement_nothing(clock: str, time: str | None) -> None:
    found = values("2a1c", f"02 6c0100ff {clock}")
    assert found == {"temperature": 36.4} | ({"timestamp": time} if time else {})


# Pulse Oximeter Service 1.0.1


def test_fast_slow_and_pulse_amplitude_of_a_continuous_measurement() -> None:
    # all flags: normal, fast, slow, status 0100 (validated), sensor 000001, amplitude 12.5
    data = "1f 6000 4800 6100 4900 5f00 4700 8000 010000 7df0"
    assert values("2a5f", data) == {
        "spo2": 96, "pulse_rate": 72, "spo2_fast": 97, "pulse_rate_fast": 73, "spo2_slow": 95, "pulse_rate_slow": 71,
        "pulse_amplitude": 12.5, "measurement_status": 0x80, "sensor_status": 1,
    }  # fmt: skip
    assert suspect("2a5f", data) == set()


def test_what_an_oximeter_doubts_is_suspect() -> None:
    assert suspect("2a5f", "04 6000 4800 0040") == {"spo2", "pulse_rate"}  # questionable measurement
    assert suspect("2a5f", "04 6000 4800 2000") == set()  # goes on
    assert suspect("2a5f", "08 6000 4800 000800") == {"spo2", "pulse_rate"}  # sensor not on the user
    assert suspect("2a5f", "08 6000 4800 000200") == set()  # still analysing
    assert told("2a5f", "00 ff07 0008") == []  # neither is a number


def test_a_time_of_a_clock_that_is_not_set_is_suspect() -> None:
    assert "timestamp" in suspect("2a5e", CHOICEMMED)
    found = {r.name: r for r in told("2a5e", "01 6100 6000 e107010101 2213")}
    assert (found["timestamp"].quality, found["clock_set"].value) == ("good", True)
    assert "clock_set" not in values("2a5e", "00 6100 6000")


# Weight Scale Service 1.0.1, Blood Pressure Service 1.1.1


def test_a_failed_weighing_has_no_weight_and_an_unknown_user_no_number() -> None:
    assert told("2a9d", "06 ffff ea07050c123536 ff") == [Reading("timestamp", "2026-05-12T18:53:54")]
    assert values("2a9d", BEURER)["weight"] == 79.96


def test_imperial_scales_tell_height_in_inches() -> None:
    found = told("2a9d", "09 543d e600 c302")
    assert [(r.name, r.value, r.unit) for r in found] == [
        ("weight", 157.0, "[lb_av]"), ("bmi", 23.0, "kg/m2"), ("height", 70.7, "[in_i]"),
    ]  # fmt: skip


def test_a_blood_pressure_with_everything() -> None:
    found = told("2a35", NORDIC_PRESSURE)
    assert [(r.name, r.value, r.unit) for r in found] == [
        ("systolic", 138, "mm[Hg]"), ("diastolic", 88, "mm[Hg]"), ("mean_arterial", 120, "mm[Hg]"),
        ("pulse_rate", 60, "beat/min"), ("user", 1, None), ("measurement_status", 0x27, None),
    ]  # fmt: skip
    # it moved, the cuff was loose, the position was wrong
    assert suspect("2a35", NORDIC_PRESSURE) == {"systolic", "diastolic", "mean_arterial", "pulse_rate"}
    assert suspect("2a35", "10 8a00 5800 7800 0400") == set()  # an irregular pulse is a finding, not a doubt


def test_the_pressure_of_a_cuff_that_is_still_inflated() -> None:
    assert told("2a36", "01 6ff0 ff07 ff07") == [Reading("cuff_pressure", 11_100, "Pa")]
    assert told("2a36", "00d7f000000000") == [Reading("cuff_pressure", 21.5, "mm[Hg]")]


@pytest.mark.parametrize(
    "data", ["03020304050607", "04 8a00 5800 7800 3c", "08 8a00 5800 7800", "10 8a00 5800 7800 01"]
)
def test_a_blood_pressure_that_lacks_what_its_flags_promise_is_refused(data: str) -> None:
    with pytest.raises(DecodeError, match="blood pressure"):
        told("2a35", data)


# Environmental Sensing Service 1.0.1, Battery Service 1.0; ranges and codes of the GATT Specification Supplement


@pytest.mark.parametrize(
    ("uuid", "data", "name", "value", "unit"),
    [
        ("2a6c", "98b9ff", "elevation", -180.24, "m"),
        ("2a71", "9f8c", "wind_direction", 359.99, "deg"),
        ("2a73", "2823", "apparent_wind_direction", 90.0, "deg"),
        ("2a72", "1a04", "apparent_wind_speed", 10.5, "m/s"),
        ("2a74", "0f", "gust_factor", 1.5, None),
        ("2a75", "a08601", "pollen", 100_000, "/m3"),
        ("2a76", "0b", "uv_index", 11, None),
        ("2a77", "1027", "irradiance", 1000.0, "W/m2"),
        ("2a78", "0c00", "rainfall", 0.012, "m"),
        ("2a79", "ec", "wind_chill", -20, "Cel"),
        ("2a7a", "2a", "heat_index", 42, "Cel"),
        ("2a2c", "e803", "magnetic_declination", 10.0, "deg"),
        ("2afb", "feffff", "illuminance", 167772.14, "lx"),
        ("2afb", "ffffff", "illuminance", None, None),
        ("2b8c", "fdff", "co2", 65533, "ppm"),
        ("2b8c", "feff", "co2", None, None),  # so much or more
        ("2b8c", "ffff", "co2", None, None),
        ("2be7", "2c01", "voc", 300, "ppb"),
        ("2be4", "37", "noise", 55, "dB[SPL]"),
        ("2be4", "fe", "noise", None, None),
        ("2a6d", "ffffffff", "pressure", 429496729.5, "Pa"),
    ],
)
def test_environment(uuid: str, data: str, name: str, value: float | None, unit: str | None) -> None:
    found = [r for r in told(uuid, data) if r.quality == "good"]
    assert found == ([] if value is None else [Reading(name, value, unit)])


def test_magnetic_flux_density_by_its_axes() -> None:
    assert told("2aa1", "f401 0cfe 0000") == [
        Reading("magnetic_flux_density.x", 0.00005, "T"),
        Reading("magnetic_flux_density.y", -0.00005, "T"),
        Reading("magnetic_flux_density.z", 0.0, "T"),
    ]
    assert len(told("2aa0", "f4010cfe")) == 2


@pytest.mark.parametrize(("uuid", "data"), [("2a6e", "0180"), ("2a6f", "1127"), ("2a71", "a08c"), ("2a2c", "ffff")])
def test_what_the_supplement_does_not_allow_is_suspect(uuid: str, data: str) -> None:
    assert [r.quality for r in told(uuid, data)] == ["suspect"]


@pytest.mark.parametrize(
    ("uuid", "data"),
    [
        ("2a6e", "64"),
        ("2a6e", "640800"),
        ("2afb", "1027"),
        ("2aa1", "f4010cfe"),
        ("2a19", "65"),
        ("2a19", ""),
        ("2a19", "6400"),
    ],
)
def test_a_value_of_another_length_or_a_reserved_one_is_refused(uuid: str, data: str) -> None:
    with pytest.raises(DecodeError):
        told(uuid, data)


# Device Information Service 1.1


def test_who_a_device_says_it_is() -> None:
    known = Identity()
    assert known.told() == {}
    assert not known.learn(long_uuid("2a37"), b"\0\x48")
    for uuid, data in (
        ("2a29", b"Polar Electro Oy"),
        ("2a24", b"H10\0\0"),
        ("2a25", b" 8C4CAD2E "),
        ("2a26", b"\xff\xfe"),
    ):
        assert known.learn(long_uuid(uuid), data)
    assert known.told() == {"model": "Polar Electro Oy H10", "serial": "8C4CAD2E", "firmware": None}
    known.learn(long_uuid("2a24"), b"Polar Electro Oy H9")
    assert known.told()["model"] == "Polar Electro Oy H9"


# All of them


def test_every_quantity_has_a_unit_that_there_is_and_is_announced() -> None:
    for vector in VECTORS:
        characteristic = CHARACTERISTICS[long_uuid(vector["context"]["characteristic_uuid"])]
        if vector["expected"]:
            found = characteristic.decode(bytes.fromhex(vector["input_hex"]))
            assert {r.name for r in found} <= characteristic.quantities.keys()
    for characteristic in CHARACTERISTICS.values():
        for quantity in characteristic.quantities.values():
            assert quantity.unit is None or is_senml(quantity.unit) or is_ucum(quantity.unit)


def same_or_refused(uuid: str, data: bytes) -> None:
    try:
        readings = CHARACTERISTICS[uuid].decode(data)
    except DecodeError as error:
        said = str(error)
    else:
        said = ""
        assert {r.name for r in readings} <= CHARACTERISTICS[uuid].quantities.keys()
        assert all(type(r.value) in (int, float, bool, str) for r in readings)
    assert "\n" not in said


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_every_truncation_and_flip_of_a_vector_is_told_or_refused(vector: dict[str, Any]) -> None:
    for data in damaged(bytes.fromhex(vector["input_hex"])):
        same_or_refused(long_uuid(vector["context"]["characteristic_uuid"]), data)


def test_a_truncation_of_a_measurement_is_never_told_as_whole() -> None:
    for vector in VECTORS:
        uuid = long_uuid(vector["context"]["characteristic_uuid"])
        data = bytes.fromhex(vector["input_hex"])
        for cut in (data[:n] for n in range(len(data)) if vector["expected"]):
            with pytest.raises(DecodeError):
                CHARACTERISTICS[uuid].decode(cut)


def test_random_bytes_are_told_or_refused() -> None:
    chance = random.Random(11)
    uuids = sorted(CHARACTERISTICS)
    for data in random_inputs(chance, longest=24):
        same_or_refused(chance.choice(uuids), data)
