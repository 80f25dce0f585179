"""Every simulator, because its file exists; and each against the vendor's document."""

import json
import math
import struct
from collections.abc import Iterator
from itertools import pairwise

import pytest

from simulators.catalog import load, slaves
from simulators.modbus_slave import Rtu, Slave
from simulators.tables import RegisterTable

H = bytes.fromhex
METERS = ("eastron_sdm120", "eastron_sdm630")


def device(name: str, seed: int = 0, **settings: object) -> Slave:
    return load(name).build(1, seed, {key: str(value) for key, value in settings.items()})


def frame(slave: Slave, request: str, now: float = 0.0) -> str:
    """One RTU request in, the answer as it is on the wire."""
    (asked,), rest = Rtu().split(H(request))
    assert not rest
    return Rtu().join(asked, slave.answer(asked.pdu, now)).hex()


def float32(slave: Slave, address: int, now: float = 0.0, function: int = 4) -> float:
    answer = slave.answer(struct.pack(">BHH", function, address, 2), now)
    assert answer[:2] == bytes((function, 4)), f"no float32 at {address:#06x}: {answer.hex()}"
    return float(struct.unpack(">f", answer[2:])[0])


def places(slave: Slave) -> Iterator[tuple[int, int, int]]:
    """Function, address and count of every quantity, and of the first points of other tables."""
    for function, table in slave.tables.items():
        if isinstance(table, RegisterTable):
            yield from ((function, q.address, q.size) for q in table.quantities)
        else:
            yield from ((function, address, count) for address in range(64) for count in (1, 2))


def single_reads(slave: Slave, now: float = 0.0) -> Iterator[tuple[bytes, bytes]]:
    """A read of every quantity that the device gives, in all tables."""
    for function, address, count in places(slave):
        request = struct.pack(">BHH", function, address, count)
        answer = slave.answer(request, now)
        if answer[0] == function:
            yield request, answer
        else:
            assert answer == bytes((function | 0x80, 2))


@pytest.mark.parametrize("name", slaves())
def test_every_simulator_says_what_it_is_and_gives_named_values(name: str) -> None:
    simulator = load(name)
    assert simulator.__doc__
    assert simulator.SETTINGS
    found: dict[tuple[int, str], set[bytes]] = {}
    slave = device(name)
    for request, answer in single_reads(slave):
        values = list(slave.given(request, answer))
        for quantity, unit, text in values:
            assert json.loads(text) is not None
            assert unit.isascii()
            if len(values) == 1:
                found.setdefault((request[0], quantity), set()).add(request[1:3])
    assert found
    assert all(len(addresses) == 1 for addresses in found.values()), "one name, one place"


@pytest.mark.parametrize("name", slaves())
def test_every_simulator_repeats_with_its_seed(name: str) -> None:
    def course(seed: int) -> list[bytes]:
        slave = device(name, seed)
        return [answer for now in (5.0, 7.5) for _, answer in single_reads(slave, now)]

    assert course(3) == course(3)
    assert course(3) != course(4)


@pytest.mark.parametrize("name", slaves())
def test_every_simulator_moves(name: str) -> None:
    slave = device(name)
    before = dict(single_reads(slave, 0.0))
    after = dict(single_reads(slave, 60.0))
    assert before.keys() == after.keys()
    assert before != after


# --- Eastron: SDM630-Modbus V2 protocol document v1.8


def test_sdm630_examples_of_the_document() -> None:
    # 3.8.1: Volts 1, printed there as 230.2; its bytes are the float32 one step above
    slave = device("eastron_sdm630", voltage_l1=230.20001)
    assert frame(slave, "01040000000271cb") == "010404436633341b38"
    assert frame(slave, "010300000002c40b") == "0103043f800000f7cf"  # 3.9.1: demand time
    assert frame(slave, "011000020002044270000067d5") == "0190018dc0"  # 3.10: a device that refuses writes


