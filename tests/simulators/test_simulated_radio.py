"""`simulate` of peripherals as a process, with an unmodified bleak: heard, connected to, and what goes wrong."""

import asyncio
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bleak import BleakClient
from bleak.backends.bluezdbus.version import BlueZFeatures
from bleak.exc import BleakError
from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

from simulators import command
from simulators.arguments import parse, parser
from simulators.bluez import bluetoothd
from simulators.bluez.adapter import Adapter
from simulators.radio import Radio
from simulators.truth import Truth
from tests.radio import WITHIN, Adverts, close_bleak, find, sockets, until

ROOT = Path(__file__).parents[2]
SIMULATE = (sys.executable, "-m", "simulators")
HEART_RATE = "00002a37-0000-1000-8000-00805f9b34fb"
BATTERY = "00002a19-0000-1000-8000-00805f9b34fb"
TEMPERATURE = "00002a1c-0000-1000-8000-00805f9b34fb"
NUS_OUTPUT = "6e400003-b5a3-f393-e0a9-e50e24dcca9e"

Start = Callable[..., AbstractAsyncContextManager[dict[str, Any]]]


class Truths:
    """What the simulator says that it gave."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def given(self, device: str) -> list[tuple[str, Any]]:
        lines = [json.loads(line) for line in self.file.read_text().splitlines()]
        assert all(line["unit_id"] is None for line in lines)
        return [(line["name"], line["value"]) for line in lines if line["device"] == device]


@pytest.fixture
def truths(tmp_path: Path) -> Truths:
    return Truths(tmp_path / "truth.jsonl")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What bleak wants of a host: a bluetoothctl that says its version."""
    (tmp_path / "bluetoothctl").write_text("#!/bin/sh\necho 'bluetoothctl: 5.66'\n")
    (tmp_path / "bluetoothctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(BlueZFeatures, "_check_bluez_event", None)  # of another loop, if one was cancelled


@pytest.fixture
def process(host: None, truths: Truths, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Runs `python -m simulators ARGUMENTS --json --truth …` and gives its first line; bleak finds its bus."""

    @contextlib.asynccontextmanager
    async def run(*arguments: str) -> AsyncIterator[dict[str, Any]]:
        before = sockets()
        whole = [*SIMULATE, *arguments, "--json", "--truth", str(truths.file)]
        with subprocess.Popen(whole, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
            assert one.stdout
            try:
                line: dict[str, Any] = json.loads(await asyncio.to_thread(one.stdout.readline))
                assert (line["ready"], line["pid"], line["adapter"]) == (True, one.pid, "DC:A6:32:01:02:03")
                monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", line["url"])
                yield line
                await close_bleak()
            finally:
                one.terminate()
                rest, errors = one.communicate(timeout=WITHIN)
        assert (one.returncode, rest, errors) == (0, "", "")
        assert sockets() <= before

    return run


@pytest.fixture
def here(host: None, truths: Truths, monkeypatch: pytest.MonkeyPatch) -> Start:
    """The same in the loop of the test; Disconnect takes 20 ms instead of 2 s."""
    monkeypatch.setattr(bluetoothd, "Times", partial(bluetoothd.Times, disconnect=0.02))

    @contextlib.asynccontextmanager
    async def run(*arguments: str) -> AsyncIterator[dict[str, Any]]:
        before = sockets()
        (radio,) = command._wires(parse(parser("simulate"), arguments))
        assert isinstance(radio, Radio)
        radio.truth = Truth(truths.file)
        async with radio.on_the_air() as bus:
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
            yield {"address": radio.addresses[0], "addresses": radio.addresses, "bluez": bluez_of(radio)}
            await close_bleak()
        radio.truth.close()
        assert sockets() <= before

    return run


def bluez_of(radio: Radio) -> bluetoothd.FakeBluez:
    """What its peripherals are in reach of."""
    (adapter,) = radio.sensors[0][1]._airs
    assert isinstance(adapter, Adapter)
    return adapter.bluez


# --- what goes out


async def test_a_tag_and_a_strap_on_one_radio(process: Start, truths: Truths) -> None:
    beats: list[bytes] = []
    pins = ("--set", "every=50ms", "--set", "heart_rate=72", "--set", "battery=88")
    async with process("ble-tag+ble_strap", *pins) as line, Adverts() as heard:
        tag, strap = line["addresses"]
        assert line["address"] == tag
        found = await heard.device(strap)
        async with BleakClient(found) as client:
            assert await client.read_gatt_char(BATTERY) == b"\x58"
            await client.start_notify(HEART_RATE, lambda _, data: beats.append(bytes(data)))
            await until(lambda: len(beats) > 4)
        await until(lambda: len(ruuvi(heard, tag)) > 4)
    frames = ruuvi(heard, tag)
    sequence = [value for name, value in truths.given(tag) if name == "sequence"]
    assert [int.from_bytes(frame[16:18], "big") for frame in frames] == sequence[: len(frames)]
    assert all(frame[-6:] == bytes.fromhex(tag.replace(":", "")) for frame in frames)
    assert all(frame[1] == 72 for frame in beats)
    given = truths.given(strap)
    assert given[0] == ("battery", 88)
    assert [value for name, value in given if name == "heart_rate"] == [72] * len(beats)


def ruuvi(heard: Adverts, tag: str) -> list[bytes]:
    """What a tag has said, without repeats."""
    frames = (data.manufacturer_data[0x0499] for device, data in heard.all if device.address == tag)
    return list(dict.fromkeys(frames))


async def test_several_of_a_kind(here: Start) -> None:
    wanted = ("--set", "devices=3", "--set", "every=20ms", "--seed", "5")
    async with here("ble_sensor", *wanted) as line, Adverts() as heard:
        await until(lambda: {device.address for device, _ in heard.all} == set(line["addresses"]))
    first = {device.address: list(data.service_data.values()) for device, data in reversed(heard.all)}
    assert len({frame[-5:] for (frame,) in first.values()}) == 3  # a seed each


async def test_a_thermometer_that_comes_and_goes(here: Start, truths: Truths) -> None:
    gone = asyncio.Event()
    said: list[bytes] = []
    settings = ("--set", "stored=3", "--set", "every=10s", "--set", "address=c0:00:00:00:00:07")
    async with here("ble_thermometer", *settings) as line, Adverts() as heard:
        assert line["address"] == "C0:00:00:00:00:07"
        client = BleakClient(await heard.device(line["address"]), lambda _: gone.set())
        await client.connect()
        await client.start_notify(TEMPERATURE, lambda _, data: said.append(bytes(data)))
        await asyncio.wait_for(gone.wait(), WITHIN)
        await client.disconnect()
    printed = ["{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(frame[5] | frame[6] << 8, *frame[7:12]) for frame in said]
    assert len(printed) == 4
    assert [value for name, value in truths.given(line["address"]) if name == "timestamp"] == printed


async def test_lines_over_the_air(here: Start, truths: Truths) -> None:
    said: list[bytes] = []
    settings = ("--set", "every=20ms", "--set", "dialect=sentence", "--set", "name=Anna")
    async with here("ble_uart", *settings) as line, Adverts() as heard:
        found = await heard.device(line["address"])
        assert found.name == "Anna"
        async with BleakClient(found) as client:
            await client.start_notify(NUS_OUTPUT, lambda _, data: said.append(bytes(data)))
            await until(lambda: b"".join(said).count(b"\r\n") > 3)
    assert all(len(piece) <= 20 for piece in said)
    form = r"Temperature: ([\d.]+) C\tHumidity: ([\d.]+) %\tPressure: ([\d.]+) hPa\r\n"
    whole = re.findall(form, b"".join(said).decode())  # who subscribes in mid-line hears the rest of that first
    assert len(whole) >= 3
    assert [float(value) for values in whole for value in values] == [v for _, v in truths.given(line["address"])]


# --- what goes wrong


async def test_out_of_reach_and_back(here: Start) -> None:
    lost = asyncio.Event()
    beats = asyncio.Queue[str]()
    async with here("ble_strap", "--set", "every=20ms", "--fault", "away 500ms after 400ms for 1") as line:
        async with BleakClient(await find(line["address"]), lambda _: lost.set()) as client:
            await client.start_notify(HEART_RATE, lambda *_: beats.put_nowait("before"))
            await asyncio.wait_for(lost.wait(), WITHIN)
        assert not beats.empty()
        async with BleakClient(await find(line["address"])) as client:
            await client.start_notify(HEART_RATE, lambda *_: beats.put_nowait("again"))
            async with asyncio.timeout(WITHIN):
                while await beats.get() != "again":
                    pass


async def test_a_link_that_is_dropped(here: Start, truths: Truths) -> None:
    async with here("ble_ess", "--set", "every=20ms", "--fault", "drop every 300ms") as line:
        for _ in range(2):
            lost = asyncio.Event()

            def gone(_: BleakClient, lost: asyncio.Event = lost) -> None:
                lost.set()

            client = BleakClient(await find(line["address"]), gone)
            await client.connect()
            await asyncio.wait_for(lost.wait(), WITHIN)
            await client.disconnect()
    assert truths.given(line["address"]) == []  # nobody had subscribed


async def test_a_mute_strap_keeps_its_link(here: Start, truths: Truths) -> None:
    beats: list[float] = []
    mute = ("--set", "every=20ms", "--fault", "mute after 300ms")
    async with here("ble_strap", *mute) as line, BleakClient(await find(line["address"])) as client:
        await client.start_notify(HEART_RATE, lambda *_: beats.append(time.monotonic()))
        await until(lambda: beats and time.monotonic() - beats[-1] > 0.2)
        assert client.is_connected
    assert [name for name, _ in truths.given(line["address"])].count("heart_rate") == len(beats)


@pytest.mark.parametrize("fault", ["off 200ms", "unplug 200ms", "kill 200ms"])
async def test_a_radio_that_goes_and_comes_back(here: Start, fault: str) -> None:
    async with here("ble_tag", "--set", "every=50ms", "--fault", f"{fault} after 3 for 1") as line:
        with contextlib.suppress(BleakError):  # when it stops to scan: nobody knows of that any more
            async with Adverts() as heard:
                await heard.until(3)
                await gap(heard, 0.4)
        await close_bleak()
        await find(line["address"])


async def test_a_bluetoothd_that_was_killed_may_be_restarted(here: Start) -> None:
    restart = Message("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                      "RestartUnit", signature="ss", body=["bluetooth.service", "replace"])  # fmt: skip
    async with here("ble_tag", "--set", "every=50ms", "--fault", "kill 700ms after 3 for 1") as line:
        client = await MessageBus(bus_type=BusType.SYSTEM).connect()
        try:
            await until(lambda: not line["bluez"].running)
            killed = time.monotonic()
            reply = await client.call(restart)
            assert reply
            assert reply.message_type is MessageType.METHOD_RETURN
            await find(line["address"])
            assert time.monotonic() - killed < 0.7
        finally:
            client.disconnect()
            await client.wait_for_disconnect()
        await asyncio.sleep(max(0.0, killed + 0.8 - time.monotonic()))  # so much later it would have been
        assert line["bluez"].restarts == 1


async def test_a_deaf_adapter_hears_again(here: Start) -> None:
    async with here("ble_tag", "--set", "every=50ms", "--fault", "deaf after 3 for 5"), Adverts() as heard:
        await heard.until(3)
        missed = await gap(heard, 0.3)
        await heard.until(missed + 3)


async def gap(heard: Adverts, seconds: float) -> int:
    """Waits until nothing was heard for so long; how much there was until then."""
    count, at = len(heard.all), time.monotonic()
    async with asyncio.timeout(WITHIN):
        while time.monotonic() - at < seconds:
            await asyncio.sleep(0.01)
            if len(heard.all) > count:
                count, at = len(heard.all), time.monotonic()
    return count


# --- as a process


def daemons(address: str) -> list[int]:
    """The dbus-daemons of this bus."""
    folder = address.removeprefix("unix:path=").rpartition("/")[0].encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if folder in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_no_daemon_outlives_it(number: signal.Signals) -> None:
    with subprocess.Popen([*SIMULATE, "ble_tag", "--json"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout
        bus = json.loads(one.stdout.readline())["url"]
        assert len(daemons(bus)) == 1
        one.send_signal(number)
    assert one.returncode == (0 if number == signal.SIGTERM else -number)
    await until(lambda: not daemons(bus))
    folder = Path(bus.removeprefix("unix:path=")).parent
    assert folder.exists() == (number == signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


async def test_ends_with_its_parent() -> None:
    code = "import subprocess, sys; subprocess.Popen(sys.argv[1:]); sys.stdin.read()"
    parent = [sys.executable, "-c", code, *SIMULATE, "ble_tag", "--json"]
    with subprocess.Popen(parent, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout
        bus = json.loads(one.stdout.readline())["url"]
        assert len(daemons(bus)) == 1
        one.kill()
        await until(lambda: not daemons(bus))


def test_as_text(tmp_path: Path) -> None:
    named = [*SIMULATE, "ble_tag+ble_uart", "--set", "name=Anna"]
    with subprocess.Popen(named, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        bus, tag, uart = (process.stdout.readline() for _ in range(3))
        process.terminate()
    variable, adapter = bus.split("  ")
    assert variable.startswith("DBUS_SYSTEM_BUS_ADDRESS=unix:path=/")
    assert adapter == "adapter DC:A6:32:01:02:03\n"
    assert tag.split("  ")[1:] == ["ble_tag", "Anna\n"]
    assert uart.split("  ")[1:] == ["ble_uart", "Anna\n"]


def test_no_dbus_daemon(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("simulators.bluez.bus.find_daemon", lambda: None)
    monkeypatch.setattr(command, "_end_with_parent", lambda: True)  # the tests shall not
    assert command.main(["ble_tag"], "labgate simulate") == 1
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("labgate simulate: cannot open a bus of its own: no dbus-daemon on this machine; ")
    assert errors.count("\n") == 1
    assert "apt install dbus-daemon" in errors


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("ble_tga", "did you mean ble_tag?"),
        ("ble_tag+ble_strp", "'ble_strp' is no peripheral, which + puts on one radio; did you mean ble_strap?"),
        ("ble_tag+xy_md02", "'xy_md02' is no peripheral, which + puts on one radio; there is ble_ess, "),
        (
            "ble_tag --set heart_rate=60",
            "ble_tag has nothing to set that is called 'heart_rate'; --set knows temperature",
        ),
        ("ble_tag+ble_strap --set hart_rate=60", "did you mean heart_rate?"),
        ("ble_strap --set heart_rate=1000", "heart_rate must be between 20 and 300, not 1000"),
        ("ble_uart --set microbit=yes", "microbit cannot be 'yes'; there is 0, 1"),
        ("ble_thermometer --set stored=61", "stored must be between 1 and 60, not 61"),
        ("ble_tag --set devices=2 --set address=C0:00:00:00:00:01", "only one of 2 devices can have the address C0:00"),
        ("ble_tag --port 0", "--port is for a wire, and ble_tag has a radio; leave it out"),
        ("ble_tag --rtu", "--rtu is for a wire"),
        ("ble_tag --link /tmp/x", "--link is for a wire"),
        ("ble_tag --unit-id 1", "--unit-id is for a wire"),
        ("ble_tag --baudrate 9600", "--baudrate is for a wire"),
        (
            "ble_tag --fault crc",
            "fault 'crc' makes no sense on a radio; try mute, drop, away, off, kill, unplug or deaf",
        ),
        ("ble_tag --fault unit\\ 3:\\ mute", "fault 'unit 3: mute': there are no units on a radio"),
        ("ble_tag --fault late\\ 1s", "makes no sense on a radio"),
        ("ble_tag --fault unplug\\ 2s\\ mid", "makes no sense on a radio"),
        ("ble_tag --fault drop", "fault 'drop' needs a link, and there is none to what only advertises; try mute or"),
        ("ble_tag --fault away", "away wants a time; write 'away 10s'"),
        ("ble_tag --fault off\\ 5", "wants a time such as 200ms or 1.5s, not '5'"),
        ("ble_tag --fault deaf\\ 5s", "deaf says too much; write 'deaf'"),
        ("registers --fault away\\ 2s", "fault 'away 2s' is not for Modbus"),
        ("line_board --fault kill\\ 2s", "fault 'kill 2s' is for a radio, and line_board speaks otherwise"),
    ],
)
def test_wrong_arguments(
    arguments: str, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_end_with_parent", lambda: False)  # what is wrongly accepted does not run either
    assert command.main(shlex.split(arguments), "labgate simulate") == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("labgate simulate: ")
    assert errors.count("\n") == 1
    assert says in errors
