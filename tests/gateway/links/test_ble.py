"""What bleak is asked, and that it is not even there where no radio is configured."""

import subprocess
import sys

import pytest

from gateway.links import ble, ble_errors
from simulators.bluez.model import Characteristic, Peripheral, Service
from tests.gateway.links.radio_rig import SOON, Strap, address, fails
from tests.radio import Radio, find, radio, until

__all__ = ["radio"]


def test_bleak_is_imported_for_a_radio_link_only() -> None:
    program = """if True:
        import sys
        from gateway import app
        from gateway.config import ModbusLinkConfig
        from gateway.config_ble import BleLinkConfig
        from gateway.links import open_link
        open_link("bus", ModbusLinkConfig(modbus="tcp://127.0.0.1:502"))
        assert not {"bleak", "dbus_fast"} & set(sys.modules)
        import asyncio
        async def main():
            open_link("air", BleLinkConfig(ble="hci0"))
        asyncio.run(main())
        assert "bleak" in sys.modules
    """
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("NotPermitted", "Notify acquired", "network"),
        ("AuthenticationFailed", "", "refused"),
        ("Failed", "le-connection-abort-by-local", "network"),
        ("NotReady", "Resource Not Ready", "refused"),
    ],
)
def test_reasons_of_answers(name: str, text: str, reason: str) -> None:
    assert ble_errors.answer(name, text, "C0:FF:EE:00:00:01")[0] == reason


async def test_characteristics_by_handle(radio: Radio) -> None:
    """Services come from sets: their order in bleak is random."""
    many = [Service(f"18{n:02x}", [Characteristic(f"2a{n:02x}", ["read", "indicate"])]) for n in range(0x10, 0x30)]
    peer = Peripheral(address(), services=many, interval=SOON)
    radio.add(peer)
    client = ble.Client(await find(peer.address), "air", lambda: None)
    found = await client.connect()
    ours = [c for c in found if c.service.startswith("000018") and c.handle >= many[0].handle]
    assert [c.handle for c in found] == sorted(c.handle for c in found)
    assert [c.handle for c in ours] == [c.handle for s in many for c in s.characteristics]
    assert ours[0] == ble.Characteristic(
        "00002a10-0000-1000-8000-00805f9b34fb", many[0].characteristics[0].handle,
        "00001810-0000-1000-8000-00805f9b34fb", True, True,
    )  # fmt: skip
    await client.disconnect()


async def test_a_client_whose_bus_is_lost_says_so_and_takes_nobodys_descriptor(radio: Radio) -> None:
    strap, lost = Strap(address()), list[bool]()
    radio.add(strap)
    client = ble.Client(await find(strap.address), "air", lambda: lost.append(True))
    await client.connect()
    client._backend._bus.disconnect()
    await until(lambda: client._backend._bus._disconnected)
    assert (await fails(client.read(strap.level.handle, 1.0))).reason == "network"
    await client.disconnect()
    assert lost == [True]
