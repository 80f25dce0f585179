"""Simulated devices that speak, against what their documents and captures of real ones say."""

import binascii
import json
import math
import re
import struct
from fractions import Fraction
from itertools import pairwise

import pytest
from captures import AIDON, KAMSTRUP, LANDIS, SAGEMCOM

from simulators.catalog import load_speaker, peripherals, simulators, slaves, speakers
from simulators.speaker import Said, Speaker

H = bytes.fromhex
READ_CO2 = H("ff0186000000000079")
ASKED = {"balance": b"SI", "mh_z19": READ_CO2, "scpi_meter": b"MEAS:VOLT:DC?"}
STARTED = 1_763_721_125.25  # 2025-11-21 10:32:05 UTC


def speaker(name: str, seed: int = 0, **settings: str) -> Speaker:
    device = load_speaker(name).build(seed, settings)
    device.started = STARTED
    list(device.boot(0.0))
    return device


def said(device: Speaker, t: float, name: str = "") -> list[Said]:
    return list(device.answer(ASKED[name], t) if name in ASKED else device.speak(t))


def course(name: str, seed: int) -> list[bytes]:
    device = speaker(name, seed)
    return [one.frame for t in (5.0, 6.0, 7.0, 65.0) for one in said(device, t, name)]


def polynomial_rest(data: bytes, divisor: int) -> int:
    """A CRC of 16 bits as what it is: the rest of a division, in one number, bits of a byte turned around."""
    number = int("".join(f"{byte:08b}"[::-1] for byte in data), 2) << 16
    while number.bit_length() > 16:
        number ^= divisor << number.bit_length() - 17
    return int(f"{number:016b}"[::-1], 2)


def x25(data: bytes) -> bytes:
    """CRC-16/X-25 from the standard library's CRC-CCITT: bits turned around, and inverted."""
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    return (int(f"{binascii.crc_hqx(turned, 0xFFFF):016b}"[::-1], 2) ^ 0xFFFF).to_bytes(2, "little")


# --- all of them


def test_all_are_there() -> None:
    assert {"aidon_meter", "balance", "gnss", "line_board", "mh_z19", "p1_meter"} < set(speakers())
    assert {"pms5003", "scpi_meter", "sds011"} < set(speakers())
    assert sorted([*speakers(), *slaves(), *peripherals()]) == simulators()


@pytest.mark.parametrize("name", speakers())
def test_every_speaker_repeats_with_its_seed_and_moves(name: str) -> None:
    frames = course(name, 3)
    assert frames == course(name, 3)
    assert frames != course(name, 4)
    assert frames[0] != frames[-1]


@pytest.mark.parametrize("name", speakers())
def test_what_is_given_is_json_with_names_and_units(name: str) -> None:
    device = speaker(name, **({"warm_up": "0"} if "warm_up" in load_speaker(name).SETTINGS else {}))
    given = [value for t in (5.0, 6.0) for one in said(device, t, name) for value in one.given]
    assert given
    for quantity, unit, text in given:
        assert quantity
        assert unit.isascii()
        assert isinstance(json.loads(text), int | float | str)


@pytest.mark.parametrize("name", speakers())
def test_a_checksum_is_promised_where_there_is_one(name: str) -> None:
    device = speaker(name)
    for one in said(device, 5.0, name):
        assert (one.checked is not None) == device.checked
        if one.checked:
            assert 0 <= one.checked[0] < one.checked[1] <= len(one.frame)


# --- ASCII P1


@pytest.mark.parametrize("telegram", [KAMSTRUP, LANDIS, SAGEMCOM])
def test_the_second_way_to_the_checksum_agrees_with_real_meters(telegram: str) -> None:
    body, _, printed = telegram.partition("!")
    assert polynomial_rest(f"{body}!".encode(), 0x18005) == int(printed, 16)


