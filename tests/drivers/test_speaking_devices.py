"""Line boards, receivers, balances and instruments: the drivers against simulators, by frames and on a line."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.lines import LineBoard, LinesOptions
from drivers.mt_sics import MtSics, MtSicsOptions
from drivers.nmea import Nmea
from drivers.scale_lines import ScaleLines
from drivers.scpi import Scpi, ScpiOptions
from drivers.ve_direct import VeDirect
from gateway import DecodeError, LinkError, Listener, Options, Parser, Reading
from gateway.config_serial import SerialLinkConfig
from gateway.links.serial import SerialLine
from simulators.catalog import load_speaker
from simulators.faults import parse_fault
from simulators.serial_port import serial_terminal
from simulators.speaker import Speaker
from simulators.voice import Voice

DIALECTS = ("json", "senml", "csv", "label", "equals", "sentence", "plotter", "teleplot", "zephyr")
VICTRON = json.loads((Path(__file__).parents[1] / "vectors/ve-direct.json").read_text("utf-8"))["vectors"]


def speaker(name: str, seed: int = 3, **settings: str) -> Speaker:
    device = load_speaker(name).build(seed, settings)
    device.started = 1_763_721_125.25
    return device


def heard(driver: Listener, data: bytes) -> list[list[Reading]]:
    """Of each frame, as the link finds them."""
    found = []
    for frame in Parser(driver.hear).feed(data):
        try:
            found.append(driver.decode(frame))
        except DecodeError:
            found.append([])
    return found


def plain(readings: list[Reading]) -> dict[str, tuple[Any, str]]:
    return {r.name: (r.value, r.unit or "") for r in readings}


def given(said: Any) -> dict[str, tuple[Any, str]]:
    return {name: (json.loads(value), unit) for name, unit, value in said.given}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("settings", [{}, {"temperature": "-0.25"}], ids=str)
def test_a_line_board_of_any_dialect_needs_no_configuration(dialect: str, settings: dict[str, str]) -> None:
    """Every value in every line, none of the banner, and the board may start again in between."""
    device = speaker("line_board", dialect=dialect, **settings)
    board = LineBoard(LinesOptions(), None)  # no link is needed
    for start in range(3):
        assert not any(heard(board, b"".join(said.frame for said in device.boot(float(start)))))
        for t in range(20):
            for said in device.speak(float(start * 100 + t)):
                (readings,) = heard(board, said.frame)
                assert plain(readings) == given(said)


@pytest.mark.parametrize("talker", ["GN", "GP", "BD"])
def test_a_receiver_that_loses_its_fix(talker: str) -> None:
    """The four sentences of an instant are one sample; without a fix there is no position and no speed."""
    receiver, device = Nmea(Options(), None), speaker("gnss", talker=talker)
    assert not any(heard(receiver, b"".join(said.frame for said in device.boot(0.0))))
    samples = []
    for t in range(30):
        device.happens = frozenset({"novalue"}) if 10 <= t < 20 else frozenset()
        said = list(device.speak(float(t)))
        truth: dict[str, tuple[Any, str]] = {}
        for sentence in said:
            truth |= given(sentence)
        samples.append(([s for s in heard(receiver, b"".join(one.frame for one in said)) if s], truth))
    for t, (found, truth) in enumerate(samples):
        if t in (0, 1):  # the first instant is known to be over when the second begins
            assert len(found) == 2 * t
            continue
        assert len(found) == 1
        readings = plain(found[0])
        assert readings.keys() == truth.keys()
        assert (("latitude" in readings), ("speed" in readings)) == ((not 10 <= t < 20),) * 2
        for name, (value, unit) in readings.items():
            told, told_unit = truth[name]
            assert value == (told if isinstance(told, str) else pytest.approx(told, rel=1e-7, abs=1e-8))
            assert unit == told_unit


@pytest.mark.parametrize("unit", ["g", "kg", "GN"])
def test_a_balance_that_prints_by_itself(unit: str) -> None:
    """While the pan moves it prints no unit, and a weight of no unit is none."""
    balance, device = ScaleLines(Options(), None), speaker("balance", print="free", unit=unit)
    list(device.boot(0.0))
    weights = 0
    for t in range(60):
        for said in device.speak(t * 0.7):
            (readings,) = heard(balance, said.frame)
            assert plain(readings) == given(said)
            weights += len(readings)
    assert weights > 10
    device.happens = frozenset({"overload"})
    with pytest.raises(DecodeError):
        balance.decode(next(iter(device.speak(1.0))).frame)


def test_bursts_of_two_victron_blocks_are_one_sample() -> None:
    blocks = [bytes.fromhex(vector["input_hex"]) for vector in VICTRON if vector["expected"]]
    driver = VeDirect(Options(), None)
    readings = plain(driver.decode(b"".join(blocks)))
    assert (readings["VPV"], readings["SOC"], readings["V"]) == ((31.39, "V"), (83.9, "%EL"), (12.065, "V"))
    assert not {"PID", "FW", "SER#"} & readings.keys()
    assert driver.identity() == {"model": "0x203", "serial": "HQ1411MYIKN", "firmware": "0308"}
    assert plain(driver.decode(blocks[0][40:] + blocks[1])) == plain(driver.decode(blocks[1]))
    asynchronous = blocks[0].replace(b"\r\nPPV", b":7F0ED0071\n\r\nPPV")
    assert plain(driver.decode(asynchronous)) == plain(driver.decode(blocks[0]))


@asynccontextmanager
async def line(voice: Voice) -> AsyncIterator[SerialLine]:
    async with serial_terminal(voice) as port:
        link = SerialLine("desk", SerialLinkConfig.model_validate({"serial": port, "timeout": 0.3}))
        try:
            yield link
        finally:
            await link.close()


async def test_a_balance_on_a_line() -> None:
    """The serial number it says when it is switched on is no weight; it is known after the first."""
    async with line(Voice(speaker("balance", weight="-12.5", settle="0s"))) as link:
        balance = MtSics(MtSicsOptions(), link)
        for _ in range(2):
            assert await balance.read() == [Reading("weight", -12.5, "g"), Reading("stable", True)]
            identity = balance.identity()
            assert str(identity["model"]).startswith("SIM204")
            assert re.fullmatch(r"B\d{9}", str(identity["serial"]))


@pytest.mark.parametrize(("fault", "says"), [("overload", "overload"), ("underload", "underload"), ("novalue", "busy")])
async def test_what_is_no_weight(fault: str, says: str) -> None:
    async with line(Voice(speaker("balance"), [parse_fault(fault)])) as link:
        with pytest.raises(DecodeError, match=says):
            await MtSics(MtSicsOptions(), link).read()


async def test_an_instrument_on_a_line() -> None:
    queries = [
        {"name": "voltage", "query": "MEAS:VOLT:DC?", "unit": "V"},
        {"name": "current", "query": "MEAS:CURR:DC?", "unit": "A"},
    ]
    async with line(Voice(speaker("scpi_meter", voltage="5.25", current="-0.5"))) as link:
        meter = Scpi(ScpiOptions.model_validate({"queries": queries}), link)
        assert await meter.read() == [Reading("voltage", 5.25, "V"), Reading("current", -0.5, "A")]
        identity = meter.identity()
        assert (identity["model"], identity["firmware"]) == ("Simulated Instruments SM34401", "1.04")
        wrong = Scpi(ScpiOptions.model_validate({"queries": [{"name": "x", "query": "MEAS:FOO?"}]}), link)
        with pytest.raises(LinkError, match="-113 Undefined header") as caught:
            await wrong.read()
        assert (caught.value.reason, caught.value.code) == ("exception", -113)


@pytest.mark.parametrize("fault", ["novalue", "overload", "underload"])
async def test_an_instrument_without_a_number(fault: str) -> None:
    """9.91E37 is not a number, 9.9E37 is infinite (SCPI-99): nothing is told."""
    async with line(Voice(speaker("scpi_meter"), [parse_fault(fault)])) as link:
        queries = [{"name": "voltage", "query": "MEAS:VOLT:DC?", "unit": "V"}]
        assert await Scpi(ScpiOptions.model_validate({"queries": queries}), link).read() == []


async def test_a_dead_instrument_is_asked_one_question() -> None:
    """Once it did not even say what was wrong, it costs the others on its line one time-out a period and no more."""
    asked: list[bytes] = []
    async with line(Voice(speaker("sds011"))) as link:  # says nothing to any question, and no line end
        link.trace = lambda way, data, *_: asked.append(data) if way == ">>" else None
        meter = Scpi(ScpiOptions.model_validate({"queries": [{"name": "x", "query": "READ?"}], "timeout": 0.02}), link)
        for _ in range(3):
            with pytest.raises(LinkError):
                await meter.read()
            await asyncio.sleep(0)
    assert asked == [b"READ?\n", b"SYST:ERR?\n", b"READ?\n", b"READ?\n"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"queries": []}, "nothing to ask"),
        ({"queries": [{"name": "a", "query": "*RST"}]}, "asks nothing"),
        ({"queries": [{"name": "a", "query": "A?"}, {"name": "a", "query": "B?"}]}, "two queries"),
    ],
)
def test_wrong_queries(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ScpiOptions.model_validate(options)
    with pytest.raises(ValueError, match="stands twice"):
        LinesOptions.model_validate({"names": ["a", "a"]})
