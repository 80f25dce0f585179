"""Discovery on the bus: order of signals, what is told again, filters, errors; as measured on bluetoothd 5.66."""

import asyncio

import pytest
from dbus_fast import Variant

from simulators.bluez.model import Peripheral, uuid128
from tests.radio import Radio, until
from tests.simulators.bluez.watcher import ADAPTER, BLUEZ, DEVICE, HCI0, Watcher, device_path

TAG = "CB:B8:33:4C:88:4F"
NAME = "dev_CB_B8_33_4C_88_4F"


def tag(**more: object) -> Peripheral:
    """Advertises only when told to."""
    peripheral = Peripheral(TAG, "tag", connectable=False, **more)
    peripheral.advertising = False
    return peripheral


async def test_a_new_device_is_added_with_all_that_it_says(radio: Radio) -> None:
    it = tag(manufacturer_data={0x0499: b"\x05\x12"}, service_data={"fcd2": b"\x40"}, uuids=["fcd2"], tx_power=4,
             appearance=0x0540, rssi=-71)  # fmt: skip
    radio.add(it)
    async with Watcher(radio.bus.address) as watcher:
        await watcher.start_discovery()
        assert it.advertise_now()
        await until(lambda: watcher.paths)
        reply, discovering, added = watcher.told
    assert reply == ("reply",)
    assert discovering == ("changed", "hci0", {"Discovering": True}, [])
    assert added[:2] == ("added", NAME)
    assert added[2] == {
        "org.freedesktop.DBus.Introspectable": {},
        "org.freedesktop.DBus.Properties": {},
        DEVICE: {
            "Address": TAG, "AddressType": "random", "Name": "tag", "Alias": "tag", "Adapter": HCI0, "RSSI": -71,
            "TxPower": 4, "Appearance": 0x0540, "AdvertisingFlags": b"\x06", "UUIDs": [uuid128("fcd2")],
            "ManufacturerData": {0x0499: b"\x05\x12"}, "ServiceData": {uuid128("fcd2"): b"\x40"}, "Connected": False,
            "ServicesResolved": False, "Paired": False, "Bonded": False, "Trusted": False, "Blocked": False,
            "LegacyPairing": False,
        },
    }  # fmt: skip


async def test_a_device_without_a_name_has_its_address_with_dashes(radio: Radio) -> None:
    radio.add(Peripheral(TAG, interval=0.02))
    async with Watcher(radio.bus.address) as watcher:
        path = await watcher.find(TAG)
        assert (await watcher.value(path, "org.freedesktop.DBus.Properties", "Get", "ss", DEVICE, "Alias")).value == (
            "CB-B8-33-4C-88-4F"
        )
        assert "Name" not in await watcher.value(path, "org.freedesktop.DBus.Properties", "GetAll", "s", DEVICE)


async def test_nothing_is_reported_for_20_ms(radio: Radio) -> None:
    it = tag()
    radio.add(it)
    async with Watcher(radio.bus.address) as watcher:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await watcher.start_discovery()
        assert it.advertise_now()
        await until(lambda: watcher.paths)
        assert loop.time() - begun >= 0.02


@pytest.mark.parametrize(
    ("version", "options", "rssi", "told"),
    [
        ((5, 66), {}, -60, True),  # also when it has not moved
        ((5, 87), {}, -60, True),
        ((5, 88), {}, -60, False),
        ((5, 88), {}, -67, False),
        ((5, 88), {}, -68, True),
        ((5, 88), {"RSSI": Variant("n", -127)}, -60, True),
        ((5, 88), {"Pathloss": Variant("n", 127)}, -60, True),
    ],
)
async def test_rssi_of_a_known_device(
    radio: Radio, version: tuple[int, int], options: dict[str, Variant], rssi: int, told: bool
) -> None:
    radio.bluez.quiet_rssi = version > (5, 87)
    it = tag(rssi=-60, tx_power=4)
    radio.add(it)
    async with Watcher(radio.bus.address) as watcher:
        await watcher.start_discovery(Transport=Variant("s", "le"), **options)
        it.advertise_now()
        await until(lambda: watcher.paths)
        watcher.told.clear()
        it.rssi = rssi
        assert it.advertise_now()
        it.name = "end"  # is told in any case
        it.advertise_now()
        await watcher.heard("Name", "end")
    assert ("RSSI" in watcher.told[0][2]) is told


