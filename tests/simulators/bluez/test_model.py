"""Peripherals without a host: adverts, handles, permissions, call-backs. No D-Bus is near."""

import asyncio
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from simulators.bluez.model import Advert, AttError, Characteristic, Descriptor, Peripheral, Service, uuid128
from tests.radio import until

ADDRESS = "cb:b8:33:4c:88:4f"


class Host:
    """An adapter that scans, and takes all that comes over a link."""

    def __init__(self, scans: bool = True) -> None:
        self.scans = scans
        self.adverts: list[Advert] = []
        self.times: list[float] = []
        self.taken: list[tuple[Characteristic, bytes]] = []

    def hear(self, peripheral: Peripheral, advert: Advert) -> bool:
        if self.scans:
            self.adverts.append(advert)
            self.times.append(asyncio.get_running_loop().time())
        return self.scans

    def take(self, characteristic: Characteristic, data: bytes) -> bool:
        self.taken.append((characteristic, data))
        return True

    def lose(self, peripheral: Peripheral) -> None:
        peripheral.link_down()


class Device(Peripheral):
    """Writes down what happens to it."""

    def __init__(self, **more: object) -> None:
        self.happened: list[str] = []
        super().__init__(ADDRESS, "device", **more)

    def start(self) -> None:
        self.happened.append("start")

    def stop(self) -> None:
        self.happened.append("stop")

    def on_connect(self) -> None:
        self.happened.append("connect")

    def on_disconnect(self) -> None:
        assert not any(characteristic.subscribed for characteristic in self.characteristics)
        self.happened.append("disconnect")

    def on_advert(self) -> None:
        self.happened.append("advert")


def test_uuids_are_written_as_bluez_does() -> None:
    assert uuid128("180D") == "0000180d-0000-1000-8000-00805f9b34fb"
    assert uuid128("6E400001-B5A3-F393-E0A9-E50E24DCCA9E") == "6e400001-b5a3-f393-e0a9-e50e24dcca9e"


def test_handles_follow_those_of_the_mandatory_services() -> None:
    # a declaration of a service takes one handle, a characteristic two, a descriptor one: Core 5.4, 3 G 3
    first = Characteristic("2a37", ["notify"], descriptors=[Descriptor("2901")])
    second = Characteristic("2a38", ["read"])
    device = Device(services=[Service("180d", [first, second]), Service("180f")])
    assert [(s.uuid[4:8], s.handle) for s in device.table] == [("1800", 1), ("1801", 6), ("180d", 10), ("180f", 17)]
    assert (first.handle, [d.handle for d in first.descriptors], second.handle) == (11, [13, 14], 15)
    assert [d.uuid[4:8] for d in first.descriptors] == ["2901", "2902"]
    assert device.characteristic("2A38") is second
    assert device.table[0].characteristics[0].read() == b"device"


async def test_an_advert_says_what_is_set_now() -> None:
    device, host = Device(interval=60.0), Host()
    device.put_on(host, 0)
    device.manufacturer_data[1] = b"a"
    assert device.advertise_now()
    device.manufacturer_data[1] = b"b"
    device.service_data["fcd2"] = b"c"
    device.advertising = False
    assert device.advertise_now()  # for a device that advertises when something happens
    assert [dict(advert.manufacturer_data) for advert in host.adverts] == [{1: b"a"}, {1: b"b"}]
    assert dict(host.adverts[1].service_data) == {uuid128("fcd2"): b"c"}
    host.scans = False
    assert not device.advertise_now()
    device.take_off(host)
    assert device.happened == ["start", "advert", "advert", "stop"]


async def test_intervals_are_those_of_the_seed() -> None:
    async def phases(seed: int) -> list[float]:
        device = Peripheral(ADDRESS, interval=0.01)
        host = Host()
        device.put_on(host, seed)
        drawn = [device.random.random() for _ in range(3)]
        await until(lambda: len(host.times) == 3)
        device.take_off(host)
        assert all(b - a > 0.0099 for a, b in pairwise(host.times))
        return drawn

    assert await phases(1) == await phases(1) != await phases(2)


