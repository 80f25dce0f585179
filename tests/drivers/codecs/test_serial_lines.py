"""Lines that boards print: dialects as their documents and well-known sketches have them, and what must not be one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs.printed_numbers import Numbers, number
from drivers.codecs.serial_lines import PATIENCE, LineDecoder, decode_input
from gateway import DecodeError

Told = list[tuple[str, Any, str | None]]


def told(decoder: LineDecoder, line: str | bytes) -> Told:
    frame = line if isinstance(line, bytes) else line.encode()
    return [(r.name, r.value, r.unit) for r in decoder.decode(frame)]


def told_of(*lines: str, **options: Any) -> list[Told]:
    decoder = LineDecoder(**options)
    return [told(decoder, line) for line in lines]


# The example sketches of the libraries people use, and the documents of the dialects.
LINES: list[tuple[str | bytes, Told]] = [
    # Adafruit's DHTtester, new and old
    (
        "Humidity: 57.90%  Temperature: 22.40°C 72.32°F  Heat index: 21.93°C 71.48°F",
        [
            ("Humidity", 57.9, "%RH"),
            ("Temperature", 22.4, "Cel"),
            ("Temperature", 72.32, "[degF]"),
            ("Heat index", 21.93, "Cel"),
            ("Heat index", 71.48, "[degF]"),
        ],
    ),
    (
        "Humidity: 57.90 %\tTemperature: 22.40 *C 72.32 *F\tHeat index: 21.93 *C 71.48 *F",
        [
            ("Humidity", 57.9, "%RH"),
            ("Temperature", 22.4, "Cel"),
            ("Temperature", 72.32, "[degF]"),
            ("Heat index", 21.93, "Cel"),
            ("Heat index", 71.48, "[degF]"),
        ],
    ),
    # Adafruit's BMP280, SGP30 and LIS3DH examples
    ("Temperature = 22.40 *C", [("Temperature", 22.4, "Cel")]),
    ("Pressure = 101325 Pa", [("Pressure", 101325, "Pa")]),
    ("Approx. Altitude = 12.34 m", [("Approx. Altitude", 12.34, "m")]),
    ("eCO2: 400 ppm, TVOC: 0 ppb", [("eCO2", 400, "ppm"), ("TVOC", 0, "ppb")]),
    ("X: -0.31 \tY: 0.12 \tZ: 9.77 \tm/s^2 ", [("X", -0.31, None), ("Y", 0.12, None), ("Z", 9.77, "m/s2")]),
    # ways to write it
    ("temp=22.5 hum=40", [("temp", 22.5, None), ("hum", 40, None)]),
    ("temp = 22.5, hum = 40", [("temp", 22.5, None), ("hum", 40, None)]),
    ("Temp: 22.5C Hum: 40%", [("Temp", 22.5, "Cel"), ("Hum", 40, "%RH")]),
    ("Temp: 22.5 C | Hum: 40 %", [("Temp", 22.5, "Cel"), ("Hum", 40, "%RH")]),
    ("T: 22.5 deg C and H: 40 %", [("T", 22.5, "Cel"), ("H", 40, "%RH")]),
    ("Temperature (°C): 22.5", [("Temperature (°C)", 22.5, "Cel")]),
    ("t:20 h:40", [("t", 20, None), ("h", 40, None)]),  # h is the next label, no hours
    ("t:1,h:2,", [("t", 1, None), ("h", 2, None)]),  # a separator at the end
    ("Light level is 512", [("Light level", 512, None)]),
    ("Count: 5 items", [("Count", 5, None)]),
    ("x:+1.5e3", [("x", 1500.0, None)]),
    ("\0\0T: 21", [("T", 21, None)]),  # the line was let go while the port was opened
    ("\x1b[32mT: 21\x1b[0m", [("T", 21, None)]),
    # other libraries' examples: Dallas, HX711, Sensirion, MPU6050, TinyGPS
    ("Temperature for the device 1 (index 0) is: 22.50", [("Temperature for the device 1 (index 0)", 22.5, None)]),
    ("one reading:\t-123.4\t| average:\t-123.5", [("one reading", -123.4, None), ("average", -123.5, None)]),
    (
        "co2(ppm):412 temp(C):22.5 humidity(%):40.1",
        [("co2(ppm)", 412, "ppm"), ("temp(C)", 22.5, "Cel"), ("humidity(%)", 40.1, "%RH")],
    ),
    (
        "Acceleration X: 0.12, Y: 0.34, Z: 9.81 m/s^2",
        [("Acceleration X", 0.12, None), ("Y", 0.34, None), ("Z", 9.81, "m/s2")],
    ),
    (
        "acc: 0.1, -0.2, 9.8 gyro: 1 2 3",
        [*(("acc", v, None) for v in (0.1, -0.2, 9.8)), *(("gyro", v, None) for v in (1, 2, 3))],
    ),
    ("acc:1,2,3", [("acc", 1, None), ("acc", 2, None), ("acc", 3, None)]),
    ("Location: 59.3293,18.0686", [("Location", 59.3293, None), ("Location", 18.0686, None)]),
    ("Temperature: 22.5 C (72.5 F)", [("Temperature", 22.5, "Cel"), ("Temperature", 72.5, "[degF]")]),
    ("PM1.0: 5 PM2.5: 8 PM10: 9", [("PM1.0", 5, None), ("PM2.5", 8, None), ("PM10", 9, None)]),
    ("22.5 C", [("value 1", 22.5, "Cel")]),
    ("22.5 C 40 %", [("value 1", 22.5, "Cel"), ("value 2", 40, "%")]),
    ("Core 1 temp: 45 C", [("Core 1 temp", 45, "Cel")]),
    ("CRC errors: 3", [("CRC errors", 3, None)]),
    ("sp: 21.5", [("sp", 21.5, None)]),
    # units that depend on the quantity
    ("accel_x: 0.98 g", [("accel_x", 0.98, "[g]")]),
    ("Weight: 12.5 g", [("Weight", 12.5, "g")]),
    ("Battery: 80 %", [("Battery", 80, "%EL")]),
    ("Soil moisture: 45 %", [("Soil moisture", 45, "%")]),
    ("Temp: 71.5 F", [("Temp", 71.5, "[degF]")]),
    ("Charge: 3 C", [("Charge", 3, "Cel")]),  # nobody prints coulomb
    (b"Temp: 22.5 \xb0C Hum: 40 %", [("Temp", 22.5, "Cel"), ("Hum", 40, "%RH")]),  # Latin-1
    (b"Dust: 12 \xb5g/m3", [("Dust", 12, "ug/m3")]),
    ("Dust: 12 µg/m³", [("Dust", 12, "ug/m3")]),
    # no values
    ("Humidity: nan %\tTemperature: nan *C nan *F", []),
    ("Humidity: 40 %\tTemperature: nan *C nan *F\tLux: 5 lx", [("Humidity", 40, "%RH"), ("Lux", 5, "lx")]),
    ("a: inf b: -inf c: ovf d: 1", [("d", 1, None)]),
    ("Time: 12:34:56 T=20", [("T", 20, None)]),
    ("State: ON, T: 20", [("T", 20, None)]),
    ("id: 0x1F, T: 20", [("T", 20, None)]),
    # Zephyr prints a struct sensor_value as two numbers
    ("temp: -0.-500000; press: 99.789019", [("temp", -0.5, None), ("press", 99.789019, None)]),
    ("temp: -1.-050000", [("temp", -1.05, None)]),
    ("temp: -1.-50000", [("temp", -1.05, None)]),  # %06d: the sign takes a place
    ("temp: 0.-25; hum: 3.50", [("temp", -0.25, None), ("hum", 3.5, None)]),
    ("temp: 0.-5; hum: 3.5", [("hum", 3.5, None)]),  # tenths, or hundredths
    # JSON
    ('{"a":{"b":1,"c":[2,true]},"d":null}', [("a.b", 1, None), ("a.c", 2, None), ("a.c", True, None)]),
    ('{"t":nan,"u":-inf,"s":"a nan"}', [("s", "a nan", None)]),
    ('{"n":12345678901234567,"m":1e400}', [("n", 12345678901234567, None)]),
    ("[1.5,2]", [("value 1", 1.5, None), ("value 2", 2, None)]),
    # RFC 8428, sections 5.1.1 to 5.1.3 and 4.6
    ('[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]', [("urn:dev:ow:10e2073a01080063", 23.1, "Cel")]),
    (
        '[{"bn":"d:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},'
        '{"n":"current","t":-5,"v":1.2},{"n":"open","u":"","vb":false}]',
        [("d:voltage", 120.1, "V"), ("d:current", 1.2, "A"), ("d:open", False, None)],
    ),
    ('[{"bn":"e","bu":"kWh","bv":20,"v":1},{"n":"x","v":0.5}]', [("e", 21, "kWh"), ("ex", 20.5, "kWh")]),
    ('[{"name":"t","v":1}]', [("name", "t", None), ("v", 1, None)]),  # a list, and no SenML
    # Teleplot's README
    (">myValue:1627551892444:1;1627551892555:2§rad", [("myValue", 1, "rad"), ("myValue", 2, "rad")]),
    (">trajectory:12.3:45.67|xy", [("trajectory.x", 12.3, None), ("trajectory.y", 45.67, None)]),
    (">motor_4_state:Turned On|t", [("motor_4_state", "Turned On", None)]),
    (">myValue:12.34e+2|np", [("myValue", 1234.0, None)]),
]


@pytest.mark.parametrize(("line", "expected"), LINES, ids=lambda value: str(value)[:50])
def test_line(line: str | bytes, expected: Told) -> None:
    assert told(LineDecoder(), line) == expected


NO_DATA = r"""
*** Booting Zephyr OS build zephyr-v2.4.0-2940-gbb732ada394f  ***
[00:00:00.351,000] <inf> main: Temperature: 22
[00:00:00.353,881] <err> sensor: temp: 22.5 C
<inf> app: x=5
uart:~$ sensor get bme280
I (123) wifi: mode : 5
E (4567) i2c: read failed: 263
W (12:34:56.789) main: T=3
[0;32mI (29) boot: chip revision: 3
ets Jun  8 2016 00:22:57
rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)
configsip: 0, SPIWP:0xee
clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00
mode:DIO, clock div:2
load:0x3fff0030,len:1344
ho 0 tail 12 room 4
entry 0x400805f0
 ets Jan  8 2013,rst cause:2, boot mode:(3,6)
