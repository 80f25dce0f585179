"""A board that prints lines: `--set dialect=json`, senml, csv, label, equals, sentence, plotter, teleplot, zephyr.

Sources: Arduino serial plotter protocol (arduino/Arduino build/shared/ArduinoSerialPlotterProtocol.md), Adafruit's DHT
example (sentence), Teleplot README, RFC 8428 (SenML), Zephyr samples/sensor/bme280; the banner is that of an ESP32's
ROM and ESP-IDF. Opening its port resets the board.
"""

from collections.abc import Iterable
from random import Random

from simulators.mains import pinned_or, wander
from simulators.modbus_slave import Given
from simulators.settings import Settings, choice, number, period
from simulators.speaker import Said, Speaker

DIALECTS = ("json", "senml", "csv", "label", "equals", "sentence", "plotter", "teleplot", "zephyr")
SETTINGS = ("dialect", "every", "temperature", "humidity", "pressure")

_ESP32 = (
    "ets Jul 29 2019 12:21:46",
    "",
    "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)",
    "configsip: 0, SPIWP:0xee",
    "mode:DIO, clock div:1",
    "load:0x3fff0030,len:1344",
    "entry 0x400805f0",
    "I (312) main: sensor found at 0x76, sampling 3 channels",
)
_ZEPHYR = (
    "*** Booting Zephyr OS build v3.5.0 ***",
    "[00:00:00.251,000] <inf> main: sensor ready",
    "Found device BME280",
)
_FAILED = "Failed to read from DHT sensor!"
_SENML = "urn:dev:mac:0024befffe804ff1:"

Values = tuple[float, float, float]
"""Temperature (Cel), humidity (%RH), pressure (hPa)."""


class LineBoard(Speaker):
    """Prints temperature, humidity and pressure, as boards do that nobody has written a document for."""

    resets_when_opened = True
    can_happen = ("novalue",)

    def __init__(self, seed: int, settings: Settings) -> None:
        random = Random(seed)
        self._dialect = choice(settings, "dialect", DIALECTS)
        self.period = period(settings, 1.0)
        self._quantities = (
            pinned_or(number(settings, "temperature", -40, 85), wander(random, 22.0, 1.5)),
            pinned_or(number(settings, "humidity", 0, 100), wander(random, 45.0, 8.0)),
            pinned_or(number(settings, "pressure", 300, 1100), wander(random, 1008.0, 12.0)),
        )

    def boot(self, t: float) -> Iterable[Said]:
        """See Speaker."""
        banner = _ZEPHYR if self._dialect == "zephyr" else _ESP32
        header = {"csv": ["temperature,humidity,pressure"], "plotter": ["temperature:\thumidity:\tpressure:"]}
        return [_said(text) for text in (*banner, *header.get(self._dialect, []))]

    def speak(self, t: float) -> Iterable[Said]:
        """See Speaker."""
        if self.happens:
            return [_said(_FAILED)]
        temperature, humidity, pressure = (quantity(t) for quantity in self._quantities)
        if self._dialect == "teleplot":
            return _teleplot((temperature, humidity, pressure))
        if self._dialect == "zephyr":
            return [_zephyr((temperature, humidity, pressure))]
        return [_line(self._dialect, f"{temperature:.2f}", f"{humidity:.2f}", f"{pressure:.1f}")]


def build(seed: int, settings: Settings) -> LineBoard:
    """A board; `temperature` (Cel), `humidity` (%RH) and `pressure` (hPa) can be pinned; `every` is 1s or as set."""
    return LineBoard(seed, settings)


def _said(text: str, *given: Given) -> Said:
    return Said(f"{text}\r\n".encode(), given)


def _line(dialect: str, temperature: str, humidity: str, pressure: str) -> Said:
    """All three in one line."""
    small = ("temperature", "", temperature), ("humidity", "", humidity), ("pressure", "", pressure)
    large = ("Temperature", "", temperature), ("Humidity", "", humidity), ("Pressure", "", pressure)
    known = ("temperature", "Cel", temperature), ("humidity", "%RH", humidity), ("pressure", "hPa", pressure)
    if dialect == "json":
        members = ",".join(f'"{name}":{value}' for name, _, value in small)
        return _said(f"{{{members}}}", *small)
    if dialect == "senml":
        records = [f'{{"n":"{name}","u":"{unit}","v":{value}}}' for name, unit, value in known]
        records[0] = f'{{"bn":"{_SENML}","bver":26,{records[0][1:]}'  # hPa is of RFC 8798, which wants this version
        return _said(f"[{','.join(records)}]", *((_SENML + name, unit, value) for name, unit, value in known))
    if dialect == "label":
        return _said("\t".join(f"{name}:{value}" for name, _, value in large), *large)
    if dialect == "equals":
        return _said(" ".join(f"{name}={value}" for name, _, value in small), *small)
    if dialect == "sentence":
        text = f"Temperature: {temperature} C\tHumidity: {humidity} %\tPressure: {pressure} hPa"
        return _said(text, *((name.capitalize(), unit, value) for name, unit, value in known))
    return _said(("," if dialect == "csv" else "\t").join((temperature, humidity, pressure)), *small)


def _teleplot(values: Values) -> list[Said]:
    """A line for each quantity, with its unit after the section sign."""
    found = (("temperature", "Cel", "°C"), ("humidity", "%RH", "%RH"), ("pressure", "hPa", "hPa"))
    return [
        Said(f">{name}:{value:.2f}§{printed}\n".encode(), ((name, unit, f"{value:.2f}"),))
        for (name, unit, printed), value in zip(found, values, strict=True)
    ]


def _zephyr(values: Values) -> Said:
    """As the sample prints a struct sensor_value: whole and millionths, both with the sign; pressure is in kPa."""
    temperature, humidity, pressure = values
    said, given = [], []
    for name, value in (("temp", temperature), ("press", pressure / 10), ("humidity", humidity)):
        micro = round(value * 1_000_000)
        whole = int(micro / 1_000_000)
        said.append(f"{name}: {whole}.{micro - whole * 1_000_000:06d}")
        given.append((name, "", f"{micro / 1_000_000:.6f}"))
    return _said("; ".join(said), *given)
