"""`labgate pair` with devices of every kind, on a simulated BlueZ: what a person is asked, and what is said then."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import pair as command
from gateway.cli.passkeys import Person
from gateway.cli.radio import Station
from gateway.config_ble import BleLinkConfig
from gateway.errors import LinkError
from gateway.links.air import Peer
from gateway.links.bluez import Bluez
from gateway.links.pairing import Agent, Question, quiet_agent
from simulators.bluez.model import Characteristic, Pairing, Peripheral, Service
from tests.commands import PROGRAM, environment
from tests.radio import ADAPTER, Radio, radio, until

__all__ = ["radio"]  # a fixture

STRAP = "A0:9E:1A:00:00:01"


def strap(radio: Radio, pairing: Pairing) -> Peripheral:
    services = [Service("180d", [Characteristic("2a37", ["encrypt-notify", "notify"])])]
    one = Peripheral(STRAP, "Strap", interval=0.02, services=services, uuids=["180d"], pairing=pairing)
    radio.add(one)
    return one


async def paired(passkey: str | None = None, as_json: bool = False, station: Station | None = None) -> None:
    await command.pair(STRAP, station, Person(STRAP, passkey, as_json))


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No terminal."""
    monkeypatch.setattr("sys.stdin", None)


async def test_a_device_without_keys_and_display(radio: Radio, capsys: pytest.CaptureFixture[str]) -> None:
    one = strap(radio, Pairing("NoInputNoOutput"))
    await paired()
    assert one.bonded
    assert radio.adapter.devices[STRAP].trusted
    await until(lambda: not one.connected)  # who stays connected does not advertise
    assert capsys.readouterr().out.splitlines() == [
        f"listening on hci0 for {STRAP}, at most 30 s",
        f"pairing with {STRAP}",
        f"{STRAP} is paired",
        f'paste under links:    radio: {{ble: "{ADAPTER}"}}',
        f'paste under devices:  heart-rate-1: {{profile: heart_rate, link: radio, address: "{STRAP}"}}',
    ]


async def test_the_passkey_on_its_label(radio: Radio, capsys: pytest.CaptureFixture[str]) -> None:
    one = strap(radio, Pairing("DisplayOnly", passkey=42))
    for wrong in ("000043", "1"):
        with pytest.raises(
            LinkError, match=f"^pairing with {STRAP} failed: wrong passkey, .*: link radio; put it into"
        ):
            await paired(wrong)
    assert not one.bonded
    await paired("000042", as_json=True)
    assert one.bonded
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert (row["paired"], row["address"], row["profile"]) == (True, STRAP, "heart_rate")


@pytest.mark.usefixtures("nobody")
async def test_nobody_is_there_to_ask(radio: Radio) -> None:
    one = strap(radio, Pairing("DisplayOnly"))
    with pytest.raises(LinkError, match=f"^{STRAP} wants a passkey, and nobody is here .* give --passkey$"):
        await paired()
    one.pairing = Pairing("DisplayYesNo")
    with pytest.raises(LinkError, match=f"^{STRAP} wants a passkey, and nobody is here .* give --passkey$"):
        await paired()
    assert not one.bonded


async def test_a_device_with_keys_is_told_what_to_type(radio: Radio, capsys: pytest.CaptureFixture[str]) -> None:
    one = strap(radio, Pairing("KeyboardOnly"))
    await paired(as_json=True)
    assert one.bonded
    typed, done = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert typed["address"] == STRAP
    assert re.fullmatch(r"\d{6}", typed["type"])
    assert done["paired"]


async def test_numbers_that_differ(radio: Radio) -> None:
    one = strap(radio, Pairing("DisplayYesNo", passkey=42))
    with pytest.raises(LinkError, match=f"^{STRAP} was not paired: it shows another number; "):
        await paired("000043")
    assert not one.bonded
    await paired("42")
    assert one.bonded


async def test_a_device_that_refuses(radio: Radio) -> None:
    strap(radio, Pairing(refuses=True))
    with pytest.raises(LinkError, match=f"pairing with {STRAP} failed: .*put it into pairing mode and try again"):
        await paired()


async def test_a_device_that_is_paired_already(radio: Radio) -> None:
    strap(radio, Pairing())
    await paired()
    with pytest.raises(LinkError, match=f"{STRAP} is paired already: hci0; .* add --anew"):
        await paired()


async def test_a_device_is_paired_anew(radio: Radio) -> None:
    one = strap(radio, Pairing())
    await paired()
    one.pairing = Pairing("DisplayOnly", passkey=42)
    await command.pair(STRAP, None, Person(STRAP, "000042", as_json=True), anew=True)
    assert radio.adapter.devices[STRAP].bond == 2  # authenticated


