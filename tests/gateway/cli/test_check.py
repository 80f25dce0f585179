"""What check says of a configuration that is good, to people and to programs; and of the examples that come with us."""

import json
import re
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.links import ports
from tests.gateway.links.test_ports import host, twins

__all__ = ["host", "twins"]  # fixtures

ROOT = Path(__file__).resolve().parents[3]
REGISTERS = "registers: [{name: a, table: holding, address: 0, type: float32}]"
SITE = f"""\
gateway: {{id: g-1}}
links:
  bus-1: {{modbus: /dev/ttyUSB0, timeout: 500ms}}
  box: {{modbus: "rtu+tcp://192.0.2.1:4001", baudrate: 300}}
devices:
  slow: {{driver: modbus, link: bus-1, unit_id: 1, every: 10s, pause: 100ms, {REGISTERS}}}
  fast: {{driver: modbus, link: bus-1, unit_id: 2, every: 100ms, {REGISTERS}}}
  far: {{driver: modbus, link: box, unit_id: 2, every: 1ms, {REGISTERS}}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(SITE)
    return path


# A turn of `fast`: 24 characters of 1.04 ms, 20 ms assumed, 1.5 ms of our own: 46.5 ms; of `slow` 96 ms more.
# `fast` dead costs 3.5 and 8 characters, 500 ms and 20 ms: 532 ms; asked again after 30 times that.


def test_a_bus_as_people_read_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", str(file), "check", "--strict"]) == 0
    bus = capsys.readouterr().out.split("\n\n")[-1].splitlines()
    assert bus == [
        "bus bus-1 (9600 8N1): asking all its devices once takes 189 ms"
        " (2 turns, 20 ms assumed for a device to begin its answer);",
        "  48 % of its time is asked:",
        "  fast every 0.1 s: 46 ms in 1 turn, 46 %",
        "  slow every 10 s: 143 ms in 1 turn, 1.4 %",
        "  a device that does not answer takes 532 ms from the others, in the end every 16 s",
    ]


def test_a_bus_for_programs(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", str(file), "check", "--json"]) == 0
    (bus,) = json.loads(capsys.readouterr().out)["buses"]  # nothing is said of the box
    assert (bus["link"], bus["answer_time"]) == ("bus-1", 0.02)
    assert bus["devices"]["fast"] == {"every": 0.1, "turns": 1, "time": pytest.approx(0.0465)}
    assert bus["cycle"] == pytest.approx(bus["devices"]["fast"]["time"] + bus["devices"]["slow"]["time"])
    assert bus["load"] == pytest.approx(0.0465 / 0.1 + 0.1429 / 10, rel=1e-3)
    assert bus["dead"] == {"time": pytest.approx(0.532, rel=1e-2), "every": pytest.approx(16.5, rel=1e-2)}


def test_warnings_of_a_bus_fail_only_when_strict(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(SITE.replace("every: 100ms", "every: 30ms").replace("timeout: 500ms", "timeout: 10ms"))
    assert main(["-c", str(file), "check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = [re.match(r".*?yaml:(\d+):\d+: warning: ", line) for line in lines]
    assert [int(found[1]) for found in told if found] == [3, 7]
    assert main(["-c", str(file), "check", "--strict"]) == 1
    assert main(["-c", str(file), "check", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [row.get("part") for row in rows] == ["links.bus-1", "devices.fast", None]


def test_a_file_beside_that_cannot_be_read_hides_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file.parent / "devices.d" / "folder.yaml").mkdir(parents=True)
    (file.parent / "devices.d" / "broken.yaml").write_text("devices: [")
    file.write_text(SITE + "wrong: 1\n")
    assert main(["-c", str(file), "check"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert any("folder.yaml" in line and "is not a file" in line for line in lines)
    assert any("broken.yaml:" in line for line in lines)


@pytest.mark.parametrize("name", ["gateway.example.yaml", "tiny.example.yaml"])
def test_the_examples_have_no_problem(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", str(ROOT / "config" / name), "check", "--strict"]) == 0
    assert "warning" not in capsys.readouterr().out


def test_a_port_whose_name_another_adapter_has_too(file: Path, twins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_id = f"{twins}/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0"
    own = f"{twins}/dev/serial/by-id/usb-FTDI_FT232R_A5069RR4-if00-port0"
    file.write_text(
        f"""\