async def told_after(watcher: Watcher, it: Peripheral) -> dict[str, object]:
    """All that changes with one more advert."""
    watcher.told.clear()
    it.advertise_now()
    await until(lambda: watcher.told)
    ((kind, name, changed, gone),) = watcher.told
    assert (kind, name, gone) == ("changed", NAME, [])
    return changed


async def test_data_is_told_when_it_changes(radio: Radio) -> None:
    it = tag(manufacturer_data={1: b"a"}, service_data={"fcd2": b"x"})
    radio.add(it)
    async with Watcher(radio.bus.address) as watcher:
        await watcher.start_discovery()
        it.advertise_now()
        await until(lambda: watcher.paths)
        assert await told_after(watcher, it) == {"RSSI": -60}
        it.manufacturer_data[1] = b"b"
        assert await told_after(watcher, it) == {"RSSI": -60, "ManufacturerData": {1: b"b"}}
        it.manufacturer_data = {2: b"c"}
        it.uuids = ["180f"]
        assert await told_after(watcher, it) == {
            "RSSI": -60, "ManufacturerData": {1: b"b", 2: b"c"}, "UUIDs": [uuid128("180f")],
        }  # fmt: skip


async def test_duplicate_data_is_told_always_and_not_added_to_what_was(radio: Radio) -> None:
    it = tag(manufacturer_data={1: b"a"}, service_data={"fcd2": b"x"})
    radio.add(it)
    async with Watcher(radio.bus.address) as watcher:
        await watcher.start_discovery(DuplicateData=Variant("b", True))
        it.advertise_now()
        await until(lambda: watcher.paths)
        same = {"RSSI": -60, "ManufacturerData": {1: b"a"}, "ServiceData": {uuid128("fcd2"): b"x"}}
        assert await told_after(watcher, it) == same
        assert await told_after(watcher, it) == same
        it.manufacturer_data = {2: b"c"}
        assert await told_after(watcher, it) == {**same, "ManufacturerData": {2: b"c"}}


async def test_the_end_of_a_scan_takes_back_how_loud_devices_were(radio: Radio) -> None:
    it = tag(tx_power=4)
    radio.add(it)
    async with Watcher(radio.bus.address) as watcher:
        await watcher.start_discovery()
        it.advertise_now()
        await until(lambda: watcher.paths)
        watcher.told.clear()
        await watcher.value(HCI0, ADAPTER, "StopDiscovery")
        await watcher.heard("Discovering", False)
        assert watcher.told == [
            ("reply",),
            ("changed", NAME, {}, ["RSSI", "TxPower"]),
            ("changed", "hci0", {"Discovering": False}, []),
        ]
        assert not it.advertise_now()  # nobody hears it
        watcher.told.clear()
        await watcher.start_discovery()
        it.advertise_now()
        await watcher.heard("RSSI", -60)
        assert watcher.told[-1] == ("changed", NAME, {"RSSI": -60, "TxPower": 4}, [])  # not added: it is known


async def test_a_device_that_was_never_connected_vanishes_after_its_last_advert(radio: Radio) -> None:
    radio.bluez.times.temporary = 0.1
    loop = asyncio.get_running_loop()
    heard: list[float] = []
    it = Peripheral(TAG, "tag", interval=0.02)
    it.on_advert = lambda: heard.append(loop.time())
    radio.add(it)
    async with Watcher(radio.bus.address) as watcher:
        await watcher.start_discovery()
        await until(lambda: len(heard) > 8)
        assert heard[-1] - heard[0] > 0.1
        assert ("removed", NAME) not in watcher.told
        it.advertising = False
        await until(lambda: ("removed", NAME) in watcher.told)
        assert loop.time() - heard[-1] >= 0.1
        it.advertise_now()
        await until(lambda: len(watcher.paths) == 2)  # and is new when it comes again


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({"UUIDs": Variant("as", [uuid128("180d")])}, True),
        ({"UUIDs": Variant("as", [uuid128("180f")])}, False),
        ({"RSSI": Variant("n", -60)}, True),
        ({"RSSI": Variant("n", -59)}, False),
        ({"Pathloss": Variant("n", 64)}, True),
        ({"Pathloss": Variant("n", 63)}, False),
        ({"Pattern": Variant("s", "ta")}, True),
        ({"Pattern": Variant("s", "CB:B8")}, True),
        ({"Pattern": Variant("s", "strap")}, False),
    ],
)
async def test_filters(radio: Radio, options: dict[str, Variant], passes: bool) -> None:
    it = tag(uuids=["180d"], rssi=-60, tx_power=4)
    radio.add(it)
    async with Watcher(radio.bus.address) as watcher:
        await watcher.start_discovery(**options)
        assert it.advertise_now() is passes
        async with Watcher(radio.bus.address) as other:  # filters are merged: whoever wants all lets all pass
            await other.start_discovery()
            assert it.advertise_now()


