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
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECOND = 1_000_000_000  # ns
REGISTERS = 100


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def load() -> float:
    """Average number of processes that want a core, of the last minute."""
    return os.getloadavg()[0]


def machine() -> float:
    """Core seconds everything on this machine has used so far."""
    ticks = [int(t) for t in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(ticks[:8]) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


class Process:
    """One child. Ends with `close`; answers a command a line if it is one of ours."""

    def __init__(self, *command: str | Path, log: Path | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling at each start is not what is measured
        errors = log.open("ab") if log else None
        self.began = time.monotonic_ns()
        self.popen = subprocess.Popen(
            [str(c) for c in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env=environment,
        )
        if errors:
            errors.close()
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
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin and self.popen.stdin.close()
        try:
            self.end(within=5)
        except subprocess.TimeoutExpired:
            self.end(signal.SIGKILL)
        self.popen.stdout and self.popen.stdout.close()


class Broker:
    """mosquitto, Receive Maximum 20 as shipped, nothing kept on disk. The same port each time it starts."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.config = folder / "mosquitto.conf"
        self.config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type none\n"
            "max_queued_messages 0\n"  # what waits for the subscriber is never thrown away
        )
        self.process: Process | None = None

    def start(self) -> int:
        """Start it. Returns the time (ns) at which its port listened."""
        program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + f":/usr/sbin:{ROOT}/.tools/bin")
        if program is None:
            raise RuntimeError("no mosquitto; run: make tools")
        self.process = Process(program, "-c", self.config)
        while True:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return time.monotonic_ns()
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
    """What is measured: so many devices, asked so often."""

    devices: int = 10
    every: str = "1s"
    floats: bool = False
    state: str = "off"
    registers: int = REGISTERS


class Rig:
    """Everything around one daemon."""

    def __init__(self, folder: Path, setup: Setup) -> None:
        self.folder, self.setup = folder, setup
        self.broker = Broker(folder)
        self.devices = Process(sys.executable, HERE / "devices.py", str(setup.devices), *["--float"] * setup.floats)
        self.hub: Process | None = None
        self.daemon: Process | None = None
        self.site = self._write_site(self.devices.line()["ports"])

    def _write_site(self, ports: list[int]) -> Path:
        s = self.setup
        (self.folder / "profiles").mkdir()
        lines = ["driver: modbus", "vendor: none", "model: bench", 'version: "1"', "source: tests/bench", "registers:"]
        kind, size = ("float32", 2) if s.floats else ("uint16", 1)
        lines += [
            f"  - {{name: value_{i:02}, table: holding, address: {i * size}, type: {kind}, unit: V}}"
            for i in range(s.registers // size)
        ]
        (self.folder / "profiles" / "bench.yaml").write_text("\n".join(lines) + "\n")
        lines = ["gateway: {id: bench}"]
        # hold: a gateway that is back before the subscriber must not take "nobody listens" for a confirmation.
        lines += [f'hub: {{url: "mqtt://127.0.0.1:{self.broker.port}", state: {s.state}, unheard: hold}}']
        lines += [f"buffer: {{path: {self.folder / 'buffer.db'}}}", "links:"]
        lines += [f'  l{i}: {{modbus: "tcp://127.0.0.1:{port}"}}' for i, port in enumerate(ports)]
        lines += ["devices:"]
        lines += [
            f"  d{i}: {{profile: bench, link: l{i}, unit_id: 1, every: {s.every}, max_quantities: 100}}"
            for i in range(len(ports))
        ]
        site = self.folder / "gateway.yaml"
        site.write_text("\n".join(lines) + "\n")
        return site

    def start_hub(self) -> Process:
        """The broker and the subscriber, which is subscribed when this returns."""
        self.broker.start()
        self.hub = Process(sys.executable, HERE / "subscriber.py", str(self.broker.port))
        self.hub.line()
        return self.hub

    def start_daemon(self) -> Process:
        """`labgate run`."""
        script = Path(sys.executable).with_name("labgate")
        program = [script] if script.exists() else [sys.executable, "-m", "gateway.cli"]
        arguments = ["-c", self.site, "run", "--socket", self.folder / "control.sock"]
        self.daemon = Process(*program, *arguments, log=self.folder / "daemon.log")
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

    def close(self) -> None:
        """End all processes, the daemon first."""
        for process in (self.daemon, self.hub, self.devices):
            if process is not None:
                process.close()
        self.broker.stop()


@contextlib.contextmanager
def rig(setup: Setup) -> Iterator[Rig]:
    """A rig in a folder of its own on a real disk: what is written to a tmpfs, as /tmp often is, is not counted."""
    with tempfile.TemporaryDirectory(prefix="labgate-bench-", dir="/var/tmp") as folder:
        found = Rig(Path(folder), setup)
        try:
            yield found
        finally:
            found.close()
