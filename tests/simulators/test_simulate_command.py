"""`simulate` as a process: the ready line, the truth, the end, and what it says to wrong arguments."""

import json
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from simulators.catalog import simulators
from simulators.command import main
from simulators.faults import KINDS

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `python -m simulators ARGUMENTS`; ends what still runs."""
    running: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "simulators", *arguments]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def ready(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout
    line = json.loads(process.stdout.readline())
    assert line["ready"] is True
    assert line["pid"] == process.pid
    return dict(line)


def end(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> None:
    process.send_signal(number)
    rest, errors = process.communicate(timeout=5)
    assert (process.returncode, rest, errors) == (0, "", "")


def tcp(url: object) -> ModbusTcpClient:
    client = ModbusTcpClient(str(urlsplit(str(url)).hostname), port=urlsplit(str(url)).port or 0, retries=0)
    assert client.connect()
    return client


def test_tcp_with_truth(start: Start, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    truth.write_text('{"from":"an earlier run"}\n')
    before = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
    process = start("xy_md02", "--port", "0", "--json", "--seed", "4", "--unit-id", "7", "--truth", str(truth))
    url = ready(process)["url"]
    client = tcp(url)
    seen = []
    for _ in range(3):
        seen += client.read_input_registers(1, count=2, device_id=7).registers
    assert client.read_input_registers(0, count=2, device_id=7).exception_code == 2
    client.close()
    end(process)
    _, *lines = [json.loads(line) for line in truth.read_text().splitlines()]
    assert [line["value"] for line in lines] == [raw / 10 for raw in seen]
    assert [(line["name"], line["unit"]) for line in lines] == [("temperature", "Cel"), ("humidity", "%RH")] * 3
    assert all((line["device"], line["unit_id"]) == (url, 7) for line in lines)
    assert all(before[0] <= line["t"] <= time.time() for line in lines)
    assert all(before[1] <= line["boot"] <= time.clock_gettime(time.CLOCK_BOOTTIME) for line in lines)


def test_pseudo_terminal_link_text_and_interrupt(start: Start, tmp_path: Path) -> None:
    link = tmp_path / "meter"
    process = start("eastron_sdm120", "--link", str(link), "--set", "voltage=240.5", "--rtu")
    assert process.stdout
    assert process.stdout.readline() == f"{link}  eastron_sdm120, unit id 1\n"
    client = ModbusSerialClient(str(link), baudrate=2400, retries=0)
    assert client.connect()
    assert client.read_input_registers(0, count=2, device_id=1).registers == [0x4370, 0x8000]
    client.close()
    end(process, signal.SIGINT)
    assert not link.is_symlink()


def test_many_devices_in_one_process(start: Start, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    process = start(
        "registers", "--port", "0", "--json", "--set", "devices=10", "--set", "count=3", "--truth", str(truth)
    )
    line = ready(process)
    urls = line["urls"]
    assert isinstance(urls, list)
    assert line["url"] == urls[0]
    assert len(set(urls)) == 10
    seen = {}
    for url in urls:
        client = tcp(url)
        seen[url] = client.read_holding_registers(0, count=3, device_id=1).registers
        client.close()
    assert len({tuple(values) for values in seen.values()}) == 10
    end(process)
    given: dict[str, list[int]] = {}
    for text in truth.read_text().splitlines():
        given.setdefault(json.loads(text)["device"], []).append(json.loads(text)["value"])
    assert given == seen


def test_truth_reaches_the_file_within_a_second(start: Start, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    process = start("registers", "--port", "0", "--json", "--truth", str(truth))
    client = tcp(ready(process)["url"])
    client.read_coils(0, count=1, device_id=1)
    deadline = time.monotonic() + 1
    while not truth.stat().st_size and time.monotonic() < deadline:
        time.sleep(0.01)
    client.close()
    assert [json.loads(line)["value"] for line in truth.read_text().splitlines()] == [True]


def test_ends_with_its_parent(tmp_path: Path) -> None:
    code = "import subprocess, sys; subprocess.Popen([sys.executable, *sys.argv[1:]]); sys.stdin.read()"
    arguments = ["-m", "simulators", "xy_md02", "--port", "0", "--json"]
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    line = json.loads(parent.stdout.readline())
    assert line["pid"] != parent.pid
    parent.kill()
    try:
        rest, _ = parent.communicate(timeout=5)  # the simulator holds the other end of stdout until it ends
    except subprocess.TimeoutExpired:
        os.kill(line["pid"], signal.SIGKILL)
        raise
    assert rest == ""


def test_several_units_on_one_paced_line(start: Start, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    faults = ("--fault", "unit 2: mute", "--fault", "unit 7: exception 6 every 2")
    units = ("--unit-id", "1-3", "--unit-id", "7", "--baudrate", "19200", "--parity", "E", "--truth", str(truth))
    process = start("registers", "--json", "--set", "count=2", *units, *faults)
    url = ready(process)["url"]
    client = ModbusSerialClient(str(url), baudrate=19200, retries=0, timeout=0.2)
    assert client.connect()
    seen = {unit: client.read_holding_registers(0, count=2, device_id=unit).registers for unit in (1, 3, 7)}
    assert client.read_holding_registers(0, count=2, device_id=7).exception_code == 6
    with pytest.raises(ModbusIOException):
        client.read_holding_registers(0, count=2, device_id=2)
    client.close()
    process.send_signal(signal.SIGTERM)
    rest, errors = process.communicate(timeout=5)
    assert errors == ""
    said = json.loads(rest)
    character = 11 / 19200
    assert said["asked"] == {"1": 1, "2": 1, "3": 1, "7": 2}
    assert said["busy_s"] == pytest.approx((5 * 8 + 3 * 9 + 5) * character, abs=1e-5)
    assert said["silent_s"] == pytest.approx(9 * 3.5 * character, abs=1e-5)
    assert said["elapsed_s"] > said["busy_s"] + said["silent_s"] - 3.5 * character
    assert (said["url"], said["frames"], said["collisions"], said["crowded"]) == (url, 9, 0, 0)
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    given = {unit: [line["value"] for line in lines if line["unit_id"] == unit] for unit in (1, 2, 3, 7)}
    assert given == seen | {2: []}
    assert len({tuple(values) for values in seen.values()}) == 3  # a seed each


def test_each_unit_draws_its_faults_from_its_own_seed(start: Start) -> None:
    def course() -> list[list[bool]]:
        process = start("registers", "--port", "0", "--json", "--unit-id", "1-2", "--fault", "exception 6 50%")
        client = tcp(ready(process)["url"])
        refused = [[client.read_coils(0, count=1, device_id=unit).isError() for _ in range(30)] for unit in (1, 2)]
        client.close()
        end(process)
        return refused

    one, other = course()
    assert one != other
    assert course() == [one, other]


def test_a_board_whose_cable_is_pulled(start: Start, tmp_path: Path) -> None:
    truth, link = tmp_path / "truth.jsonl", tmp_path / "by-id"
    faults = ("--fault", "unplug 20ms mid every 100ms")
    board = ("line_board", "--set", "every=10ms", "--set", "dialect=sentence", "--link", str(link))
    process = start(*board, *faults, "--json", "--truth", str(truth))
    assert ready(process)["url"] == str(link)
    heard, names = b"", set()
    while len(names) < 3 or len(heard) < 2000:
        try:
            port = os.open(link, os.O_RDONLY | os.O_NOCTTY)
        except OSError:
            time.sleep(0.002)
            continue
        names.add((os.ttyname(port), len(heard)))
        while data := hung_up_is_nothing(port):
            heard += data
        os.close(port)
    end(process)
    assert len({name for name, _ in names}) > 1
    printed = re.findall(rb"Temperature: ([\d.]+) C\tHumidity: ([\d.]+) %\tPressure: ([\d.]+) hPa\r\n", heard)
    records = [json.loads(line, parse_float=str) for line in truth.read_text().splitlines()]
    given = [record["value"].encode() for record in records]
    assert given[: 3 * len(printed)] == [value for values in printed for value in values]
    assert {(record["name"], record["unit"]) for record in records} == {
        ("Temperature", "Cel"),
        ("Humidity", "%RH"),
        ("Pressure", "hPa"),
    }
    assert all((record["device"], record["unit_id"]) == (str(link), None) for record in records)
    assert not link.is_symlink()


def hung_up_is_nothing(port: int) -> bytes:
    try:
        return os.read(port, 4096)
    except OSError:
        return b""


def test_speakers_as_text_and_on_tcp(start: Start) -> None:
    process = start("scpi_meter", "--port", "0", "--set", "voltage=1.5")
    assert process.stdout
    url, name = process.stdout.readline().split()
    assert name == "scpi_meter"
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port or 0), timeout=5) as wire:
        wire.sendall(b"MEAS:VOLT:DC?\n")
        assert wire.recv(64) == b"+1.50000000E+00\n"
    end(process)


def test_many_boards_in_one_process(start: Start) -> None:
    process = start("line_board", "--json", "--set", "devices=3", "--set", "every=10ms", "--baudrate", "115200")
    urls = ready(process)["urls"]
    assert isinstance(urls, list)
    assert len(set(urls)) == 3
    lines = []
    for url in urls:
        port = os.open(url, os.O_RDONLY | os.O_NOCTTY)
        heard = b""
        while b"}\r\n" not in heard:
            heard += os.read(port, 4096)
        lines.append(heard[heard.index(b"{") :].partition(b"\r\n")[0])
        os.close(port)
    assert len(set(lines)) == 3  # a seed each
    end(process)


def test_port_that_is_taken(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start("xy_md02", "--port", str(port))
        out, errors = process.communicate(timeout=5)
    assert (process.returncode, out) == (1, "")
    assert errors == f"python -m simulators: cannot open port {port} of 127.0.0.1: Address already in use\n"


def test_loads_neither_gateway_nor_drivers_nor_other_libraries() -> None:
    code = (
        "import sys; before = set(sys.modules); import simulators.command; from simulators.catalog import *; "
        "[described(name) for name in slaves() + speakers() + peripherals()]; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["simulators"]


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"], "labgate simulate") == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: labgate simulate ")
    for word in (
        *simulators(),
        *(kind.usage for kind in KINDS.values() if kind.does),
        "--truth",
        "power_factor",
        "devices",
    ):
        assert word in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", f"name a simulator: {', '.join(simulators())}"),
        ("eastron_sdm12", "did you mean eastron_sdm120?"),
        ("toaster", f"there is {', '.join(simulators())}"),
        ("../command", "there is no simulator '../command'"),
        ("eastron_sdm120 --set voltge=1", "did you mean voltage?"),
        ("eastron_sdm120 --set apparent_power=1", "--set knows voltage, "),
        ("eastron_sdm630 --set voltage_l4=1", "did you mean voltage_l3?"),
        ("eastron_sdm120 --set voltage", "write NAME=VALUE"),
        ("eastron_sdm120 --set voltage=x", "voltage must be a number, not 'x'"),
        ("sunspec_meter --set power=50000", "W cannot be 50000: its register cannot hold it"),
        ("abb_b23 --set phases=1 --set voltage_l3=1", "voltage_l3 cannot be set: that phase is not connected"),
        ("registers --set devices=0", "devices must be between 1 and 1000, not 0"),
        ("registers --set type=flaot32", "did you mean float32?"),
        ("registers --fault lat", "did you mean late?"),
        ("registers --fault drop", "add --port 0"),
        ("registers --sed 1", "did you mean --seed?"),
        ("registers xy_md02", "one simulator at a time"),
        ("registers --port", "--port: expected one argument"),
        ("registers --port 65536", "must be a number from 0 to 65535, not '65536'"),
        ("registers --port 65530 --set devices=7", "ports above 65535"),
        ("registers --fault crc --port 0", "fault 'crc' needs a checksum, and Modbus TCP has none; add --rtu"),
        ("registers --fault drop\\ mid --port 0 --rtu --truth /nowhere/truth", "cannot write"),
        ("registers --baudrate 9600 --port 0", "Modbus TCP has none; add --rtu"),
        ("registers --baudrate 9", "--baudrate: must be a number from 50 to 4000000, not '9'"),
        ("registers --fault unit\\ 3:\\ mute", "there is no unit 3 here; add --unit-id 3"),
        ("registers --fault unit\\ 1:\\ muet", "did you mean mute?"),
        ("registers --unit-id 8-1", "must be a range that goes up, not 8-1"),
        ("registers --unit-id 1-", "must be a number"),
        ("registers --unit-id 0", "must be a number from 1 to 255, not '0'"),
        ("registers --seed one", "--seed: must be a number"),
        ("registers --port 0 --link /tmp/x", "use one of them"),
        ("registers --link /tmp/x --set devices=2", "one wire only"),
        ("line_board --set dialect=jsn", "dialect cannot be 'jsn'; did you mean json?"),
        ("line_board --set every=1", "every wants a time such as 200ms or 1.5s, not '1'"),
        ("line_board --set every=0s", "every must be between 0.001s and 3600s, not 0s"),
        ("line_board --unit-id 3", "--unit-id is for Modbus, and line_board speaks otherwise; leave it out"),
        ("gnss --rtu --port 0", "--rtu is for Modbus"),
        ("line_board --fault crc", "fault 'crc' needs a checksum, and line_board has none; try cut or noise"),
        ("line_board --fault exception\\ 2", "is for Modbus, and line_board speaks otherwise"),
        ("line_board --fault drop --port 0", "is for Modbus"),
        ("line_board --fault overload", "fault 'overload' cannot happen to line_board; there is novalue, mute"),
        ("line_board --fault unplug\\ 2s", "it comes back under another name; add --link PATH, or --port 0"),
        ("line_board --fault unplug", "wants a time, and 'mid' or nothing; write 'unplug 2s [mid]'"),
        ("line_board --fault unplug\\ 2s\\ now", "wants a time, and 'mid' or nothing"),
        ("p1_meter --fault novalue", "cannot happen to p1_meter; there is mute, "),
        ("registers --fault reset", "is not for Modbus, which registers speaks; try mute or drop"),
        ("balance --set settle=1min", "settle must be between 0s and 10s, not 1min"),
        ("gnss --set fix=maybe", "fix cannot be 'maybe'; there is yes, no"),
        ("registers --truth /nowhere/truth", "cannot write /nowhere/truth: No such file or directory"),
    ],
)
def test_wrong_arguments(arguments: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(arguments), "labgate simulate") == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("labgate simulate: ")
    assert errors.count("\n") == 1
    assert says in errors


def test_sends_what_a_stranger_reads(start: Start) -> None:
    """The first bytes of the wire by hand: no library on either side."""
    process = start("eastron_sdm630", "--port", "0", "--json", "--set", "voltage_l1=230.20001")
    port = urlsplit(str(ready(process)["url"])).port or 0
    with socket.create_connection(("127.0.0.1", port), timeout=5) as wire:
        wire.sendall(struct.pack(">HHHBBHH", 0x1501, 0, 6, 1, 4, 0, 2))
        assert wire.recv(64) == bytes.fromhex("1501 0000 0007 01 04 04 43663334")
    end(process)
