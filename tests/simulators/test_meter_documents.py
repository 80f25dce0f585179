"""Simulated meters, boards and SunSpec devices against their vendors' documents and public captures."""

import math
import struct
from typing import Any

import pytest

from simulators.catalog import load
from simulators.modbus_slave import Rtu, Slave, crc16

H = bytes.fromhex
LOAD = {"voltage": 230, "current": 10, "power_factor": 0.9, "frequency": 50}


def device(name: str, seed: int = 0, unit_id: int = 1, **settings: object) -> Slave:
    return load(name).build(unit_id, seed, {key: str(value) for key, value in settings.items()})


def frame(slave: Slave, request: str, now: float = 0.0) -> str:
    """One RTU request in, the answer as it is on the wire."""
    (asked,), rest = Rtu().split(H(request))
    assert not rest
    return Rtu().join(asked, slave.answer(asked.pdu, now)).hex()


def ask(request: str) -> str:
    return request + crc16(H(request)).hex()


def read(slave: Slave, address: int, code: str, function: int = 3, now: float = 0.0) -> Any:
    """The raw value at an address, `code` for struct; with ~ the low word first."""
    size = struct.calcsize(">" + code.rstrip("~"))
    answer = slave.answer(struct.pack(">BHH", function, address, size // 2), now)
    assert answer[:2] == bytes((function, size)), f"nothing at {address:#06x}: {answer.hex()}"
    data = answer[2:]
    if code.endswith("~"):
        data = b"".join(data[place : place + 2] for place in range(size - 2, -1, -2))
    return struct.unpack(">" + code.rstrip("~"), data)[0]


def told(slave: Slave, function: int, address: int, count: int) -> dict[str, str]:
    """What the truth would say of a read."""
    request = struct.pack(">BHH", function, address, count)
    return {name: text for name, _, text in slave.given(request, slave.answer(request, 0))}


# --- Eastron


def test_sdm230_has_what_the_sdm120_has_and_more() -> None:
    pinned = LOAD | {"energy_import": 1180.5, "energy_export": 12.25}
    one, other = device("eastron_sdm120", **pinned), device("eastron_sdm230", **pinned)
    for address in (0x0000, 0x0006, 0x000C, 0x0012, 0x0018, 0x001E, 0x0046, 0x0048, 0x004A, 0x0156):
        assert read(other, address, "f", 4) == read(one, address, "f", 4)
    assert read(other, 0x0024, "f", 4) == pytest.approx(math.degrees(math.acos(0.9)), rel=1e-6)
    assert read(other, 0x0180, "f", 4) == 1192.75
    assert read(other, 0x001C, "f") == 2  # 9600 baud
    assert one.answer(H("04 0024 0002"), 0) == H("84 02")


def test_sdm72_has_a_part_of_the_sdm630_at_the_same_addresses() -> None:
    pinned = LOAD | {"energy_import": 1180.5, "energy_export": 12.25}
    large, small = device("eastron_sdm630", **pinned), device("eastron_sdm72", **pinned)
    same = (
        *range(0, 0x24, 2),
        0x2A,
        0x2E,
        0x30,
        0x34,
        0x38,
        0x3C,
        0x3E,
        0x46,
        0x48,
        0x4A,
        0xC8,
        0xCE,
        0xE0,
        0x156,
        0x158,
    )
    assert [read(small, at, "f", 4) for at in same] == [read(large, at, "f", 4) for at in same]
    for missing in (0x0024, 0x0042, 0x004C, 0x0054, 0x00EA, 0x015A):
        assert small.answer(struct.pack(">BHH", 4, missing, 2), 0) == H("84 02")
    assert [read(small, at, "f", 4) for at in (0x018C, 0x0500, 0x0502)] == [1168.25, 6210, 0]
    assert [read(device("eastron_sdm72", power=-90), at, "f", 4) for at in (0x0500, 0x0502)] == [0, 90]
    assert small.answer(H("04 0000 0052"), 0) == H("84 03")  # 41 parameters


# --- Carlo Gavazzi and GARO

EM340 = {  # address, struct code, raw value for 230 V, 10 A, power factor 0.9, 50 Hz on each phase
    **{2 * phase: ("i~", 2300) for phase in range(3)},
    **{0x0006 + 2 * pair: ("i~", 3984) for pair in range(3)},  # 398.37 V
    **{0x000C + 2 * phase: ("i~", 10_000) for phase in range(3)},
    **{0x0012 + 2 * phase: ("i~", 20_700) for phase in range(3)},
    **{0x0018 + 2 * phase: ("i~", 23_000) for phase in range(3)},
    **{0x001E + 2 * phase: ("i~", 10_025) for phase in range(3)},
    0x0024: ("i~", 2300),
    0x0026: ("i~", 3984),
    0x0028: ("i~", 62_100),
    0x002A: ("i~", 69_000),
    0x002C: ("i~", 30_076),
    **{0x002E + phase: ("h", 900) for phase in range(4)},
    0x0032: ("h", 0),
    0x0033: ("h", 500),
    0x0034: ("i~", 11_805),
    0x003C: ("i~", 11_805),
    **{0x0040 + 2 * phase: ("i~", 3935) for phase in range(3)},
    0x0046: ("i~", 11_805),
    0x0048: ("i~", 0),
    0x004E: ("i~", 123),  # 12.3 kWh
}


@pytest.mark.parametrize("name", ["carlo_gavazzi_em340", "garo_gnm3d"])
@pytest.mark.parametrize("function", [3, 4])
def test_em340_quantities_stand_where_the_document_says(name: str, function: int) -> None:
    slave = device(name, **LOAD, energy_import=1180.5, energy_export=12.3)
    for address, (code, raw) in EM340.items():
        assert read(slave, address, code, function) == raw, hex(address)


@pytest.mark.parametrize("name", ["carlo_gavazzi_em340", "carlo_gavazzi_et112", "garo_gnm3d"])
def test_gavazzi_voltage_of_a_public_capture(name: str) -> None:
    assert frame(device(name, voltage=233.1), "010300000002c40b") == "010304091b000089a8"


@pytest.mark.parametrize(
    ("name", "longest"), [("carlo_gavazzi_em340", 50), ("garo_gnm3d", 20), ("carlo_gavazzi_et112", 24)]
)
def test_gavazzi_longest_read(name: str, longest: int) -> None:
    slave = device(name)
    assert slave.answer(struct.pack(">BHH", 4, 0, longest), 0)[1] == 2 * longest
    assert slave.answer(struct.pack(">BHH", 4, 0, longest + 1), 0) in (H("84 02"), H("84 03"))
    assert device("garo_gnm3d").answer(H("04 0000 0016"), 0) == H("84 03")


def test_et112_quantities_stand_where_the_document_says() -> None:
    slave = device("carlo_gavazzi_et112", **LOAD, energy_import=1180.5, energy_export=12.3)
    raw = {0: 2300, 2: 10_000, 4: 20_700, 6: 23_000, 8: 10_025, 0x0A: 20_700, 0x0C: 20_700, 0x10: 11_805, 0x20: 123}
    assert {address: read(slave, address, "i~") for address in raw} == raw
    assert [read(slave, 0x0E, "h"), read(slave, 0x0F, "h")] == [900, 500]


def test_gavazzi_negative_power_and_overflow() -> None:
    slave = device("carlo_gavazzi_em340", power_l1=-55.5, current_l2=200)
    assert frame(slave, ask("010300120002"))[6:14] == "fdd5ffff"  # -555, low word first
    assert slave.answer(H("03 000E 0002"), 0)[2:] == H("FFFF 7FFF")
    assert told(slave, 3, 0x000C, 6).keys() == {"current_l1", "current_l3"}
    assert told(slave, 3, 0x0012, 2) == {"power_l1": "-55.5"}
    assert slave.answer(H("03 000F 0002"), 0) == H("83 02")  # two halves


# --- ABB


def test_abb_captures() -> None:
    assert frame(device("abb_b23", power_factor=0.435), ask("01035b3a0001")) == "01030201b3f861"
    assert frame(device("abb_b23", phases=1), ask("01035b3c0001")) == "0103027fffd834"
    assert device("abb_b23", power=2300).answer(H("03 5B14 0002"), 0) == H("03 04 00038270")


def test_abb_quantities_stand_where_the_manual_says() -> None:
    slave = device("abb_b23", **LOAD, energy_import=1180.5, energy_export=12.24)
    expected = {
        **{0x5B00 + 2 * phase: ("I", 2300) for phase in range(3)},
        **{0x5B06 + 2 * pair: ("I", 3984) for pair in range(3)},
        **{0x5B0C + 2 * phase: ("I", 1000) for phase in range(3)},
        0x5B12: ("I", 0xFFFFFFFF),  # no neutral current
        0x5B14: ("i", 621_000),
        **{0x5B16 + 2 * phase: ("i", 207_000) for phase in range(3)},
        0x5B1C: ("i", 300_764),
        0x5B24: ("i", 690_000),
        0x5B2C: ("H", 5000),
        0x5B2D: ("h", 258),
        **{0x5B3A + phase: ("h", 900) for phase in range(4)},
        0x5000: ("Q", 118_050),
        0x5004: ("Q", 1224),
        0x5008: ("q", 116_826),
        0x501C: ("Q", 2**64 - 1),
        **{0x5460 + 4 * phase: ("Q", 39_350) for phase in range(3)},
        **{0x546C + 4 * phase: ("Q", 408) for phase in range(3)},
    }
    for address, (code, raw) in expected.items():
        assert read(slave, address, code) == raw, hex(address)
    assert told(slave, 3, 0x8960, 6) == {"type": '"B23 312-100"'}
    assert slave.answer(H("04 5B00 0002"), 0) == H("84 01")  # function 3 only


def test_abb_with_one_phase_has_no_others() -> None:
    slave = device("abb_b23", phases=1, power=230, voltage=230, power_factor=1, energy_import=100)
    assert [read(slave, at, "I") for at in (0x5B00, 0x5B02, 0x5B04, 0x5B06, 0x5B0C, 0x5B0E)] == [
        2300, 2**32 - 1, 2**32 - 1, 2**32 - 1, 100, 2**32 - 1,
    ]  # fmt: skip
    assert [read(slave, at, "i") for at in (0x5B14, 0x5B16, 0x5B18)] == [23_000, 23_000, 2**31 - 1]
    assert [read(slave, at, "Q") for at in (0x5000, 0x5460, 0x5464)] == [10_000, 10_000, 2**64 - 1]
    assert [read(slave, at, "h") for at in (0x5B3A, 0x5B3B, 0x5B3C)] == [1000, 1000, 0x7FFF]
    assert told(slave, 3, 0x5B16, 6) == {"power_l1": "230.0"}


# --- PZEM-016, relay board, XY-MD02 look-alikes


def test_pzem_reply_of_the_manual() -> None:
    slave = device("pzem016", voltage=220, current=1, power_factor=1, frequency=50, energy=0)
    answer = slave.answer(H("04 0000 000A"), 0)
    assert answer == H("04 14 0898 03e8 0000 0898 0000 0000 0000 01f4 0064 0000")
    assert told(slave, 4, 0, 10)["alarm"] == "false"


def test_pzem_alarm_energy_and_long_values() -> None:
    slave = device("pzem016", power=7200, voltage=230, power_factor=1, alarm_threshold=7000, energy=65_536)
    assert slave.answer(H("04 0009 0001"), 0) == H("04 02 FFFF")
    assert slave.answer(H("04 0003 0004"), 0) == H("04 08 1940 0001 0000 0001")  # 72000, 65536: low words first
    assert told(slave, 4, 9, 1) == {"alarm": "true"}
    assert slave.answer(H("03 0001 0002"), 0) == H("03 04 1B58 0001")
    growing = device("pzem016", power=7200, voltage=230, power_factor=1)
    assert read(growing, 5, "I~", 4, 0.0) + 2 == read(growing, 5, "I~", 4, 1.0)  # 2 Wh a second
    assert slave.answer(H("04 0000 000B"), 0) == H("84 02")


def test_relay_board_captures() -> None:
    relays = device("relay_board", coil_0="off", coil_1="on")
    assert frame(relays, "010100000002bdcb") == "01010102d049"
    inputs = {f"input_{place}": "on" if place == 0 else "off" for place in range(8)}
    assert frame(device("relay_board", unit_id=255, **inputs), "ff02000000086c12") == "ff02010151a0"
    assert told(relays, 1, 0, 2) == {"coil_0": "false", "coil_1": "true"}
    assert relays.answer(H("01 0000 0009"), 0) == H("81 02")
    assert relays.answer(H("03 0000 0001"), 0) == H("83 01")


def test_look_alikes_of_the_xy_md02() -> None:
    pinned = {"temperature": -20.55, "humidity": 54.6}
    slave = device("xy_md02", **pinned, first_register=0, digits=2)
    assert slave.answer(H("04 0000 0002"), 0) == H("04 04 F7F9 1554")
    assert slave.answer(H("04 0001 0002"), 0) == H("84 02")
    assert told(slave, 4, 0, 2) == {"temperature": "-20.55", "humidity": "54.6"}


# --- SunSpec


def walk(slave: Slave, base: int) -> dict[int, tuple[int, int]]:
    """Address of the id and length of each model, by its number."""
    assert slave.answer(struct.pack(">BHH", 3, base, 2), 0) == H("03 04") + b"SunS"
    found, at = {}, base + 2
    while (number := read(slave, at, "H")) != 0xFFFF:
        found[number] = at, read(slave, at + 1, "H")
        at += 2 + found[number][1]
    assert read(slave, at + 1, "H") == 0
    assert slave.answer(struct.pack(">BHH", 3, at + 2, 1), 0) == H("83 02")
    return found


@pytest.mark.parametrize(
    ("name", "model", "length"),
    [("sunspec_inverter", number, 50) for number in (101, 102, 103)]
    + [("sunspec_inverter", number, 60) for number in (111, 112, 113)]
    + [("sunspec_meter", number, 105) for number in (201, 202, 203, 204)],
)
@pytest.mark.parametrize("base", [40000, 50000, 0])
def test_sunspec_models_are_found_by_walking(name: str, model: int, length: int, base: int) -> None:
    slave = device(name, model=model, base=base, unit_id=126)
    found = walk(slave, base)
    assert found == {1: (base + 2, 66), model: (base + 70, length)}
    assert read(slave, base + 68, "H") == 126  # DA: the unit id
    assert walk(device(name, model=model, base=base, common_length=65), base)[model] == (base + 69, length)


def test_sunspec_common_model() -> None:
    slave = device("sunspec_inverter")
    texts = told(slave, 3, 40000, 70)
    assert texts["Mn"] == '"Labgate Simulators"'
    assert texts["Md"] == '"Inverter 103"'
    assert texts["Opt"] == '""'
    assert slave.answer(H("03 9C44 0010"), 0)[2:].rstrip(b"\0") == b"Labgate Simulators"
    assert len(slave.answer(H("03 9C40 007A"), 0)) == 2 + 244  # any read is right, half a point too
    assert slave.answer(H("04 9C40 0002"), 0) == H("84 01")


SUN = LOAD | {"energy_import": 33_319.778, "temperature": 42.9}


@pytest.mark.parametrize(("model", "phases"), [(101, 1), (102, 2), (103, 3)])
def test_sunspec_inverter_with_scale_factors(model: int, phases: int) -> None:
    slave = device("sunspec_inverter", model=model, **SUN)
    at = 40070  # offsets are from the model's id, as the models say them
    scaled = {  # offset: code, scale factor's offset, value
        2: ("H", 6, 10 * phases),
        **{3 + phase: ("H", 6, 10) for phase in range(phases)},
        **{10 + phase: ("H", 13, 230) for phase in range(phases)},
        14: ("h", 15, 2070 * phases),
        16: ("H", 17, 50),
        18: ("h", 19, 2300 * phases),
        20: ("h", 21, round(1002.547 * phases)),
        22: ("h", 23, 90),
        24: ("I", 26, 33_319_778),
        31: ("h", 32, round(2070 * 1.02 * phases)),
        33: ("h", 37, 42.9),
    }
    for offset, (code, factor, value) in scaled.items():
        raw = read(slave, at + offset, code) * 10.0 ** read(slave, at + factor, "h")
        assert raw == pytest.approx(value), offset
    absent = [3 + phase for phase in range(phases, 3)] + [10 + phase for phase in range(phases, 3)]
    assert all(read(slave, at + offset, "H") == 0xFFFF for offset in absent)
    lines = [read(slave, at + offset, "H") for offset in (7, 8, 9)]
    assert lines == {1: [0xFFFF] * 3, 2: [4600, 0xFFFF, 0xFFFF], 3: [3984] * 3}[phases]
    assert [read(slave, at + offset, "H") for offset in (35, 36, 38, 39)] == [0x8000, 0x8000, 4, 0xFFFF]
    assert [read(slave, at + offset, "I") for offset in (40, 42, 44, 50)] == [0, 0, 0xFFFFFFFF, 0xFFFFFFFF]
    assert told(slave, 3, at, 52).keys().isdisjoint({"TmpTrns", "TmpOt", "StVnd", "EvtVnd1"})


@pytest.mark.parametrize(("model", "phases"), [(111, 1), (112, 2), (113, 3)])
def test_sunspec_inverter_with_floats(model: int, phases: int) -> None:
    slave = device("sunspec_inverter", model=model, **SUN)
    at = 40070
    values = {2: 10 * phases, 16: 230, 22: 2070 * phases, 24: 50, 26: 2300 * phases, 30: 90, 32: 33_319_778, 40: 42.9}
    for offset, value in values.items():
        assert read(slave, at + offset, "f") == pytest.approx(value, rel=1e-6), offset
    assert [math.isnan(read(slave, at + 4 + 2 * phase, "f")) for phase in range(3)] == [at >= phases for at in range(3)]
    assert math.isnan(read(slave, at + 44, "f"))
    assert read(slave, at + 48, "H") == 4
    assert "TmpTrns" not in told(slave, 3, at, 62)


def test_sunspec_meter() -> None:
    slave = device("sunspec_meter", **LOAD, energy_import=18_090.018, energy_export=21_267.459)
    at = 40070
    scaled = {
        2: ("h", 6, 30),
        5: ("h", 6, 10),
        7: ("h", 15, 230),
        10: ("h", 15, 230),
        11: ("h", 15, 398.4),
        14: ("h", 15, 398.4),
        16: ("h", 17, 50),
        18: ("h", 22, 6210),
        21: ("h", 22, 2070),
        23: ("h", 27, 6900),
        28: ("h", 32, 3008),
        33: ("h", 37, 90),
        38: ("I", 54, 21_267_459),
        44: ("I", 54, 7_089_153),
        46: ("I", 54, 18_090_018),
        52: ("I", 54, 6_030_006),
    }
    for offset, (code, factor, value) in scaled.items():
        raw = read(slave, at + offset, code) * 10.0 ** read(slave, at + factor, "h")
        assert raw == pytest.approx(value), offset
    assert read(slave, at + 104, "h") == -0x8000  # no reactive energies
    assert read(slave, at + 72, "I") == 0
    assert read(slave, at + 105, "I") == 0  # no events
    one = device("sunspec_meter", model=201, **LOAD)
    assert [read(one, at + offset, "h") for offset in (2, 3, 4, 5, 7, 11, 18)] == [
        1000, 1000, -0x8000, -0x8000, 2300, -0x8000, 2070,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["carlo_gavazzi_em340", "abb_b23", "sunspec_meter", "eastron_sdm72"])
def test_three_phase_meters_show_one_physics(name: str) -> None:
    """The same seed is the same supply, whatever the meter."""
    power = {
        "carlo_gavazzi_em340": lambda slave, now: read(slave, 0x28, "i~", 3, now) / 10,
        "abb_b23": lambda slave, now: read(slave, 0x5B14, "i", 3, now) / 100,
        "sunspec_meter": lambda slave, now: read(slave, 40088, "h", 3, now),
        "eastron_sdm72": lambda slave, now: read(slave, 0x34, "f", 4, now),
    }[name]
    like, slave = device("eastron_sdm630", 5), device(name, 5)
    for now in (0.0, 60.0, 3600.0):
        assert power(slave, now) == pytest.approx(read(like, 0x34, "f", 4, now), abs=0.51)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("abb_b23", {"phases": "2"}),
        ("abb_b23", {"phases": "1", "voltage_l2": "230"}),
        ("abb_b23", {"phases": "4"}),
        ("pzem016", {"alarm_threshold": "-1"}),
        ("pzem016", {"energy": "-1"}),
        ("relay_board", {"coil_3": "yes"}),
        ("sunspec_inverter", {"model": "104"}),
        ("sunspec_inverter", {"model": "101", "voltage_l3": "230"}),
        ("sunspec_meter", {"base": "4000"}),
        ("sunspec_meter", {"common_length": "64"}),
        ("xy_md02", {"first_register": "2"}),
        ("xy_md02", {"digits": "3"}),
    ],
)
def test_settings_that_cannot_be(name: str, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=list(wrong)[-1]) as caught:
        load(name).build(1, 0, wrong)
    assert "\n" not in str(caught.value)