load 0x4010f000, len 3460, room 16
tail 4
chksum 0xcc
csum 0xcc
~ld
ESP-ROM:esp32s3-20210327
Build:Mar 27 2021
Saved PC:0x40058bb2
SPIWP:0xee
Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled.
Core  1 register dump:
PC      : 0x400d1234  PS      : 0x00060730  A0      : 0x800d1f5c  A1      : 0x3ffb1f50
Backtrace: 0x400d1234:0x3ffb1f50 0x400d1f59:0x3ffb1f70
ELF file SHA256: 0000000000000000
Rebooting...
epc1=0x40201161 epc2=0x00000000 epc3=0x00000000 excvaddr=0x00000000 depc=0x00000000
>>>stack>>>
sp: 3ffffdf0 end: 3fffffd0 offset: 01a0
3ffffe40:  3ffe8304 3ffee5b0 3ffee568 40201140
 ets_main.c 181
12:34:56.789 MQT: stat/tasmota = 5
00:00:00.001 HDW: ESP8266EX
[12:34:56][D][sensor:094]: 'Temp': Sending state 22.50000 °C with 1 decimals of accuracy
[  1234][E][WiFiGeneric.cpp:123] begin(): x=3
[    0.000000] Linux version: 5
[INFO] T: 5
[123]
INFO: T: 5
DEBUG:root:temp=22
ERROR | code: 5
MPY: soft reboot
MicroPython v1.20.0 on 2023-04-26; Raspberry Pi Pico with RP2040
>>> temp: 5
Traceback (most recent call last):
  File "main.py", line 12, in <module>