@pytest.mark.parametrize(("brand", "telegram"), [("kamstrup", KAMSTRUP), ("landis", LANDIS), ("sagemcom", SAGEMCOM)])
def test_p1_is_as_the_brand_prints_it(brand: str, telegram: str) -> None:
    (one,) = said(speaker("p1_meter", brand=brand), 10.0)
    text = one.frame.decode()
    body, _, printed = text.partition("!")
    assert re.fullmatch(r"[0-9A-F]{4}\r\n", printed)
    assert polynomial_rest(f"{body}!".encode(), 0x18005) == int(printed, 16)
    masked = [re.sub(r"\d", "0", line) for line in body.split("\r\n")]
    real = telegram.partition("!")[0].replace("S)", "W)")  # in summer this one tells summer time
    assert masked == [re.sub(r"\d", "0", line) for line in real.split("\r\n")]
    codes = [line.partition("(")[0] for line in body.split("\r\n")]
    assert codes == [line.partition("(")[0] for line in telegram.partition("!")[0].split("\r\n")]


def test_p1_gives_what_it_prints() -> None:
    settings = {"power_l1": "-2000", "power_l2": "500", "power_l3": "250.4", "voltage": "230.06"}
    (one,) = said(speaker("p1_meter", **settings), 20.0)
    printed = dict(re.findall(r"(1-0:[\d.]+)\(([\d.]+)\*\w+\)", one.frame.decode()))
    assert one.given[0] == ("0-0:1.0.0", "", '"2025-11-21T10:32:25Z"')
    assert {name: Fraction(value) for name, _, value in one.given[1:]} == {n: Fraction(v) for n, v in printed.items()}
    units = {name: unit for name, unit, _ in one.given}
    assert (units["1-0:1.8.0"], units["1-0:3.8.0"], units["1-0:1.7.0"]) == ("kWh", "kvarh", "kW")
    assert (units["1-0:44.7.0"], units["1-0:52.7.0"], units["1-0:71.7.0"]) == ("kvar", "V", "A")
    assert (printed["1-0:1.7.0"], printed["1-0:2.7.0"]) == ("0000.000", "0001.250")  # the net of all phases
    assert (printed["1-0:21.7.0"], printed["1-0:22.7.0"]) == ("0000.000", "0002.000")
    assert (printed["1-0:41.7.0"], printed["1-0:61.7.0"], printed["1-0:32.7.0"]) == ("0000.500", "0000.250", "230.1")


def test_p1_in_whole_watts() -> None:
    (one,) = said(speaker("p1_meter", brand="sagemcom", units="W", power="3000"), 20.0)
    text = one.frame.decode()
    assert "1-0:1.7.0(0003000*W)\r\n" in text
    assert re.search(r"1-0:1\.8\.0\(\d{11}\*Wh\)\r\n", text)
    assert "kW" not in text
    assert ("1-0:1.7.0", "W", "3000") in one.given


@pytest.mark.parametrize(("letter", "clock"), [("W", "251121113225W"), ("S", "251121123225S")])
def test_p1_clock(letter: str, clock: str) -> None:
    (one,) = said(speaker("p1_meter", letter=letter), 20.0)
    assert f"0-0:1.0.0({clock})\r\n".encode() in one.frame
    assert one.given[0] == ("0-0:1.0.0", "", '"2025-11-21T10:32:25Z"')


# --- Aidon


def cosem(data: bytes) -> tuple[object, bytes]:
    """One value of IEC 62056-6-2, and what is after it."""
    kind, rest = data[0], data[1:]
    if kind in (0x01, 0x02):
        items = []
        count, rest = rest[0], rest[1:]
        for _ in range(count):
            item, rest = cosem(rest)
            items.append(item)
        return items, rest
    if kind == 0x09:
        return rest[1 : 1 + rest[0]], rest[1 + rest[0] :]
    form = {0x06: ">I", 0x0F: ">b", 0x10: ">h", 0x12: ">H", 0x16: ">B"}[kind]
    size = struct.calcsize(form)
    return struct.unpack(form, rest[:size])[0], rest[size:]


