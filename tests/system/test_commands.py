"""Every command against a real gateway, real wires and a real broker, and without the gateway."""

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli import COMMANDS, main
from gateway.testbed import Broker, Gateway, Process, Simulator
from tests.commands import PROGRAM, environment, labgate, one_line

REGISTERS = [{"name": f"r{n}", "table": "holding", "address": n, "type": "uint16"} for n in range(3)]


class Plant:
    """A broker, a device of three registers on TCP, a room sensor on a pseudo-terminal, and one more for `file`."""

    def __init__(self, folder: Path, broker: Broker, device: Simulator, room: Simulator, free: Simulator) -> None:
        self.folder = folder
        self.free = {"panel": {"modbus": device.url}, "bus-1": {"modbus": free.url}}
        self.site: dict[str, Any] = {
            "gateway": {"id": "bench-1"},
            "hub": {"url": broker.url},
            "buffer": {"path": str(folder / "buffer.db"), "commit_every": "100ms"},
            "links": {"panel": {"modbus": device.url}, "bus-1": {"modbus": room.url}},
            "devices": {
                "fast": {"driver": "modbus", "link": "panel", "every": "50ms", "registers": REGISTERS},
                "room": {"profile": "xy_md02", "link": "bus-1", "every": "200ms"},
            },
        }
        self.disabled = {"wrong": {"profile": "xy_md03", "link": "bus-1"}}

    def file(self, folder: Path, **other: Any) -> Path:
        """The site in a folder of its own, on a sensor that no gateway holds, with other parts."""
        file = folder / "gateway.yaml"
        file.write_text(json.dumps(self.other(folder, **other)))
        return file

    def other(self, folder: Path, **other: Any) -> dict[str, Any]:
        """What stands in that file."""
        buffer = {"path": str(folder / "b.db"), "commit_every": "100ms"}
        return {**self.site, "links": self.free, "buffer": buffer, **other}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("plant")
    room, free = (Simulator(folder, "xy_md02", "--set", "temperature=21.5", "--set", "humidity=45.5") for _ in "12")
    with Broker(folder) as broker, Simulator(folder, "registers", "--port", "0") as device, room, free:
        yield Plant(folder, broker, device, room, free)


@pytest.fixture(scope="module")
def running(plant: Plant) -> Iterator[Gateway]:
    """The gateway, with one device that is wrong; it has taken samples of the others."""
    site = {**plant.site, "devices": {**plant.site["devices"], **plant.disabled}}
    with Gateway(plant.folder, site) as gateway:
        assert labgate(*at(gateway), "tail", "room", "--count", "1").returncode == 0
        yield gateway


def at(gateway: Gateway) -> tuple[str | Path, ...]:
    return "-c", gateway.file, "--socket", gateway.socket


def alone(folder: Path, file: Path) -> tuple[str | Path, ...]:
    """Where no gateway runs."""
    return "-c", file, "--socket", folder / "none.sock"


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# With the gateway running


def test_devices(running: Gateway) -> None:
    done = labgate(*at(running), "devices")
    head, *rows = done.stdout.splitlines()
    assert (done.returncode, head.split()) == (0, ["DEVICE", "STATE", "LINK", "LAST", "ASKED", "ACHIEVED"])
    assert re.fullmatch(r"fast +ok +panel +\d+\.\d s +20/s +\S+", rows[0].strip())
    assert re.fullmatch(r"room +ok +bus-1 +\d+\.\d s +5/s +\S+", rows[1].strip())
    assert rows[2].startswith("wrong")
    assert 'did you mean "xy_md02"?' in rows[2]
    rows = json_lines(labgate(*at(running), "devices", "--json").stdout)
    assert [(row["device"], row["state"]) for row in rows] == [("fast", "ok"), ("room", "ok"), ("wrong", "disabled")]
    assert rows[0]["asked"] == pytest.approx(20)
    assert 0 <= rows[0]["age"] < 5