OSError: 5
OSError: [Errno 19] ENODEV
error: -5
hs300x@44: sensor_read() failed: -5
Failed to read from DHT
Found BME280 at 0x76
Connecting to WiFi: 3
WiFi connected, IP: 192.168.0.17
IP address: 192.168.1.17
Version: 1.2
Firmware version: 3
Baud rate: 115200
main(): This is RIOT! (Version: 2023.01)
3 sensors found
Measured 5 of 10 values: 3 are left over
+CSQ: 15,99
OK
$GPRMC,1,2*33
a:1:2
T: 0x1F
T: 2024-01-02
Server: http://192.168.1.1:80/
:
=
>:Hello world
>1627551892437:Hello world
>3D|mySimpleCube:S:cube:P:1:1:1:R:0:0:0:W:2:H:2:D:2:C:#2ecc71
>a:1:2:3
>a:
>state:Off
"""


@pytest.mark.parametrize("line", NO_DATA.strip().splitlines())
def test_no_reading_of_a_log_or_boot_line(line: str) -> None:
    assert told(LineDecoder(), line) == []
    assert told(LineDecoder(dialect="label-value"), line) == []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["{cut", '{"a":1'], "JSON"),
        (['[{"n":"a",', '[{"bn":'], "JSON"),
        (['[{"n":"a","v":1,"x_":2}]'], "understood"),  # RFC 8428, section 4.4
        (["Temp: 22,5 Hum: 40,1", "Temp: 22,5", "p: 101,325 Pa", "n: 1,234,567", "p: 101,325.5 Pa"], "decimal_comma"),
        (['{"a":[' + "1," * 600 + "1]}"], "601 values"),
        (["\x01\x02\x83\x84\x05abcdef"], "baudrate"),
    ],
)
def test_what_is_wrong_is_said(lines: list[str], expected: str) -> None:
    for line in lines:
        with pytest.raises(DecodeError, match=expected) as caught:
            LineDecoder().decode(line.encode("latin-1"))
        assert str(caught.value).isprintable()


def test_nested_without_end_is_refused() -> None:
    with pytest.raises(DecodeError):
        LineDecoder().decode(b'{"a":' + b"[" * 4000)
    assert LineDecoder().decode(b'{"a":' * 30 + b"1" + b"}" * 30) == []  # deeper than anybody means


def test_rows_by_header_position_and_configuration() -> None:
    header, first, nan, cut, last = told_of("temp,hum,state", "20.5,40,OK", "21,nan,ON", "21,41", "22,42,OFF,")
    assert header == cut == []
    assert first == [("temp", 20.5, None), ("hum", 40, None), ("state", "OK", None)]
    assert nan == [("temp", 21, None), ("state", "ON", None)]
    assert last == [("temp", 22, None), ("hum", 42, None), ("state", "OFF", None)]
    assert told_of("20.5 40", "20.5\t41\t", "20.5;42;")[2] == [("value 1", 20.5, None), ("value 2", 42, None)]
    named = told_of("20.5,40", "1,2,3", names=["temp", "hum"], units={"temp": "Cel"})
    assert named == [[("temp", 20.5, "Cel"), ("hum", 40, None)], []]
    assert told_of("Temperature [°C];Humidity (%)", "20.5;40")[1] == [
        ("Temperature [°C]", 20.5, "Cel"),
        ("Humidity (%)", 40, "%RH"),
    ]
    assert told_of("12:30:00,22.5") == [[("value 2", 22.5, None)]]
    assert told_of("# time, temp", "2024-01-02 12:00:00, 22.5")[1][1] == ("temp", 22.5, None)


@pytest.mark.parametrize("header", ["a:\tb:", "a: b:", "a,b", "a\tb", "a b", '"a","b"'])
def test_headers(header: str) -> None:
    assert told_of(header, "1\t2")[1] == [("a", 1, None), ("b", 2, None)]


@pytest.mark.parametrize(
    "message", ["Hello world", "Sensor ready", "Starting measurement", "no sensor!", "Booting ..."]
)
def test_a_message_is_no_header(message: str) -> None:
    assert told_of(message, "1,2")[1] == [("value 1", 1, None), ("value 2", 2, None)]


@pytest.mark.parametrize("noise", [b"Ll\xffi\xfe", b"n\x18\xb4c", b"j\x01", b"k\x81"])
def test_noise_is_no_header(noise: bytes) -> None:
    decoder = LineDecoder()
    assert (told(decoder, noise), told(decoder, "1")) == ([], [("value 1", 1, None)])


@pytest.mark.parametrize("header", [b"Temp \xb0C;Dust", b"Temp;Dust (\xb5g/m3)", b"Temp [\xb0C];Dust"])
def test_a_header_in_an_older_character_set(header: bytes) -> None:
    decoder = LineDecoder()
    assert told(decoder, header) == []
    assert [name[:4] for name, _, _ in told(decoder, "20.5;7")] == ["Temp", "Dust"]


def test_another_number_of_cells_is_believed_the_second_time() -> None:
    assert told_of("1,2", "1,2,3", "1,2,3")[1:] == [[], [(f"value {i}", i, None) for i in (1, 2, 3)]]


def test_decimal_comma_and_missing() -> None:
    assert told_of("T;H", "20,5;40", decimal_comma=True)[1] == [("T", 20.5, None), ("H", 40, None)]
    assert told_of("T: 22,5, H: 40,1 %", decimal_comma=True)[0] == [("T", 22.5, None), ("H", 40.1, "%RH")]
    assert told_of("a: 1,5; 2,5 b: 3,5", decimal_comma=True)[0] == [
        ("a", 1.5, None),
        ("a", 2.5, None),
        ("b", 3.5, None),
    ]
    with pytest.raises(DecodeError, match="decimal_comma"):
        told_of("T;H", "20,5;40")
    readings = told_of("T: -127.00 C H: 5 %", "T: 85", '{"T":85,"on":true}', "T: 21", missing=[-127, 85, 1])
    assert readings == [[("H", 5, "%RH")], [], [("on", True, None)], []]


def test_one_value_a_line_is_successive_samples() -> None:
    assert told_of("temp: 20", "hum: 30") == [[("temp", 20, None)], [("hum", 30, None)]]


def test_the_dialect_is_kept_and_another_one_believed_in_time() -> None:
    decoder = LineDecoder()
    assert told(decoder, "calls: 3")
    assert told(decoder, '{"a":1}')  # a marked dialect at once
    assert decoder.dialect == "json"
    strange = [told(decoder, f"T: {i}") for i in range(PATIENCE - 1)]
    assert strange == [[]] * (PATIENCE - 1)
    assert told(decoder, '{"a":2}') == [("a", 2, None)]
    for i in range(PATIENCE):  # another program was loaded into the board
        found = told(decoder, f"T: {i}")
    assert found == [("T", PATIENCE - 1, None)]


def test_a_fixed_dialect_hears_nothing_else() -> None:
    assert told_of('{"a":1}', "1 2", ">a:1", "a: 1", dialect="label-value") == [[], [], [], [("a", 1, None)]]
    assert told_of('{"a":1}', "a: 1", "1 2", dialect="csv")[2] == [("value 1", 1, None), ("value 2", 2, None)]
    assert told_of("a: 1", ">x:1", '{"x":2}', dialect="json") == [[], [], [("x", 2, None)]]
    assert told_of('{"x":2}', '[{"n":"x","v":1}]', dialect="senml") == [[], [("x", 1, None)]]


@pytest.mark.parametrize("separator", [" ", "\t", ","])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("trailing", [True, False])
def test_arduino_plotter(separator: str, end: str, trailing: bool) -> None:
    """arduino-serial-plotter-webapp, src/msgAggregatorWorker.test.ts: a first line is dropped, it may be a fragment."""
    after = separator if trailing else ""
    context = {"stream_start": "unknown: the first line may be a fragment and is dropped"}

    def values(*rows: list[str], **known: str) -> Told:
        text = "".join(separator.join(row) + after + end for row in rows)
        return [(r.name, r.value, r.unit) for r in decode_input(text.encode(), known)]

    assert values(["0"], ["1"], ["2"], **context) == [("value 1", 1, None), ("value 1", 2, None)]
    rows = [("value 1", 1, None), ("value 2", 2, None), ("value 1", 3, None), ("value 2", 4, None)]
    assert values(["0"], ["1", "2"], ["3", "4"]) == rows == values(["0"], ["1", "2"], ["3", "4"], **context)
    labelled = values(["0"], ["label_1:1", "label_2:2"], ["label_1:3", "label_2:4"])
    assert labelled == [("label_1", 1, None), ("label_2", 2, None), ("label_1", 3, None), ("label_2", 4, None)]


@given(st.integers(-(2**31) + 1, 2**31 - 1), st.integers(0, 999_999))
def test_zephyr_fractions(whole: int, millionths: int) -> None:
    """What printf("%d.%06d") makes of a struct sensor_value: both parts have the sign of the value."""
    if whole > 0 or (whole == 0 and millionths % 2):
        printed, expected = f"{whole:d}.{millionths:06d}", (whole * 10**6 + millionths) / 10**6
    else:
        printed, expected = f"{whole:d}.{-millionths:06d}", (whole * 10**6 - millionths) / 10**6
    match = Numbers().pattern.fullmatch(printed)
    assert match is not None
    assert number(printed) == expected


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_numbers_as_python_prints_them(value: float) -> None:
    assert Numbers().pattern.fullmatch(str(value))
    assert number(str(value)) == (value if isinstance(value, float) or abs(value) < 2**63 else float(value))


@given(st.text(max_size=60))
def test_any_text_gives_values_or_a_decode_error(text: str) -> None:
    for line in (text, f"a: {text}", f"{text}: 5", f"1,{text}", f">a:{text}", f'{{"a":{text}}}'):
        refusal = ""
        try:
            LineDecoder().decode(line.encode(errors="replace"))
        except DecodeError as error:
            refusal = str(error)
        assert refusal.isprintable()
