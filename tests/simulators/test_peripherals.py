"""Simulated peripherals with no host: what they say, against the documents and captures of real ones, and when."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from simulators.bluez.model import Advert, AttError, Characteristic, Peripheral
from simulators.catalog import load_peripheral, peripherals, simulators
from simulators.peripherals import ble_ess, ble_sensor, ble_strap, ble_tag, ble_thermometer
from simulators.peripherals._sensor import Sensor, scaled
from simulators.truth import Truth
from tests.radio import until

H = bytes.fromhex
MAC = H("CBB8334C884F")  # of the worked examples of Ruuvi
Put = Callable[..., Sensor]
NUS = "6e40000{}-b5a3-f393-e0a9-e50e24dcca9e"


class Host:
    """Hears all adverts, and has a link at most."""

    def __init__(self) -> None:
        self.heard: list[Advert] = []
        self.taken: list[tuple[str, bytes]] = []
        self.deaf = False

    def hear(self, peripheral: Peripheral, advert: Advert) -> bool:
        if not self.deaf:
            self.heard.append(advert)
        return not self.deaf

    def take(self, characteristic: Characteristic, data: bytes) -> bool:
        self.taken.append((characteristic.uuid[4:8], data))
        return True

    def lose(self, peripheral: Peripheral) -> None:
        peripheral.link_down()


@pytest.fixture
async def host() -> Host:
    return Host()


@pytest.fixture
async def truth(tmp_path: Path) -> AsyncIterator[Truth]:
    record = Truth(tmp_path / "truth.jsonl")
    yield record
    record.close()


@pytest.fixture
async def put(host: Host, truth: Truth) -> AsyncIterator[Put]:
    """Puts a peripheral within reach of `host`: put("ble_tag", every="10ms")."""
    there: list[Sensor] = []

    def bring(name: str, **settings: str) -> Sensor:
        sensor = load_peripheral(name).build(0, settings)
        sensor.truth = truth
        sensor.put_on(host, 0)
        there.append(sensor)
        return sensor

    yield bring
    for sensor in there:
        sensor.take_off(host)


def lines(truth: Truth, tmp_path: Path) -> list[dict[str, Any]]:
    truth.flush()
    return [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]


def values(given: list[tuple[str, str, str]]) -> dict[str, Any]:
    """Name and value; `unit` is looked at elsewhere."""
    return {name: json.loads(text) for name, _, text in given}


async def course(name: str, seed: int) -> list[object]:
    """What is said first, to a host that subscribes to everything; each measurement once."""
    host = Host()
    sensor = load_peripheral(name).build(seed, {"every": "5ms", **({"stored": "5"} if "thermo" in name else {})})
    if not sensor.connectable:
        said = []
        for t in range(5):
            sensor.measure(float(t))
            said.append((dict(sensor.manufacturer_data), dict(sensor.service_data)))
        return [sensor.address, sensor.name, *said]
    sensor.put_on(host, 0)
    sensor.link_up(host)
    for characteristic in sensor.characteristics:
        characteristic.subscribe(characteristic.notifies)
    await until(lambda: len(host.taken) >= 5)
    sensor.link_down()
    sensor.take_off(host)
    return [sensor.address, sensor.name, *(frame[:5] if "2a1c" in uuid else frame for uuid, frame in host.taken[:5])]


# --- all of them


def test_all_are_there() -> None:
    assert peripherals() == ["ble_ess", "ble_sensor", "ble_strap", "ble_tag", "ble_thermometer", "ble_uart"]
    assert set(peripherals()) < set(simulators())


@pytest.mark.parametrize("name", peripherals())
async def test_every_peripheral_repeats_with_its_seed(name: str) -> None:
    one, same, other = await course(name, 3), await course(name, 3), await course(name, 4)
    assert one == same
    assert one[2:] != other[2:]
    assert len(one) == 2 + 5


@pytest.mark.parametrize("name", peripherals())
def test_an_address_of_its_own(name: str) -> None:
    own = load_peripheral(name).build(0, {})
    assert int(own.address[:2], 16) >= 0xC0  # random static
    assert own.address_type == "random"
    assert own.address != load_peripheral(name).build(1, {}).address
    named = load_peripheral(name).build(0, {"address": "a4:c1:38:8d:18:b2", "name": "Anna's"})
    assert (named.address, named.address_type, named.name) == ("A4:C1:38:8D:18:B2", "public", "Anna's")


@pytest.mark.parametrize("name", peripherals())
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"address": "A4:C1:38"}, "address must be like CB:B8:33:4C:88:4F, not 'A4:C1:38'"),
        ({"name": "x" * 30}, "name must have 1 to 29 bytes, not 30"),
        ({"every": "0s"}, "every must be between 0.001s and 3600s, not 0s"),
    ],
)
def test_what_cannot_be_set(name: str, settings: Mapping[str, str], says: str) -> None:
    with pytest.raises(ValueError, match="must") as refusal:
        load_peripheral(name).build(0, settings)
    assert str(refusal.value) == says


@pytest.mark.parametrize("name", peripherals())
async def test_a_silent_one_says_nothing_and_goes_on_measuring(
    name: str, host: Host, put: Put, truth: Truth, tmp_path: Path
) -> None:
    sensor = put(name, every="5ms")
    sensor.silent = True
    host.heard.clear()
    sensor.link_up(host)
    for characteristic in sensor.characteristics:
        characteristic.subscribe(characteristic.notifies)
    measured = asyncio.Event()
    sensor.trouble = lambda: measured.set() if sensor._measurements > 3 else None
    await asyncio.wait_for(measured.wait(), 5)
    assert not sensor.advertise_now()
    assert (host.heard, host.taken, lines(truth, tmp_path)) == ([], [], [])
    sensor.link_down()


def test_numbers_are_exact() -> None:
    assert scaled(10698, "0.005") == "53.490"
    assert scaled(-1, "0.01") == "-0.01"
    assert scaled(364, "1e-1") == "36.4"
    assert scaled(781, "0.0009765625") == "0.7626953125"


# --- RuuviTag


@pytest.mark.parametrize(
    ("measured", "frame", "says"),
    [
        (
            ble_tag.Measurement(24.3, 53.49, 100_044, 0.004, -0.004, 1.036, 2.977, 4, 66, 205),
            "0512fc5394c37c0004fffc040cac364200cdcbb8334c884f",
            {"temperature": 24.3, "humidity": 53.49, "pressure": 100_044, "battery_voltage": 2.977, "sequence": 205},
        ),
        (
            ble_tag.Measurement(163.835, 163.835, 115_534, 32.767, 32.767, 32.767, 3.646, 20, 254, 65534),
            "057ffffffefffe7fff7fff7fffffdefefffecbb8334c884f",
            {"temperature": 163.835, "acceleration_x": 32.767, "tx_power": 20, "movement_counter": 254},
        ),
        (
            ble_tag.Measurement(-163.835, 0, 50_000, -32.767, -32.767, -32.767, 1.6, -40, 0, 0),
            "058001000000008001800180010000000000cbb8334c884f",
            {"temperature": -163.835, "humidity": 0, "pressure": 50_000, "tx_power": -40, "battery_voltage": 1.6},
        ),
        (  # "data is clipped to the closest value that can be represented. For example 170.00 C becomes 163.835 C"
            ble_tag.Measurement(170.0, 170.0, 200_000, -40.0, -40.0, -40.0, 0, -50, 0, 0),
            "057ffffffefffe8001800180010000000000cbb8334c884f",
            {"temperature": 163.835, "acceleration_z": -32.767},
        ),
    ],
)
def test_the_tag_says_what_the_document_says(
    measured: ble_tag.Measurement, frame: str, says: Mapping[str, float]
) -> None:
    data, given = ble_tag.data_format_5(measured, MAC)
    assert data == H(frame)
    assert values(given).items() >= says.items()


async def test_a_tag_says_each_measurement_several_times(host: Host, put: Put, truth: Truth, tmp_path: Path) -> None:
    tag = put("ble_tag", every="100ms", temperature="21.5", address="cb:b8:33:4c:88:4f")
    await until(lambda: len({advert.manufacturer_data[0x0499] for advert in host.heard}) == 4)
    frames = [advert.manufacturer_data[0x0499] for advert in host.heard]
    assert tag.name == "Ruuvi 884F"
    assert len(frames) > 3 * 2
    numbers = [struct.unpack(">H", frame[16:18])[0] for frame in frames]
    assert list(dict.fromkeys(numbers)) == list(range(numbers[0], numbers[0] + 4))
    assert numbers == sorted(numbers)
    assert all((frame[:3], frame[-6:]) == (H("0510cc"), MAC) for frame in frames)
    recorded = lines(truth, tmp_path)
    assert [line["value"] for line in recorded if line["name"] == "sequence"] == list(dict.fromkeys(numbers))
    assert {line["device"] for line in recorded} == {"CB:B8:33:4C:88:4F"}
    assert [line["value"] for line in recorded if line["name"] == "temperature"] == [21.5] * 4


async def test_what_nobody_hears_was_not_given(host: Host, put: Put, truth: Truth, tmp_path: Path) -> None:
    host.deaf = True
    tag = put("ble_tag")
    assert not tag.advertise_now()
    assert lines(truth, tmp_path) == []
    host.deaf = False
    assert tag.advertise_now()
    assert tag.advertise_now()
    assert [line["name"] for line in lines(truth, tmp_path)].count("temperature") == 1


def test_the_highest_numbers_are_never_used() -> None:
    tag = load_peripheral("ble_tag").build(0, {})
    tag._sequence, tag._movements = 0xFFFC, 0xFD
    seen = []
    for t in range(100):
        tag.measure(float(t))
        seen.append(struct.unpack(">BH", tag.manufacturer_data[0x0499][15:18]))
    assert [sequence for _, sequence in seen[:4]] == [0xFFFD, 0xFFFE, 0, 1]
    assert {movements for movements, _ in seen} > {0xFD, 0xFE, 0}
    assert max(movements for movements, _ in seen) == 0xFE


# --- BTHome


def test_bthome_as_documented() -> None:
    """bthome-ble tests/test_parser_v2.py, test_bthome_packet_id_temperature_humidity_battery."""
    data, given = ble_sensor.objects(9, 93, 2397, 6327)
    assert data == H("0009015d025d0903b718")
    assert given == [
        ("packet_id", "count", "9"),
        ("battery", "%EL", "93"),
        ("temperature", "Cel", "23.97"),
        ("humidity", "%RH", "63.27"),
    ]


def test_bthome_encrypted_as_documented() -> None:
    """bthome.io/encryption, the example."""
    key, mac = H("231d39c1d7cc1ab1aee224cd096db932"), H("5448E68F80A5")
    assert ble_sensor.encrypted(key, mac, 0x33221100, H("02ca0903bf13")) == H("41a47266c95f730011223378237214")


async def test_a_plain_sensor(host: Host, put: Put, truth: Truth, tmp_path: Path) -> None:
    put("ble_sensor", every="20ms", temperature="25.06", humidity="50.55", battery="93")
    await until(lambda: len(lines(truth, tmp_path)) >= 3 * 4)
    (uuid,) = host.heard[0].service_data
    assert uuid == "0000fcd2-0000-1000-8000-00805f9b34fb"
    frames = list(dict.fromkeys(advert.service_data[uuid] for advert in host.heard))
    assert all((frame[:2], frame[3:]) == (H("4000"), H("015d02ca0903bf13")) for frame in frames)
    packets = [frame[2] for frame in frames]
    assert packets == [(packets[0] + place) % 0x100 for place in range(len(packets))]
    assert [line["value"] for line in lines(truth, tmp_path)][:4] == [packets[0], 93, 25.06, 50.55]


def test_the_counter_grows_and_hides_what_stands_still() -> None:
    sensor = load_peripheral("ble_sensor").build(
        0, {"bindkey": "231d39c1d7cc1ab1aee224cd096db932", "temperature": "20"}
    )
    frames = []
    for t in range(3):
        sensor.measure(float(t))
        frames.append(sensor.service_data["fcd2"])
    assert all((len(frame), frame[0]) == (1 + 10 + 4 + 4, 0x41) for frame in frames)
    counters = [int.from_bytes(frame[11:15], "little") for frame in frames]
    assert counters == [counters[0] + place for place in range(3)]
    assert abs(counters[0] - datetime.now().timestamp()) < 60
    assert len({frame[5:9] for frame in frames}) == 3


@pytest.mark.parametrize("key", ["", "00", "x" * 32, "231d39c1d7cc1ab1aee224cd096db9321"])
def test_a_key_is_32_digits(key: str) -> None:
    with pytest.raises(ValueError, match="bindkey must be 32 hexadecimal digits"):
        load_peripheral("ble_sensor").build(0, {"bindkey": key})


# --- heart rate


@pytest.mark.parametrize(
    ("measured", "frame", "says"),
    [  # Nordic's, Sputnik's and Polar's tests of their decoders
        ((85, None, None, []), "0055", {"heart_rate": 85}),
        ((255, False, None, []), "04ff", {"heart_rate": 255, "sensor_contact": False}),
        (
            (85, True, 50, [33]),
            "1e5532002100",
            {"heart_rate": 85, "sensor_contact": True, "energy_expended": 50_000, "rr_interval": 0.0322265625},
        ),
        ((74, False, None, [781]), "144a0d03", {"sensor_contact": False, "rr_interval": 0.7626953125}),
        ((32896, None, None, []), "018080", {"heart_rate": 32896}),
    ],
)
def test_heart_rate_as_documented(measured: tuple[Any, ...], frame: str, says: Mapping[str, Any]) -> None:
    data, given = ble_strap.measurement(*measured)
    assert data == H(frame)
    assert values(given).items() >= says.items()


async def test_a_strap_on_a_link(host: Host, put: Put, truth: Truth, tmp_path: Path) -> None:
    strap = put("ble_strap", heart_rate="75", battery="90")
    assert (strap.name or "").startswith("Polar H10 ")
    assert strap.advertise_now()
    assert (host.heard[0].name, host.heard[0].uuids[0][4:8]) == (strap.name, "180d")
    strap.link_up(host)
    assert not strap.advertise_now()
    assert strap.characteristic("2a38").read() == H("01")
    assert strap.characteristic("2a19").read() == H("5a")
    assert strap.characteristic("2a29").read() == b"Polar Electro Oy"
    strap.measure(1.0)  # to nobody
    strap.characteristic("2a37").subscribe(True)
    for second in range(2, 30):
        strap.measure(float(second))
    assert {uuid for uuid, _ in host.taken} == {"2a37"}
    frames = [frame for _, frame in host.taken]
    assert len(frames) == 28
    assert all((frame[0] & 0b111, frame[1]) == (0b110, 75) for frame in frames)
    found: list[int] = []
    for frame in frames:
        found += [interval for (interval,) in struct.iter_unpack("<H", frame[4 if frame[0] & 8 else 2 :])]
    assert all(60 / 75 * 1024 * 0.95 < interval < 60 / 75 * 1024 * 1.05 for interval in found)
    assert sum(found) / 1024 == pytest.approx(28, abs=2)  # seconds
    recorded = lines(truth, tmp_path)
    assert [line["value"] for line in recorded if line["name"] == "rr_interval"] == [one / 1024 for one in found]
    assert (recorded[0]["name"], recorded[0]["value"]) == ("battery", 90)
    strap.link_down()
    strap.measure(31.0)
    assert len(host.taken) == 28


async def test_energy_is_said_each_tenth_time_and_can_be_reset(host: Host, put: Put) -> None:
    strap = put("ble_strap", every="5ms")
    strap.link_up(host)
    strap.characteristic("2a37").subscribe(True)
    await until(lambda: len(host.taken) == 25)
    said = [place for place, (_, frame) in enumerate(host.taken) if frame[0] & 0x08]
    assert len(said) == 2
    assert said[1] - said[0] == 10
    control = strap.characteristic("2a39")
    control.write(b"\x01", True)
    with pytest.raises(AttError) as refusal:
        control.write(b"\x02", True)
    assert refusal.value.code == 0x80  # Heart Rate Service 1.0: control point not supported
    strap.link_down()


# --- thermometer


@pytest.mark.parametrize(
    ("measured", "frame", "says"),
    [  # Nordic's test of its decoder; logs of two real thermometers
        (
            (3760, -2, datetime(2012, 12, 5, 11, 50, 27), 4),
            "06b00e00fedc070c050b321b04",
            {"temperature": 37.6, "timestamp": "2012-12-05T11:50:27", "site": "finger"},
        ),
        (
            (360, -1, datetime(2018, 3, 10, 21, 52), 2),
            "06680100ffe207030a15340002",
            {"temperature": 36.0, "timestamp": "2018-03-10T21:52:00", "site": "body"},
        ),
        (
            (368, -1, datetime(2018, 3, 10, 20, 27), 2),
            "06700100ffe207030a141b0002",
            {"temperature": 36.8, "timestamp": "2018-03-10T20:27:00", "site": "body"},
        ),
    ],
)
def test_temperature_as_documented(measured: tuple[Any, ...], frame: str, says: Mapping[str, Any]) -> None:
    data, given = ble_thermometer.measurement(*measured)
    assert data == H(frame)
    assert values(given) == says


async def test_a_thermometer_gives_its_backlog_and_hangs_up(host: Host, put: Put, truth: Truth, tmp_path: Path) -> None:
    assert not load_peripheral("ble_thermometer").build(0, {}).advertising  # off the air
    sensor = put("ble_thermometer", stored="3", temperature="36.6", every="10s")
    await until(lambda: host.heard)  # measured
    assert (host.heard[0].uuids[0][4:8], sensor.connectable) == ("1809", True)
    sensor.link_up(host)
    sensor.characteristic("2a1c").subscribe(True)
    await until(lambda: not sensor.connected)
    assert [(uuid, frame[:5]) for uuid, frame in host.taken] == [("2a1c", H("066e0100ff"))] * 4
    times = [datetime(*struct.unpack("<H5B", frame[5:12])) for _, frame in host.taken]
    assert times == sorted(times)
    assert len(set(times)) == 4  # no two of them have one time
    assert abs((datetime.now() - times[-1]).total_seconds()) < 3
    recorded = [line["value"] for line in lines(truth, tmp_path) if line["name"] == "timestamp"]
    assert recorded == [time.isoformat() for time in times]
    assert not sensor.advertising  # nothing more to tell


async def test_a_thermometer_keeps_what_was_not_confirmed(host: Host, put: Put) -> None:
    sensor = put("ble_thermometer", stored="4", every="10s")
    sensor.link_up(host)
    sensor.characteristic("2a1c").subscribe(True)
    await until(lambda: len(host.taken) == 2)
    sensor.disconnect()
    assert sensor.advertising
    await until(lambda: host.heard)
    first = list(host.taken)
    sensor.link_up(host)
    sensor.characteristic("2a1c").subscribe(True)
    await until(lambda: not sensor.connected)
    assert len(host.taken) == 5
    assert len({frame for _, frame in host.taken}) == 5
    assert host.taken[:2] == first


# --- Environmental Sensing


@pytest.mark.parametrize(
    ("quantity", "value", "frame"),
    [  # bluetooth-sig-python tests/gatt/characteristics
        (ble_ess.INDOOR, 21.48, "6408"),
        (ble_ess.INDOOR, -10.0, "18fc"),
        (ble_ess.HUMIDITY, 50.0, "8813"),
        (ble_ess.HUMIDITY, 70.0, "581b"),
        (ble_ess.PRESSURE, 101_325.0, "02760f00"),
    ],
)
def test_environment_as_documented(quantity: ble_ess.Quantity, value: float, frame: str) -> None:
    data, ((_, unit, text),) = quantity.said(value)
    assert data == H(frame)
    assert (float(text), unit) == (value, quantity.unit)


async def test_two_temperatures_to_be_read_and_told(host: Host, put: Put, truth: Truth, tmp_path: Path) -> None:
    pins = {"temperature": "21.48", "outdoor": "-10", "humidity": "50", "pressure": "101325"}
    sensor = put("ble_ess", **pins)
    sensor.link_up(host)
    found = [one for one in sensor.characteristics if "notify" in one.flags]
    assert [one.uuid[4:8] for one in found] == ["2a6e", "2a6e", "2a6f", "2a6d"]
    assert [one.read() for one in found] == [H("6408"), H("18fc"), H("8813"), H("02760f00")]
    texts = [next(d.value for d in one.descriptors if d.uuid[4:8] == "2901") for one in found]
    assert texts == [b"indoor", b"outdoor", b"indoor", b"indoor"]
    for characteristic in found[:2]:
        characteristic.subscribe(True)
    sensor.measure(1.0)
    assert host.taken == [("2a6e", H("6408")), ("2a6e", H("18fc"))]
    given = [(line["name"], line["unit"], line["value"]) for line in lines(truth, tmp_path)]
    assert given == [
        ("temperature", "Cel", 21.48),
        ("temperature.2", "Cel", -10.0),
        ("humidity", "%RH", 50.0),
        ("pressure", "Pa", 101_325.0),
        ("temperature", "Cel", 21.48),
        ("temperature.2", "Cel", -10.0),
    ]


# --- lines


async def test_a_board_prints_in_pieces(host: Host, put: Put, truth: Truth, tmp_path: Path) -> None:
    board = put("ble_uart", temperature="21.5", humidity="45", pressure="1008")
    assert [(one.uuid, one.flags) for one in board.characteristics] == [
        (NUS.format(2), ["write", "write-without-response"]),
        (NUS.format(3), ["notify"]),
    ]
    assert board.uuids == (NUS.format(1),)
    board.link_up(host)
    await until(lambda: not board._pieces)  # to nobody
    board.characteristic(NUS.format(3)).subscribe(True)
    board.measure(1.0)
    await until(lambda: len(host.taken) == 3)
    pieces = [data for _, data in host.taken]
    assert b"".join(pieces) == b'{"temperature":21.50,"humidity":45.00,"pressure":1008.0}\r\n'
    assert [len(piece) for piece in pieces] == [20, 20, 18]
    assert [line["value"] for line in lines(truth, tmp_path)] == [21.5, 45.0, 1008.0]


async def test_a_line_that_is_cut_was_not_given(host: Host, put: Put, truth: Truth, tmp_path: Path) -> None:
    board = put("ble_uart", every="50ms", temperature="21.5", humidity="45", pressure="1008")
    board.link_up(host)
    output = board.characteristic(NUS.format(3))
    await until(lambda: not board._pieces)
    output.subscribe(True)
    await until(lambda: len(host.taken) == 2)
    board.disconnect()
    await until(lambda: not board._pieces)
    board.link_up(host)
    output.subscribe(True)
    await until(lambda: len(host.taken) == 2 + 3)
    assert b"".join(data for _, data in host.taken).count(b'{"temperature"') == 2
    assert [line["value"] for line in lines(truth, tmp_path)] == [21.5, 45.0, 1008.0]


async def test_who_comes_in_mid_line_hears_the_rest_of_it(host: Host, put: Put, truth: Truth, tmp_path: Path) -> None:
    board = put("ble_uart", every="10s")
    board.link_up(host)
    await until(lambda: len(board._pieces) == 1)
    board.characteristic(NUS.format(3)).subscribe(True)
    await until(lambda: host.taken)
    assert host.taken[0][1].endswith(b"}\r\n")
    assert lines(truth, tmp_path) == []


def test_a_microbit_sends_where_others_hear() -> None:
    board = load_peripheral("ble_uart").build(0, {"microbit": "1"})
    assert [(one.uuid, one.flags) for one in board.characteristics] == [
        (NUS.format(2), ["indicate"]),
        (NUS.format(3), ["write", "write-without-response"]),
    ]
    assert (board.name or "").startswith("BBC micro:bit [")
    assert board.uuids == ()
