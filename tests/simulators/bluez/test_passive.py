"""Passive scanning by an unmodified bleak: monitors are found, activated and told; a stock daemon has none."""

import pytest
from bleak import BleakScanner
from bleak.args.bluez import OrPattern
from bleak.assigned_numbers import AdvertisementDataType
from bleak.exc import BleakError

from simulators.bluez.model import Advert, Peripheral, uuid128
from simulators.bluez.patterns import matches, structures
from tests.radio import Adverts, Radio, until

TAG, OTHER = "CB:B8:33:4C:88:4F", "CB:B8:33:4C:88:50"


def test_adverts_as_bytes() -> None:
    # flags, 16-bit and 128-bit services, name, power, appearance, service data, manufacturer data: CSS 11, part A
    uart = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"
    advert = Advert("tag", 0x06, (uuid128("180f"), uart), {0x0499: b"\x05"}, {uuid128("fcd2"): b"\x40"}, 4, 0x0540, -60)
    assert list(structures(advert)) == [
        (0x01, b"\x06"),
        (0x03, b"\x0f\x18"),
        (0x07, bytes.fromhex("9ecadc240ee5a9e093f3a3b50100406e")),
        (0x09, b"tag"),
        (0x0A, b"\x04"),
        (0x19, b"\x40\x05"),
        (0x16, b"\xd2\xfc\x40"),
        (0xFF, b"\x99\x04\x05"),
    ]
    assert matches(advert, [(1, 0x09, b"ag")])
    assert not matches(advert, [(0, 0x09, b"ag"), (0, 0x08, b"tag"), (3, 0xFF, b"\x05")])


def passive(*patterns: tuple[int, AdvertisementDataType, bytes]) -> dict[str, object]:
    return {"scanning_mode": "passive", "bluez": {"or_patterns": [OrPattern(*pattern) for pattern in patterns]}}


async def test_only_what_matches_is_heard(radio: Radio) -> None:
    ruuvi = Peripheral(TAG, interval=0.02, manufacturer_data={0x0499: b"\x05a"}, connectable=False)
    other = Peripheral(OTHER, interval=0.02, manufacturer_data={0x004C: b"\x02"}, connectable=False)
    radio.add(ruuvi, other)
    pattern = (0, AdvertisementDataType.MANUFACTURER_SPECIFIC_DATA, b"\x99\x04")
    async with Adverts(**passive(pattern)) as adverts:
        await adverts.device(TAG)
        assert ruuvi.advertise_now()
        assert not other.advertise_now()
        assert not radio.adapter.discovery.scans
        adverts.all.clear()
        ruuvi.manufacturer_data = {0x0499: b"\x05b"}
        await until(lambda: adverts.all and adverts.all[-1][1].manufacturer_data == {0x0499: b"\x05b"})
    assert {device.address for device, _ in adverts.all} == {TAG}
    assert not ruuvi.advertise_now()


async def test_monitors_outlast_a_power_cycle_and_not_the_adapter(radio: Radio) -> None:
    # src/adv_monitor.c: btd_adv_monitor_power_down stops its timers only, manager_destroy forgets them
    tag = Peripheral(TAG, interval=0.02, connectable=False)
    radio.add(tag)
    adverts = Adverts(**passive((0, AdvertisementDataType.FLAGS, b"\x06")))
    await adverts.scanner.start()
    await adverts.device(TAG)
    radio.adapter.power_off()
    assert not tag.advertise_now()
    radio.adapter.power_on()
    assert tag.advertise_now()
    radio.adapter.unplug()
    radio.adapter.plug()
    assert not tag.advertise_now()
    with pytest.raises(BleakError):
        await adverts.scanner.stop()


async def test_a_stock_daemon_refuses(radio: Radio) -> None:
    radio.bluez.kill()
    radio.adapter.experimental = False
    await radio.bluez.start()
    with pytest.raises(BleakError, match="--experimental"):
        await BleakScanner(**passive((0, AdvertisementDataType.FLAGS, b"\x06"))).start()