@pytest.mark.parametrize("name", METERS)
@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        ("04 0001 0002", 2),  # 3.8.1 and 3.11.1: odd start, odd count, half a value
        ("04 0000 0001", 2),
        ("04 0000 0003", 2),
        ("04 0152 0052", 3),  # 1.2: 41 parameters
        ("03 0004 0002", 2),  # not in the table of 1.3.1
        ("01 0000 0001", 1),  # 3.6: neither coils nor discrete inputs
        ("02 0000 0001", 1),
    ],
)
def test_eastron_refusals(name: str, pdu: str, code: int) -> None:
    assert device(name).answer(H(pdu), 0) == bytes((H(pdu)[0] | 0x80, code))


def test_sdm630_gaps_are_not_there() -> None:
    slave = device("eastron_sdm630")
    assert slave.answer(H("04 0000 002C"), 0)[:2] == H("04 58")  # up to average volts, 0x002A
    assert slave.answer(H("04 0000 0030"), 0) == H("84 02")  # 0x002C is not in the table
    assert slave.answer(H("04 014E 0030"), 0)[:2] == H("04 60")  # to the end of the table, 0x017C
    assert slave.answer(H("04 014E 0032"), 0) == H("84 02")


SDM120 = {  # SDM120-Modbus protocol document, for 230 V, 10 A, power factor 0.9, 50 Hz
    0x0000: 230,
    0x0006: 10,
    0x000C: 2070,
    0x0012: 2300,
    0x0018: 1002.547,
    0x001E: 0.9,
    0x0046: 50,
    0x0048: 1180.5,
    0x004A: 12.25,
    0x0156: 1192.75,
}
SDM630 = {  # the same on each phase; imported and exported energy are of all phases
    **{first + 2 * phase: value for first, value in list(SDM120.items())[:6] for phase in range(3)},
    **{0x0024 + 2 * phase: 25.8419 for phase in range(3)},
    0x002A: 230,
    0x002E: 10,
    0x0030: 30,
    0x0034: 6210,
    0x0038: 6900,
    0x003C: 3007.64,
    0x003E: 0.9,
    0x0042: 25.8419,
    0x0046: 50,
    0x0048: 1180.5,
    0x004A: 12.25,
    **{0x00C8 + 2 * pair: 398.3717 for pair in range(4)},  # 230 * sqrt(3)
    0x0156: 1192.75,
    **{0x015A + 2 * phase: 393.5 for phase in range(3)},
    **{0x0166 + 2 * phase: 397.5833 for phase in range(3)},
}


@pytest.mark.parametrize(("name", "expected"), [("eastron_sdm120", SDM120), ("eastron_sdm630", SDM630)])
def test_meter_quantities_stand_where_the_document_says(name: str, expected: dict[int, float]) -> None:
    pinned = {"voltage": 230, "current": 10, "power_factor": 0.9, "frequency": 50}
    slave = device(name, **pinned, energy_import=1180.5, energy_export=12.25)
    for address, value in expected.items():
        assert float32(slave, address) == pytest.approx(value, rel=2e-6), hex(address)


@pytest.mark.parametrize("phase", range(3))
def test_sdm630_phases_are_told_apart(phase: int) -> None:
    slave = device("eastron_sdm630", **{f"voltage_l{phase + 1}": 100, f"power_l{phase + 1}": 55})
    assert [float32(slave, 2 * place) == 100 for place in range(3)] == [place == phase for place in range(3)]
    assert [float32(slave, 12 + 2 * place) == 55 for place in range(3)] == [place == phase for place in range(3)]


def test_sdm630_neutral_current() -> None:
    alike = {"voltage": 230, "power_factor": 1}
    balanced = device("eastron_sdm630", **alike, current=10)
    assert float32(balanced, 0x00E0) == pytest.approx(0, abs=1e-9)
    assert float32(
        device("eastron_sdm630", **alike, current_l1=6, current_l2=0, current_l3=0), 0x00E0
    ) == pytest.approx(6)


