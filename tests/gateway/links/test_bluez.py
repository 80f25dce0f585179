"""bluetoothd over D-Bus, on a simulated one behind a real dbus-daemon: what there is, what changes, what is refused."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from bleak import BleakClient
from bleak.exc import BleakError
from dbus_fast import Message
from dbus_fast.aio import MessageBus

from gateway.errors import LinkError
from gateway.links.bluez import AdapterInfo, Bluez
from gateway.links.bluez_errors import refusal
from gateway.links.dbus import Bus, Heard, Refused
from gateway.links.pairing import Agent, Question, quiet_agent
from simulators.bluez.model import Characteristic, Pairing, Peripheral, Service
from simulators.bluez.systemd import Systemd
from tests.radio import ADAPTER, Adverts, Radio, radio, sockets, until

__all__ = ["radio"]  # a fixture

OTHER = "00:1A:7D:DA:71:13"
TAG = "CB:B8:33:4C:88:4F"


class Watched(Bluez):
    """Counts how often it tells of a change."""

    def __init__(self) -> None:
        super().__init__("radio", self._count)
        self.changes = 0

    def _count(self) -> None:
        self.changes += 1

    @property
    def only(self) -> AdapterInfo:
        (adapter,) = self.adapters()
        return adapter


@pytest.fixture
async def bluez(radio: Radio) -> AsyncIterator[Watched]:
    """Connected to the simulated bluetoothd."""
    watched = Watched()
    await watched.open()
    yield watched
    await watched.close()


def refused(reason: str, *parts: str) -> Any:
    """A LinkError of one line that says what, where and what to do."""

    def fits(error: LinkError) -> bool:
        text = str(error)
        return (
            error.reason == reason and "\n" not in text and ": link radio; " in text and all(p in text for p in parts)
        )

    return pytest.raises(LinkError, check=fits)


async def test_adapters_are_found_by_address_and_by_index(radio: Radio, bluez: Watched) -> None:
    radio.bluez.add_adapter(OTHER, index=10, powered=False)
    await until(lambda: len(bluez.adapters()) == 2)
    first, second = bluez.adapters()
    assert (first.address, first.index, first.powered, first.blocked) == (ADAPTER, "hci0", True, False)
    assert (second.address, second.index, second.powered) == (OTHER, "hci10", False)
    assert bluez.find(OTHER) == bluez.find("hci10") == second
    with refused("missing", "no Bluetooth adapter hci1:", f"{ADAPTER} (hci0), {OTHER} (hci10)"):
        bluez.find("hci1")


async def test_every_change_is_told_and_adverts_are_none(radio: Radio, bluez: Watched) -> None:
    radio.adapter.power_off()
    await until(lambda: not bluez.only.powered)
    radio.adapter.power_on()
    await until(lambda: bluez.only.powered)
    radio.adapter.unplug()
    await until(lambda: not bluez.adapters())
    radio.adapter.plug(index=3)
    await until(lambda: [a.index for a in bluez.adapters()] == ["hci3"])
    told = bluez.changes
    assert told == 4
    radio.add(Peripheral(TAG, "tag", interval=0.01, manufacturer_data={0x0499: b"\x05"}))
    async with Adverts(bluez={"adapter": "hci3"}) as heard:
        await heard.until(5)
    assert bluez.changes == told


async def test_power_is_switched(radio: Radio, bluez: Watched) -> None:
    await bluez.set_powered(bluez.only, False)
    await until(lambda: not bluez.only.powered)
    assert not radio.adapter.powered
    await bluez.set_powered(bluez.only, True)
    await until(lambda: bluez.only.powered)
    radio.adapter.power_off()
    radio.adapter.blocked = True
    with refused("refused", "hci0 cannot be switched on", "rfkill unblock"):
        await bluez.set_powered(bluez.only, True)
    gone = bluez.only
    radio.adapter.unplug()
    with refused("unplugged", "hci0 cannot be switched on"):
        await bluez.set_powered(gone, True)


async def test_a_bluetoothd_that_ends_and_comes_back(radio: Radio, bluez: Watched) -> None:
    for end in (radio.bluez.kill, radio.bluez.stop):
        done = end()
        if done is not None:
            await done
        await until(lambda: not bluez.running)
        assert bluez.adapters() == []
        with refused("missing", "bluetoothd does not run"):
            bluez.find(ADAPTER)
        with refused("missing", "bluetoothd does not run"):
            await bluez.connected(AdapterInfo("/org/bluez/hci0", ADAPTER, True))
        await bluez.open()  # asks the bus to start it, which this one cannot
        assert not bluez.running
        told = bluez.changes
        await radio.bluez.start()
        await until(lambda: bluez.running and bluez.adapters())
        assert bluez.changes > told


async def test_a_bluetoothd_that_comes_up_slowly(radio: Radio, bluez: Watched) -> None:
    radio.bluez.kill()
    await radio.bluez.start(slow=0.05)
    await until(lambda: bluez.running)
    assert bluez.adapters() == []
    await until(lambda: bluez.only.powered if bluez.adapters() else False)


async def test_a_bluetoothd_there_was_none_of(radio: Radio) -> None:
    radio.bluez.kill()
    watched = Watched()
    try:
        await watched.open()
        assert not watched.running
        await radio.bluez.start()
        await until(lambda: watched.running and watched.adapters())
    finally:
        await watched.close()


async def test_the_bus_is_lost_and_found_again(radio: Radio, bluez: Watched) -> None:
    await radio.bus.kill()
    await until(lambda: not bluez.running)
    assert (bluez.adapters(), bluez.changes) == ([], 1)
    with refused("missing", "the D-Bus system bus is gone"):
        await bluez.remove(AdapterInfo("/org/bluez/hci0", ADAPTER, True), TAG)
    with refused("missing", "no D-Bus system bus (unix:path="):
        await bluez.open()
    await radio.bus.start()
    await radio.bluez.start()
    await asyncio.gather(bluez.open(), bluez.open(), bluez.open())  # several ears ask at once
    assert bluez.only.address == ADAPTER
    radio.adapter.power_off()
    await until(lambda: not bluez.only.powered)


@pytest.mark.parametrize(
    ("address", "reason", "said"),
    [
        ("unix:path=/nonexistent/bus", "missing", "(unix:path=/nonexistent/bus): No such file or directory"),
        ("the bus", "missing", "DBUS_SYSTEM_BUS_ADDRESS is no address of a bus: the bus"),
        ("unix:path={silent}", "missing", "does not answer"),
        ("unix:path={hangs_up}", "permission", "does not let this user in"),
    ],
)
async def test_no_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, reason: str, said: str) -> None:
    monkeypatch.setattr("gateway.links.dbus.WITHIN", 0.05)
    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        ended.set()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()
        ended.set()

    monkeypatch.chdir(tmp_path)
    async with (
        await asyncio.start_unix_server(silent, "silent"),
        await asyncio.start_unix_server(hang_up, "hangs_up"),
    ):
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address.format(silent="silent", hangs_up="hangs_up"))
        bluez = Bluez("radio")
        with refused(reason, said):
            await bluez.open()
        await bluez.close()
        if "{" in address:
            await ended.wait()


async def test_who_is_connected_and_hung_up_on(radio: Radio, bluez: Watched) -> None:
    strap, tag = Peripheral("A0:9E:1A:00:00:01"), Peripheral(TAG)
    radio.add(strap, tag)
    assert await bluez.connected(bluez.only) == []
    radio.adapter.leave_connected(strap)
    assert await bluez.connected(bluez.only) == [strap.address]
    await bluez.disconnect(bluez.only, strap.address)
    await until(lambda: not strap.connected)
    assert await bluez.connected(bluez.only) == []
    with refused("unplugged", f"{TAG} cannot be disconnected"):
        await bluez.disconnect(bluez.only, TAG)


async def test_a_device_is_removed(radio: Radio, bluez: Watched) -> None:
    strap = Peripheral("A0:9E:1A:00:00:01")
    radio.add(strap)
    radio.adapter.leave_connected(strap)
    await bluez.remove(bluez.only, strap.address)
    assert not strap.connected
    assert strap.address not in radio.adapter.devices
    await bluez.remove(bluez.only, strap.address)  # it is not known: fine
    radio.adapter.power_off()
    with refused("refused", f"{strap.address} cannot be removed", "the adapter is off"):
        await bluez.remove(bluez.only, strap.address)


async def test_who_is_bonded(radio: Radio, bluez: Watched) -> None:
    strap = Peripheral("A0:9E:1A:00:00:01")
    radio.add(strap)
    assert not await bluez.is_bonded(bluez.only, strap.address)  # not known at all
    device = radio.adapter.leave_connected(strap)
    assert not await bluez.is_bonded(bluez.only, strap.address)
    device.set_bond(True)
    assert await bluez.is_bonded(bluez.only, strap.address)


async def test_nothing_is_asked_of_a_bus_that_is_lost(radio: Radio, bluez: Watched) -> None:
    """dbus-fast would take its old descriptor, which is another's by now, out of the loop."""
    lost: Any = bluez._bus._bus
    number = lost._fd
    lost._finalize(EOFError())  # as in the turn of the loop in which the end is read
    with ExitStack() as stack:
        ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
        assert number in (ours.fileno(), theirs.fileno())
        ours, theirs = (ours, theirs) if ours.fileno() == number else (theirs, ours)
        heard = asyncio.Event()
        asyncio.get_running_loop().add_reader(ours, heard.set)
        with refused("missing", "the D-Bus system bus is gone"):
            await bluez.connected(AdapterInfo("/org/bluez/hci0", ADAPTER, True))
        theirs.send(b"x")
        await asyncio.wait_for(heard.wait(), 1.0)
        asyncio.get_running_loop().remove_reader(ours)


