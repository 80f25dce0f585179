"""The demo: the main job live, everything accounted for, nothing left behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.commands import PROGRAM, environment
from tests.real_broker import program

SAMPLE = re.compile(r"^[\d:.]{12}  (\S+)  .+  \(seq (\d+), (-?[\d.]+) ms\)$", re.MULTILINE)
LEDGER = re.compile(r"^ledger   (\S+): taken (\d+) = confirmed (\d+) \+ held (\d+) \+ dropped (\d+)$", re.MULTILINE)

# Python that is told there is no mosquitto here, and no amqtt.
WITHOUT = "import sys, gateway.testbed as t; t.find_program = lambda name: None; "
NOR_AMQTT = "t.find_spec = lambda name: None; "
MAIN = "from gateway.cli import main; sys.exit(main(sys.argv[1:]))"

Demo = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """Starts demos whose temporary folders are in the test's; all they started is gone when they have ended."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, code: str = "") -> "subprocess.Popen[str]":
        command = [sys.executable, "-P", "-c", code + MAIN] if code else list(PROGRAM)
        process = subprocess.Popen(
            [*command, "demo", *arguments],
            env=environment(TMPDIR=str(tmp_path)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    assert list(tmp_path.iterdir()) == []
    lines = [file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if file.exists()]
    assert not [line for line in lines if bytes(tmp_path) in line]


def accounted_for(out: str) -> None:
    """Every sample that was taken has arrived, of all devices."""
    on_air = set() if "radio    left out: no dbus-daemon here" in out else {"tag-1", "strap-1"}
    books = {name: tuple(map(int, numbers)) for name, *numbers in LEDGER.findall(out)}
    assert set(books) == {"meter-1", "room-1", "board-1", "scale-1", "house-1"} | on_air
    for name, (taken, confirmed, held, dropped) in books.items():
        assert taken == confirmed >= (1 if name in ("house-1", "tag-1") else 2)
        assert (held, dropped) == (0, 0)
        assert {int(seq) for device, seq, _ in SAMPLE.findall(out) if device == name} == set(range(1, taken + 1))
    assert "missing: 0\n" in out
    assert re.search(r"room-1  temperature [\d.]+ Cel, humidity [\d.]+ %RH  ", out)
    assert re.search(r"meter-1  voltage_l1 [\d.]+ V, current_l1 [\d.]+ A, power [\d.]+ W, .*, \d+ more  ", out)
    assert re.search(r"board-1  Temperature [\d.]+ Cel, Humidity [\d.]+ %RH, Pressure [\d.]+ hPa  ", out)
    assert re.search(r"scale-1  weight -?[\d.]+ g, stable (true|false)  ", out)
    assert re.search(r"house-1  1-0:1.7.0 [\d.]+ kW, 1-0:32.7.0 [\d.]+ V, 1-0:1.8.0 [\d.]+ kWh, \d+ more  ", out)
    assert "gateway is offline" in out
    if on_air:
        assert re.search(r"tag-1  temperature [\d.]+ Cel, humidity [\d.]+ %RH, pressure \d+ Pa, \d+ more  ", out)
        assert re.search(r"strap-1  heart_rate \d+ beat/min, sensor_contact (true|false), rr_interval [\d.]+ s", out)


def test_demo_with_either_broker(demo: Demo) -> None:
    program("mosquitto")
    program("dbus-daemon")
    brokers = {"mosquitto (MQTT 5)": demo("--seconds", "3")}
    if find_spec("amqtt") is not None:
        brokers["the embedded amqtt (MQTT 3.1.1)"] = demo("--seconds", "3s", code=WITHOUT)
    for name, process in brokers.items():
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
        assert f"broker   {name} at mqtt://127.0.0.1:" in out
        assert f"gateway is online, MQTT {'5.0' if 'mosquitto' in name else '3.1.1'}" in out
        assert re.search(r"^meter-1 .* Modbus TCP at tcp://127.0.0.1:\d+$", out, re.MULTILINE)
        assert re.search(r"^room-1 .* Modbus RTU on the pseudo-terminal /dev/pts/\d+$", out, re.MULTILINE)
        assert ("radio    left out" in out) == ("amqtt" in name)  # where no program is found
        accounted_for(out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_whole_when_it_is_told_to(demo: Demo, number: signal.Signals) -> None:
    program("mosquitto")
    process = demo()
    assert process.stdout is not None
    seen = ""
    while "meter-1  voltage_l1" not in seen:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        seen += line
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert "missing: 0\n" in out


def test_no_broker_is_one_line(demo: Demo) -> None:
    process = demo("--seconds", "3", code=WITHOUT + NOR_AMQTT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, "")
    assert err == "labgate: no MQTT broker here; install mosquitto, or labgate with the extra demo\n"


def test_a_gateway_that_dies_is_told(demo: Demo) -> None:
    program("mosquitto")
    process = demo("--seconds", "20")
    assert process.stdout is not None
    pid = 0
    for line in process.stdout:
        if found := re.match(r"gateway  labgate run, process (\d+)$", line):
            pid = int(found[1])
        if "is ok" in line:
            os.kill(pid, signal.SIGKILL)
            break
    _, err = process.communicate(timeout=15)
    assert process.returncode == 1
    assert err.startswith("labgate: the gateway ended before it was told to")
    assert err.count("\n") == 1