def aidon(frame: bytes) -> dict[str, object]:
    """What a frame says; the clock as its twelve bytes. Fails where lengths or checksums are wrong."""
    assert frame[:1] == frame[-1:] == b"\x7e"
    inner = frame[1:-1]
    assert int.from_bytes(inner[:2]) == 0xA000 | len(inner)
    assert x25(inner[:6]) == inner[6:8]
    assert x25(inner[:-2]) == inner[-2:]
    items, rest = cosem(inner[17:-2])
    assert isinstance(items, list)
    assert rest == b""
    found: dict[str, object] = {}
    for code, value, *scale in items:
        name = f"{code[0]}-{code[1]}:{code[2]}.{code[3]}.{code[4]}"
        found[name] = (Fraction(value) * Fraction(10) ** scale[0][0], scale[0][1]) if scale else value
    return found


def test_aidon_is_as_the_capture() -> None:
    real = aidon(AIDON)
    assert real["1-0:32.7.0"] == (Fraction("228.9"), 35)
    assert real["1-0:1.8.0"] == (62414155, 30)
    (one,) = said(speaker("aidon_meter", power_l2="-700"), 20.0)
    ours = aidon(one.frame)
    assert len(one.frame) == len(AIDON)
    assert one.frame[:18] == AIDON[:18]
    assert list(ours) == list(real)
    assert ours["0-0:1.0.0"] == H("07e90b15050b2019ff8000ff")  # Friday 2025-11-21 11:32:25, zone not specified
    units = {27: "W", 29: "var", 30: "Wh", 32: "varh", 33: "A", 35: "V"}
    assert one.given[0] == ("0-0:1.0.0", "", '"2025-11-21T11:32:25"')
    told = {name: (Fraction(value), unit) for name, unit, value in one.given[1:]}
    found = {name: value for name, value in ours.items() if isinstance(value, tuple)}
    assert told == {name: (value, units[unit]) for name, (value, unit) in found.items()}
    assert len(told) == 26
    assert told["1-0:42.7.0"] == (700, "W")


# --- NMEA 0183


def fields(one: Said) -> list[str]:
    text = one.frame.decode()
    found = re.fullmatch(r"\$(.+)\*([0-9A-F]{2})\r\n", text)
    assert found
    columns = zip(*(f"{ord(letter):08b}" for letter in found[1]), strict=True)
    parity = "".join(str(column.count("1") % 2) for column in columns)  # exclusive or, bit by bit
    assert int(parity, 2) == int(found[2], 16)
    return found[1].split(",")


def test_nmea_banner_has_the_checksum_that_u_blox_receivers_print() -> None:
    first, *_ = load_speaker("gnss").build(0, {}).boot(0.0)
    assert first.frame == b"$GNTXT,01,01,02,u-blox AG - www.u-blox.com*4E\r\n"


@pytest.mark.parametrize(
    ("latitude", "longitude", "printed"),
    [
        ("-19.484083333", "24.1751", "1929.04500,S,02410.50600,E"),  # the places of pynmea2's tests
        ("49.274166667", "-123.185333333", "4916.45000,N,12311.12000,W"),
        ("58.99999999999", "0", "5900.00000,N,00000.00000,E"),
    ],
)
def test_nmea_position(latitude: str, longitude: str, printed: str) -> None:
    sentences = said(speaker("gnss", latitude=latitude, longitude=longitude, speed="0.257222222"), 2.0)
    rmc, vtg, gga, gll = map(fields, sentences)
    assert rmc[:3] == ["GNRMC", "103207.25", "A"]
    assert (rmc[7], rmc[9], rmc[12], len(rmc)) == ("0.500", "211125", "A", 13)
    assert ",".join(rmc[3:7]) == ",".join(gga[2:6]) == ",".join(gll[1:5]) == printed
    assert (vtg[5], vtg[7], len(vtg), len(gga), len(gll)) == ("0.500", "0.926", 10, 15, 8)
    given = {name: (json.loads(value), unit) for one in sentences for name, unit, value in one.given}
    assert (given["timestamp"], given["time_of_day"]) == (("2025-11-21T10:32:07.250Z", ""), ("10:32:07.250", ""))
    assert given["latitude"] == (pytest.approx(float(latitude), abs=1e-7), "lat")
    assert given["longitude"] == (pytest.approx(float(longitude), abs=1e-7), "lon")
    assert given["speed"] == (pytest.approx(0.257222222), "m/s")
    assert given["altitude"] == (float(gga[9]), "m")


