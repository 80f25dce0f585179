"""Serial lines at their worst: cables that are pulled, ports nobody can open, boards that never stop.

The real daemon, pseudo-terminals, real processes. LABGATE_LONG=1 pulls each cable 200 times.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import re
import time
import tty
from collections.abc import Callable, Iterator
from itertools import cycle, pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from gateway.control import ask
from gateway.testbed import Gateway, Simulator
from gateway.testing import Hub
from simulators.devices import xy_md02
from simulators.wire import Station, pseudo_terminal
from tests.commands import labgate
from tests.examples import LONG

Simulate = Callable[..., Simulator]
Start = Callable[[dict[str, Any]], Gateway]

PULLS = 200 if LONG else 4
PULLED, PLUGGED = 0.2, 0.8  # s
BACK_WITHIN = 1.0  # s
STATE = re.compile(r"^\S+Z (?:INFO|WARNING) (\S+) is (\w+)(?:: (.*))?$", re.MULTILINE)


def until(condition: Callable[[], Any], within: float = 10.0) -> Any:
    """What `condition` gives as soon as it gives anything."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)
    return found


def rows(gateway: Gateway) -> dict[str, dict[str, Any]]:
    return {row["device"]: row for row in ask(gateway.socket, "devices")}


def said(gateway: Gateway) -> dict[str, list[tuple[str, str]]]:
    """What the log says of each device: (state, text), oldest first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for device, state, text in STATE.findall(gateway.log.read_text()):
        found.setdefault(device, []).append((state, text))
    return found


def memory(gateway: Gateway) -> float:
    """Resident, MB."""
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) / 1024


class PulledBus:
    """A Modbus slave on a pseudo-terminal that goes and comes back under another number."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self._over = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self) -> None:
        while not self._over.is_set():
            spare = os.openpty()  # has the number that was free
            async with pseudo_terminal({1: Station(xy_md02.build(1, 0, {}))}, link=self.link):
                for end in spare:
                    os.close(end)
                await asyncio.sleep(PLUGGED)
            await asyncio.sleep(PULLED)

    def __enter__(self) -> "PulledBus":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_cables_are_pulled_and_come_back_under_another_number(
    tmp_path: Path, labgate_simulator: Simulate, labgate_gateway: Start, labgate_hub: Hub
) -> None:
    pulled = f"unplug {PULLED * 1000:g}ms{{}} every {PLUGGED + PULLED:g}s after 1s"
    links = {name: tmp_path / name for name in ("board", "balance", "meter", "room")}
    board = labgate_simulator(
        "line_board", "--link", str(links["board"]), "--set", "dialect=json", "--set", "every=20ms",
        "--fault", pulled.format(" mid"),
    )  # fmt: skip
    labgate_simulator("balance", "--link", str(links["balance"]), "--fault", pulled.format(""))
    labgate_simulator("scpi_meter", "--link", str(links["meter"]), "--fault", pulled.format(" mid"))
    query = {"name": "voltage", "query": "MEAS:VOLT:DC?", "unit": "V"}
    devices: dict[str, dict[str, Any]] = {
        "board": {"driver": "lines"},
        "balance": {"driver": "mt_sics", "every": "50ms"},
        "meter": {"driver": "scpi", "every": "50ms", "queries": [query]},
        "room": {"profile": "xy_md02", "unit_id": 1, "every": "50ms"},
    }
    site = {
        "links": {n: {"modbus" if n == "room" else "serial": str(path)} for n, path in links.items()},
        "devices": {name: {"link": name, **what} for name, what in devices.items()},
    }
    with PulledBus(links["room"]):
        gateway = labgate_gateway(site)
        before = until(lambda: all_well(gateway))
        took = watch(gateway, links)
        after = until(lambda: all_well(gateway))
        log = said(gateway)
    assert before == after
    for name, path in links.items():
        assert max(took[name]) < BACK_WITHIN, (name, sorted(took[name])[-5:])
        downs = [text for state, text in log[name] if state != "ok"]
        assert len(downs) >= PULLS
        for (state, _), (then, text) in pairwise(log[name][log[name].index(("ok", "")) :]):
            assert {state, then} == {"ok", "unreachable"}, [line for line in log[name] if line[0] == "degraded"]
            assert then == "ok" or text == f"{path} went away: link {name}; plug it in again"
    # What the board said while it was plugged in has come, in its order.
    end = time.time() - 1.0
    given: list[list[float]] = []  # each time the port was open
    before_that = 0.0
    for line in map(json.loads, board.truth.read_text().splitlines()):
        if line["name"] == "temperature" and line["t"] < end:
            if line["t"] - before_that > PULLED / 2:
                given.append([])
            given[-1].append(line["value"])
            before_that = line["t"]
    may_miss = max(1, PULLS // 20)
    samples = labgate_hub.samples("board", sum(map(len, given)) - may_miss)
    heard = [sample["temperature"] for sample in samples]
    missed = 0
    for values in given:
        come = heard[: len(values)]
        # Opening a port empties its buffer, and on a busy machine takes longer than the board until its first line.
        if come != values[: len(come)]:
            missed += 1
            come = heard[: len(values) - 1]
            assert come == values[1 : 1 + len(come)]
        del heard[: len(come)]
    assert missed <= may_miss


def descriptors(gateway: Gateway, ports: int) -> int:
    """Open ones, 0 unless so many ports are among them; a question on the control socket has one more."""

    def count() -> int:
        found = []
        for fd in Path(f"/proc/{gateway.pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                found.append(str(fd.readlink()))
        return len(found) if sum(target.startswith("/dev/pts/") for target in found) == ports else 0

    return min(count() for _ in range(3) if not time.sleep(0.01))


def all_well(gateway: Gateway) -> int:
    """Its open descriptors as soon as all ports are open and all devices ok, else 0."""
    found = rows(gateway)
    return all(row["state"] == "ok" for row in found.values()) and descriptors(gateway, len(found))


def watch(gateway: Gateway, links: dict[str, Path]) -> dict[str, list[float]]:
    """Until each cable was pulled and came back often enough: s from each link's return to the line in the log."""
    took: dict[str, list[float]] = {name: [] for name in links}
    there = dict.fromkeys(links, True)
    returned: dict[str, float] = {}
    deadline = time.monotonic() + 20 + PULLS * 3 * (PULLED + PLUGGED)
    with gateway.log.open() as log:
        log.seek(0, os.SEEK_END)
        rest = ""
        while min(map(len, took.values())) < PULLS:
            now = time.monotonic()
            assert now < deadline, {name: len(times) for name, times in took.items()}
            for name, path in links.items():
                is_there = path.is_symlink()
                if is_there and not there[name]:
                    returned[name] = now
                there[name] = is_there
            *lines, rest = (rest + log.read()).split("\n")
            for name, state, _ in STATE.findall("\n".join(lines)):
                if state == "ok" and name in returned:
                    took[name].append(now - returned.pop(name))
            time.sleep(0.005)
    return took


@contextlib.contextmanager
def spoken(data: Callable[[], bytes], every: float = 0.0) -> Iterator[str]:
    """The path of a pseudo-terminal that says `data()` over and over, as fast as it is taken; nothing for b""."""
    master, slave = os.openpty()
    tty.setraw(slave)
    over = Event()

    def speak() -> None:
        while not over.is_set() and (piece := data()):
            while piece and not over.is_set():
                try:
                    piece = piece[os.write(master, piece) :]
                except BlockingIOError:
                    over.wait(0.001)
            over.wait(every)

    os.set_blocking(master, False)
    thread = Thread(target=speak)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        over.set()
        thread.join()
        os.close(master)
        os.close(slave)


ADVICE = {
    "missing": "No such file or directory: link {}; plug it in, or correct the path",
    "busy": "link {}; another program holds it: stop that",
    "permission": "link {}; add this user to the group dialout and log in again",
    "decode": "characters are no text; check baudrate, parity and the driver",  # what a wrong baud rate makes of text
}


@pytest.mark.parametrize(
    "reasons",
    [
        ("missing", "busy", "decode"),
        pytest.param(
            ("permission",), marks=pytest.mark.skipif(os.geteuid() == 0, reason="not here: root may open every port")
        ),
    ],
)
def test_a_port_that_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, labgate_gateway: Start, reasons: tuple[str, ...]
) -> None:
    with contextlib.ExitStack() as stack:
        ports = {"missing": str(tmp_path / "ttyUSB7")}
        for reason in ("busy", "permission"):
            ports[reason] = stack.enter_context(spoken(lambda: b""))
        fcntl.flock(stack.enter_context(Path(ports["busy"]).open()), fcntl.LOCK_EX)  # as any terminal program
        Path(ports["permission"]).chmod(0)
        ports["decode"] = stack.enter_context(
            spoken(lambda: bytes(byte | 0x80 for byte in os.urandom(20)) + b"\n", 0.01)
        )
        lines = {reason: ("serial", ports[reason]) for reason in reasons}
        lines |= {f"{reason}-bus": ("modbus", ports[reason]) for reason in reasons if reason != "decode"}
        profile = {"profile": "xy_md02", "unit_id": 1, "every": "100ms"}
        site = {
            "links": {name: {kind: path} for name, (kind, path) in lines.items()},
            "devices": {
                name: {"link": name, **({"driver": "lines"} if kind == "serial" else profile)}
                for name, (kind, _) in lines.items()
            },
        }
        gateway = labgate_gateway(site)
        until(lambda: said(gateway).keys() == lines.keys())
        time.sleep(1.2)  # tried several times more
        found, log = rows(gateway), said(gateway)
        table = labgate("--socket", gateway.socket, "devices").stdout.splitlines()
        for name in lines:
            reason = name.removesuffix("-bus")
            advice = ADVICE[reason].format(name)
            assert (found[name]["reason"], found[name]["text"].count("\n")) == (reason, 0)
            assert advice in found[name]["text"]
            assert [row for row in table if row.startswith(f"{name} ") and advice in row], table
            assert len(log[name]) == 1
            assert advice in log[name][0][1]
            read = labgate("-c", gateway.file, "--socket", gateway.socket, "read", name, timeout=30)
            assert read.returncode
            assert (read.stdout, read.stderr.count("\n")) == ("", 1)
            assert advice in read.stderr


def test_boards_that_never_stop_disturb_nobody(
    labgate_simulator: Simulate, labgate_gateway: Start, labgate_hub: Hub
) -> None:
    seconds = 60.0 if LONG else 6.0
    calm = labgate_simulator("line_board", "--set", "every=100ms", "--set", "dialect=label")
    bus = labgate_simulator("registers", "--port", "0")
    register = {"name": "r0", "table": "holding", "address": 0}
    megabyte = cycle((b"\n", *[b"x" * 4096] * 256))
    flood = b"".join(b"t=%d\n" % n for n in range(1000))
    with (
        spoken(lambda: next(megabyte)) as endless,
        spoken(lambda: flood) as flooding,
        spoken(lambda: os.urandom(1024)) as random,
    ):
        links = {"endless": endless, "flooding": flooding, "random": random, "calm": calm.url}
        site = {
            "links": {name: {"serial": path} for name, path in links.items()} | {"bus": {"modbus": bus.url}},
            "devices": {name: {"driver": "lines", "link": name} for name in links}
            | {"bus": {"driver": "modbus", "link": "bus", "unit_id": 1, "every": "100ms", "registers": [register]}},
        }
        gateway = labgate_gateway(site)
        until(lambda: {rows(gateway)[name]["state"] for name in ("calm", "bus", "flooding")} == {"ok"})
        time.sleep(1)
        before, began = taken(gateway), time.monotonic()
        resident = [memory(gateway)]
        while time.monotonic() < began + seconds:
            time.sleep(0.5)
            resident.append(memory(gateway))
        after, lasted = taken(gateway), time.monotonic() - began
        found = rows(gateway)
    for name in ("calm", "bus"):
        assert after[name] - before[name] > 0.9 * 10 * lasted - 1, (name, before, after)
        assert (found[name]["state"], found[name]["lost"]) == ("ok", {})
    assert found["endless"]["unused"]["skipped"] > 1_000_000
    assert found["endless"]["unused"]["overlong"] >= 1
    assert found["endless"]["state"] == "degraded"
    assert "bytes came and no frame is in them: link endless; check baudrate" in found["endless"]["text"]
    assert found["random"]["lost"]["decode"] + found["random"]["unused"]["skipped"] > 1000
    assert after["flooding"] - before["flooding"] > 1000 * lasted
    assert max(resident) < resident[0] + 20
    assert labgate_hub.samples("calm", 10)


def taken(gateway: Gateway) -> dict[str, int]:
    return {row["device"]: row["taken"] for row in ask(gateway.socket, "ledger") if "device" in row}


def test_who_reads_does_not_disturb_what_is_heard(
    labgate_simulator: Simulate, labgate_gateway: Start, labgate_hub: Hub
) -> None:
    receiver = labgate_simulator("gnss", "--set", "every=500ms")
    site = {"links": {"van": {"serial": receiver.url}}, "devices": {"van": {"driver": "nmea", "link": "van"}}}
    gateway = labgate_gateway(site)
    labgate_hub.samples("van", 1)
    (row,) = ask(gateway.socket, "read", device="van")
    assert "latitude" in row["readings"]
    samples = labgate_hub.samples("van", 5)
    assert {len(sample) for sample in samples[1:]} == {len(samples[1])}  # the sentences of an instant stay together
