"""`labgate scan PORT`: what a serial device says by itself. Nothing is sent; drivers are tried on what is heard."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from gateway.cli import show, unconfigured
from gateway.config_serial import SerialLinkConfig
from gateway.driver import Listener
from gateway.errors import ConfigError, LabgateError
from gateway.links.base import SerialLink
from gateway.links.framing import Lines
from gateway.links.ports import serial_ports
from gateway.links.serial import SerialLine
from gateway.reading import Reading
from gateway.validation import faults

BAUDRATES = (9600, 115200, 19200, 4800, 38400, 57600, 2400, 1200)
WITHIN = 2.5  # s at each speed; boards mostly print once a second
METERS = 115200  # baud of electricity meters …
METERS_WITHIN = 11.0  # … which speak every 10 s
LAST_RESORT = "lines"  # makes something of most text
TEXT = 0.9  # of what a device says is printable where it says lines
SHOWN = 3  # lines that are shown as they came

Tried = dict[str, Listener]  # by how a device names it: `driver: han`, `profile: sds011`


@dataclass
class Heard:
    """What came at one speed, and what makes sense of it: the first is the best guess."""

    baudrate: int
    lines: list[str]
    made: dict[str, list[Reading]] = field(default_factory=dict)

    @property
    def clean(self) -> float:
        """Share of it that is printable text."""
        text = "".join(self.lines)
        return sum(c.isprintable() and c != "\ufffd" for c in text) / len(text) if text else 0.0


async def listen(port: str, within: float | None, as_json: bool) -> None:
    """Hear the port at one common speed after the other until something makes sense of it, and say what to paste.

    Raises ConfigError for what is no port, and LinkError.
    """
    tried = listeners()
    speeds = (METERS,) if port.startswith("tcp://") else BAUDRATES
    _link(port, speeds[0])
    each = within or WITHIN

    def say(text: str) -> None:
        if not as_json:
            print(text)

    say(f"listening on {port}, nothing is sent; opening it may reset a board")
    if len(speeds) > 1:
        say(f"at {', '.join(map(str, speeds))} baud, {each:g} s each, until something makes sense")
    best, deaf = None, True  # to meters
    for baudrate in speeds:
        heard = await _heard(port, baudrate, each, tried)
        deaf = deaf and (heard is None or baudrate != METERS)
        best = _better(best, heard)
        if best is not None and best.made:
            break
    if deaf and within is None and (best is None or not best.made):
        at = f" at {METERS} baud" if len(speeds) > 1 else ""
        say(f"now {METERS_WITHIN:g} s{at}, for meters that speak every 10 s")
        best = _better(best, await _heard(port, METERS, METERS_WITHIN, tried))
    _tell(port, best, as_json)


def listeners() -> Tried:
    """What can be tried: drivers that listen and need to be told nothing, and the built-in profiles of such."""
    found = unconfigured.all_on(SerialLink).items()
    made = {name: driver(options, None) for name, (driver, options) in found if issubclass(driver, Listener)}
    return {name: made[name] for name in sorted(made, key=lambda name: name.endswith(f" {LAST_RESORT}"))}


def _better(one: Heard | None, other: Heard | None) -> Heard | None:
    if one is None or other is None:
        return one or other
    return other if (bool(other.made), other.clean) > (bool(one.made), one.clean) else one


async def _heard(port: str, baudrate: int, within: float, tried: Tried) -> Heard | None:
    line = SerialLine("scan", _link(port, baudrate))
    try:
        async with asyncio.TaskGroup() as group:
            plain = group.create_task(_frames(line, "", (Lines(),), within))
            frames = {name: group.create_task(_frames(line, name, tried[name].hear, within)) for name in tried}
    except* LabgateError as errors:
        raise errors.exceptions[0] from None
    finally:
        await line.close()
    if not plain.result() and not any(task.result() for task in frames.values()):
        return None
    heard = Heard(baudrate, [frame.decode(errors="replace") for frame in plain.result()])
    for name, driver in tried.items():
        if (not heard.made or not name.endswith(f" {LAST_RESORT}")) and (
            readings := _made_of(driver, frames[name].result())
        ):
            heard.made[name] = readings
    return heard


def _link(port: str, baudrate: int) -> SerialLinkConfig:
    raw = {"serial": port, "baudrate": baudrate}
    try:
        return SerialLinkConfig.model_validate(raw)
    except ValidationError as error:
        wrong = faults(error, raw, SerialLinkConfig)[0]
        raise ConfigError(f"{wrong.text}; {wrong.instead}") from None


async def _frames(line: SerialLine, ear: str, framings: Any, within: float) -> list[bytes]:
    loop = asyncio.get_running_loop()
    until, found = loop.time() + within, []
    while (wait := until - loop.time()) > 0:
        found += await line.frames(ear, framings, wait)
    return found


def _made_of(driver: Listener, frames: Sequence[bytes]) -> list[Reading]:
    """The readings of the frames, if most of them make sense."""
    readings: list[Reading] = []
    wrong = 0
    for frame in frames:
        try:
            readings += driver.decode(frame)
        except Exception:  # noqa: BLE001 - a driver of one's own may raise anything
            wrong += 1
    return readings if 2 * wrong < len(frames) else []


def _tell(port: str, heard: Heard | None, as_json: bool) -> None:
    where = next((p.where for p in serial_ports() if p.path == os.path.realpath(port)), f'"{port}"')
    baudrate = heard.baudrate if heard and not port.startswith("tcp://") else None  # a serial server has its own
    link = f"{{serial: {where}{f', baudrate: {baudrate}' if baudrate else ''}}}" if heard else None
    at = f"at {baudrate} baud " if baudrate else ""
    devices = [f"{{{name}, link: desk}}" for name in heard.made] if heard else []
    if as_json:
        guess, readings = next(iter(heard.made.items()), ("", [])) if heard else ("", [])
        key, _, name = guess.partition(": ")
        row: dict[str, Any] = {"port": port, "baudrate": baudrate, "driver": None, "profile": None}
        row |= {key: name} if guess else {}
        row |= {"said": heard.lines[:SHOWN] if heard else [], "readings": sorted({r.name for r in readings})}
        show.json_line(row | {"link": link, "device": devices[0] if devices else None, "or": devices[1:]})
        return
    if heard is None:
        print("nothing was heard; is it on, does it speak by itself, and are its wires right?")
        return
    if not devices or heard.clean > TEXT:
        for text in heard.lines[:SHOWN]:
            print(f"  {show.printable(text[:100])}")
    if not devices:
        print(f"{at}this was heard, and no driver made sense of it")
        return
    guess, readings = next(iter(heard.made.items()))
    values = {r.name: {"value": r.value, "unit": r.unit} for r in readings}
    print(f"{at}the {guess.replace(':', '')} hears {show.readings(values)}")
    print(f"paste under links:    desk: {link}")
    print(f"paste under devices:  board-1: {devices[0]}")
    if len(devices) > 1:
        print(f"or, which looks the same on the wire: {', '.join(devices[1:])}")