def test_nmea_without_a_fix_has_no_position() -> None:
    lost = speaker("gnss")
    assert any(name == "latitude" for one in said(lost, 1.0) for name, _, _ in one.given)
    lost.happens = frozenset(("novalue",))
    for device in (lost, speaker("gnss", fix="no", talker="GP")):
        rmc, vtg, gga, gll = map(fields, said(device, 2.0))
        assert (rmc[2], rmc[3:9], rmc[12]) == ("V", [""] * 6, "N")
        assert vtg[1:] == [""] * 8 + ["N"]
        assert (gga[2:8], gga[9]) == (["", "", "", "", "0", "00"], "")
        assert (gll[1:5], gll[6:]) == ([""] * 4, ["V", "N"])
        given = {name for one in said(device, 3.0) for name, _, _ in one.given}
        assert given == {"fix_quality", "satellites"}


# --- air sensors


def test_sds011() -> None:
    device = speaker("sds011", pm2_5="0.6", pm10="0.9")
    cold = [said(device, t)[0] for t in (1.0, 2.0)]
    assert cold == [Said(H("aac0000000000000 00ab"), (), checked=(2, 8))] * 2
    (one,) = said(device, 3.0)
    assert one.frame[:6] == H("aac0 0600 0900")  # as in the captures of PyPMS
    assert struct.unpack("<3H", one.frame[2:8])[:2] == (6, 9)
    assert (one.frame[8] - sum(struct.unpack("6B", one.frame[2:8]))) % 256 == 0
    assert (len(one.frame), one.frame[9]) == (10, 0xAB)
    assert one.given == (("pm2_5", "ug/m3", "0.6"), ("pm10", "ug/m3", "0.9"))


def test_pms5003() -> None:
    device = speaker("pms5003", pm1="4", pm2_5="8", pm10="10", warm_up="1")
    (cold,) = said(device, 1.0)
    assert cold.frame == H("424d001c" + "0000" * 13 + "00ab")  # as in PyPMS
    assert cold.given == ()
    (one,) = said(device, 2.0)
    words = struct.unpack(">2s15H", one.frame)
    assert words[:2] == (b"BM", 28)
    assert words[5:8] == (4, 8, 10)
    assert words[2:5] != words[5:8]
    assert words[15] == sum(struct.unpack("30B", one.frame[:30]))
    assert one.given[1] == ("pm2_5", "ug/m3", "8")
    assert [int(value) for _, _, value in one.given[3:]] == list(words[8:14])


def test_mh_z19() -> None:
    device = speaker("mh_z19", co2="636", warm_up="1")
    assert device.split(b"\x00" + READ_CO2 + READ_CO2[:4]) == ([READ_CO2], READ_CO2[:4])
    (cold,), (one,) = device.answer(READ_CO2, 1.0), device.answer(READ_CO2, 2.0)
    assert cold.frame == H("ff860000000000007a")  # both as in PyPMS
    assert one.frame == H("ff86027c42000000ba")
    assert (cold.given, one.given) == ((), (("co2", "ppm", "636"),))
    assert list(device.answer(READ_CO2[:8] + b"\x78", 3.0)) == []
    assert list(device.answer(H("ff018700000000007800")[:9], 3.0)) == []


# --- balances


def frames(device: Speaker, request: bytes, t: float) -> list[bytes]:
    return [one.frame for one in device.answer(request, t)]


