"""`labgate scan PORT`: what a serial device says by itself. Nothing is sent; drivers are tried on what is heard."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.cli import show
from gateway.config_serial import SerialLinkConfig
from gateway.driver import Listener, driver_names, load_driver, options_model
from gateway.errors import ConfigError, DecodeError, LabgateError
from gateway.links.framing import Lines
from gateway.links.serial import SerialLine
from gateway.reading import Reading

BAUDRATES = (9600, 115200, 19200, 4800, 38400, 57600, 2400, 1200)
WITHIN = 2.5  # s at each speed; boards mostly print once a second
LAST_RESORT = "lines"  # makes something of most text
SHOWN = 3  # lines that are shown as they came


@dataclass
class Heard:
    """What came at one speed, and the driver that makes most of it."""

    baudrate: int
    lines: list[str]
    driver: str | None = None
    readings: Iterable[Reading] = ()

    @property
    def clean(self) -> float:
        """Share of it that is printable text."""
        text = "".join(self.lines)
        return sum(c.isprintable() and c != "\ufffd" for c in text) / len(text) if text else 0.0


async def listen(port: str, within: float | None, as_json: bool) -> None:
    """Hear the port at one common speed after the other until something makes sense of it, and say what to paste."""
    drivers = {name: driver for name in driver_names() if (driver := _without_options(name)) is not None}
    speeds = (9600,) if port.startswith("tcp://") else BAUDRATES
    if not as_json:
        print(f"listening on {port}, nothing is sent; opening it may reset a board")
    best: Heard | None = None
    for baudrate in speeds:
        heard = await _heard(port, baudrate, within or WITHIN, drivers)
        if heard is not None and (best is None or (heard.driver is not None, heard.clean) > (False, best.clean)):
            best = heard
        if best is not None and best.driver is not None:
            break
    _tell(port, best, as_json)


def _without_options(name: str) -> Listener | None:
    """A listener that needs to be told nothing. Drivers that need more cannot be tried."""
    try:
        found = load_driver(name, Path())
        if not issubclass(found, Listener):
            return None
        driver: Listener = found(options_model(found)(), None)
    except (ConfigError, ValidationError):
        return None
    return driver


async def _heard(port: str, baudrate: int, within: float, drivers: dict[str, Listener]) -> Heard | None:
    line = SerialLine("scan", SerialLinkConfig.model_validate({"serial": port, "baudrate": baudrate}))
    names = sorted(drivers, key=lambda name: (name == LAST_RESORT, name))
    try:
        async with asyncio.TaskGroup() as group:
            plain = group.create_task(_frames(line, "scan", (Lines(),), within))
            frames = {n: group.create_task(_frames(line, n, drivers[n].hear, within)) for n in names}
    except* LabgateError as errors:
        raise errors.exceptions[0] from None
    finally:
        await line.close()
    if not plain.result() and not any(task.result() for task in frames.values()):
        return None
    heard = Heard(baudrate, [frame.decode(errors="replace") for frame in plain.result()])
    for name in names:
        if readings := _made_of(drivers[name], frames[name].result()):
            heard.driver, heard.readings = name, readings
            break
    return heard


async def _frames(line: SerialLine, ear: str, framings: Any, within: float) -> list[bytes]:
    loop = asyncio.get_running_loop()
    until, found = loop.time() + within, []
    while (wait := until - loop.time()) > 0:
        found += await line.frames(ear, framings, wait)
    return found


def _made_of(driver: Listener, frames: list[bytes]) -> list[Reading]:
    """The readings of the frames, if most of them make sense."""
    readings: list[Reading] = []
    wrong = 0
    for frame in frames:
        try:
            readings += driver.decode(frame)
        except DecodeError:
            wrong += 1
    return readings if 2 * wrong < len(frames) else []


def _tell(port: str, heard: Heard | None, as_json: bool) -> None:
    device = f"{{driver: {heard.driver or LAST_RESORT}, link: desk}}" if heard else None
    link = f'{{serial: "{port}", baudrate: {heard.baudrate}}}' if heard else None
    if as_json:
        said = heard.lines[:SHOWN] if heard else []
        names = sorted({r.name for r in heard.readings}) if heard else []
        row = {"port": port, "baudrate": heard and heard.baudrate, "driver": heard and heard.driver}
        show.json_line(row | {"said": said, "readings": names, "link": link, "device": device})
        return
    if heard is None:
        print("nothing was heard; is it on, does it speak by itself, and are its wires right?")
        return
    for text in heard.lines[:SHOWN]:
        print(f"  {text[:100]}")
    if heard.driver is None:
        print(f"at {heard.baudrate} baud this was heard, and no driver made sense of it")
        return
    values = {r.name: {"value": r.value, "unit": r.unit} for r in heard.readings}
    print(f"at {heard.baudrate} baud the driver {heard.driver} hears {show.readings(values)}")
    print(f"paste under links:    desk: {link}")
    print(f"paste under devices:  board-1: {device}")
