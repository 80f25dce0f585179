"""`labgate forget` at a real broker: what it shows, asks, clears, and leaves alone."""

import asyncio
import contextlib
import os
import pty
import queue
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import aiomqtt
import pytest

from gateway.cli import main
from gateway.mqtt import subscribe
from tests.commands import PROGRAM, environment
from tests.gateway.test_audit import R, status
from tests.real_broker import Mosquitto

Brokers = Callable[..., Mosquitto]
Capsys = pytest.CaptureFixture[str]

KEPT = ["lab/pi-7/other/note", "lab/pi-70/status", "lab/pi-8/meter-1/meta", "other/pi-7/status"]
METER = [f"lab/pi-7/meter-1/{kind}" for kind in ("meta", "state", "status")]
OURS = [*METER, "lab/pi-7/room/meta", "lab/pi-7/status"]
STOPPED = status(R, "offline", reason="stopped")[1]


async def retain(broker: Mosquitto, status: bytes) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for topic in [*OURS, *KEPT]:
            await client.publish(topic, status if topic == "lab/pi-7/status" else b"{}", qos=1, retain=True)


def retained(broker: Mosquitto) -> list[str]:
    """What a new subscriber gets before a message that is published after it has subscribed."""
    heard = queue.SimpleQueue[str]()
    found = []
    with contextlib.closing(subscribe(broker.url, "#", lambda topic, payload: heard.put(topic))):
        asyncio.run(mark(broker))
        while (topic := heard.get(timeout=5)) != "mark":
            found.append(topic)
    return sorted(found)


def forget(broker: Mosquitto, what: str) -> int:
    return main(["forget", what, "--url", broker.url, "--yes"])


async def mark(broker: Mosquitto) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.publish("mark", b"x", qos=1)


@pytest.fixture
def broker(mosquitto: Brokers) -> Mosquitto:
    found = mosquitto()
    asyncio.run(retain(found, STOPPED))
    return found


def test_a_gateway(broker: Mosquitto, capsys: Capsys) -> None:
    assert forget(broker, "pi-7") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines() == ["pi-7 is offline, reason: stopped", *OURS, "cleared 5 topics"]
    assert retained(broker) == KEPT
    assert forget(broker, "pi-7") == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == (
        "", "labgate: the hub retains nothing of pi-7 below lab/; check --prefix\n",
    )  # fmt: skip


def test_a_device(broker: Mosquitto, capsys: Capsys) -> None:
    assert forget(broker, "pi-7/meter-1") == 0
    assert capsys.readouterr().out.splitlines() == ["pi-7 is offline, reason: stopped", *METER, "cleared 3 topics"]
    assert retained(broker) == sorted([*KEPT, *OURS[3:]])


def test_a_gateway_that_is_online_is_not_gone(broker: Mosquitto, capsys: Capsys) -> None:
    asyncio.run(retain(broker, status(R)[1]))
    assert forget(broker, "pi-7") == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == (
        "pi-7 is online\n", "labgate: pi-7 is online and would say it all again; stop it first\n",
    )  # fmt: skip
    assert forget(broker, "pi-7/room") == 0
    assert retained(broker) == sorted([*KEPT, *METER, "lab/pi-7/status"])


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"\n", 1)])
def test_it_asks(answer: bytes, code: int, broker: Mosquitto) -> None:
    near, far = pty.openpty()
    with os.fdopen(near, "r+b", buffering=0) as terminal:
        process = subprocess.Popen(
            [*PROGRAM, "forget", "pi-7/room", "--url", broker.url], env=environment(), stdin=far, stdout=subprocess.PIPE
        )
        os.close(far)
        assert process.stdout is not None
        said = b""
        while not said.endswith(b"clear 1 topic for good? [y/N] "):
            said += process.stdout.read(1)
        terminal.write(answer)
        rest, _ = process.communicate(timeout=10)
    assert process.returncode == code
    assert rest == (b"cleared 1 topic\n" if code == 0 else b"nothing was cleared\n")
    assert ("lab/pi-7/room/meta" in retained(broker)) == bool(code)


def test_a_user_who_may_not(mosquitto: Brokers, tmp_path: Path, capsys: Capsys) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite #\n")
    broker = mosquitto(f"acl_file {acl}")
    asyncio.run(retain(broker, STOPPED))
    acl.write_text("topic read #\n")
    broker.signal(1)  # SIGHUP: reads the file again
    deadline = time.monotonic() + 5
    while forget(broker, "pi-7/room") == 0:
        assert time.monotonic() < deadline
        asyncio.run(retain(broker, STOPPED))
        capsys.readouterr()
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "lab/pi-7/room/meta"
    assert "the hub does not let this user clear lab/pi-7/room/meta" in said.err