def test_mt_sics_from_dynamic_to_stable() -> None:
    device = speaker("balance", weight="129.07", settle="2s")
    dynamic = [re.fullmatch(rb"S D ([ \d.]{10}) g\r\n", frames(device, b"SI", t)[0]) for t in (0.2, 0.8, 1.9)]
    weights = [float(found[1]) for found in dynamic if found]
    assert len(weights) == 3
    assert all(one < other for one, other in pairwise([0.0, *weights]))
    (stable,) = device.answer(b"S", 0.5)
    assert (stable.frame, stable.delay) == (b"S S     129.07 g\r\n", 1.5)
    (now,) = device.answer(b"SI", 2.5)
    assert now.frame == b"S S     129.07 g\r\n"
    assert now.given == (("weight", "g", "129.07"), ("stable", "", "true"))


def test_mt_sics_answers_of_the_manual() -> None:
    device = speaker("balance", weight="100", settle="0s")
    assert frames(device, b"S", 1.0) == frames(device, b"SI", 1.0) == [b"S S     100.00 g\r\n"]
    assert re.fullmatch(rb'I4 A "B\d{9}"\r\n', frames(device, b"I4", 1.0)[0])
    assert frames(device, b"@", 1.0) == frames(device, b"I4", 1.0) == [one.frame for one in device.boot(0.0)]
    assert frames(device, b"I2", 1.0)[0].startswith(b'I2 A "')
    assert frames(device, b"s", 1.0) == frames(device, b"", 1.0) == frames(device, b"X", 1.0) == [b"ES\r\n"]
    assert frames(device, b"SI 1", 1.0) == [b"EL\r\n"]
    assert frames(device, b"S\xc9", 1.0) == [b"ET\r\n"]
    for kind, expected in (("overload", b"S +\r\n"), ("underload", b"S -\r\n"), ("novalue", b"S I\r\n")):
        device.happens = frozenset((kind,))
        (one,) = device.answer(b"SI", 1.0)
        assert (one.frame, one.given) == (expected, ())
    assert device.split(b"SI\r\nS\r") == ([b"SI"], b"S\r")


def test_mt_sics_repeats_until_the_next_command() -> None:
    device = speaker("balance", weight="1", settle="0s", every="50ms")
    assert device.period == math.inf
    assert frames(device, b"SIR", 1.0) == [b"S S       1.00 g\r\n"]
    assert device.period == 0.05
    assert [one.frame for one in device.speak(1.05)] == [b"S S       1.00 g\r\n"]
    frames(device, b"I4", 1.1)
    assert device.period == 0.05
    frames(device, b"SI", 1.1)
    assert device.period == math.inf


def test_a_free_running_balance_prints_as_kern() -> None:
    device = speaker("balance", print="free", weight="-29.18", settle="1s")
    moving, still = said(device, 0.5)[0], said(device, 1.5)[0]
    assert device.split(b"SI\r\n") == ([], b"")
    assert re.fullmatch(rb" +-[\d.]+ {4}\r\n", moving.frame)
    assert still.frame == b"      -29.18 g  \r\n"
    assert len(still.frame) == len(moving.frame) == len("     -29.186 g  \r\n")  # the capture of OpenTrickler, issue 15
    assert (moving.given, still.given) == ((), (("weight", "g", "-29.18"),))
    device.happens = frozenset(("overload",))
    assert said(device, 2.0) == [Said(b"           Error\r\n")]
    grain = speaker("balance", print="free", unit="GN", weight="1", settle="0s")
    assert said(grain, 1.0)[0].given == (("weight", "[gr]", "1.00"),)


# --- SCPI


def test_scpi() -> None:
    device = speaker("scpi_meter", voltage="0.0042345")
    for request in (b"MEAS:VOLT:DC?", b"meas:volt?\r", b":MEASure:SCALar:VOLTage:DC?"):
        assert frames(device, request, 1.0) == [b"+4.23450000E-03\n"]  # as in InstrumentKit's tests
    assert [one.given for one in device.answer(b"MEAS:VOLT:DC?", 1.0)] == [(("voltage", "V", "0.0042345"),)]
    assert len(frames(device, b"*IDN?", 1.0)[0].split(b",")) == 4
    assert frames(device, b"MEAS:VULT?", 1.0) == frames(device, b"READ", 1.0) == []
    errors = [frames(device, b"SYST:ERR?", 1.0) for _ in range(3)]
    assert errors == [[b'-113,"Undefined header"\n']] * 2 + [[b'0,"No error"\n']]
    for kind, value in (("novalue", 9.91e37), ("overload", 9.9e37), ("underload", -9.9e37)):
        device.happens = frozenset((kind,))
        (one,) = device.answer(b"MEAS:CURR:DC?", 1.0)
        assert (float(one.frame), one.given) == (value, ())


