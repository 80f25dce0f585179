"""An adapter that is switched off, blocked, pulled and returned; and a second one."""

import pytest
from dbus_fast import Variant

from simulators.bluez.model import Characteristic, Peripheral, Service
from tests.radio import ADAPTER as ADDRESS
from tests.radio import Radio, until
from tests.simulators.bluez.watcher import ADAPTER, DEVICE, HCI0, Watcher, device_path

STRAP, TAG = "24:AC:AC:05:A9:EB", "CB:B8:33:4C:88:4F"
STRAP_NAME, TAG_NAME = "dev_24_AC_AC_05_A9_EB", "dev_CB_B8_33_4C_88_4F"


@pytest.fixture
async def strap(radio: Radio) -> Peripheral:
    it = Peripheral(STRAP, "strap", interval=0.02, services=[Service("180d", [Characteristic("2a37", ["notify"])])])
    radio.add(it)
    return it


@pytest.fixture
async def tag(radio: Radio) -> Peripheral:
    it = Peripheral(TAG, interval=0.02, connectable=False)
    radio.add(it)
    return it


async def power(watcher: Watcher, on: bool) -> None:
    await watcher.set(HCI0, ADAPTER, "Powered", Variant("b", on))


async def scanning_and_connected(watcher: Watcher) -> None:
    await watcher.connect(STRAP)
    await watcher.start_discovery()
    await until(lambda: device_path(TAG) in watcher.paths)
    await watcher.heard("Discovering", True)
    watcher.told.clear()


async def test_power_off_and_on(radio: Radio, strap: Peripheral, tag: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        await scanning_and_connected(watcher)
        await power(watcher, on=False)
        await watcher.heard("Powered", False)
        told = [told for told in watcher.told if told[:2] != ("changed", TAG_NAME)]  # what it advertised before
        assert told == [
            ("removed", TAG_NAME),
            ("changed", STRAP_NAME, {"ServicesResolved": False, "Connected": False}, []),
            ("reply",),
            ("changed", "hci0", {"Powered": False, "PowerState": "off", "Discovering": False}, []),
        ]
        assert not strap.connected
        watcher.told.clear()
        await power(watcher, on=False)
        assert watcher.told == [("reply",)]
        await power(watcher, on=True)
        await watcher.heard("Powered", True)
        assert watcher.told[1:] == [("reply",), ("changed", "hci0", {"Powered": True, "PowerState": "on"}, [])]
        assert not tag.advertise_now()  # the session is forgotten, and its client was not told
        assert await watcher.refusal(HCI0, ADAPTER, "StopDiscovery") == (
            "org.bluez.Error.Failed",
            "No discovery started",
        )


async def test_nothing_can_be_done_while_it_is_off(radio: Radio, strap: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.connect(STRAP)
        radio.adapter.power_off()
        await watcher.heard("Powered", False)
        not_ready = ("org.bluez.Error.NotReady", "Resource Not Ready")
        assert await watcher.refusal(path, DEVICE, "Connect") == not_ready
        assert await watcher.refusal(HCI0, ADAPTER, "StartDiscovery") == not_ready
        assert await watcher.refusal(HCI0, ADAPTER, "RemoveDevice", "o", path) == not_ready


async def test_rfkill(radio: Radio) -> None:
    radio.adapter.blocked = True
    radio.adapter.power_off()
    async with Watcher(radio.bus.address) as watcher:
        reply = await watcher.set(HCI0, ADAPTER, "Powered", Variant("b", True))
        assert (reply.error_name, reply.body) == ("org.bluez.Error.Blocked", ["Blocked through rfkill"])
        get = ("org.freedesktop.DBus.Properties", "Get", "ss", ADAPTER)
        assert (await watcher.value(HCI0, *get, "PowerState")).value == "off-blocked"
        radio.adapter.blocked = False
        await power(watcher, on=True)
        assert (await watcher.value(HCI0, *get, "Powered")).value is True


async def test_a_deaf_adapter_may_hear_after_a_power_cycle(radio: Radio, tag: Peripheral) -> None:
    radio.adapter.deaf, radio.adapter.healed_by = True, "power"
    async with Watcher(radio.bus.address) as watcher:
        await watcher.start_discovery()
        assert not tag.advertise_now()
        await power(watcher, on=False)
        await power(watcher, on=True)
        await watcher.start_discovery()
        assert tag.advertise_now()


async def test_pulled_and_returned_under_another_number(radio: Radio, strap: Peripheral, tag: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        await scanning_and_connected(watcher)
        radio.adapter.unplug()
        await until(lambda: ("removed", "hci0") in watcher.told)
        kinds = [kind for kind in watcher.kinds() if kind != "changed"]
        kinds.remove(f"removed {TAG_NAME}")
        assert kinds == [
            "removed desc000d", "removed char000b", "removed service000a", "removed desc0009", "removed char0007",
            "removed service0006", f"removed {STRAP_NAME}", "removed hci0",
        ]  # fmt: skip
        assert not any("Connected" in told[2] for told in watcher.told if told[0] == "changed")
        assert not strap.connected
        assert not tag.advertise_now()
        assert (await watcher.refusal(HCI0, ADAPTER, "StartDiscovery"))[0].endswith("UnknownObject")
        watcher.told.clear()
        radio.adapter.plug(index=1)
        await until(lambda: ("added", STRAP_NAME) in [told[:2] for told in watcher.told])
        assert watcher.told[0][:2] == ("added", "hci1")
        assert watcher.told[0][2][ADAPTER]["Address"] == ADDRESS
        assert watcher.paths[-1] == device_path(STRAP, "/org/bluez/hci1")  # it was connected once: it is stored
        await watcher.value("/org/bluez/hci1", ADAPTER, "StartDiscovery")
        await watcher.value(device_path(STRAP, "/org/bluez/hci1"), DEVICE, "Connect")
        assert strap.connected


async def test_a_second_adapter(radio: Radio, strap: Peripheral, tag: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        other = radio.bluez.add_adapter("00:1A:7D:DA:71:13")
        await until(lambda: watcher.paths == ["/org/bluez/hci1"])
        other.add(strap)
        path = await watcher.connect(STRAP)
        assert strap.link is radio.adapter
        await watcher.value("/org/bluez/hci1", ADAPTER, "StartDiscovery")
        assert not strap.advertise_now()
        radio.adapter.power_off()
        await until(lambda: device_path(STRAP, "/org/bluez/hci1") in watcher.paths)
        assert not tag.advertise_now()  # not in reach of that one
        await watcher.value(device_path(STRAP, "/org/bluez/hci1"), DEVICE, "Connect")
        assert strap.link is other
        assert path.startswith(HCI0)


async def test_what_can_be_set_and_what_not(radio: Radio) -> None:
    async with Watcher(radio.bus.address) as watcher:
        await watcher.set(HCI0, ADAPTER, "Alias", Variant("s", "bench"))
        await watcher.heard("Alias", "bench")
        for name, error in (("Discovering", "PropertyReadOnly"), ("Nothing", "InvalidArgs")):
            reply = await watcher.set(HCI0, ADAPTER, name, Variant("b", True))
            assert reply.error_name == f"org.freedesktop.DBus.Error.{error}"
