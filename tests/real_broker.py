"""A real mosquitto on a loopback port, and what a subscriber receives from it."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import aiomqtt
import pytest

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


def program(name: str) -> str:
    """Path of a program on PATH, in /usr/sbin or in .tools/. In CI a missing one fails the test, else it is skipped."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        found = next((str(p) for p in sorted((ROOT / ".tools").glob(f"**/{name}")) if os.access(p, os.X_OK)), None)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {name} here; `make tools` fetches it into .tools/")
    return found


class Mosquitto:
    """A real broker on a port of its own. `lines` go into its configuration, after the listener's line."""

    def __init__(self, folder: Path, lines: tuple[str, ...]) -> None:
        self.host, self.port, self.folder = HOST, free_port(), folder
        self.process: subprocess.Popen[bytes] | None = None
        if not any(line.startswith("allow_anonymous") for line in lines):
            lines = ("allow_anonymous true", *lines)
        if os.geteuid() == 0:
            lines = ("user root", *lines)  # else it gives up the right to read the test's folder
        self.config = folder / f"mosquitto-{self.port}.conf"
        self.config.write_text("\n".join((f"listener {self.port} {HOST}", *lines, "")))

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"

    def start(self) -> "Mosquitto":
        """Returns when it listens. After `kill` or `stop`: again, on the same port, with nothing remembered."""
        log = self.config.with_suffix(".log")
        with log.open("ab") as out:
            command = [program("mosquitto"), "-c", self.config]
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as sock:
                if sock.connect_ex((self.host, self.port)) == 0:
                    return self
            time.sleep(0.005)
        self.kill()
        raise RuntimeError(f"mosquitto does not start: {log.read_text()}")

    def signal(self, number: int) -> None:
        """SIGSTOP: silent, connections stay; SIGCONT: goes on."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9; returns when it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """A clean stop; returns when it is gone."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


class HubMessages:
    """What a subscriber at the hub receives, as it comes: `received` holds aiomqtt's messages, oldest first."""

    def __init__(self) -> None:
        self.received: list[aiomqtt.Message] = []
        self._news = asyncio.Condition()

    async def read(self, client: aiomqtt.Client) -> None:
        try:
            async for message in client.messages:
                async with self._news:
                    self.received.append(message)
                    self._news.notify_all()
        except aiomqtt.MqttError:
            return  # the broker has gone; what was received stays

    def on(self, topic: str) -> list[bytes]:
        """The payloads received on one topic."""
        return [bytes(m.payload) for m in self.received if str(m.topic) == topic]

    async def wait_for(self, condition: Callable[["HubMessages"], object], within: float = 5.0) -> None:
        """Returns as soon as `condition` holds of what has been received."""
        async with asyncio.timeout(within), self._news:
            await self._news.wait_for(lambda: condition(self))

    async def wait(self, count: int, within: float = 5.0) -> list[aiomqtt.Message]:
        """The first `count` messages, as soon as they are there."""
        await self.wait_for(lambda hub: len(hub.received) >= count, within)
        return self.received[:count]
