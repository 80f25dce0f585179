"""The real parts, each a process of its own: broker, devices, hub, daemon; and what a process has used."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECOND = 1_000_000_000  # ns
TRUTH_WITHIN = 0.7  # s; a simulator may keep a line of its truth in memory for half a second


def now() -> int:
    """The clock of all figures, and of the simulators' truth: CLOCK_BOOTTIME, ns."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def machine() -> float:
    """Core seconds everything on this machine has used so far."""
    ticks = [int(t) for t in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(ticks[:8]) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


class Process:
    """One child. Says and is asked lines of JSON, if it is one that does."""

    def __init__(self, *command: str | Path, log: Path | None = None, more: dict[str, str] | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(more or {})}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling at each start is not what is measured
        with contextlib.ExitStack() as stack:
            errors = stack.enter_context(log.open("ab")) if log else None
            self.began = now()
            self.popen = subprocess.Popen(
                [str(c) for c in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env=environment,
            )
        self.pid = self.popen.pid

    def cpu(self) -> float:
        """User and system seconds of all its threads, dead ones too: what /proc/PID/stat says, but in ns, not ticks."""
        return time.clock_gettime((~self.pid << 3) | 2)  # clock_getcpuclockid(3)

    def proc(self, name: str, key: str) -> int:
        """A number from /proc/PID/`name`."""
        lines = Path(f"/proc/{self.pid}/{name}").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(key + ":")).split()[1])

    def line(self) -> Any:
        """The next line it says."""
        assert self.popen.stdout
        said = self.popen.stdout.readline()
        if not said:
            raise RuntimeError(f"process {self.popen.args} ended")
        return json.loads(said)

    def ask(self, command: str) -> Any:
        """Its answer to a command."""
        assert self.popen.stdin
        self.popen.stdin.write(command.encode() + b"\n")
        self.popen.stdin.flush()
        return self.line()

    def end(self, sig: int = signal.SIGTERM, within: float = 10.0) -> int:
        """Send a signal and wait. Returns the exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(sig)
        return self.popen.wait(within)

    def close(self) -> None:
        """Gone, whatever it takes."""
        try:
            self.end(within=5)
        except subprocess.TimeoutExpired:
            self.end(signal.SIGKILL)
        for pipe in (self.popen.stdin, self.popen.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe and pipe.close()


class Broker:
    """mosquitto, Receive Maximum 20 as shipped, nothing kept on disk. The same port each time it starts."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = int(s.getsockname()[1])
        self.config = folder / "mosquitto.conf"
        self.config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type none\n"
            "max_queued_messages 0\n"  # what waits for the subscriber is never thrown away
        )
        self.process: Process | None = None

    def start(self) -> int:
        """Start it. Returns the time (ns) at which its port listened."""
        path = os.environ.get("PATH", "") + f":/usr/sbin:{ROOT}/.tools/bin"
        program = shutil.which("mosquitto", path=path)
        if program is None:
            raise RuntimeError("no mosquitto; run: make tools")
        self.process = Process(program, "-c", self.config)
        while True:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return now()
            if self.process.popen.poll() is not None:
                raise RuntimeError(f"mosquitto does not start on port {self.port}")
            time.sleep(0.001)

    def stop(self, sig: int = signal.SIGTERM) -> None:
        """End it."""
        if self.process is not None:
            self.process.end(sig)
            self.process.close()
            self.process = None


@dataclass(frozen=True)
class Setup:
    """What is measured: so many devices of so many registers, asked so often."""

    devices: int = 10
    every: str = "1s"
    registers: int = 100
    floats: bool = False  # two registers each
    state: str = "off"
    truth: bool = False  # whether the simulator records what it gives


