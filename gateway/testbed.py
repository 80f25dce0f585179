"""Real processes around a gateway, with no hardware: a broker, simulated devices, the daemon. For demo and tests."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from gateway.errors import LinkError

HOST = "127.0.0.1"
# Our own packages, whatever lies in the folder it is started in.
PYTHON = (sys.executable, "-P")
_OURS = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
_WITHIN = 10.0  # s; what has not come up by then never will


class Process:
    """A program of the testbed: ended with its `with` block, whatever happens in it."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.command, self.log = command, log
        self._environment = {**os.environ, "PYTHONPATH": _OURS, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> IO[str]:
        """Start (again); returns its standard output. What it says on standard error goes into `log`."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(  # noqa: S603 - commands of ours
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                env=self._environment, process_group=0,  # Ctrl-C is for whoever started it
            )  # fmt: skip
        assert self._process.stdout is not None
        return self._process.stdout

    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> int:
        """SIGTERM, and its exit code; SIGKILL if it does not listen."""
        assert self._process is not None, "not started"
        self._process.terminate()
        try:
            return self._process.wait(_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()
        finally:
            self._close()

    def kill(self) -> None:
        """kill -9: no goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._close()

    def _close(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        if self.running():
            self.stop()
        self._close()

    def failed(self, what: str) -> LinkError:
        """Why it did not come up: the last line it left."""
        said = self.log.read_text().strip().splitlines() if self.log.exists() else []
        return LinkError(f"{what} does not start: {said[-1] if said else 'it says nothing'}", "missing")


class Broker(Process):
    """An MQTT broker on a free loopback port: mosquitto (MQTT 5), else the embedded amqtt (3.1.1)."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        """`extra` are lines for mosquitto.conf. Raises LinkError when there is no broker to be had."""
        self.port = free_port()
        self.url = f"mqtt://{HOST}:{self.port}"
        mosquitto = find_program("mosquitto")
        if mosquitto is not None:
            conf = folder / f"mosquitto-{self.port}.conf"
            user = "user root\n" if os.geteuid() == 0 else ""  # else it gives up the right to read the folder
            conf.write_text(f"listener {self.port} {HOST}\nallow_anonymous true\n{user}{extra}\n")
            self.name, command = "mosquitto (MQTT 5)", [mosquitto, "-c", str(conf)]
        elif find_spec("amqtt") is not None:
            self.name = "the embedded amqtt (MQTT 3.1.1)"
            command = [*PYTHON, "-m", "gateway.embedded_broker", HOST, str(self.port)]
        else:
            raise LinkError("no MQTT broker here; install mosquitto, or labgate with the extra demo", "missing")
        super().__init__(command, folder / f"broker-{self.port}.log")

    def __enter__(self) -> "Broker":
        self.up()
        return self

    def up(self) -> None:
        """Start it (again, on the same port, with nothing remembered); returns when it listens."""
        self.start()
        deadline = time.monotonic() + _WITHIN
        while not _listens(self.port):
            if time.monotonic() > deadline or not self.running():
                self.kill()
                raise self.failed(self.name)
            time.sleep(0.01)


class Simulator(Process):
    """A simulated device on a real wire, see `labgate simulate --help` for names and settings."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self.name = name
        self.url = ""
        self.ready: dict[str, Any] = {}  # all that it says when it is up: of a radio the adapter, and who is on the air
        self.truth = folder / f"{name}-{time.monotonic_ns()}.truth"  # every value it ever gave, as JSON lines
        command = [*PYTHON, "-m", "simulators", name, "--json", "--truth", str(self.truth), *arguments]
        super().__init__(command, self.truth.with_suffix(".log"))

    def __enter__(self) -> "Simulator":
        self.up()
        return self

    def up(self) -> None:
        """Start it; `url` says how to reach it: tcp://HOST:PORT, the path of a pseudo-terminal, or of a D-Bus."""
        line = self.start().readline()
        if not line:
            self.kill()
            raise self.failed(f"the simulator {self.name}")
        self.ready = json.loads(line)
        self.url = self.ready["url"]

    def report(self) -> dict[str, Any]:
        """End it; what it says then. A paced line tells how busy it was (simulators/README.md)."""
        assert self._process is not None, "not started"
        self._process.terminate()
        said, _ = self._process.communicate(timeout=_WITHIN)
        found: dict[str, Any] = json.loads(said.splitlines()[-1])
        return found


class Gateway(Process):
    """The real daemon, `labgate run`, on a configuration of its own (a mapping, written as JSON, which is YAML)."""

    def __init__(self, folder: Path, site: Mapping[str, Any], bus: str | None = None) -> None:
        """`bus` is the address of the D-Bus of a simulated radio; the host's own unless said."""
        self.file = folder / "gateway.yaml"
        self.file.write_text(json.dumps(site, indent=1, ensure_ascii=False))
        self.socket = folder / "control.sock"
        command = [*PYTHON, "-m", "gateway.cli", "-c", str(self.file), "--socket", str(self.socket), "run"]
        super().__init__(command, folder / "gateway.log", {"DBUS_SYSTEM_BUS_ADDRESS": bus} if bus else None)

    def __enter__(self) -> "Gateway":
        self.up()
        return self

    def up(self) -> None:
        """Start it (again); returns when it answers on its control socket."""
        self.socket.unlink(missing_ok=True)  # of a gateway that was killed
        self.start()
        deadline = time.monotonic() + _WITHIN
        while not self.socket.exists():
            if time.monotonic() > deadline or not self.running():
                self.kill()
                raise self.failed("the gateway")
            time.sleep(0.01)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses now."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


def find_program(name: str) -> str | None:
    """Path of a program: on PATH, where Debian keeps daemons, or as fetched by make into .tools/."""
    tools = Path(__file__).parents[1] / ".tools" / "bin"
    return shutil.which(name) or shutil.which(name, path=f"/usr/sbin:/usr/local/sbin:{tools}")


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((HOST, port)) == 0