gateway: {{id: g-1}}
links:
  desk: {{serial: "{by_id}"}}
  bench: {{baudrate: 1200, modbus: "{by_id}"}}
  own: {{serial: "{own}"}}
devices:
  board-1: {{driver: lines, link: desk}}
  board-2: {{driver: lines, link: own}}
  meter-1: {{driver: modbus, link: bench, every: 10s, {REGISTERS}}}
"""
    )
    assert main(["-c", str(file), "check"]) == 0
    text = f"{by_id} names {twins}/dev/ttyUSB1 at 1-1.2 and {twins}/dev/ttyUSB2 at 1-1.4, which only their USB paths"
    path = f"{twins}/dev/serial/by-path/pci-0000:01:00.0-usb-0"
    assert [line for line in capsys.readouterr().out.splitlines() if "warning" in line] == [
        f'{file}:3:18: warning: {text} tell apart; write serial: {{usb: {{path: "1-1.2"}}}} or'
        ' {usb: {path: "1-1.4"}}',
        f"{file}:4:35: warning: {text} tell apart; write modbus: {path}:1.2:1.0-port0 or {path}:1.4:1.0-port0",
    ]
    assert main(["-c", str(file), "check", "--strict"]) == 1
    capsys.readouterr()
    for port in ports.serial_ports():  # on a host without such ports that is not said
        Path(port.path).unlink()
    (twins / "sys/class/tty/ttyUSB1/device").unlink()
    assert main(["-c", str(file), "check"]) == 0
    assert "tell apart" not in capsys.readouterr().out


def test_a_port_that_is_meant_by_two_links_or_could_be_two(
    file: Path, twins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = f"{twins}/dev/serial/by-id/usb-FTDI_FT232R_A5069RR4-if00-port0"
    file.write_text(
        f"""\
gateway: {{id: g-1}}
links:
  desk: {{serial: "{own}"}}
  bench: {{modbus: {twins}/dev/ttyUSB0}}
  same: {{serial: {{usb: {{path: "1-1.3"}}}}}}
  any: {{serial: {{usb: {{vid: 0x1a86, pid: 0x7523}}}}}}
  gone: {{serial: {{usb: {{vid: 0x10c4, pid: 0xea60}}}}}}
  absent: {{serial: /dev/ttyUSB70}}
  again: {{serial: /dev/ttyUSB70}}
  box: {{serial: "tcp://192.0.2.1:4001"}}
  client: {{serial: "tcp://192.0.2.1:4001"}}
devices:
"""
        + "".join(
            f"  {name}-1: {{driver: lines, link: {name}}}\n"
            for name in ("desk", "same", "any", "gone", "absent", "again", "box", "client")
        )
        + f"  meter-1: {{driver: modbus, link: bench, every: 10s, {REGISTERS}}}\n"
    )
    assert main(["-c", str(file), "check"]) == 0
    once = "the port of link {0}, and opened once only; put its devices on {0}"
    assert [line for line in capsys.readouterr().out.splitlines() if "warning" in line] == [
        f"{file}:4:19: warning: {twins}/dev/ttyUSB0 {once.format('desk')}",
        f"{file}:5:18: warning: the USB port with path 1-1.3 is {twins}/dev/ttyUSB0, {once.format('desk')}",
        f"{file}:6:17: warning: the USB port with vid 1a86, pid 7523 is {twins}/dev/ttyUSB1 and {twins}/dev/ttyUSB2:"
        " link any; add path (`labgate scan` tells it)",
        f"{file}:9:19: warning: /dev/ttyUSB70 {once.format('absent')}",
    ]