class Rig:
    """Everything around one daemon."""

    def __init__(self, folder: Path, setup: Setup) -> None:
        self.folder, self.setup = folder, setup
        self.broker = Broker(folder)
        self.hub: Process | None = None
        self.daemon: Process | None = None
        self.environment: dict[str, str] = {}  # of the daemon, beside ours
        self._truth = folder / "truth.jsonl"
        command = [
            sys.executable,
            "-m",
            "simulators",
            *self._simulated(),
            "--set",
            f"devices={setup.devices}",
            "--json",
        ]
        self.devices = Process(*command, *["--truth", str(self._truth)] * setup.truth)
        self.ready = ready = self.devices.line()
        self.urls: list[str] = ready.get("urls") or [ready["url"]]
        self.site = self._write_site()

    def _simulated(self) -> list[str]:
        """Which simulator, and what is set of it."""
        found = ["registers", "--port", "0", "--set", f"count={self.setup.registers}"]
        return found + ["--set", "type=float32"] * self.setup.floats

    def _write_site(self) -> Path:
        s = self.setup
        (self.folder / "profiles").mkdir()
        kind, size = ("float32", 2) if s.floats else ("uint16", 1)
        lines = ["driver: modbus", "vendor: none", "model: bench", 'version: "1"', "source: tests/bench", "registers:"]
        lines += [
            f"  - {{name: value_{i:02}, table: holding, address: {i * size}, type: {kind}, unit: V}}"
            for i in range(s.registers // size)
        ]
        (self.folder / "profiles" / "bench.yaml").write_text("\n".join(lines) + "\n")
        # hold: a gateway that is back before the subscriber must not take "nobody listens" for a confirmation.
        lines = ["gateway: {id: bench}"]
        lines += [f'hub: {{url: "mqtt://127.0.0.1:{self.broker.port}", state: {s.state}, unheard: hold}}']
        lines += [f"buffer: {{path: {self.folder / 'buffer.db'}}}", "links:"]
        lines += [f'  l{i}: {{modbus: "{url}"}}' for i, url in enumerate(self.urls)]
        lines += ["devices:"]
        common = f"profile: bench, unit_id: 1, every: {s.every}, max_quantities: {s.registers}"
        lines += [f"  d{i}: {{link: l{i}, {common}}}" for i in range(len(self.urls))]
        site = self.folder / "gateway.yaml"
        site.write_text("\n".join(lines) + "\n")
        return site

    def start_hub(self) -> int:
        """The broker and the subscriber, which is subscribed when this returns. Returns as Broker.start."""
        self.hub = Process(sys.executable, HERE / "subscriber.py", str(self.broker.port))
        assert self.hub.line() == "up"
        listened = self.broker.start()
        assert self.hub.line() == "subscribed"
        return listened

    def start_daemon(self) -> Process:
        """`labgate run`."""
        if self.daemon is not None:
            self.daemon.close()
        script = Path(sys.executable).with_name("labgate")
        program = [script] if script.exists() else [sys.executable, "-m", "gateway.cli"]
        arguments = ["-c", self.site, "run", "--socket", self.folder / "control.sock"]
        self.daemon = Process(*program, *arguments, log=self.folder / "daemon.log", more=self.environment)
        return self.daemon

    def report(self) -> dict[str, Any]:
        """See subscriber.py."""
        assert self.hub
        found: dict[str, Any] = self.hub.ask("report")
        return found

    def log(self) -> str:
        """What the daemon said."""
        return (self.folder / "daemon.log").read_text()

    def wait_live(self, within: float = 15.0) -> dict[str, Any]:
        """Until a live sample has come since the broker is there."""
        end = time.monotonic() + within
        while not (found := self.report())["live"]:
            if time.monotonic() > end:
                raise RuntimeError(f"no sample at the hub within {within:g} s; the daemon said:\n{self.log()}")
            time.sleep(0.01)
        return found

    def truth(self, until: int) -> dict[tuple[int, float], int]:
        """(device, value of its first register) -> when it was given (ns), of all answers given up to `until`.

        The simulator repeats no value before 65,536 answers.
        """
        time.sleep(max(TRUTH_WITHIN - (now() - until) / SECOND, 0))
        ports = {urlsplit(url).port: i for i, url in enumerate(self.urls)}
        found = {}
        with self._truth.open() as lines:
            for text in lines:
                if '"name":"r0"' in text and text.endswith("\n"):
                    line = json.loads(text)
                    if (at := round(line["boot"] * SECOND)) <= until:
                        found[ports[urlsplit(line["device"]).port], line["value"]] = at
        return found

    def samples(self) -> dict[tuple[int, float], tuple[str, int, bool, int]]:
        """(device, value of its first register) -> (run, seq, late, when), of all that came to the hub."""
        assert self.hub
        came = self.hub.ask("samples")
        return {(int(bn.split("/d")[1][:-1]), first): (run, seq, late, at) for bn, run, seq, first, late, at in came}

    def unheard(self, within: float = 20.0) -> dict[tuple[int, float], int]:
        """What the devices gave up to now and has not come to the hub; waited for as long as more still comes."""
        given = self.truth(now())
        end, before = time.monotonic() + within, len(given) + 1
        while (missing := given.keys() - self.samples().keys()) and time.monotonic() < end:
            if len(missing) < before:
                before, end = len(missing), min(end, time.monotonic() + 4)
            time.sleep(0.05)
        return {key: given[key] for key in missing}

    def close(self) -> None:
        """End all processes, the daemon first."""
        for process in (self.daemon, self.hub, self.devices):
            if process is not None:
                process.close()
        self.broker.stop()


R = TypeVar("R", bound=Rig)


@contextlib.contextmanager
def rig(setup: Setup, kind: type[R] = Rig) -> Iterator[R]:
    """A rig in a folder of its own on a real disk: what is written to a tmpfs, as /tmp often is, is not counted."""
    with tempfile.TemporaryDirectory(prefix="labgate-bench-", dir="/var/tmp") as folder:
        found = kind(Path(folder), setup)
        try:
            yield found
        finally:
            found.close()