async def test_what_is_connected_or_far_does_not_advertise() -> None:
    host = Host()
    device = Device(interval=60.0)
    device.put_on(host, 0)
    device.link_up(host)
    assert not device.advertise_now()
    device.disconnect()
    device.disconnect()  # there is nothing to hang up
    assert device.advertise_now()
    device.go_out_of_range()
    assert not device.advertise_now()
    device.come_back()
    assert device.advertise_now()
    device.take_off(host)
    assert device.happened == ["start", "connect", "disconnect", "advert", "advert", "stop"]


async def test_a_link_out_of_range_is_lost_after_its_supervision_time() -> None:
    notified = Characteristic("2a37", ["notify"])
    device, host = Device(interval=60.0, services=[Service("180d", [notified])]), Host()
    device.supervision = 0.02
    lost = asyncio.Event()
    device.on_disconnect = lost.set
    device.put_on(host, 0)
    device.link_up(host)
    notified.subscribe(True)
    device.go_out_of_range()
    assert not notified.notify(b"x")
    assert device.connected
    await asyncio.wait_for(lost.wait(), 5)
    assert not device.connected
    device.take_off(host)
    assert not host.taken


async def test_notifications_need_a_link_and_a_subscriber() -> None:
    wanted: list[bool] = []
    notified = Characteristic("2a37", ["notify"], on_subscribe=wanted.append)
    device, host = Device(interval=60.0, services=[Service("180d", [notified])]), Host()
    device.put_on(host, 0)
    assert not notified.notify(b"no link")
    device.link_up(host)
    assert not notified.notify(b"no subscriber")
    notified.subscribe(True)
    notified.subscribe(True)
    assert notified.notify(b"x")
    device.disconnect()
    assert not notified.notify(b"gone")
    device.take_off(host)
    assert host.taken == [(notified, b"x")]
    assert wanted == [True, False]


@pytest.mark.parametrize(
    ("flags", "security", "read", "write", "command"),
    [
        (["read"], 0, None, 0x03, 0x03),
        (["write"], 0, 0x02, None, 0x03),
        (["write-without-response"], 0, 0x02, 0x03, None),
        (["encrypt-read", "encrypt-write"], 0, 0x0F, 0x0F, 0x03),  # Insufficient Encryption
        (["encrypt-read", "encrypt-write"], 1, None, None, 0x03),
        (["encrypt-authenticated-read"], 0, 0x0F, 0x03, 0x03),
        (["encrypt-authenticated-read"], 1, 0x05, 0x03, 0x03),  # Insufficient Authentication
        (["encrypt-authenticated-read"], 2, None, 0x03, 0x03),
    ],
)
async def test_permissions(
    flags: list[str], security: int, read: int | None, write: int | None, command: int | None
) -> None:
    characteristic = Characteristic("fff1", flags, b"old")
    device = Device(services=[Service("fff0", [characteristic])])
    device.link_up(Host())
    device.security = security
    assert code(lambda: characteristic.read()) == read
    assert code(lambda: characteristic.write(b"new", True)) == write
    assert code(lambda: characteristic.write(b"new", False)) == command
    assert characteristic.value == (b"old" if write and command else b"new")
    assert not any(flag.startswith("encrypt") for flag in characteristic.flags)


def code(request: object) -> int | None:
    try:
        request()
    except AttError as error:
        return error.code
    return None


async def test_two_hosts_hear_it_and_one_has_its_link() -> None:
    device, one, other = Device(interval=60.0), Host(), Host(scans=False)
    device.put_on(one, 0)
    device.put_on(other, 0)
    assert device.advertise_now()
    assert (len(one.adverts), len(other.adverts)) == (1, 0)
    device.link_up(other)
    assert device.link is other
    device.disconnect()
    device.take_off(other)
    assert device.happened == ["start", "advert", "connect", "disconnect"]
    device.take_off(one)
    assert device.happened[-1] == "stop"


def test_a_device_is_described_without_dbus() -> None:
    source = "import sys, simulators.bluez.model; assert not {'dbus_fast', 'bleak'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", source], check=True, cwd=Path(__file__).parents[3])
