"""What an unmodified bleak does on the simulated BlueZ: the traps that were seen on a real one are there.

Each test shows one of them as it is. How the gateway keeps out of it: tests/gateway/links.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from bleak import BleakAdapter, BleakClient, BleakScanner, BLEDevice
from bleak.backends.bluezdbus.manager import get_global_bluez_manager
from bleak.backends.bluezdbus.version import BlueZFeatures
from bleak.exc import BleakDBusError, BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError

from simulators.bluez.model import AttError, Characteristic, Pairing, Peripheral, Service
from tests.radio import Adverts, Radio, find, until

STRAP, TAG = "24:AC:AC:05:A9:EB", "CB:B8:33:4C:88:4F"
MEASUREMENT, LOCATION = "00002a37-0000-1000-8000-00805f9b34fb", "00002a38-0000-1000-8000-00805f9b34fb"


class Strap(Peripheral):
    def __init__(self, address: str = STRAP) -> None:
        self.measurement = Characteristic("2a37", ["notify"])
        self.location = Characteristic("2a38", ["read", "notify"], b"\x01")
        service = Service("180d", [self.measurement, self.location])
        super().__init__(address, "strap", interval=0.02, services=[service], uuids=["180d"])


@pytest.fixture
async def strap(radio: Radio) -> Strap:
    it = Strap()
    radio.add(it)
    return it


@pytest.fixture
async def device(strap: Strap) -> BLEDevice:
    return await find(STRAP)


@pytest.fixture
async def client(device: BLEDevice) -> AsyncIterator[BleakClient]:
    async with BleakClient(device) as client:
        yield client


async def test_connect_read_write_notify(radio: Radio, strap: Strap, client: BleakClient) -> None:
    got: list[bytes] = []
    await client.start_notify(MEASUREMENT, lambda _, data: got.append(bytes(data)))
    assert all(strap.measurement.notify(bytes([n])) for n in range(100))
    await until(lambda: len(got) == 100)
    assert got == [bytes([n]) for n in range(100)]
    assert await client.read_gatt_char(LOCATION) == b"\x01"
    assert client.services.get_characteristic(LOCATION).max_write_without_response_size == 244
    await client.stop_notify(MEASUREMENT)
    assert not strap.measurement.subscribed
    assert client.name == "strap"


async def test_acquired_notifications_and_mtu(strap: Strap, client: BleakClient) -> None:
    got: list[bytes] = []
    await client._backend._acquire_mtu()
    assert client.mtu_size == 247
    await client.start_notify(MEASUREMENT, lambda _, data: got.append(bytes(data)), bluez={"use_start_notify": False})
    strap.measurement.notify(b"x")
    await until(lambda: got == [b"x"])
    await client.stop_notify(MEASUREMENT)
    await until(lambda: not strap.measurement.subscribed)


async def test_errors_become_what_bleak_calls_them(strap: Strap, client: BleakClient) -> None:
    for code in (0x02, 0x06, 0x07, 0x08, 0x0D, 0x11, 0x80):

        def refuse(code: int = code) -> bytes:
            raise AttError(code)

        strap.location.on_read = refuse
        with pytest.raises(BleakGATTProtocolError) as caught:
            await client.read_gatt_char(LOCATION)
        assert caught.value.code == code
    strap.faults.att_errors.append(0x0F)  # want of keys is no GATT error to bleak
    with pytest.raises(BleakDBusError, match="Not paired"):
        await client.read_gatt_char(LOCATION)
    strap.location.on_read = None
    strap.faults.in_progress = 3  # asked again each 10 ms
    assert await client.read_gatt_char(LOCATION) == b"\x01"


async def test_1_a_second_scanner_is_refused(radio: Radio) -> None:
    async with BleakScanner():
        with pytest.raises(BleakDBusError, match="InProgress"):
            await BleakScanner().start()


@pytest.mark.parametrize("what", ["daemon", "adapter"])
async def test_2_scanning_dies_silently(radio: Radio, strap: Strap, what: str) -> None:
    adverts = Adverts()
    await adverts.scanner.start()
    await adverts.device(STRAP)
    if what == "daemon":
        await radio.bluez.restart()
    else:
        radio.adapter.power_off()
        radio.adapter.power_on()
    assert not strap.advertise_now()
    with pytest.raises(BleakDBusError, match="No discovery started"):
        await adverts.scanner.stop()
    async with adverts as again:
        again.all.clear()
        await again.device(STRAP)


async def test_2_a_deaf_adapter(radio: Radio, strap: Strap) -> None:
    radio.adapter.deaf = True
    async with Adverts() as adverts:
        assert not strap.advertise_now()
        radio.adapter.deaf = False
        await adverts.device(STRAP)


async def test_3_a_dead_daemon_is_not_noticed(radio: Radio, device: BLEDevice, strap: Strap) -> None:
    lost: list[str] = []
    client = BleakClient(device, lambda _: lost.append("first"))
    await client.connect()
    radio.bluez.kill()
    assert not strap.connected
    assert client.is_connected
    second = BleakClient(device, lambda _: lost.append("second"))
    await second.connect()  # "succeeds"
    assert second.is_connected
    await radio.bluez.start()
    assert not strap.connected
    assert not lost
    manager: Any = await get_global_bluez_manager()
    manager._bus.disconnect()  # what makes bleak look again
    await until(lambda: len(lost) == 2)
    await client.disconnect()
    await second.disconnect()


async def test_4_what_is_not_disconnected_is_heard_twice(strap: Strap, device: BLEDevice) -> None:
    got: list[bytes] = []
    clients = []
    for count in (1, 2, 3):
        client = BleakClient(device)
        clients.append(client)
        await client.connect()
        await client.start_notify(MEASUREMENT, lambda _, data: got.append(bytes(data)))
        got.clear()
        strap.measurement.notify(b"x")
        strap.measurement.notify(b"end")
        await until(lambda: got.count(b"end") == count)  # noqa: B023 - awaited before it changes
        assert got.count(b"x") == count
        strap.disconnect()
        await until(lambda: not client.is_connected)  # noqa: B023 - awaited before it changes
    for client in clients:
        await client.disconnect()


async def test_5_a_read_enters_the_notify_callback(client: BleakClient) -> None:
    got: list[bytes] = []
    await client.start_notify(LOCATION, lambda _, data: got.append(bytes(data)))
    await client.read_gatt_char(LOCATION)
    assert got == [b"\x01"]


async def test_6_a_read_has_no_time_limit(radio: Radio, strap: Strap, client: BleakClient) -> None:
    radio.bluez.times.att = 0.1
    strap.faults.hangs = 1
    with pytest.raises(BleakGATTProtocolError) as caught:
        await client.read_gatt_char(LOCATION)
    assert caught.value.code == 0x0E
    await until(lambda: not client.is_connected)


async def test_6_connecting_to_what_is_absent_takes_all_the_time_there_is(strap: Strap, device: BLEDevice) -> None:
    strap.faults.never_answers = True
    client = BleakClient(device, timeout=0.2)
    with pytest.raises(TimeoutError):
        await client.connect()
    strap.faults.never_answers, strap.faults.never_resolves = False, True
    client = BleakClient(device, timeout=0.2)
    with pytest.raises(TimeoutError):
        await client.connect()
    await until(lambda: not strap.connected)


async def test_7_a_link_that_is_left_over_silences_the_device(radio: Radio, strap: Strap) -> None:
    radio.adapter.leave_connected(strap)
    async with Adverts() as adverts:
        assert not strap.advertise_now()
        assert not adverts.all
        (device,) = await (await BleakAdapter.get()).get_connected_devices()
    async with BleakClient(device) as client:
        assert await client.read_gatt_char(LOCATION) == b"\x01"
    await until(lambda: not strap.connected)


async def test_9_what_a_lost_link_raises(strap: Strap, client: BleakClient) -> None:
    strap.faults.delays["read"] = 30.0
    reading = asyncio.ensure_future(client.read_gatt_char(LOCATION))
    await until(lambda: strap.link.devices[STRAP].link.pending)
    strap.disconnect()
    with pytest.raises(BleakGATTProtocolError) as caught:
        await reading
    assert caught.value.code == 0x0E
    await until(lambda: not client.is_connected)
    with pytest.raises(BleakError, match="Service Discovery has not been performed"):
        await client.read_gatt_char(LOCATION)


async def test_10_failures_of_connect(radio: Radio, strap: Strap, device: BLEDevice) -> None:
    strap.faults.connect_errors.append("Software caused connection abort")
    with pytest.raises(BleakDBusError, match="Software caused connection abort"):
        await BleakClient(device).connect()
    strap.faults.lost_at_once = 2  # bleak tries again by itself
    async with BleakClient(device) as client:
        assert client.is_connected
    await until(lambda: not strap.connected)
    strap.faults.connect_errors.append("le-connection-abort-by-local")  # without a link there is no end to wait for
    with pytest.raises(TimeoutError):
        await BleakClient(device, timeout=0.2).connect()


async def test_10_slots(radio: Radio) -> None:
    radio.adapter.slots = 1
    straps = [Strap(f"24:AC:AC:05:A9:0{n}") for n in range(2)]
    radio.add(*straps)
    async with Adverts() as adverts:
        first, second = [await adverts.device(strap.address) for strap in straps]
        async with BleakClient(first):
            with pytest.raises(BleakDBusError, match="limit"):
                await BleakClient(second).connect()


async def test_11_a_device_that_has_expired_is_not_found(radio: Radio, strap: Strap, device: BLEDevice) -> None:
    strap.advertising = False
    radio.adapter.devices.forget(radio.adapter.devices[STRAP])
    with pytest.raises((BleakDeviceNotFoundError, BleakError), match="not found"):
        await BleakClient(device).connect()


async def test_12_services_may_be_resolved_before_they_are_there(radio: Radio, strap: Strap, device: BLEDevice) -> None:
    strap.faults.resolves_early = True
    async with BleakClient(device) as client:
        assert not list(client.services)
    await until(lambda: not strap.connected)
    strap.faults.resolves_early = False
    strap.services = [Service("180a", [Characteristic("2a29", ["read"], b"Polar")]), *strap.services]  # new firmware
    async with BleakClient(device) as client:
        assert await client.read_gatt_char("2a29") == b"Polar"
        assert await client.read_gatt_char(LOCATION) == b"\x01"


async def test_13_a_callback_is_not_an_advert(radio: Radio, strap: Strap) -> None:
    heard: list[None] = []
    strap.on_advert = lambda: heard.append(None)
    async with Adverts() as adverts:
        device = await adverts.device(STRAP)
        strap.interval = 60.0
        await until(lambda: len(heard) == 2)  # the one that was due
        adverts.all.clear()
        async with BleakClient(device):
            assert adverts.all  # connecting told it
    assert len(heard) == 2


async def test_13_an_unchanged_beacon_is_heard_once(radio: Radio) -> None:
    radio.bluez.quiet_rssi = True  # from 5.88 on
    tag = Peripheral(TAG, interval=0.02, manufacturer_data={0x0499: b"\x05"}, connectable=False)
    heard: list[None] = []
    tag.on_advert = lambda: heard.append(None)
    radio.add(tag)
    async with Adverts() as adverts:
        await until(lambda: len(heard) > 5)
        assert len(adverts.all) == 1
    async with Adverts(bluez={"filters": {"DuplicateData": True}}) as adverts:
        await adverts.until(5)
        assert {data.manufacturer_data[0x0499] for _, data in adverts.all} == {b"\x05"}


async def test_17_unplugged_without_a_word(radio: Radio, strap: Strap, device: BLEDevice) -> None:
    lost: list[None] = []
    client = BleakClient(device, lambda _: lost.append(None))
    await client.connect()
    radio.adapter.unplug()
    await until(lambda: not strap.connected)
    with pytest.raises(BleakError, match="UnknownObject"):
        await BleakScanner().start()
    assert client.is_connected
    assert not lost
    with pytest.raises(BleakDBusError):
        await client.disconnect()
    assert not client.is_connected


@pytest.mark.parametrize(("version", "good"), [("5.54", False), ("5.55", True)])
async def test_the_version_of_bluetoothctl(
    radio: Radio, device: BLEDevice, monkeypatch: pytest.MonkeyPatch, version: str, good: bool
) -> None:
    monkeypatch.setattr(BlueZFeatures, "checked_bluez_version", False)
    monkeypatch.setattr(BlueZFeatures, "supported_version", True)
    radio.bluetoothctl(version)
    client = BleakClient(device)
    if good:
        await client.connect()
        await client.disconnect()
    else:
        with pytest.raises(BleakError, match=r"requires BlueZ >= 5\.55"):
            await client.connect()


async def test_the_bus_dies(radio: Radio, strap: Strap, device: BLEDevice, caplog: pytest.LogCaptureFixture) -> None:
    lost = asyncio.Event()
    client = BleakClient(device, lambda _: lost.set())
    await client.connect()
    with caplog.at_level(logging.ERROR):
        await radio.bus.kill()
        await asyncio.wait_for(lost.wait(), 5)
    await client.disconnect()
    await radio.bus.start()
    await radio.bluez.start()
    async with BleakClient(await find(STRAP)) as again:
        assert again.is_connected
    await until(lambda: not strap.connected)


async def test_bleaks_pair(radio: Radio) -> None:
    scale = Peripheral(TAG, interval=0.02, services=[Service("181d", [Characteristic("2a9d", ["encrypt-read"], b"1")])],
                       pairing=Pairing())  # fmt: skip
    radio.add(scale)
    device = await find(TAG)
    async with BleakClient(device) as client:
        with pytest.raises(BleakDBusError, match="Not paired"):
            await client.read_gatt_char("2a9d")
    await until(lambda: not scale.connected)
    async with BleakClient(device, pair=True) as client:
        assert await client.read_gatt_char("2a9d") == b"1"
        assert radio.adapter.devices[TAG].trusted
    await until(lambda: not scale.connected)
