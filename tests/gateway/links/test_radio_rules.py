"""The twenty rules of gateway/README.md, A Bluetooth radio, on an unmodified bleak and a simulated BlueZ.

Rule 10 is in test_radio_connections.py, too; rules 2, 3, 17 and 18 are in test_radio_recovery.py. Rule 19 is about the
installation, not about this code.
"""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bleak import BleakClient
from bleak.exc import BleakDBusError, BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError
from dbus_fast import Variant

from gateway.links import ble, connection
from gateway.links.air import Adverts, Peer, Values
from simulators.bluez.faults import ABORTED_BY_REMOTE, CANCELLED
from simulators.bluez.model import Characteristic, Pairing, Peripheral, Service
from tests.gateway.links.radio_rig import (
    BATTERY,
    COMPANY,
    LEVEL,
    LOCATION,
    MEASUREMENT,
    SOON,
    Beacon,
    Links,
    Strap,
    address,
    adverts,
    connected,
    data,
    fails,
    heard,
    links,
    pulses,
    trouble,
)
from tests.radio import Radio, find, radio, sockets, until

__all__ = ["links", "radio"]


@pytest.fixture
def calls(radio: Radio, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each method of bluetoothd was called."""
    counts: Counter[str] = Counter()
    answer = radio.bluez._answer

    def count(message: Any, call: Any) -> bool:
        counts[message.member] += 1
        return answer(message, call)

    monkeypatch.setattr(radio.bluez, "_answer", count)
    return counts


async def test_rule_01_one_scan_for_all(radio: Radio, links: Links, calls: Counter[str]) -> None:
    tags, straps, link = [Beacon(address()) for _ in range(3)], [Strap(address()) for _ in range(3)], links()
    radio.add(*tags, *straps)
    for strap in straps:
        await connected(link, pulses(strap), strap, strap.address)
    for n, tag in enumerate(tags):
        assert await heard(link, adverts(tag), ear=tag.address)
        radio.adapter.put("Alias", Variant("s", f"lab {n}"))  # the link looks whether all is well
    assert calls["StartDiscovery"] == 1
    assert calls["StopDiscovery"] == 0  # it goes on while connections are made


async def test_rule_01_a_second_link_to_the_adapter_is_told_so(radio: Radio, links: Links, calls: Counter[str]) -> None:
    tag, first, second = Beacon(address()), links(), links()
    radio.add(tag)
    assert await heard(first, adverts(tag))
    assert (await trouble(second, adverts(tag))).reason == "configuration"
    assert calls["StartDiscovery"] == 1
    await first.close()
    assert await heard(second, adverts(tag))


async def test_rule_04_each_value_comes_once_after_many_losses(radio: Radio, links: Links, monkeypatch: Any) -> None:
    monkeypatch.setattr(connection, "PAUSE", (0.01, 0.01))
    strap, link = Strap(address()), links()
    radio.add(strap)
    held = []
    for _ in range(4):
        await connected(link, pulses(strap), strap)
        for rate in (60, 61, 62):
            strap.beat(rate)
        assert data(await heard(link, pulses(strap), 3)) == [b"\x00\x3c", b"\x00\x3d", b"\x00\x3e"]
        held.append(sockets())
        strap.disconnect()
        await until(lambda: not strap.connected)
    assert len(set(held)) == 1, f"D-Bus connections are left over: {held}"


@pytest.mark.parametrize("late", [False, True])
async def test_rule_05_what_we_read_ourselves_is_not_told_twice(radio: Radio, links: Links, late: bool) -> None:
    """The notification comes before the answer, or behind it while adverts pour in (gateway/links/bus_rest.py)."""
    strap, link = Strap(address()), links()
    levels = Values(Peer(strap.address), (LEVEL,), (LEVEL,))
    radio.add(strap, *(Beacon(address(), interval=0.01) for _ in range(5) if late))
    assert data(await heard(link, levels)) == [b"\x5a"]  # read once, and BlueZ notifies of it
    for _ in range(3):
        assert data(await link.read_values(Peer(strap.address), (LEVEL,))) == [b"\x5a"]
    assert await link.frames("ear", levels, 0.1) == []
    strap.level.notify(b"\x58")
    assert data(await heard(link, levels)) == [b"\x58"]


async def test_rule_05_what_is_notified_during_a_read_is_told(radio: Radio, links: Links) -> None:
    strap, link = Strap(address()), links()
    levels = Values(Peer(strap.address), (LEVEL,))
    radio.add(strap)
    assert await link.frames("ear", levels, 0.001) == []
    await until(lambda: strap.level.subscribed)
    strap.faults.delays["read"] = 0.05
    reading = asyncio.ensure_future(link.read_values(Peer(strap.address), (LEVEL,)))
    strap.level.on_read = lambda: (strap.level.notify(b"\x59"), b"\x5a")[1]
    assert data(await reading) == [b"\x5a"]
    assert data(await heard(link, levels)) == [b"\x59"]


async def test_rule_06_a_read_that_is_never_answered_ends(radio: Radio, links: Links) -> None:
    strap, link = Strap(address()), links(timeout="100ms")
    radio.add(strap)
    strap.faults.hangs = 1
    error = await fails(link.read_values(Peer(strap.address), (LEVEL,)))
    assert error.reason == "timeout"
    await until(lambda: not strap.connected)  # who does not answer is connected to anew
    assert data(await link.read_values(Peer(strap.address), (LEVEL,))) == [b"\x5a"]


async def test_rule_06_a_subscription_that_is_never_answered_ends(radio: Radio, links: Links, monkeypatch: Any) -> None:
    monkeypatch.setattr(ble, "SUBSCRIBE_WITHIN", 0.1)
    strap, link = Strap(address()), links()
    radio.add(strap)
    strap.faults.hangs = 1
    assert (await trouble(link, pulses(strap))).reason == "timeout"
    await connected(link, pulses(strap), strap)


@pytest.mark.parametrize("fault", ["never_answers", "never_resolves"])
async def test_rule_06_a_connect_that_is_never_answered_ends(
    radio: Radio, links: Links, monkeypatch: Any, fault: str
) -> None:
    monkeypatch.setattr(ble, "CONNECT_WITHIN", 0.1)
    strap, link = Strap(address()), links()
    setattr(strap.faults, fault, True)
    radio.add(strap)
    assert (await trouble(link, pulses(strap))).reason == "timeout"
    setattr(strap.faults, fault, False)
    await connected(link, pulses(strap), strap)


@pytest.mark.parametrize("by", ["address", "name"])
async def test_rule_07_a_connection_left_over_is_adopted(
    radio: Radio, links: Links, calls: Counter[str], by: str
) -> None:
    strap, link = Strap(address()), links()
    radio.add(strap)
    radio.adapter.leave_connected(strap)
    await until(lambda: strap.connected)
    radio.adapter.devices[strap.address].put("Name", Variant("s", "Strap"))  # as it was heard once
    hear = Values(Peer(strap.address) if by == "address" else Peer(name="Str*"), (MEASUREMENT,))
    await connected(link, hear, strap)
    strap.beat(72)
    assert data(await heard(link, hear)) == [b"\x00\x48"]
    assert calls["Connect"] == 0


async def test_rule_07_who_is_to_advertise_is_disconnected(radio: Radio, links: Links) -> None:
    strap, link = Strap(address(), manufacturer_data={COMPANY: b"\x01"}), links()
    radio.add(strap)
    radio.adapter.leave_connected(strap)
    await until(lambda: strap.connected)
    assert await heard(link, adverts(strap))
    assert not strap.connected


async def test_rule_07_devices_of_others_are_left_alone(radio: Radio, links: Links) -> None:
    strap, tag, link = Strap(address()), Beacon(address()), links()
    radio.add(strap, tag)
    radio.adapter.leave_connected(strap)
    await until(lambda: strap.connected)
    assert await heard(link, adverts(tag))
    assert await heard(link, Adverts(Peer()), ear="all")
    assert strap.connected


async def test_rule_08_one_operation_at_a_time(radio: Radio, links: Links, monkeypatch: Any) -> None:
    strap, link = Strap(address()), links()
    running = most = 0
    read = ble.Client.read

    async def watched(self: ble.Client, handle: int, within: float) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await read(self, handle, within)
        finally:
            running -= 1

    monkeypatch.setattr(ble.Client, "read", watched)
    radio.add(strap)
    reads = [link.read_values(Peer(strap.address), (LEVEL, LOCATION)) for _ in range(50)]
    for values in await asyncio.gather(*reads):
        assert data(values) == [b"\x01", b"\x5a"]
    assert most == 1


ADAPTER1 = "org.bluez.Adapter1"
FAILED = "org.bluez.Error.Failed"
UNKNOWN = "org.freedesktop.DBus.Error."


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BleakError("Not connected"), "network"),
        (BleakError("Service Discovery has not been performed yet"), "network"),
        (BleakDBusError(FAILED, ["Not connected"]), "network"),
        (BleakGATTProtocolError(0x0E), "network"),
        (BleakDBusError(UNKNOWN + "ServiceUnknown", []), "network"),
        (BleakDBusError(UNKNOWN + "UnknownObject", []), "network"),
        (BleakDBusError(UNKNOWN + "UnknownMethod", []), "network"),
        (BleakDBusError(UNKNOWN + "NoReply", []), "network"),
        (OSError("broken pipe"), "network"),
        (BlockingIOError(11, "try again"), "network"),
        (EOFError(), "network"),
        (AssertionError(), "network"),
        (BleakDBusError(FAILED, [ABORTED_BY_REMOTE]), "network"),
        (TimeoutError(), "timeout"),
        (BleakDeviceNotFoundError("C0:FF:EE:00:00:01", "not found"), "silent"),
        (BleakError("device 'dev_C0_FF_EE_00_00_01' not found"), "silent"),
        (BleakDBusError("org.bluez.Error.NotPermitted", ["Not paired"]), "refused"),
        (BleakGATTProtocolError(0x08), "refused"),
        (BleakGATTProtocolError(0x02), "exception"),
        (BleakDBusError("org.bluez.Error.NotReady", ["Resource Not Ready"]), "refused"),
        (BleakDBusError("org.bluez.Error.NotSupported", ["Operation is not supported"]), "garbled"),
        (BleakDBusError("org.bluez.Error.InProgress", ["Operation already in progress"]), "busy"),
        (BleakDBusError(UNKNOWN + "AccessDenied", ["Rejected send message"]), "permission"),
    ],
    ids=repr,
)
async def test_rule_09_what_errors_mean(radio: Radio, monkeypatch: Any, error: Exception, reason: str) -> None:
    strap = Strap(address())
    radio.add(strap)
    client = ble.Client(await find(strap.address), "air", lambda: None)

    async def refuse(_: BleakClient) -> None:
        raise error

    monkeypatch.setattr(BleakClient, "connect", refuse)
    assert (await fails(client.connect())).reason == reason


async def test_rule_10_who_refuses_is_asked_later_and_later(
    radio: Radio, links: Links, calls: Counter[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(connection, "PAUSE", (0.02, 60.0))
    strap, link = Strap(address()), links()
    strap.faults.connect_errors.extend([CANCELLED] * 5)
    radio.add(strap)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await connected(link, pulses(strap), strap)
    assert calls["Connect"] == 6
    assert loop.time() - began >= 0.8 * 0.02 * (1 + 2 + 4 + 8 + 16)


async def test_rule_11_who_is_gone_is_waited_for_and_not_retried(
    radio: Radio, links: Links, calls: Counter[str]
) -> None:
    radio.bluez.times.temporary = 0.05
    strap, tag, link = Strap(address()), Beacon(address()), links()
    radio.add(strap, tag)
    await heard(link, Adverts(Peer(strap.address)), ear="air")
    strap.advertising = False
    await until(lambda: strap.address not in ble_devices(radio))
    assert await link.frames("ear", pulses(strap), 0.2) == []
    assert calls["Connect"] <= 1
    strap.advertising = True
    await connected(link, pulses(strap), strap)


def ble_devices(radio: Radio) -> set[str]:
    return {device.address for device in radio.adapter.devices.values() if device.shown}


@pytest.mark.parametrize("bonded", [False, True])
async def test_rule_12_services_that_lack_something_are_looked_for_again(
    radio: Radio, links: Links, calls: Counter[str], monkeypatch: Any, bonded: bool
) -> None:
    level = Characteristic(LEVEL, ["read", "encrypt-read"] if bonded else ["read"], b"\x5a")
    bare = [Service(BATTERY, [level])]
    strap, link = Strap(address(), pairing=Pairing()), links()
    strap.services, whole = bare, strap.services
    radio.add(strap)
    assert data(await link.read_values(Peer(strap.address), (LEVEL,))) == [b"\x5a"]
    await until(lambda: not strap.connected)
    assert strap.bonded == bonded
    remove = radio.adapter.methods[ADAPTER1, "RemoveDevice"]

    def forget(call: Any) -> None:
        strap.services = whole
        remove(call)

    # Its firmware was updated, and bluetoothd goes by what it knows (bluez/bluez#191).
    monkeypatch.setitem(radio.adapter.methods, (ADAPTER1, "RemoveDevice"), forget)
    if bonded:
        assert (await trouble(link, pulses(strap))).reason == "garbled"
    else:
        await connected(link, pulses(strap), strap)
    assert calls["RemoveDevice"] == (0 if bonded else 1)


async def test_rule_12_services_that_are_told_too_early(radio: Radio, links: Links) -> None:
    strap, link = Strap(address()), links()
    strap.faults.resolves_early = True
    radio.add(strap)
    waiting = asyncio.ensure_future(connected(link, pulses(strap), strap))
    await until(lambda: strap.connected)
    await until(lambda: not strap.connected)
    strap.faults.resolves_early = False
    await waiting


async def test_rule_12_chosen_by_uuid_and_property(radio: Radio, links: Links) -> None:
    deaf, speaks = Characteristic(MEASUREMENT, ["read"]), Characteristic(MEASUREMENT, ["notify"])
    strap = Peripheral(address(), services=[Service("180d", [deaf]), Service("180e", [speaks])], interval=SOON)
    link = links()
    radio.add(strap)
    assert await link.frames("ear", pulses(strap), 0.001) == []
    await until(lambda: speaks.subscribed)
    assert not deaf.subscribed


async def test_rule_13_other_changes_of_a_device_are_no_adverts(radio: Radio, links: Links) -> None:
    strap, link = Strap(address(), manufacturer_data={COMPANY: b"\x01"}), links()
    radio.add(strap)
    told: list[float] = []
    strap.on_advert = lambda: told.append(0)  # type: ignore[method-assign] - what a peripheral is for
    every = adverts(strap, repeats=True)
    frames = await heard(link, every, ear="tag")
    await connected(link, pulses(strap), strap)
    strap.advertising = False
    strap.disconnect()
    await until(lambda: not strap.connected)
    frames += await link.frames("tag", every, 0.1)
    assert len(frames) == len(told)


async def test_rule_13_an_unchanged_beacon_is_still_there(radio: Radio, links: Links) -> None:
    radio.bluez.quiet_rssi = True  # as BlueZ after 5.87: bluez/bluez#2314
    tag, link = Beacon(address()), links()
    radio.add(tag)
    await heard(link, adverts(tag))
    await until(lambda: link.counts("ear")["repeats"] >= 5)


async def test_rule_13_a_peer_that_advertises_no_data_is_still_there(
    radio: Radio, links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    radio.bluez.quiet_rssi = True
    monkeypatch.setattr(connection, "PAUSE", (0.0, 0.0))
    strap, link = Strap(address()), links()
    radio.add(strap)
    await heard(link, Adverts(Peer(strap.address)), ear="air")
    for _ in range(2):  # it is heard anew after each connection
        await connected(link, pulses(strap), strap)
        strap.disconnect()
        await until(lambda: not strap.connected)


async def test_rule_14_passive_where_bluetoothd_can(radio: Radio, links: Links, calls: Counter[str]) -> None:
    tag, link = Beacon(address()), links(passive=True)
    radio.add(tag)
    assert await heard(link, adverts(tag))
    assert calls["StartDiscovery"] == 0


async def test_rule_14_passive_where_bluetoothd_cannot_is_told(radio: Radio, links: Links) -> None:
    radio.adapter.experimental = False
    await radio.bluez.restart()
    error = await trouble(links(passive=True), adverts(Beacon(address())))
    assert error.reason == "refused"
    assert "passive" in str(error)


async def test_rule_15_notifications_by_start_notify(radio: Radio, links: Links, calls: Counter[str]) -> None:
    strap, link = Strap(address()), links()
    radio.add(strap)
    await connected(link, pulses(strap), strap)
    assert (calls["StartNotify"], calls["AcquireNotify"]) == (1, 0)


async def test_rule_16_a_read_that_wants_encryption_pairs_or_is_refused(radio: Radio, links: Links) -> None:
    link = links(timeout="1s")
    for pairing, paired in ((Pairing(), True), (Pairing(refuses=True), False)):
        level = Characteristic(LEVEL, ["encrypt-read"], b"\x5a")
        lock = Peripheral(address(), services=[Service(BATTERY, [level])], interval=SOON, pairing=pairing)
        radio.add(lock)
        if paired:
            assert data(await link.read_values(Peer(lock.address), (LEVEL,))) == [b"\x5a"]
        else:
            error = await fails(link.read_values(Peer(lock.address), (LEVEL,)))
            assert error.reason == "refused"
            assert f"labgate pair {lock.address}" in str(error)
        assert lock.bonded == paired


async def test_rule_16_who_only_hears_adverts_takes_no_agent_from_others(
    radio: Radio, links: Links, calls: Counter[str]
) -> None:
    tag, strap, link = Beacon(address()), Strap(address()), links()
    radio.add(tag, strap)
    assert await heard(link, adverts(tag))
    assert calls["RegisterAgent"] == 0
    await connected(link, pulses(strap), strap, "strap")
    assert calls["RegisterAgent"] == 1


def test_rule_20_one_loop_for_all() -> None:
    """No link starts a loop of its own, or takes work out of the one there is."""
    for path in Path(ble.__file__).parent.glob("*.py"):
        text = path.read_text("utf-8")
        for way_out in ("asyncio.run(", "new_event_loop", "to_thread", "run_in_executor"):
            assert way_out not in text, path


def test_bleak_has_the_private_names_that_are_used() -> None:
    """A test of the pin in pyproject.toml: bleak>=3.1,<4."""
    from bleak.backends.bluezdbus import client, manager, scanner

    bluez = manager.BlueZManager()
    assert hasattr(manager, "_global_instances")
    for name in ("_bus", "_iter_device_props", "_advertisement_callbacks", "_device_removed_callbacks"):
        assert hasattr(bluez, name)
    assert callable(client.BleakClientBlueZDBus._on_disconnected)
    for name in ("_handle_advertising_data", "_handle_device_removed"):
        assert hasattr(scanner.BleakScannerBlueZDBus, name)