# --- boards that print lines

PINNED = {"temperature": "22.4", "humidity": "57.9", "pressure": "1013.2"}


@pytest.mark.parametrize(
    ("dialect", "line", "units"),
    [
        ("json", '{"temperature":22.40,"humidity":57.90,"pressure":1013.2}\r\n', ["", "", ""]),
        ("csv", "22.40,57.90,1013.2\r\n", ["", "", ""]),
        ("plotter", "22.40\t57.90\t1013.2\r\n", ["", "", ""]),
        ("label", "Temperature:22.40\tHumidity:57.90\tPressure:1013.2\r\n", ["", "", ""]),
        ("equals", "temperature=22.40 humidity=57.90 pressure=1013.2\r\n", ["", "", ""]),
        (
            "sentence",
            "Temperature: 22.40 C\tHumidity: 57.90 %\tPressure: 1013.2 hPa\r\n",
            ["Cel", "%RH", "hPa"],
        ),
        ("teleplot", ">temperature:22.40§°C\n>humidity:57.90§%RH\n>pressure:1013.20§hPa\n", ["Cel", "%RH", "hPa"]),
        ("zephyr", "temp: 22.400000; press: 101.320000; humidity: 57.900000\r\n", ["", "", ""]),
    ],
)
def test_lines(dialect: str, line: str, units: list[str]) -> None:
    lines = said(speaker("line_board", dialect=dialect, **PINNED), 1.0)
    assert b"".join(one.frame for one in lines).decode() == line
    given = [value for one in lines for value in one.given]
    assert [unit for _, unit, _ in given] == units
    for name, _, value in given:
        if dialect not in ("csv", "plotter"):
            assert name in line
        assert value in line


def test_senml_line_resolves_to_what_was_given() -> None:
    (one,) = said(speaker("line_board", dialect="senml", **PINNED), 1.0)
    records = json.loads(one.frame)
    base = records[0]["bn"]
    found = [(base + record["n"], record["u"], record["v"]) for record in records]
    assert found == [(name, unit, float(value)) for name, unit, value in one.given]
    assert [record["u"] for record in records] == ["Cel", "%RH", "hPa"]
    assert records[0]["bver"] == 26


def test_zephyr_prints_a_small_negative_value_as_its_sample_does() -> None:
    (one,) = said(speaker("line_board", dialect="zephyr", temperature="-0.5"), 1.0)
    assert one.frame.startswith(b"temp: 0.-500000; press: ")  # "%d.%06d" of struct sensor_value {0, -500000}
    assert one.given[0] == ("temp", "", "-0.500000")


@pytest.mark.parametrize(
    ("dialect", "first", "last"),
    [
        ("json", "ets Jul 29 2019 12:21:46\r\n", "I (312) "),
        ("csv", "ets Jul 29 2019 12:21:46\r\n", "temperature,humidity,pressure\r\n"),
        ("plotter", "ets Jul 29 2019 12:21:46\r\n", "temperature:\thumidity:\tpressure:\r\n"),
        ("zephyr", "*** Booting Zephyr OS build ", "Found device "),
    ],
)
def test_banner_of_a_board(dialect: str, first: str, last: str) -> None:
    banner = list(speaker("line_board", dialect=dialect).boot(0.0))
    assert banner[0].frame.decode().startswith(first)
    assert banner[-1].frame.decode().startswith(last)
    assert not any(one.given for one in banner)


def test_a_board_whose_sensor_fails_says_so() -> None:
    device = speaker("line_board")
    device.happens = frozenset(("novalue",))
    assert said(device, 1.0) == [Said(b"Failed to read from DHT sensor!\r\n")]