async def test_sessions_belong_to_clients(radio: Radio) -> None:
    async with Watcher(radio.bus.address) as watcher:
        await watcher.start_discovery()
        assert await watcher.refusal(HCI0, ADAPTER, "StartDiscovery") == (
            "org.bluez.Error.InProgress",
            "Operation already in progress",
        )
        async with Watcher(radio.bus.address) as other:
            assert await other.refusal(HCI0, ADAPTER, "StopDiscovery") == (
                "org.bluez.Error.Failed",
                "No discovery started",
            )
            await other.value(HCI0, ADAPTER, "StartDiscovery")
            watcher.told.clear()
            await watcher.value(HCI0, ADAPTER, "StopDiscovery")
        # the session of the other ends when it leaves the bus
        await watcher.heard("Discovering", False)
        assert watcher.told == [("reply",), ("changed", "hci0", {"Discovering": False}, [])]


async def test_an_adapter_that_is_off_does_not_scan(radio: Radio) -> None:
    radio.adapter.power_off()
    async with Watcher(radio.bus.address) as watcher:
        assert await watcher.refusal(HCI0, ADAPTER, "StartDiscovery") == (
            "org.bluez.Error.NotReady",
            "Resource Not Ready",
        )


async def test_starting_and_stopping_may_be_in_progress(radio: Radio) -> None:
    radio.adapter.start_in_progress = radio.adapter.stop_in_progress = 1
    async with Watcher(radio.bus.address) as watcher:
        assert (await watcher.refusal(HCI0, ADAPTER, "StartDiscovery"))[0] == "org.bluez.Error.InProgress"
        await watcher.value(HCI0, ADAPTER, "StartDiscovery")
        assert (await watcher.refusal(HCI0, ADAPTER, "StopDiscovery"))[0] == "org.bluez.Error.InProgress"
        await watcher.value(HCI0, ADAPTER, "StopDiscovery")


async def test_a_deaf_adapter_says_nothing_and_refuses_nothing(radio: Radio) -> None:
    it = tag()
    radio.add(it)
    radio.adapter.deaf, radio.adapter.healed_by = True, "scan"
    async with Watcher(radio.bus.address) as watcher:
        radio.adapter.healed_by = "power"
        await watcher.start_discovery()
        assert not it.advertise_now()
        await watcher.value(HCI0, ADAPTER, "StopDiscovery")
        radio.adapter.healed_by = "scan"
        await watcher.start_discovery()
        assert it.advertise_now()


async def test_remove_device(radio: Radio) -> None:
    it = tag()
    radio.add(it)
    async with Watcher(radio.bus.address) as watcher:
        assert await watcher.refusal(HCI0, ADAPTER, "RemoveDevice", "o", device_path(TAG)) == (
            "org.bluez.Error.DoesNotExist",
            "Does Not Exist",
        )
        await watcher.start_discovery()
        it.advertise_now()
        await until(lambda: watcher.paths)
        watcher.told.clear()
        await watcher.value(HCI0, ADAPTER, "RemoveDevice", "o", device_path(TAG))
        assert watcher.told == [("removed", NAME), ("reply",)]


async def test_what_there_is_not(radio: Radio) -> None:
    async with Watcher(radio.bus.address) as watcher:
        names = [
            (await watcher.refusal(path, interface, "Connect"))[0].rpartition(".")[2]
            for path, interface in (
                (device_path(TAG), DEVICE), (HCI0, ADAPTER), (HCI0, DEVICE), ("/org/bluez/hci7", ADAPTER),
            )
        ]  # fmt: skip
        assert names == ["UnknownObject", "UnknownMethod", "UnknownMethod", "UnknownObject"]
        objects = await watcher.value("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        assert list(objects) == ["/org/bluez", HCI0]
        assert objects[HCI0][ADAPTER]["Address"].value == "DC:A6:32:01:02:03"
        assert BLUEZ + ".AgentManager1" in objects["/org/bluez"]
