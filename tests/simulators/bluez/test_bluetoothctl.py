"""The real bluetoothctl of Debian's bluez on the simulated BlueZ: scans, connects, reads, subscribes, pairs."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator

import pytest

from simulators.bluez.bus import TOOLS
from simulators.bluez.model import Characteristic, Pairing, Peripheral, Service
from tests.radio import ADAPTER, WITHIN, Radio, until

PROGRAM = shutil.which("bluetoothctl") or shutil.which("bluetoothctl", path=str(TOOLS))  # not the radio's stand-in
STRAP = "24:AC:AC:05:A9:EB"
MEASUREMENT, LEVEL = "00002a37-0000-1000-8000-00805f9b34fb", "00002a19-0000-1000-8000-00805f9b34fb"

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no bluetoothctl: make fetches it; or sudo apt install bluez")


class Shell:
    """bluetoothctl with its input and output in our hands; `said` has no colours and no prompts in it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said = ""

    async def pump(self) -> None:
        assert self.process.stdout is not None
        while data := await self.process.stdout.read(4096):
            self.said += re.sub(r"\x1b\[[0-9;]*m|[\x01\x02]|\r", "", data.decode(errors="replace"))

    async def say(self, command: str, *answers: str) -> None:
        """Type a line, and wait until all of these have been said, in any order."""
        assert self.process.stdin is not None
        self.said = ""
        self.process.stdin.write(command.encode() + b"\n")
        try:
            await until(lambda: all(answer in self.said for answer in answers))
        except TimeoutError:
            pytest.fail(f"{command}: none of {answers} in {self.said}")


@pytest.fixture
async def shell(radio: Radio) -> AsyncIterator[Shell]:
    assert PROGRAM is not None
    process = await asyncio.create_subprocess_exec(
        PROGRAM, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "TERM": "dumb", "LC_ALL": "C", "HOME": str(radio.folder)},
    )  # fmt: skip
    shell = Shell(process)
    reading = asyncio.ensure_future(shell.pump())
    await until(lambda: "Agent registered" in shell.said and "AdvertisementMonitor path registered" in shell.said)
    yield shell
    if process.returncode is None:
        await shell.say("quit")
    await asyncio.wait_for(process.wait(), WITHIN)
    await reading


async def test_scan_connect_read_subscribe(radio: Radio, shell: Shell) -> None:
    measurement = Characteristic("2a37", ["notify"])
    level = Characteristic("2a19", ["read", "notify"], b"\x55")
    strap = Peripheral(STRAP, "strap", interval=0.02, uuids=["180d"],
                       services=[Service("180d", [measurement]), Service("180f", [level])])  # fmt: skip
    radio.add(strap)
    await shell.say("list", f"Controller {ADAPTER} labgate [default]")
    await shell.say("show", "Powered: yes", "Discovering: no", "Roles: central", "SupportedMonitorTypes: or_patterns")
    await shell.say("scan le", "Discovery started", "Discovering: yes", f"Device {STRAP} strap")
    await shell.say("devices", f"Device {STRAP} strap")
    await shell.say(
        f"connect {STRAP}", "Connection successful", "Connected: yes", "ServicesResolved: yes", "Heart Rate"
    )
    assert strap.connected
    await shell.say(f"info {STRAP}", f"{STRAP} (random)", "Name: strap", "Paired: no", "Connected: yes", "RSSI: -60")
    await shell.say("menu gatt", "list-attributes")
    await shell.say(f"list-attributes {STRAP}", MEASUREMENT, LEVEL, "Client Characteristic Configuration")
    await shell.say(f"select-attribute {LEVEL}", "service000e/char000f]")
    await shell.say("read", "Attempting to read", "Value:", "  55   ")
    await shell.say(f"select-attribute {MEASUREMENT}", "service000a/char000b]")
    await shell.say("notify on", "Notifying: yes", "Notify started")
    measurement.notify(b"\x00\x48")
    await until(lambda: "  00 48  " in shell.said)
    await shell.say("notify off", "Notifying: no", "Notify stopped")
    assert not measurement.subscribed
    await shell.say("back", "Menu main")
    await shell.say(f"disconnect {STRAP}", "ServicesResolved: no", "Successful disconnected", "Connected: no")
    assert not strap.connected
    await shell.say(f"remove {STRAP}", "Device has been removed", f"Device {STRAP} strap")
    await shell.say("scan off", "Discovery stopped", "Discovering: no")


async def test_pair_with_a_passkey(radio: Radio, shell: Shell) -> None:
    weight = Characteristic("2a9d", ["encrypt-authenticated-read"], b"\x2a")
    scale = Peripheral(STRAP, "scale", interval=0.02, services=[Service("181d", [weight])],
                       pairing=Pairing("DisplayOnly", passkey=4711))  # fmt: skip
    radio.add(scale)
    await shell.say("agent off", "Agent unregistered")
    await shell.say("agent KeyboardOnly", "Agent registered")
    await shell.say("default-agent", "Default agent request successful")
    await shell.say("scan le", f"Device {STRAP} scale")
    await shell.say(f"pair {STRAP}", "Request passkey", "Enter passkey (number in 0-999999):")
    await shell.say("4711", "Paired: yes", "Bonded: yes", "ServicesResolved: yes", "Pairing successful")
    await shell.say(f"trust {STRAP}", "Trusted: yes", "trust succeeded")
    assert scale.bonded
    await shell.say("menu gatt", "list-attributes")
    await shell.say("select-attribute 00002a9d-0000-1000-8000-00805f9b34fb", "char000b]")
    await shell.say("read", "  2a   ")


async def test_power(radio: Radio, shell: Shell) -> None:
    await shell.say("power off", "Powered: no", "Changing power off succeeded")
    assert not radio.adapter.powered
    radio.adapter.blocked = True
    await shell.say("power on", "Failed to set power on: org.bluez.Error.Blocked")
    radio.adapter.blocked = False
    await shell.say("power on", "Powered: yes", "Changing power on succeeded")
    radio.bluez.kill()
    await until(lambda: "Waiting to connect to bluetoothd" in shell.said)
    await radio.bluez.start()
    await until(lambda: "Agent registered" in shell.said)
    await shell.say("list", f"Controller {ADAPTER} labgate [default]")