async def test_a_device_that_is_not_heard(radio: Radio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_HEARD_WITHIN", 0.1)
    with pytest.raises(LinkError, match=f"{STRAP} was not heard within 0.1 s: hci0; put it into pairing mode") as told:
        await paired()
    assert told.value.reason == "silent"


async def test_no_radio_to_pair_over(radio: Radio) -> None:
    strap(radio, Pairing())
    radio.adapter.power_off()
    with pytest.raises(LinkError, match="adapter is off: hci0"):
        await paired()
    radio.adapter.unplug()
    with pytest.raises(LinkError, match="no Bluetooth adapter here: link radio; plug one in"):
        await paired()
    radio.bluez.kill()
    with pytest.raises(LinkError, match="bluetoothd does not run: link radio; "):
        await paired()


async def test_a_device_that_is_connected_stays_so(radio: Radio, capsys: pytest.CaptureFixture[str]) -> None:
    """By the gateway, say, which found that it wants to be paired; such a device does not advertise."""
    one = strap(radio, Pairing())
    radio.adapter.leave_connected(one)
    await paired()
    assert one.bonded
    assert one.connected
    assert "listening" not in capsys.readouterr().out


async def test_a_device_of_the_configuration(radio: Radio, capsys: pytest.CaptureFixture[str]) -> None:
    strap(radio, Pairing())
    await paired(
        station=Station(BleLinkConfig(ble=ADAPTER), "air", {"other": Peer("00:00:00:00:00:00"), "mine": Peer(STRAP)})
    )
    assert capsys.readouterr().out.splitlines()[-1] == "it is mine; the gateway reads it from now on"


async def test_the_gateway_answers_again_when_it_is_done(radio: Radio) -> None:
    strap(radio, Pairing("DisplayOnly", passkey=42))
    gateway = Bluez("radio")
    await gateway.open()
    await gateway.register_agent(quiet_agent(lambda _: False))
    (mine,) = radio.bluez.pairing.agents
    await paired("42")
    await until(lambda: [agent.owner for agent in radio.bluez.pairing.default] == [mine])
    await gateway.close()


async def test_a_pairing_that_runs_already_is_waited_for(radio: Radio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway's own, say, begun by a read."""
    monkeypatch.setattr(command, "_AGAIN", 0.02)
    one = strap(radio, Pairing("DisplayOnly", passkey=42))
    radio.adapter.leave_connected(one)
    asked, given_up = asyncio.Event(), asyncio.Event()

    async def thinks(_: Question) -> str | None:
        asked.set()
        await given_up.wait()
        return None

    gateway = Bluez("radio")
    await gateway.open()
    await gateway.register_agent(Agent("KeyboardDisplay", thinks))
    other = asyncio.create_task(gateway.pair(gateway.find(ADAPTER), STRAP, within=5.0))
    await asked.wait()
    refused: list[LinkError] = []
    pair = Bluez.pair

    async def counted(*arguments: Any) -> None:
        try:
            await pair(*arguments)
        except LinkError as error:
            refused.append(error)
            raise

    monkeypatch.setattr(Bluez, "pair", counted)
    mine = asyncio.create_task(paired("000042"))
    await until(lambda: refused)
    given_up.set()
    await mine
    assert {error.reason for error in refused} == {"busy"}
    assert one.bonded
    with pytest.raises(LinkError, match="failed"):
        await other
    await gateway.close()


@pytest.mark.parametrize("wanted", ["consent", "passkey", "pin", "compare", "type"])
async def test_a_person_answers_for_the_device_that_was_named_only(wanted: Any, capsys: Any) -> None:
    person = Person(STRAP, "000042", as_json=False)
    assert await person.answer(Question(STRAP, wanted, "000042")) is not None
    assert ("type 000042 into the device" in capsys.readouterr().out) == (wanted == "type")
    assert await person.answer(Question("CB:B8:33:4C:88:4F", wanted, "000042")) is None
    assert capsys.readouterr().out == ""


class Terminal:
    """`labgate pair` in a pseudo-terminal: what it says, and what is typed."""

    def __init__(self, ours: int) -> None:
        self.ours, self.said = ours, ""
        asyncio.get_running_loop().add_reader(ours, self._read)

    def _read(self) -> None:
        try:
            self.said += os.read(self.ours, 4096).decode()
        except OSError:  # the program has ended, and with it the other end
            asyncio.get_running_loop().remove_reader(self.ours)

    async def hears(self, prompt: str) -> None:
        await until(lambda: re.search(prompt, self.said), within=10.0)

    def type(self, text: str) -> None:
        os.write(self.ours, text.encode())


@asynccontextmanager
async def terminal(*arguments: str, config: Path) -> AsyncIterator[tuple[Terminal, asyncio.subprocess.Process]]:
    ours, theirs = os.openpty()
    program = await asyncio.create_subprocess_exec(
        *PROGRAM, "-c", str(config), "pair", *arguments, stdin=theirs, stdout=theirs, stderr=theirs,
        env=environment(), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Terminal(ours), program
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)


async def test_a_person_types_the_passkey(radio: Radio, tmp_path: Path) -> None:
    one = strap(radio, Pairing("DisplayOnly", passkey=42))
    async with terminal(STRAP, config=tmp_path / "none.yaml") as (screen, program):
        await screen.hears("passkey that the device shows, or has on its label: $")
        screen.type("42\n")
        assert await program.wait() == 0
    assert one.bonded
    assert f"{STRAP} is paired" in screen.said


async def test_a_person_compares_numbers(radio: Radio, tmp_path: Path) -> None:
    one = strap(radio, Pairing("DisplayYesNo", passkey=42))
    for said, code in (("n\n", 1), ("\n", 1), ("y\n", 0)):
        async with terminal(STRAP, config=tmp_path / "none.yaml") as (screen, program):
            await screen.hears(r"does the device show 000042\? \[y/N\] $")
            screen.type(said)
            assert await program.wait() == code
        assert one.bonded == (code == 0)


async def test_a_person_gives_up(radio: Radio, tmp_path: Path) -> None:
    one = strap(radio, Pairing("DisplayOnly"))
    async with terminal(STRAP, config=tmp_path / "none.yaml") as (screen, program):
        await screen.hears("passkey that")
        program.send_signal(signal.SIGINT)
        assert await program.wait() == 130
    assert "Traceback" not in screen.said
    assert not one.bonded
    await until(lambda: not radio.bluez.pairing.agents)