@pytest.mark.parametrize("name", METERS)
def test_meters_are_physically_consistent(name: str) -> None:
    for seed in range(5):
        slave = device(name, seed)
        energies = dict.fromkeys((0x0048, 0x004A, 0x004C, 0x004E, 0x0156, 0x0158), 0.0)
        for minute in range(30):
            now = 60.0 * minute
            voltage, current, power, apparent, reactive, factor = (float32(slave, 6 * place, now) for place in range(6))
            assert 225 < voltage < 235
            assert 0 < current < 10
            assert power == pytest.approx(voltage * current * factor, rel=1e-6)
            assert apparent == pytest.approx(voltage * current, rel=1e-6)
            assert math.hypot(power, reactive) == pytest.approx(apparent, rel=1e-6)
            assert 49.9 < float32(slave, 0x0046, now) < 50.1
            for address, before in energies.items():
                energies[address] = float32(slave, address, now)
                assert energies[address] >= before
            assert energies[0x0156] == pytest.approx(energies[0x0048] + energies[0x004A], rel=1e-6)


def test_sdm630_totals() -> None:
    slave = device("eastron_sdm630", 7)
    for total, first in ((0x0034, 0x000C), (0x003C, 0x0018), (0x0030, 0x0006), (0x0156, 0x0166), (0x0048, 0x015A)):
        assert float32(slave, total, 9) == pytest.approx(
            sum(float32(slave, first + 2 * place, 9) for place in range(3))
        )
    assert float32(slave, 0x003E) == pytest.approx(float32(slave, 0x0034) / float32(slave, 0x0038))


@pytest.mark.parametrize("name", METERS)
@pytest.mark.parametrize(("power", "grows", "stays"), [(36_000, 0x0048, 0x004A), (-36_000, 0x004A, 0x0048)])
def test_energy_is_power_times_time(name: str, power: int, grows: int, stays: int) -> None:
    slave = device(name, power=power)
    before, held = float32(slave, grows, 50.0), float32(slave, stays, 50.0)
    for now in (51.0, 75.0, 150.0):
        assert float32(slave, grows, now) - before == pytest.approx((now - 50) / 100, abs=3e-4)  # float32 of about 2000
        assert float32(slave, stays, now) == held
        assert float32(slave, 0x0034 if name == "eastron_sdm630" else 0x000C, now) == power
        assert float32(slave, 0x001E, now) * power > 0  # note 1: the sign says where the current flows


@pytest.mark.parametrize("name", METERS)
def test_demand(name: str) -> None:
    slave = device(name, power=600, voltage=230, power_factor=1)
    for now in (0.0, 600.0):
        assert [float32(slave, address, now) for address in (0x0054, 0x0056)] == [600, 600]
        assert float32(slave, 0x0102, now) * (3 if name == "eastron_sdm630" else 1) == pytest.approx(600 / 230)


@pytest.mark.parametrize("name", METERS)
def test_meter_settings_in_holding_registers(name: str) -> None:
    slave = load(name).build(17, 0, {})
    assert float32(slave, 0x0014, function=3) == 17  # network node
    assert float32(slave, 0x001C, function=3) == {"eastron_sdm120": 0, "eastron_sdm630": 2}[name]  # 2400, 9600 baud
    assert slave.answer(H("03 FC00 0002"), 0)[:2] == H("03 04")  # serial number


# --- XY-MD02 manual; the worked examples


def test_xy_md02_examples_of_the_manual() -> None:
    slave = device("xy_md02", temperature=30.5, humidity=54.6)
    assert frame(slave, "010400010001600a") == "01040201317974"
    assert frame(slave, "010400010002200b") == "010404013102222ace"
    assert slave.answer(H("04 0002 0001"), 0) == H("04 02 0222")
    assert slave.answer(H("03 0101 0001"), 0) == H("03 02 0001")
    assert slave.answer(H("03 0102 0001"), 0) == H("03 02 2580")
    assert device("xy_md02", temperature=-20.5).answer(H("04 0001 0001"), 0) == H("04 02 FF33")