async def test_a_bluetoothd_that_hangs_is_told(radio: Radio, bluez: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.links.bluez._LONG", 0.05)
    strap = Peripheral("A0:9E:1A:00:00:01")
    radio.add(strap)
    radio.adapter.leave_connected(strap)
    radio.bluez.times.disconnect = 60.0
    with refused("timeout", "org.bluez does not answer Disconnect"):
        await bluez.disconnect(bluez.only, strap.address)


async def test_two_links_have_connections_of_their_own(radio: Radio) -> None:
    before = sockets()
    one, other = Watched(), Watched()
    await asyncio.gather(one.open(), other.open())
    await one.close()
    assert (one.running, one.changes, other.running) == (False, 0, True)
    assert other.only.address == ADAPTER
    await other.close()
    assert sockets() == before  # at once: the loop may end now
    await other.close()


@pytest.mark.parametrize("back", [False, True])
async def test_bluetoothd_ends_while_it_is_looked_for(
    radio: Radio, monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    """What the bus has answered is old when it is looked at."""
    call = Bus.call

    async def outrun(bus: Bus, *arguments: Any, **more: Any) -> Any:
        answer = await call(bus, *arguments, **more)
        if arguments[2].endswith(".GetNameOwner"):
            monkeypatch.setattr(Bus, "call", call)
            radio.bluez.kill()
            if back:
                await radio.bluez.start()
                await until(lambda: one.running)
            else:
                await until(lambda: len(owners) == 1)
        return answer

    owners: list[str] = []
    heard = Bluez._heard

    def watched(self: Bluez, signal: Heard) -> None:
        heard(self, signal)
        if signal.member == "NameOwnerChanged":
            owners.append(signal.body[2])

    monkeypatch.setattr(Bluez, "_heard", watched)
    monkeypatch.setattr(Bus, "call", outrun)
    one = Bluez("radio")
    await one.open()
    assert one.running == back
    if not back:
        await radio.bluez.start()
    await until(lambda: one.adapters())
    radio.adapter.power_off()
    await until(lambda: not one.adapters()[0].powered)
    await one.close()


async def test_a_restart_of_the_service_is_asked_for(radio: Radio, bluez: Watched) -> None:
    with refused("missing", "bluetoothd cannot be restarted, there is no systemd", "`sudo systemctl restart"):
        await bluez.restart_service()
    async with Systemd(radio.bluez) as systemd:
        await bluez.restart_service()
        assert systemd.asked == [("RestartUnit", "replace")]
        await until(lambda: radio.bluez.restarts == 1)
        await until(lambda: bluez.running and bluez.adapters())
        systemd.refuses = True
        with refused("permission", "bluetoothd cannot be restarted, this user may not"):
            await bluez.restart_service()


def guarded(address: str, pairing: Pairing) -> Peripheral:
    """A device that shows what it measures to nobody without keys."""
    services = [Service("180f", [Characteristic("2a19", ["encrypt-read"], b"\x2a")])]
    return Peripheral(address, "guarded", interval=0.02, services=services, pairing=pairing)


async def read(address: str) -> bytes:
    async with Adverts() as heard, BleakClient(await heard.device(address)) as client:
        return bytes(await client.read_gatt_char("00002a19-0000-1000-8000-00805f9b34fb"))


async def test_the_agent_consents_for_devices_of_the_configuration_only(radio: Radio, bluez: Watched) -> None:
    """Rule 16: a read that wants keys is answered, by pairing or by a refusal."""
    ours, foreign = guarded(TAG, Pairing()), guarded("A0:9E:1A:00:00:01", Pairing())
    radio.add(ours, foreign)
    await bluez.register_agent(quiet_agent(TAG.__eq__))
    assert await read(ours.address) == b"\x2a"
    assert ours.bonded
    with pytest.raises(BleakError):
        await read(foreign.address)
    assert not foreign.bonded


@pytest.mark.parametrize("slow", [0.0, 0.05])
async def test_the_agent_is_registered_again_with_each_bluetoothd(radio: Radio, bluez: Watched, slow: float) -> None:
    await bluez.register_agent(quiet_agent(TAG.__eq__))
    for _ in range(2):
        radio.bluez.kill()
        await until(lambda: not bluez.running)
        assert not radio.bluez.pairing.default
        await radio.bluez.start(slow)
        await until(lambda: radio.bluez.pairing.default)
    await bluez.close()
    await until(lambda: not radio.bluez.pairing.agents)


async def test_the_agent_waits_for_a_bluetoothd_that_takes_none_yet(radio: Radio, bluez: Watched) -> None:
    await bluez.register_agent(quiet_agent(TAG.__eq__))
    radio.bluez.kill()
    await until(lambda: not bluez.running)
    await radio.bluez.start(slow=0.1)
    agents = radio.bluez.exported.pop("/org/bluez")  # at first it has not even that
    radio.bluez.later(0.05, radio.bluez.exported.update, {"/org/bluez": agents})
    await until(lambda: radio.bluez.pairing.default)


async def test_the_agent_answers_bluetoothd_and_nobody_else(radio: Radio, bluez: Watched) -> None:
    asked: list[str] = []
    await bluez.register_agent(quiet_agent(lambda address: asked.append(address) or True))
    (agent,) = radio.bluez.pairing.default
    stranger = await MessageBus(bus_address=radio.bus.address).connect()
    question = Message(agent.owner, agent.path, "org.bluez.Agent1", "RequestAuthorization", signature="o")
    question.body = [f"/org/bluez/hci0/dev_{TAG.replace(':', '_')}"]
    reply = await stranger.call(question)
    stranger.disconnect()
    await stranger.wait_for_disconnect()
    assert reply is not None
    assert reply.error_name == "org.freedesktop.DBus.Error.AccessDenied"
    assert asked == []


async def test_pairing_that_takes_too_long_is_given_up(radio: Radio, bluez: Watched) -> None:
    one = guarded(TAG, Pairing("DisplayOnly"))
    radio.add(one)
    radio.adapter.leave_connected(one)

    async def thinks(_: Question) -> str | None:
        return await asyncio.get_running_loop().create_future()

    await bluez.register_agent(Agent("KeyboardDisplay", thinks))
    with refused("timeout", f"pairing with {TAG} took too long"):
        await bluez.pair(bluez.only, TAG, within=0.05)
    with refused("timeout", f"pairing with {TAG} took too long"):  # nothing is left that would be in progress
        await bluez.pair(bluez.only, TAG, within=0.05)
    assert not one.bonded


async def test_pairing_that_cannot_be(radio: Radio, bluez: Watched) -> None:
    with refused("silent", f"pairing with {TAG} is not possible before the device is heard"):
        await bluez.pair(bluez.only, TAG, within=1.0)
    with refused("unplugged", f"{TAG} cannot be trusted"):
        await bluez.trust(bluez.only, TAG)
    one = guarded(TAG, Pairing())
    one.faults.connect_errors.append("le-connection-abort-by-remote")
    radio.add(one)
    async with Adverts() as heard:
        await heard.device(TAG)
        with refused("refused", f"pairing with {TAG} failed: le-connection-abort-by-remote", "try again"):
            await bluez.pair(bluez.only, TAG, within=1.0)
        await bluez.pair(bluez.only, TAG, within=1.0)
        assert one.bonded
        await bluez.pair(bluez.only, TAG, within=1.0)  # is fine
    other = guarded("A0:9E:1A:00:00:01", Pairing())
    radio.add(other)
    radio.adapter.leave_connected(other)
    radio.adapter.power_off()
    with refused("refused", f"pairing with {other.address} is not possible, the adapter is off"):
        await bluez.pair(bluez.only, other.address, within=1.0)


@pytest.mark.parametrize("last", range(1, 6))
async def test_opening_may_be_given_up_at_any_call(radio: Radio, monkeypatch: pytest.MonkeyPatch, last: int) -> None:
    """Whoever opens next finds all there is, and is told of what changes."""
    calls: list[str] = []
    call = Bus.call

    async def counted(bus: Bus, *arguments: Any, **more: Any) -> Any:
        calls.append(arguments[2])
        if len(calls) == last:
            opening.cancel()
        return await call(bus, *arguments, **more)

    monkeypatch.setattr(Bus, "call", counted)
    one = Bluez("radio")
    opening = asyncio.create_task(one.open())
    await asyncio.wait([opening])
    assert opening.cancelled()
    await one.open()
    assert [a.powered for a in one.adapters()] == [True]
    radio.adapter.power_off()
    await until(lambda: not one.adapters()[0].powered)
    radio.adapter.unplug()
    await until(lambda: not one.adapters())
    radio.bluez.kill()
    await until(lambda: not one.running)
    await one.close()


async def test_strangers_on_the_bus_change_nothing(radio: Radio, bluez: Watched) -> None:
    stranger = await MessageBus(bus_address=radio.bus.address).connect()
    us = bluez._bus._bus.unique_name if bluez._bus._bus is not None else None
    objects, paths = "org.freedesktop.DBus.ObjectManager", ["/org/bluez/hci0"]
    for member, signature, body in (
        ("InterfacesRemoved", "oas", [*paths, ["org.bluez.Adapter1"]]),
        ("InterfacesRemoved", "", []),
        ("NameOwnerChanged", "sss", ["org.bluez", ":1.0", ""]),
    ):
        signal = Message.new_signal("/", objects, member, signature, body)
        signal.destination = us
        await stranger.send(signal)
    radio.adapter.power_off()  # told after all that
    await until(lambda: not bluez.only.powered)
    assert bluez.changes == 1
    stranger.disconnect()
    await stranger.wait_for_disconnect()


@pytest.mark.parametrize(
    ("name", "text", "reason", "do"),
    [
        ("org.bluez.Error.Blocked", "Blocked through rfkill", "refused", "`sudo rfkill unblock bluetooth`"),
        ("org.bluez.Error.Failed", "Blocked through rfkill", "refused", "`sudo rfkill unblock bluetooth`"),
        ("org.bluez.Error.NotReady", "Resource Not Ready", "refused", "`bluetoothctl power on`"),
        ("org.freedesktop.DBus.Error.ServiceUnknown", "", "missing", "bluetoothd does not run"),
        ("org.freedesktop.DBus.Error.AccessDenied", "Rejected send message", "permission", "group bluetooth"),
        ("org.bluez.Error.Failed", "Input/output error", "refused", "bluetoothd says Input/output error"),
        ("org.bluez.Error.Odd", "", "refused", "bluetoothd says Odd"),
    ],
)
def test_what_error_answers_mean(name: str, text: str, reason: str, do: str) -> None:
    with refused(reason, "it failed: link radio; ", do):
        raise refusal(Refused(name, text), "it failed", "radio")
