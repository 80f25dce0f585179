"""`labgate scan PORT`: devices that speak by themselves are recognised, and what is to be pasted works."""

import asyncio
import json
import os
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import listen, main
from gateway.config import load_site
from gateway.config_serial import SerialLinkConfig
from gateway.testbed import Simulator
from gateway.yamltext import parse_yaml
from tests.commands import labgate

TELEGRAM = next(
    vector["input_text"]
    for vector in json.loads((Path(__file__).parents[2] / "vectors/p1-dsmr.json").read_text())["vectors"]
    if vector["id"] == "p1-kamstrup-1"
).encode()


@pytest.fixture
def wire() -> Iterator[tuple[int, str]]:
    """Our end of a pseudo-terminal, and the port."""
    ours, port = os.openpty()
    tty.setraw(port)
    yield ours, os.ttyname(port)
    os.close(ours)
    os.close(port)


@pytest.mark.parametrize(
    ("simulator", "kind", "name", "reading"),
    [
        (("sds011",), "profile", "sds011", "pm2_5"),
        (("line_board", "--set", "every=100ms"), "driver", "lines", "temperature"),
        (("gnss", "--set", "every=300ms"), "driver", "nmea", "latitude"),
        (("balance", "--set", "print=free", "--set", "settle=50ms"), "driver", "scale_lines", "weight"),
    ],
)
def test_who_speaks_is_recognised(
    tmp_path: Path, simulator: tuple[str, ...], kind: str, name: str, reading: str
) -> None:
    with Simulator(tmp_path, *simulator) as device:
        done = labgate("scan", device.url, "--json", "--timeout", "1200ms")
    found = json.loads(done.stdout)
    assert (found[kind], reading in found["readings"]) == (name, True), found
    file = tmp_path / "pasted.yaml"
    file.write_text(f"gateway: {{id: t-1}}\nlinks:\n  desk: {found['link']}\ndevices:\n  board-1: {found['device']}\n")
    assert [str(problem) for problem in load_site(file).problems] == []


def test_sensors_whose_frames_look_alike_are_all_named(wire: tuple[int, str], capsys: Any, monkeypatch: Any) -> None:
    frames = json.loads((Path(__file__).parents[2] / "vectors/plantower.json").read_text())["vectors"]
    frame = next(v["input_hex"] for v in frames if v["input_hex"].startswith("424d001c") and v["expected"])
    speak_when_heard(monkeypatch, wire[0], bytes.fromhex(frame), 9600)
    assert main(["scan", wire[1], "--timeout", "300ms"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "paste under devices:  board-1: {profile: plantower, link: desk}" in out
    assert out[-1] == (
        "or, which looks the same on the wire: {profile: pms5003, link: desk}, {profile: pms5003t, link: desk}"
    )


def test_a_meter_is_waited_for_when_all_else_is_silent(wire: tuple[int, str], capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(listen, "WITHIN", 0.02)
    monkeypatch.setattr(listen, "METERS_WITHIN", 0.5)
    speak_when_heard(monkeypatch, wire[0], TELEGRAM, 115200, 0.5)
    assert main(["scan", wire[1]]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].startswith("at 9600, 115200, ")
    assert out[2] == "now 0.5 s at 115200 baud, for meters that speak every 10 s"
    assert f'paste under links:    desk: {{serial: "{wire[1]}", baudrate: 115200}}' in out
    assert "paste under devices:  board-1: {driver: han, link: desk}" in out


@pytest.mark.parametrize("what", [b"", b"\x80\x81\x82\r\n"])
def test_who_is_not_understood(wire: tuple[int, str], capsys: Any, monkeypatch: Any, what: bytes) -> None:
    monkeypatch.setattr(listen, "WITHIN", 0.05)
    monkeypatch.setattr(listen, "METERS_WITHIN", 0.1)
    if what:
        speak_when_heard(monkeypatch, wire[0], what, 115200, 0.05)
    assert main(["scan", wire[1]]) == 0
    out = capsys.readouterr().out
    assert ("now 0.1 s at 115200" in out) == (not what)  # something speaks at that speed, and is no meter
    assert ("no driver made sense of it" if what else "nothing was heard") in out
    assert "paste" not in out


def test_time_that_was_given_is_kept(wire: tuple[int, str], capsys: Any) -> None:
    assert main(["scan", wire[1], "--timeout", "10ms"]) == 0
    assert "meters" not in capsys.readouterr().out


def test_the_stanza_for_programs(wire: tuple[int, str], capsys: Any, monkeypatch: Any) -> None:
    speak_when_heard(monkeypatch, wire[0], b"t: 21\n", 1200)
    assert main(["scan", wire[1], "--timeout", "100ms", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["baudrate"], found["driver"], found["profile"], found["or"]) == (1200, "lines", None, [])
    assert found["readings"] == ["t"]
    link = parse_yaml(found["link"].encode(), "link").value
    assert SerialLinkConfig.model_validate(link).baudrate == 1200


def test_a_serial_server_has_a_speed_of_its_own(tmp_path: Path) -> None:
    with Simulator(tmp_path, "line_board", "--set", "every=50ms", "--port", "0") as device:
        told = labgate("scan", device.url, "--timeout", "500ms").stdout
        found = json.loads(labgate("scan", device.url, "--timeout", "500ms", "--json").stdout)
    assert "baud" not in told
    assert f'paste under links:    desk: {{serial: "{device.url}"}}' in told.splitlines()
    assert (found["baudrate"], found["driver"]) == (None, "lines")


@pytest.mark.parametrize(
    ("port", "told"),
    [
        ("tcp://127.0.0.1", '"tcp://127.0.0.1" lacks a port; write '),
        ("tcp://", '"tcp://" lacks a host or a port; write '),
        ("tcp://127.0.0.1:99999", "has a host or port that cannot be; write "),
        ("tcp://a b:1", "holds a character that no address has; write "),
        ("/", '"/" is no serial port; write '),
    ],
)
def test_what_is_no_port(capsys: Any, port: str, told: str) -> None:
    assert main(["scan", port]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), told in err) == ("", 1, True), err


def speak_when_heard(monkeypatch: Any, ours: int, what: bytes, baudrate: int, within: float | None = None) -> None:
    """Speaks again and again while it is listened to at that speed (a pseudo-terminal has none), for so long."""
    listened = listen._heard

    async def heard(port: str, speed: int, wait: float, tried: Any) -> Any:
        async def speak() -> None:
            while True:
                await asyncio.sleep(0.01)
                os.write(ours, what)

        speaking = asyncio.create_task(speak()) if (speed, wait) == (baudrate, within or wait) else None
        try:
            return await listened(port, speed, wait, tried)
        finally:
            if speaking is not None:
                speaking.cancel()

    monkeypatch.setattr(listen, "_heard", heard)