def test_read(running: Gateway) -> None:
    (row,) = json_lines(labgate(*at(running), "read", "room", "--json").stdout)
    assert row["readings"] == {
        "temperature": {"value": 21.5, "unit": "Cel"},
        "humidity": {"value": 45.5, "unit": "%RH"},
    }
    assert row["device"] == "room"
    lines = labgate(*at(running), "read", "room").stdout.splitlines()
    assert [line.split() for line in lines[1:]] == [["temperature", "21.5", "Cel"], ["humidity", "45.5", "%RH"]]


def test_read_shows_the_wire(running: Gateway) -> None:
    lines = labgate(*at(running), "read", "room", "--trace").stdout.splitlines()
    frames = [re.fullmatch(r"(# )?(>>|<<)(( [0-9a-f]{2})+)  # (\d+\.\d) ms", line) for line in lines[:-3]]
    assert all(frames)
    times = [float(frame[5]) for frame in frames]
    assert times == sorted(times)
    # XY-MD02 manual, both values: 01 04 00 01 00 02 20 0B; the answer holds 0x00D7 and 0x01C7.
    assert [frame[3] for frame in frames if frame[2] == ">>" and not frame[1]] == [" 01 04 00 01 00 02 20 0b"]
    assert [frame[3][:21] for frame in frames if frame[2] == "<<" and not frame[1]] == [" 01 04 04 00 d7 01 c7"]


def test_read_that_fails_shows_the_wire_before_it_says_why(plant: Plant, tmp_path: Path) -> None:
    deaf = {"deaf": {"profile": "xy_md02", "link": "bus-1", "unit_id": 9, "timeout": "50ms"}}
    done = labgate(*alone(tmp_path, plant.file(tmp_path, devices=deaf)), "read", "deaf", "--trace")
    assert done.returncode == 1
    assert re.fullmatch(r">> 09 04 00 01 00 02 21 43  # \d+\.\d ms\n", done.stdout)
    assert done.stderr.startswith("labgate: no answer within 50 ms: unit 9 on bus-1; ")


def test_the_debug_log_shows_every_frame(plant: Plant, tmp_path: Path) -> None:
    deaf = {"deaf": {"profile": "xy_md02", "link": "bus-1", "unit_id": 9, "timeout": "50ms"}}
    site = plant.other(tmp_path, devices={**plant.site["devices"], **deaf})
    del site["hub"]
    gateway = Gateway(tmp_path, site)
    gateway.command.append("--debug")
    with gateway:
        assert labgate(*at(gateway), "tail", "fast", "--count", "3").returncode == 0
        assert labgate(*at(gateway), "tail", "room", "--count", "1").returncode == 0
        failed = labgate(*at(gateway), "read", "deaf", "--trace")
    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
    assert [line[:6] for line in failed.stdout.splitlines() if line[0] == ">"] == [">> 09 "]
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    lines = gateway.log.read_text().splitlines()
    frames = [line for line in lines if re.fullmatch(stamp + r" DEBUG (panel|bus-1) (>>|<<)( [0-9a-f]{2})+", line)]
    assert len([line for line in frames if " panel >> " in line]) >= 3
    assert any(line.endswith(" bus-1 >> 01 04 00 01 00 02 20 0b") for line in frames)
    assert any(" bus-1 << 01 04 04 " in line for line in frames)
    others = [line for line in lines if line not in frames]
    assert all(re.match(stamp + " (INFO|WARNING) ", line) for line in others)


@pytest.mark.parametrize(
    ("name", "code", "named"), [("rom", 2, 'did you mean "room"?'), ("wrong", 2, 'did you mean "xy_md02"?')]
)
@pytest.mark.parametrize("command", ["read", "tail"])
def test_no_such_device(running: Gateway, command: str, name: str, code: int, named: str) -> None:
    assert named in one_line(labgate(*at(running), command, name), code)


