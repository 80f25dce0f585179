"""`labgate audit` beside a real broker and gateway: outages, kill -9, a broker that dies, a sample taken away."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway import control
from gateway.testbed import Broker, Gateway, Simulator
from gateway.testing import Hub
from tests.commands import PROGRAM, environment, labgate

REGISTERS = [{"name": f"r{n}", "table": "holding", "address": n, "type": "uint16"} for n in range(3)]
LEDGER = "lab/pi-7/ledger"
WITHIN = 20.0  # s


class Wire:
    """A TCP connection that can be cut: what is on it then is lost, as when a cable is pulled."""

    def __init__(self, url: str) -> None:
        self._to = (urlsplit(url).hostname, urlsplit(url).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self.whole = True

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near = self._listener.accept()[0]
                if not self.whole:
                    near.close()
                    continue
                far = socket.create_connection(self._to)
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._carry, args=(one, other)))
                    self._threads[-1].start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while some := one.recv(65536):
                other.sendall(some)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Cut what is connected; nobody gets through until `mend`."""
        self.whole = False
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.whole = True

    def close(self) -> None:
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()
        for end in self._open:
            end.close()


class Auditing:
    """`labgate audit` that has begun to listen, and writes down what it hears."""

    def __init__(self, folder: Path, url: str) -> None:
        self.record, self.errors = folder / "record.jsonl", folder / "audit.err"
        command = [*PROGRAM, "audit", "--json", "--url", url, "--record", str(self.record)]
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                command, env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True
            )
        wait_for(self.record.exists)  # as soon as it is subscribed

    def heard(self, text: str) -> bool:
        return text in self.record.read_text()

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Ctrl-C; its exit code and what it said."""
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=10)
        return self.process.returncode, [json.loads(line) for line in said.splitlines()]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def wire(labgate_broker: Broker) -> Iterator[Wire]:
    with contextlib.closing(Wire(labgate_broker.url)) as found:
        yield found


@pytest.fixture
def plant(tmp_path: Path, labgate_simulator: Callable[..., Simulator]) -> Callable[[str], Gateway]:
    """A gateway that asks one device every 20 ms, and reaches its hub at a url."""

    def make(url: str) -> Gateway:
        site = {
            "gateway": {"id": "pi-7"},
            "hub": {"url": url, "unheard": "hold"},
            "buffer": {"path": str(tmp_path / "buffer.db"), "commit_every": "200ms"},
            "links": {"panel": {"modbus": labgate_simulator("registers", "--port", "0").url}},
            "devices": {"meter-1": {"driver": "modbus", "link": "panel", "every": "20ms", "registers": REGISTERS}},
        }
        return Gateway(tmp_path, site)

    return make


@pytest.fixture
def auditing(tmp_path: Path) -> Iterator[Callable[[str], Auditing]]:
    with contextlib.ExitStack() as stack:

        def begin(url: str) -> Auditing:
            found = Auditing(tmp_path, url)
            stack.callback(lambda: (found.process.kill(), found.process.communicate()))
            return found

        yield begin


def held(gateway: Gateway) -> int:
    try:
        *_, last = control.ask(gateway.socket, "ledger")
    except control.NoDaemonError:  # its socket is there a moment before it listens
        return 0
    return int(last["held"]["samples"])


def packs(hub: Hub) -> int:
    return len(hub.messages("lab/pi-7/meter-1/data"))


def settled(hub: Hub) -> int:
    return len({note["run"] for note in hub.messages(LEDGER) if "settled" in note})


def test_killed_in_an_outage(
    labgate_broker: Broker,
    labgate_hub: Hub,
    wire: Wire,
    plant: Callable[[str], Gateway],
    auditing: Callable[[str], Auditing],
    tmp_path: Path,
) -> None:
    with plant(wire.url) as gateway:
        wait_for(lambda: packs(labgate_hub) >= 20)
        audit = auditing(labgate_broker.url)  # in the middle of a run
        before = packs(labgate_hub)
        wait_for(lambda: packs(labgate_hub) >= before + 20)
        wire.cut()
        wait_for(lambda: held(gateway) > 50)
        gateway.kill()
        gateway.up()  # and it comes up in the outage
        wait_for(lambda: held(gateway) > 50)
        wire.mend()
        wait_for(lambda: settled(labgate_hub) == 1)
        wire.cut()  # a second time, and killed while the connection comes back
        wait_for(lambda: held(gateway) > 20)
        wire.mend()
        gateway.kill()
        gateway.up()
        wait_for(lambda: settled(labgate_hub) == 2)
        assert gateway.stop() == 0
    wait_for(lambda: audit.heard("stopped"))
    code, (*rows, total) = audit.end()
    assert (code, audit.errors.read_text(), total["odd"]) == (0, "", [])
    assert total["sums"]["unexplained"] == total["sums"]["dropped"] == 0
    assert total["sums"]["late"] > 50
    assert [(row["ended"], row["settled"]) for row in rows] == [
        ("unclean", True),
        ("unclean", True),
        ("stopped", False),
    ]
    for row, first in zip(rows, (True, False, False), strict=True):
        assert row["device"] == "meter-1"
        assert row["on_the_way"] == 0
        assert bool(row["before"]) == first  # only of the first run something had passed
        assert row["at_risk"] <= 15  # 200 ms at 50 a second, and the machine may be busy
    # What the audit missed of the first run passed before; the other subscriber was there from the beginning.
    seen = {(r["run"], r["seq"]) for pack in labgate_hub.messages("lab/pi-7/meter-1/data") for r in pack if "seq" in r}
    assert {(row["run"], row["received"] + row["before"]) for row in rows} == {
        (row["run"], sum(run == row["run"] for run, _ in seen)) for row in rows
    }
    again = labgate("audit", "--json", "--file", audit.record)
    assert again.returncode == 0
    assert [json.loads(line) for line in again.stdout.splitlines()] == [*rows, total]
    one_taken_away(audit.record, tmp_path / "less.jsonl", rows[1]["run"])


def one_taken_away(record: Path, less: Path, run: str) -> None:
    """Had one of the packs not come, the audit would have said which."""
    lines = record.read_text().splitlines(keepends=True)
    missing = next(n for n, line in enumerate(lines) if f'\\"run\\":\\"{run}\\"' in line and "/data" in line)
    seqs = [r["seq"] for r in json.loads(json.loads(lines[missing])["payload"]) if "seq" in r]
    less.write_text("".join(lines[:missing] + lines[missing + 1 :]))
    found = labgate("audit", "--json", "--file", less)
    assert found.returncode == 1
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    (row,) = [row for row in rows if row.get("unexplained")]
    assert (row["run"], row["ranges"]["unexplained"]) == (run, [[min(seqs), max(seqs)]])


def test_rows_that_vanish_from_the_file(
    labgate_broker: Broker,
    labgate_hub: Hub,
    wire: Wire,
    plant: Callable[[str], Gateway],
    auditing: Callable[[str], Auditing],
) -> None:
    """A daemon with a bug: the audit names exactly what it lost, and nothing else."""
    gateway = plant(wire.url)
    at = gateway.command.index("gateway.cli")
    gateway.command[at] = "tests.planted_daemon"
    audit = auditing(labgate_broker.url)
    with gateway:
        wait_for(lambda: packs(labgate_hub) >= 5)
        wire.cut()
        wait_for(lambda: gateway.log.read_text().count("vanished") >= 3)
        wire.mend()
        wait_for(lambda: held(gateway) < 30)
        assert gateway.stop() == 0
        vanished = {int(seq) for seq in re.findall("vanished ([0-9]+)", gateway.log.read_text())}
        gateway.up()  # it finds none of the rows of that run, and says that they are settled
        wait_for(lambda: settled(labgate_hub) == 1)
        assert gateway.stop() == 0
    wait_for(lambda: audit.record.read_text().count("stopped") == 2)
    code, (row, *_, total) = audit.end()
    assert (code, row["ended"], row["settled"]) == (1, "clean", True)
    found = {n for first, last in row["ranges"]["unexplained"] for n in range(first, last + 1)}
    # What was in flight when it vanished from the file has come all the same.
    records = (r for message in labgate_hub.messages("lab/pi-7/meter-1/data") for r in message)
    lost = vanished - {r["seq"] for r in records if r.get("run") == row["run"]}
    assert found == lost
    assert total["sums"]["unexplained"] == len(lost) > 0


def test_a_broker_that_dies(
    labgate_broker: Broker, plant: Callable[[str], Gateway], auditing: Callable[[str], Auditing]
) -> None:
    """What it took with it nobody can know; the audit says so, and accuses nobody."""
    with plant(labgate_broker.url) as gateway:
        audit = auditing(labgate_broker.url)
        for n in (1, 2):
            wait_for(lambda n=n: audit.record.read_text().count("meter-1/data") > 20 * n)
            labgate_broker.kill()
            wait_for(lambda: held(gateway) > 20)
            labgate_broker.up()
            wait_for(lambda n=n: audit.record.read_text().count("interrupted") == n)
        come = audit.record.read_text().count("meter-1/data")
        wait_for(lambda: audit.record.read_text().count("meter-1/data") > come + 20)
        assert gateway.stop() == 0
        wait_for(lambda: audit.heard("stopped"))
    code, (row, total) = audit.end()
    assert (code, row["unexplained"], row["at_risk"], row["ended"]) == (0, 0, 0, "stopped")
    assert (
        audit.errors.read_text().splitlines()
        == ["labgate: cut off from the hub; what passed meanwhile is not judged"] * 2
    )
    again = labgate("audit", "--json", "--file", audit.record)
    assert [json.loads(line) for line in again.stdout.splitlines()] == [row, total]


def test_live(labgate_broker: Broker, plant: Callable[[str], Gateway]) -> None:
    with plant(labgate_broker.url):
        done = labgate("audit", "--live", "--url", labgate_broker.url, "--seconds", "4s")
    first, *lines = done.stdout.splitlines()
    assert (done.returncode, first.startswith("listening at mqtt://")) == (0, True)
    shown = [line for line in lines if "pi-7 meter-1  r0 " in line]
    assert len(shown) >= 2
    assert "/s)" in shown[1]
    assert lines[-1] == "nothing is UNEXPLAINED"