@pytest.mark.parametrize("pdu", ["04 0000 0002", "04 0001 0003", "04 0000 0001", "03 0001 0002", "03 0101 0005"])
def test_xy_md02_refuses_to_read_past_its_registers(pdu: str) -> None:
    assert device("xy_md02").answer(H(pdu), 0) == bytes((H(pdu)[0] | 0x80, 2))


def test_xy_md02_wanders_plausibly() -> None:
    for seed in range(5):
        slave = device("xy_md02", seed)
        for minute in range(30):
            temperature, humidity = struct.unpack(">hH", slave.answer(H("04 0001 0002"), 60.0 * minute)[2:])
            assert 195 <= temperature <= 235
            assert 300 <= humidity <= 600


# --- plain registers


@pytest.mark.parametrize("function", [3, 4])
def test_registers_follow_their_formula(function: int) -> None:
    slave = device("registers", 5, count=100)
    request = struct.pack(">BHH", function, 0, 100)
    first = struct.unpack(">100H", slave.answer(request, 0)[2:])
    for answer in range(70_000):  # once round and on
        assert slave.answer(request, 0)[2:4] == struct.pack(">H", (first[0] + (answer + 1) * 40503) % 65536)
    assert all((after - before) % 65536 == 40503 for before, after in pairwise(first))
    some = struct.unpack(">3H", slave.answer(struct.pack(">BHH", function, 97, 3), 0)[2:])
    assert some[0] == (first[0] + (70_001 + 97) * 40503) % 65536


def test_float32_registers_follow_their_formula() -> None:
    slave = device("registers", 5, count=100, type="float32")
    request = H("03 0000 0064")
    for answer in (slave.answer(request, 0) for _ in range(3)):
        values = struct.unpack(">50f", answer[2:])
        tenths = [round(value * 10) for value in values]
        assert values == struct.unpack(">50f", struct.pack(">50f", *(tenth / 10 for tenth in tenths)))
        assert all((after - before) % 65536 == 40503 for before, after in pairwise(tenths))
        told = list(slave.given(request, answer))
        assert [name for name, _, _ in told] == [f"r{2 * place}" for place in range(50)]
        assert [float(text) for _, _, text in told] == [tenth / 10 for tenth in tenths]
    assert [name for name, _, _ in slave.given(H("03 0003 0004"), slave.answer(H("03 0003 0004"), 0))] == ["r4"]


def test_registers_bits_and_limits() -> None:
    slave = device("registers", count=12)
    assert slave.answer(H("01 0000 000C"), 0) == H("01 02 4902")
    assert slave.answer(H("02 0001 0003"), 0) == H("02 01 04")
    assert slave.answer(H("03 0000 000D"), 0) == H("83 02")
    assert slave.answer(H("01 0000 000D"), 0) == H("81 02")
    assert len(device("registers", count=65536).answer(H("03 FFFF 0001"), 0)) == 4


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("eastron_sdm120", {"voltage": "much"}),
        ("eastron_sdm120", {"voltage": "nan"}),
        ("eastron_sdm120", {"voltage": "-1"}),
        ("eastron_sdm120", {"power_factor": "1.1"}),
        ("eastron_sdm120", {"power": "100", "current": "1"}),
        ("eastron_sdm120", {"power": "100", "voltage": "0"}),
        ("eastron_sdm120", {"power": "100", "power_factor": "-0.5"}),
        ("eastron_sdm630", {"voltage": "230", "voltage_l2": "231"}),
        ("eastron_sdm630", {"energy_import": "inf"}),
        ("xy_md02", {"temperature": "5000"}),
        ("registers", {"count": "0"}),
        ("registers", {"count": "2.5"}),
        ("registers", {"type": "float"}),
    ],
)
def test_settings_that_cannot_be(name: str, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))) as caught:
        load(name).build(1, 0, wrong)
    assert "\n" not in str(caught.value)