def test_tail(running: Gateway) -> None:
    rows = json_lines(labgate(*at(running), "tail", "fast", "--json", "--count", "5").stdout)
    numbers = [row["seq"] for row in rows]
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    assert all(list(row["readings"]) == ["r0", "r1", "r2"] for row in rows)
    said = labgate(*at(running), "tail", "room", "--count", "1").stdout
    assert re.fullmatch(r"[\d:]{8}\.\d{3}  room  temperature 21\.5 Cel, humidity 45\.5 %RH\n", said)


def test_tail_as_csv(running: Gateway) -> None:
    head, *rows = labgate(*at(running), "tail", "room", "--csv", "--count", "2").stdout.splitlines()
    assert head == "time,device,seq,name,value,unit"
    assert [row.split(",")[3:] for row in rows] == [["temperature", "21.5", "Cel"], ["humidity", "45.5", "%RH"]] * 2


def test_tail_raw_is_the_pack_of_the_hub(running: Gateway) -> None:
    (pack,) = json_lines(labgate(*at(running), "tail", "room", "--raw", "--count", "1").stdout)
    assert pack[0]["bn"] == "bench-1/room/"
    assert pack[0]["bt"] == pytest.approx(time.time(), abs=30)
    assert (len(pack[0]["run"]), pack[0]["seq"] > 0) == (12, True)
    assert [(r["n"], r["v"], r["u"]) for r in pack] == [("temperature", 21.5, "Cel"), ("humidity", 45.5, "%RH")]


def test_tail_into_head_and_ctrl_c_are_quiet(running: Gateway) -> None:
    command = [*PROGRAM, *map(str, at(running)), "tail", "fast"]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as tail:
        assert tail.stdout is not None
        tail.stdout.readline()
        tail.stdout.close()
        assert tail.wait(10) == 0
        assert tail.stderr is not None
        assert tail.stderr.read() == ""
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as tail:
        assert tail.stdout is not None
        tail.stdout.readline()
        tail.send_signal(signal.SIGINT)
        assert (tail.wait(10), tail.communicate()[1]) == (130, "")


def test_a_traced_read_into_a_reader_that_has_gone_is_quiet(plant: Plant, tmp_path: Path) -> None:
    command = [*PROGRAM, *map(str, alone(tmp_path, plant.file(tmp_path))), "read", "fast", "--trace"]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            command, env=environment(), stdout=writing, stderr=subprocess.PIPE, text=True, timeout=20, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_ledger(running: Gateway) -> None:
    *books, held = json_lines(labgate(*at(running), "ledger", "--json").stdout)
    assert {book["device"] for book in books} == {"fast", "room"}
    for book in books:
        assert book["taken"] == book["confirmed"] + book["held"] + book["dropped"] > 0
    assert set(held["held"]) == {"samples", "bytes", "oldest", "age", "lasts"}
    said = labgate(*at(running), "ledger").stdout
    assert said.startswith("from the running gateway\n")
    assert re.search(r"bench-1 +[0-9a-f]{12} +runs +fast +\d+ +\d+ +\d+ +0\n", said)


def test_ledger_does_not_tell_half_of_a_running_gateway(running: Gateway, tmp_path: Path) -> None:
    line = one_line(labgate("-c", running.file, "--socket", tmp_path / "other.sock", "ledger"), 1)
    assert f"process {running.pid} uses {running.file.parent / 'buffer.db'}" in line


def test_a_second_gateway_is_refused(running: Gateway, plant: Plant, tmp_path: Path) -> None:
    done = labgate("-c", running.file, "--socket", tmp_path / "other.sock", "run")
    assert done.returncode == 2
    assert f"held by another labgate (process {running.pid})" in done.stderr.splitlines()[-1]
    done = labgate("-c", plant.file(tmp_path), "--socket", running.socket, "run")
    assert done.returncode == 2
    assert f"another labgate listens on {running.socket}" in done.stderr.splitlines()[-1]


# Without it


