"""bluetoothd that is stopped, killed, slow, and without its bus; and what is kept over it."""

import asyncio

import pytest
from dbus_fast import Message, Variant

from simulators.bluez.bluetoothd import FakeBluez
from simulators.bluez.bus import PrivateBus
from simulators.bluez.model import Characteristic, Peripheral, Service
from simulators.bluez.systemd import MANAGER, NAME, PATH, Systemd
from tests.radio import Radio, descriptors, until
from tests.simulators.bluez.watcher import ADAPTER, DEVICE, HCI0, Watcher, device_path

STRAP, TAG = "24:AC:AC:05:A9:EB", "CB:B8:33:4C:88:4F"
STRAP_NAME = "dev_24_AC_AC_05_A9_EB"


@pytest.fixture
async def strap(radio: Radio) -> Peripheral:
    it = Peripheral(STRAP, "strap", interval=0.02, services=[Service("180d", [Characteristic("2a37", ["notify"])])])
    radio.add(it, Peripheral(TAG, interval=0.02, connectable=False))
    return it


async def test_stopped_in_good_order(radio: Radio, strap: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        await watcher.connect(STRAP)
        await watcher.start_discovery()
        watcher.told.clear()
        await radio.bluez.stop()
        await until(lambda: ("owner", False) in watcher.told)
        told = [told for told in watcher.told if told[0] in ("changed", "owner") and "RSSI" not in told[2:]]
        assert told[-3:] == [
            ("changed", STRAP_NAME, {"ServicesResolved": False, "Connected": False}, []),
            ("changed", "hci0", {"Powered": False, "PowerState": "off", "Discovering": False}, []),
            ("owner", False),
        ]
        assert not strap.connected
        assert (await watcher.refusal(HCI0, ADAPTER, "StartDiscovery"))[0].endswith("ServiceUnknown")
        watcher.paths.clear()
        await radio.bluez.start()
        assert ("owner", True) in watcher.told
        await until(lambda: device_path(STRAP) in watcher.paths)  # stored, for it was connected once
        assert watcher.paths == ["/org/bluez", HCI0, device_path(STRAP)]
        objects = await watcher.value("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        assert objects[HCI0][ADAPTER]["Powered"] == Variant("b", True)
        assert objects[device_path(STRAP)][DEVICE]["Connected"] == Variant("b", False)
        assert not strap.advertise_now()  # nobody scans any more


async def test_killed(radio: Radio, strap: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        await watcher.connect(STRAP)
        radio.bluez.kill()
        await until(lambda: watcher.told)
        assert watcher.told == [("owner", False)]  # and nothing else
        assert not strap.connected
        radio.bluez.kill()  # there is nothing left to kill
        await radio.bluez.start()
        assert radio.bluez.restarts == 1
        await watcher.connect(STRAP)


async def test_slow_to_come_up(radio: Radio, strap: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        radio.bluez.kill()
        await radio.bluez.start(slow=0.05)
        await until(lambda: ("owner", True) in watcher.told)
        assert (await watcher.refusal(HCI0, ADAPTER, "StartDiscovery"))[0].endswith("UnknownObject")
        await until(lambda: HCI0 in watcher.paths)
        await watcher.value(HCI0, ADAPTER, "StartDiscovery")


async def test_what_waited_is_not_answered_by_a_daemon_that_was_killed(radio: Radio, strap: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.find(STRAP)
        strap.faults.delays["connect"] = 0.05
        asking = asyncio.ensure_future(watcher.refusal(path, DEVICE, "Connect"))
        await until(lambda: radio.adapter.devices[STRAP].link.connecting)
        radio.bluez.kill()
        assert (await asking)[0] == "org.freedesktop.DBus.Error.NoReply"  # says the bus
        await radio.bluez.start()
        strap.faults.delays.clear()
        assert not radio.adapter.devices  # it was not connected yet


async def test_the_bus_dies_and_comes_back(radio: Radio, strap: Peripheral) -> None:
    async with Watcher(radio.bus.address) as watcher:
        await watcher.connect(STRAP)
        await radio.bus.kill()
        await until(lambda: not radio.bluez.running)
        assert not strap.connected
        with pytest.raises(EOFError):
            await watcher.bus.wait_for_disconnect()
        await radio.bus.start()
        await radio.bluez.start()
        async with Watcher(radio.bus.address) as other:
            await other.connect(STRAP)


async def test_systemd_restarts_it(radio: Radio, strap: Peripheral) -> None:
    radio.adapter.deaf, radio.adapter.healed_by = True, "restart"
    async with Systemd(radio.bluez) as systemd, Watcher(radio.bus.address) as watcher:
        await watcher.start_discovery()
        assert not strap.advertise_now()

        async def restart(unit: str = "bluetooth.service") -> object:
            return await watcher.bus.call(
                Message(NAME, PATH, MANAGER, "RestartUnit", signature="ss", body=[unit, "replace"])
            )

        systemd.refuses = True
        assert (await restart()).error_name == "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
        systemd.refuses = False
        assert (await restart("cups.service")).error_name == "org.freedesktop.systemd1.NoSuchUnit"
        assert (await restart()).body == ["/org/freedesktop/systemd1/job/1"]
        await until(lambda: ("owner", True) in watcher.told)
        assert systemd.asked == [("RestartUnit", "replace")] * 3
        await until(lambda: HCI0 in watcher.paths)
        await watcher.value(HCI0, ADAPTER, "StartDiscovery")
        assert strap.advertise_now()


async def test_nothing_is_left_open() -> None:
    async def life(end: str = "") -> None:
        strap = Peripheral(STRAP, "strap", services=[Service("180d", [Characteristic("2a37", ["notify"])])], interval=1)
        async with PrivateBus() as bus, FakeBluez(bus.address) as bluez:
            bluez.add_adapter("DC:A6:32:01:02:03").add(strap)
            strap.interval = 0.01
            async with Watcher(bus.address) as watcher:
                path = await watcher.connect(STRAP)
                interface = "org.bluez.GattCharacteristic1"
                reply = await watcher.call(f"{path}/service000a/char000b", interface, "AcquireNotify", "a{sv}", {})
                reply_fds.extend(reply.unix_fds)
            if end == "kill":
                bluez.kill()
            if end == "unplug":
                bluez.adapters[0].unplug()

    reply_fds: list[int] = []
    await life()
    before = descriptors()
    for end in ("", "kill", "unplug"):
        await life(end)
    assert len(reply_fds) == 4
    assert len(descriptors()) == len(before) + 3  # those that the client was given and has not closed


async def test_a_bus_without_its_program_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.bluez.bus.find_daemon", lambda: None)
    with pytest.raises(RuntimeError, match="apt install dbus-daemon"):
        async with PrivateBus():
            pass


async def test_a_bus_that_does_not_come_up_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.bluez.bus.CONFIGURATION", "<nonsense {socket}>")
    with pytest.raises(RuntimeError, match="ended at once: "):
        async with PrivateBus():
            pass
