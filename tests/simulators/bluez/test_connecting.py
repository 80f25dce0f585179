"""Connect, Disconnect and the end of a link on the bus: order and errors as measured on bluetoothd 5.66."""

import asyncio

import pytest
from dbus_fast import Variant

from simulators.bluez.model import Characteristic, Descriptor, Peripheral, Service, uuid128
from tests.radio import Radio, until
from tests.simulators.bluez.watcher import ADAPTER, CHARACTERISTIC, DEVICE, HCI0, Watcher

STRAP = "24:AC:AC:05:A9:EB"
NAME = "dev_24_AC_AC_05_A9_EB"


def strap(address: str = STRAP) -> Peripheral:
    battery = Characteristic("2a19", ["read", "notify"], b"\x55")
    control = Characteristic("2a39", ["write"], descriptors=[Descriptor("2901", b"control")])
    return Peripheral(
        address, "strap", interval=0.02,
        services=[Service("180f", [battery]), Service("180d", [control])],
    )  # fmt: skip


@pytest.fixture
async def it(radio: Radio) -> Peripheral:
    peripheral = strap()
    radio.add(peripheral)
    return peripheral


async def test_connect_answers_when_the_link_is_up_and_finds_services_afterwards(radio: Radio, it: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.find(STRAP)
        await watcher.value(path, DEVICE, "Connect")
        await watcher.heard("ServicesResolved", True)
        assert watcher.kinds() == [
            "changed", "reply",
            "added service0006", "added char0007", "added desc0009", "added service000a", "added char000b",
            "added desc000d", "added service000e", "added char000f", "added desc0011", "changed",
        ]  # fmt: skip
        assert watcher.told[0] == ("changed", NAME, {"Connected": True}, [])
        assert watcher.told[-1] == (
            "changed", NAME,
            {"UUIDs": [uuid128(u) for u in ("1800", "1801", "180d", "180f")], "ServicesResolved": True}, [],
        )  # fmt: skip
        assert watcher.paths[-6:-3] == [f"{path}/service000a", f"{path}/service000a/char000b",
                                      f"{path}/service000a/char000b/desc000d"]  # fmt: skip
        added = {told[1]: told[2] for told in watcher.told if told[0] == "added"}
        assert added["service000a"]["org.bluez.GattService1"] == {
            "UUID": uuid128("180f"), "Device": path, "Primary": True, "Includes": [],
        }  # fmt: skip
        assert added["char000b"][CHARACTERISTIC] == {
            "UUID": uuid128("2a19"), "Service": f"{path}/service000a", "Flags": ["read", "notify"], "MTU": 247,
            "Notifying": False, "NotifyAcquired": False,
        }  # fmt: skip
        assert added["desc0011"]["org.bluez.GattDescriptor1"] == {
            "UUID": uuid128("2901"), "Characteristic": f"{path}/service000e/char000f",
        }  # fmt: skip
        assert it.connected
        watcher.told.clear()
        await watcher.value(path, DEVICE, "Connect")  # again: nothing to do
        assert watcher.told == [("reply",)]


async def test_the_second_time_the_services_are_known(radio: Radio, it: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.connect(STRAP)
        await watcher.value(path, DEVICE, "Disconnect")
        await watcher.heard("Connected", False)
        watcher.told.clear()
        await watcher.value(path, DEVICE, "Connect")
        await watcher.heard("ServicesResolved", True)
        assert watcher.told == [
            ("changed", NAME, {"Connected": True}, []),
            ("reply",),
            ("changed", "char0007", {"MTU": 247}, []),
            ("changed", "char000b", {"MTU": 247}, []),
            ("changed", "char000f", {"MTU": 247}, []),
            ("changed", NAME, {"ServicesResolved": True}, []),
        ]


async def test_a_new_table_of_services_is_found_at_the_next_link(radio: Radio, it: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.connect(STRAP)
        it.services = [Service("181a", [Characteristic("2a6e", ["read"])])]
        it.disconnect()
        await watcher.heard("Connected", False)
        watcher.told.clear()
        await watcher.value(path, DEVICE, "Connect")
        await watcher.heard("ServicesResolved", True)
        kinds = watcher.kinds()
        assert kinds[2:11] == [
            f"removed {n}"
            for n in ("desc0011", "char000f", "service000e", "desc000d", "char000b", "service000a", "desc0009",
                      "char0007", "service0006")
        ]  # fmt: skip
        assert kinds[-3:] == ["added service000a", "added char000b", "changed"]


@pytest.mark.parametrize("newer", [False, True])
async def test_disconnect_pauses_first(radio: Radio, it: Peripheral, newer: bool) -> None:
    radio.bluez.signals_first = newer  # 5.87 tells before it answers
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.connect(STRAP)
        begun = asyncio.get_running_loop().time()
        await watcher.value(path, DEVICE, "Disconnect")
        assert asyncio.get_running_loop().time() - begun >= radio.bluez.times.disconnect
        await watcher.heard("Connected", False)
        told = [told for told in watcher.told if told[0] == "reply" or told[1] == NAME]
        assert told == (
            [("changed", NAME, {"ServicesResolved": False, "Connected": False}, []), ("reply",)]
            if newer
            else [
                ("changed", NAME, {"ServicesResolved": False}, []),
                ("reply",),
                ("changed", NAME, {"Connected": False}, []),
            ]
        )
        assert not it.connected
        watcher.told.clear()
        await watcher.value(path, DEVICE, "Disconnect")  # no link: nothing to wait for
        assert watcher.told == [("reply",)]


@pytest.mark.parametrize("how", ["hangs up", "out of range"])
async def test_a_link_that_is_lost(radio: Radio, it: Peripheral, how: str) -> None:
    it.supervision = 0.05
    async with Watcher(radio.bus.address) as watcher:
        await watcher.connect(STRAP)
        begun = asyncio.get_running_loop().time()
        if how == "hangs up":
            it.disconnect()
        else:
            it.go_out_of_range()
        await watcher.heard("Connected", False)
        assert ("changed", NAME, {"ServicesResolved": False, "Connected": False}, []) in watcher.told
        assert (asyncio.get_running_loop().time() - begun >= 0.05) is (how != "hangs up")


async def test_out_of_range_and_back_in_time(radio: Radio, it: Peripheral) -> None:
    it.supervision = 0.05
    async with Watcher(radio.bus.address) as watcher:
        await watcher.connect(STRAP)
        it.go_out_of_range()
        it.come_back()
        assert it._losing is None
        assert it.connected


async def test_what_does_not_answer_is_connected_when_it_does(radio: Radio, it: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.find(STRAP)
        it.advertising = False
        asking = asyncio.ensure_future(watcher.value(path, DEVICE, "Connect"))
        async with Watcher(radio.bus.address) as other:
            await until(lambda: radio.adapter.devices[STRAP].link.connecting)
            assert (await other.refusal(path, DEVICE, "Connect"))[0] == "org.bluez.Error.InProgress"
        assert not asking.done()
        it.advertising = True
        await asking
        assert it.connected


async def test_disconnect_ends_a_connect_that_waits(radio: Radio, it: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.find(STRAP)
        it.faults.never_answers = True
        asking = asyncio.ensure_future(watcher.refusal(path, DEVICE, "Connect"))
        await until(lambda: radio.adapter.devices[STRAP].link.connecting)
        watcher.told.clear()
        await watcher.value(path, DEVICE, "Disconnect")
        assert await asking == ("org.bluez.Error.Failed", "br-connection-canceled")
        assert watcher.told == [("error", "org.bluez.Error.Failed", "br-connection-canceled"), ("reply",)]


async def test_connect_gives_up(radio: Radio, it: Peripheral) -> None:
    radio.bluez.times.connect = 0.05
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.find(STRAP)
        it.faults.never_answers = True
        assert (await watcher.refusal(path, DEVICE, "Connect"))[1] == "le-connection-abort-by-local"
        it.faults.never_answers = False
        it.faults.connect_errors.extend(["Software caused connection abort", "le-connection-abort-by-remote"])
        assert (await watcher.refusal(path, DEVICE, "Connect"))[1] == "Software caused connection abort"
        assert (await watcher.refusal(path, DEVICE, "Connect"))[1] == "le-connection-abort-by-remote"
        it.faults.lost_at_once = 1
        watcher.told.clear()
        assert (await watcher.refusal(path, DEVICE, "Connect"))[1] == "le-connection-abort-by-local"
        changes = [told[2] for told in watcher.told if told[0] == "changed"]
        assert changes == [{"Connected": True}, {"Connected": False}]
        await watcher.value(path, DEVICE, "Connect")


async def test_services_never_resolved_or_too_early(radio: Radio, it: Peripheral) -> None:
    radio.bluez.times.late_objects = 0.02
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.find(STRAP)
        it.faults.never_resolves = True
        await watcher.value(path, DEVICE, "Connect")
        it.disconnect()
        await watcher.heard("Connected", False)
        assert not any(kind.startswith("added") for kind in watcher.kinds())
        it.faults.never_resolves, it.faults.resolves_early = False, True
        watcher.told.clear()
        await watcher.value(path, DEVICE, "Connect")
        await until(lambda: "added desc0011" in watcher.kinds())
        assert watcher.kinds()[:4] == ["changed", "reply", "changed", "added service0006"]
        assert watcher.told[2][2]["ServicesResolved"] is True


async def test_slots(radio: Radio) -> None:
    radio.adapter.slots = 2
    straps = [strap(f"24:AC:AC:05:A9:0{n}") for n in range(3)]
    radio.add(*straps)
    async with Watcher(radio.bus.address) as watcher:
        paths = [await watcher.find(one.address) for one in straps]
        await watcher.value(paths[0], DEVICE, "Connect")
        await watcher.value(paths[1], DEVICE, "Connect")
        assert await watcher.refusal(paths[2], DEVICE, "Connect") == (
            "org.bluez.Error.Failed",
            "le-connection-concurrent-connection-limit",
        )
        straps[0].disconnect()
        await watcher.value(paths[2], DEVICE, "Connect")
        assert radio.adapter.links == 2


async def test_a_link_outlives_its_client_and_silences_the_peripheral(radio: Radio, it: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        await watcher.connect(STRAP)
    async with Watcher(radio.bus.address) as watcher:
        await watcher.start_discovery()
        assert not it.advertise_now()
        assert it.connected
        assert (await watcher.value("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"))[f"{HCI0}/{NAME}"][
            DEVICE
        ]["Connected"].value


async def test_what_was_connected_is_kept_unless_removed(radio: Radio, it: Peripheral) -> None:
    radio.bluez.times.temporary = 0.02
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.connect(STRAP)
        it.advertising = False
        it.disconnect()
        await watcher.heard("Connected", False)
        expired = asyncio.Event()
        radio.bluez.later(0.06, expired.set)
        await expired.wait()
        assert path in radio.bluez.objects
        await watcher.value(HCI0, ADAPTER, "RemoveDevice", "o", path)
        kinds = watcher.kinds()
        assert kinds[-11:-9] == ["removed desc0011", "removed char000f"]
        assert kinds[-3:] == ["removed service0006", f"removed {NAME}", "reply"]


async def test_a_link_that_was_there_before_anybody(radio: Radio, it: Peripheral) -> None:
    radio.adapter.leave_connected(it)
    assert it.connected
    async with Watcher(radio.bus.address) as watcher:
        objects = await watcher.value("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        assert objects[f"{HCI0}/{NAME}"][DEVICE]["Connected"] == Variant("b", True)


async def test_a_disconnect_that_came_too_late_does_not_end_the_next_link(radio: Radio, it: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.connect(STRAP)
        asking = asyncio.ensure_future(watcher.value(path, DEVICE, "Disconnect"))
        await until(lambda: radio.adapter.devices[STRAP].link._disconnects)
        it.disconnect()
        await asking  # at once
        await watcher.value(path, DEVICE, "Connect")
        later = asyncio.Event()
        radio.bluez.later(2 * radio.bluez.times.disconnect, later.set)
        await later.wait()
        assert it.connected


async def test_services_of_a_link_that_was_lost_are_not_those_of_the_next(radio: Radio, it: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.find(STRAP)
        it.faults.delays["resolve"] = 0.05
        await watcher.value(path, DEVICE, "Connect")
        it.disconnect()
        begun = asyncio.get_running_loop().time()
        it.faults.delays["resolve"] = 0.2
        await watcher.value(path, DEVICE, "Connect")
        await watcher.heard("ServicesResolved", True)
        assert asyncio.get_running_loop().time() - begun >= 0.2


async def test_a_device_may_hang_up_as_soon_as_it_is_connected(radio: Radio, it: Peripheral) -> None:
    it.on_connect = it.disconnect
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.find(STRAP)
        await watcher.call(path, DEVICE, "Connect")
        await watcher.heard("Connected", False)
        assert not it.connected
        assert not radio.adapter.devices[STRAP].link.up