def test_read_and_tail_without_a_gateway_store_nothing(plant: Plant, tmp_path: Path) -> None:
    here = alone(tmp_path, plant.file(tmp_path))
    (*frames, row) = json_lines(labgate(*here, "read", "fast", "--trace", "--json").stdout)
    assert [frame["trace"][:2] for frame in frames] == [">>", "<<"]
    assert list(row["readings"]) == ["r0", "r1", "r2"]
    done = labgate(*here, "tail", "--json", "--count", "4")
    assert done.stderr == "no gateway runs; the devices are asked from here, nothing is published or stored\n"
    rows = json_lines(done.stdout)
    assert len(rows) == 4
    assert all("seq" not in row for row in rows)
    (pack,) = json_lines(labgate(*here, "tail", "room", "--raw", "--count", "1").stdout)
    assert "seq" not in pack[0]
    assert "run" not in pack[0]
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.yaml"]


def test_tail_says_when_a_device_does_not_answer(plant: Plant, tmp_path: Path) -> None:
    devices = {
        **plant.site["devices"],
        "deaf": {"profile": "xy_md02", "link": "bus-1", "unit_id": 9, "timeout": "50ms"},
    }
    done = labgate(*alone(tmp_path, plant.file(tmp_path, devices=devices)), "tail", "--count", "20")
    assert re.search(r"^deaf is unreachable: .*unit 9 on bus-1", done.stderr, re.MULTILINE)


def test_ledger_of_a_killed_gateway(plant: Plant, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, plant.other(tmp_path, hub={"url": "mqtt://127.0.0.1:1"}))
    with gateway:
        labgate(*at(gateway), "tail", "fast", "--count", "8")
        gateway.kill()
    before = contents(tmp_path)
    *books, held = json_lines(labgate(*at(gateway), "ledger", "--json").stdout)
    fast = next(book for book in books if book["device"] == "fast")
    assert (fast["state"], fast["dropped"]) == ("unclean", 0)
    assert fast["kept"] == fast["held"] > 0
    assert held["held"]["samples"] == sum(book["held"] for book in books)
    said = labgate(*at(gateway), "ledger").stdout
    assert said.startswith(f"from {tmp_path / 'b.db'} (no gateway listens")
    assert re.search(r"killed +fast +>= \d+ +- +\d+ +0\n", said)
    assert contents(tmp_path) == before  # looking changed nothing


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def test_run_stops_at_once_although_the_hub_cannot_be_looked_up(plant: Plant, tmp_path: Path) -> None:
    with Gateway(tmp_path, plant.other(tmp_path, hub={"url": "mqtt://hub.invalid"})) as gateway:
        labgate(*at(gateway), "tail", "room", "--count", "2")
        began = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - began < 2
    assert gateway.log.read_text().splitlines()[-1].endswith(" INFO stopped")
    *books, _ = json_lines(labgate(*at(gateway), "ledger", "--json").stdout)
    assert all(book["state"] == "clean" and book["taken"] == book["held"] for book in books)
    assert len(books) == 2


def test_run_with_nothing_to_do(tmp_path: Path) -> None:
    with Gateway(tmp_path, {"gateway": {"id": "idle-1"}, "buffer": {"path": str(tmp_path / "b.db")}}) as gateway:
        assert labgate(*at(gateway), "devices").stdout == "no device is configured\n"
        assert gateway.stop() == 0
    assert "no device is configured: nothing to do" in gateway.log.read_text()


def test_run_where_nothing_is_usable(plant: Plant, tmp_path: Path) -> None:
    done = labgate(*alone(tmp_path, plant.file(tmp_path, devices=plant.disabled)), "run", "--log", "json")
    *problems, last = done.stderr.splitlines()
    assert done.returncode == 2
    assert sorted(json.loads(line)["level"] for line in problems) == ["error", *["warning"] * (len(problems) - 1)]
    assert last.startswith("labgate: ")


@pytest.mark.parametrize("link", ["panel", "bus-1"])
def test_scan_a_link(plant: Plant, tmp_path: Path, link: str) -> None:
    file = plant.file(tmp_path, devices={})
    common = (*alone(tmp_path, file), "scan", link, "--units", "1-3", "--timeout", "60ms")
    lines = labgate(*common).stdout.splitlines()
    assert lines[0].startswith(f"sending a read of holding register 0 to units 1 to 3 on {link}")
    assert lines[-1] == "1 unit of 3 answered"
    (found,) = json_lines(labgate(*common, "--json").stdout)
    assert found["unit_id"] == 1
    assert found["stanza"] in lines[2]
    pasted = plant.file(tmp_path, devices=yaml.safe_load(found["stanza"]))
    assert " error" not in labgate("-c", pasted, "check").stdout
    assert labgate("-c", pasted, "check").returncode == 0
    known = plant.file(tmp_path, devices={k: d for k, d in plant.site["devices"].items() if d["link"] == link})
    (found,) = json_lines(labgate("-c", known, *common[2:], "--json").stdout)
    assert found["device"] == {"panel": "fast", "bus-1": "room"}[link]


def test_scan_ports() -> None:
    """And a host without Bluetooth, of which a plain scan says so and is done."""
    no_bus = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}
    done = labgate("scan", **no_bus)
    assert done.returncode == 0
    *ports, air = done.stdout.splitlines()
    assert ports[0].startswith(("PORT", "no serial port here"))
    assert air.startswith("the air cannot be heard: no D-Bus system bus (unix:path=/nonexistent)")
    assert len(json_lines(labgate("scan", "--json", **no_bus).stdout)) == len(ports) - 1


def test_check(plant: Plant, tmp_path: Path) -> None:
    links = {"panel": plant.site["links"]["panel"], "bus-1": {"modbus": "/dev/ttyUSB0", "baudrate": 1200}}
    file = plant.file(tmp_path, links=links, buffer={"path": "./b.db", "commit_every": "250ms", "max_bytes": "10MB"})
    good = labgate("-c", file, "check")
    assert good.returncode == 0
    assert "before any sample is 0.25 s old" in good.stdout
    assert "70 readings/s; without the hub 10 MB last about" in good.stdout
    assert re.search(r"bus bus-1 \(1200 8N1\): .* \d+ ms \(1 turn,", good.stdout)
    warning, plan = json_lines(labgate("-c", file, "check", "--strict", "--json").stdout)
    assert (warning["severity"], warning["part"]) == ("warning", "devices.room")  # alone on its bus
    assert (plan["devices"], plan["commit_every"], plan["buses"][0]["load"] > 1) == (2, 0.25, True)
    assert (plan["buses"][0]["devices"]["room"]["turns"], plan["buses"][0]["dead"]) == (1, None)
    assert labgate("-c", file, "check", "--strict").returncode == 1
    bad = labgate("-c", plant.file(tmp_path, devices=plant.disabled, hub={"urll": 1}), "check")
    assert bad.returncode == 2
    assert len(bad.stdout.splitlines()) >= 3  # all at once
    assert "durability" not in bad.stdout


def test_schema() -> None:
    schema = json.loads(labgate("schema").stdout)
    assert {"gateway", "hub", "buffer", "links", "devices"} <= set(schema["properties"])
    assert "max_gap" in json.dumps(schema)  # an option of a driver


def test_simulate_is_the_simulators_own() -> None:
    with Process(
        [*PROGRAM, "simulate", "xy_md02", "--port", "0", "--json"], Path("/dev/null"), environment()
    ) as device:
        ready = json.loads(device.start().readline())
        assert (ready["ready"], ready["pid"]) == (True, device.pid)
        assert device.stop() == 0


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):
        assert main([command, "--help"]) == 0
    assert re.search(rf"^example: labgate .*{command}", capsys.readouterr().out, re.MULTILINE)


def test_help_and_version() -> None:
    assert re.fullmatch(r"labgate \d+\.\d+\.\d+\n", labgate("--version").stdout)
    said = labgate("--help").stdout
    assert "labgate COMMAND --help says more" in said


def test_a_full_disk_behind_standard_output_is_one_line(plant: Plant, tmp_path: Path) -> None:
    command = [*PROGRAM, "-c", plant.file(tmp_path), "check"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (1, "labgate: No space left on device\n")
