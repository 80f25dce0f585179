"""Profiles of connected devices over unmodified bleak and a simulated BlueZ: a peer that sends their public vectors."""

import asyncio
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from drivers.codecs.radio_peer import long_uuid
from drivers.gatt import Gatt
from drivers.gatt_read import GattOptions, GattRead
from gateway import DecodeError, Driver, LinkError, Reading, Value
from gateway.cli.decode import named
from gateway.config import load_profile
from gateway.driver import load_driver, options_model
from gateway.links.base import RadioLink
from simulators.bluez.model import AttError, Characteristic, Peripheral, Service
from tests.gateway.links.radio_rig import SOON, Links, links
from tests.radio import Radio, radio

__all__ = ["links", "radio"]

WITHIN = 5.0  # s
PEER = "C0:FF:EE:00:00:01"
LISTENING = ("heart_rate", "thermometer", "oximeter", "weight_scale", "blood_pressure", "thingy52")
ASKED = ("environmental_sensing", "battery")


def measured(name: str) -> list[tuple[str, bytes, dict[str, Any]]]:
    """UUID, value, and what it says, of each vector of what the profile measures."""
    profile = load_profile(name, Path())
    wanted = [long_uuid(uuid) for uuid in profile.options["characteristics"]]
    vectors = [(long_uuid(v["context"]["characteristic_uuid"]), v) for v in profile.vectors]
    return [(uuid, bytes.fromhex(v["input_hex"]), v["expected"]) for uuid, v in vectors if uuid in wanted]


def driver(name: str, link: RadioLink) -> Driver:
    profile = load_profile(name, Path())
    made = load_driver(profile.driver, Path())
    return made(options_model(made).model_validate({**profile.options, "address": PEER}), link)


def peer(name: str, characteristics: Iterable[Characteristic]) -> Peripheral:
    service = load_profile(name, Path()).options["service"]
    maker = Service("180a", [Characteristic("2a29", ["read"], b"Acme"), Characteristic("2a24", ["read"], b"One\0")])
    return Peripheral(
        PEER, "Acme One", services=[Service(service, characteristics), maker], uuids=[service], interval=SOON
    )


def available(expected: dict[str, Any]) -> dict[str, Any]:
    """Without what has no value; YAML's decimals as the float that is next to them."""
    found = {name: told for name, told in expected.items() if told["value"] is not None}
    return {
        name: {**told, "value": float(told["value"])} if isinstance(told["value"], Decimal) else told
        for name, told in found.items()
    }


@pytest.mark.parametrize("name", LISTENING)
async def test_what_is_stored_is_told_as_soon_as_somebody_listens(radio: Radio, links: Links, name: str) -> None:
    """One indication after the other, and then it hangs up."""
    stored = measured(name)
    made = {uuid: Characteristic(uuid, ["indicate"]) for uuid, *_ in stored}
    device = peer(name, made.values())
    left = list(stored)

    def tell() -> None:
        if left and all(characteristic.subscribed for characteristic in made.values()):
            assert all(made[uuid].notify(data) for uuid, data, _ in left)
            left.clear()  # connected to again it has nothing new
            asyncio.get_running_loop().call_later(SOON, device.disconnect)

    for characteristic in made.values():
        characteristic.on_subscribe = lambda wanted: asyncio.get_running_loop().call_soon(tell) if wanted else None
    radio.add(device)
    one = driver(name, links())
    assert isinstance(one, Gatt)
    heard: list[Value] = []
    async with asyncio.timeout(WITHIN):
        while len([value for value in heard if value.characteristic in made]) < len(stored):
            heard += await one.link.frames("one", one.hear, WITHIN)
    told: list[list[Reading] | None] = []
    for value in heard:
        try:
            told.append(one.decode(value))
        except DecodeError:
            told.append(None)
    samples = [None if readings is None else named(readings) for readings in told if readings != []]
    assert samples == [available(expected) if expected else None for *_, expected in stored]
    if "2a29" in one.options.read:
        assert one.identity()["model"] == "Acme One"


@pytest.mark.parametrize("name", ASKED)
async def test_what_is_asked_for_is_answered(radio: Radio, links: Links, name: str) -> None:
    held = {uuid: (data, expected) for uuid, data, expected in measured(name) if available(expected)}
    radio.add(peer(name, [Characteristic(uuid, ["read"], data) for uuid, (data, _) in held.items()]))
    one = driver(name, links())
    assert isinstance(one, GattRead)
    expected = {quantity: told for _, says in held.values() for quantity, told in available(says).items()}
    assert named(await one.read()) == named(await one.read()) == expected
    assert set(one.quantities()) == set(expected)
    assert one.identity() == {"model": "Acme One", "serial": None, "firmware": None}


async def test_a_device_that_does_not_say_who_it_is_is_read_all_the_same(radio: Radio, links: Links) -> None:
    def refuse() -> bytes:
        raise AttError(0x80)

    services = [Service("180f", [Characteristic("2a19", ["read"], b"\x33")])]
    services += [Service("180a", [Characteristic("2a25", ["read"], on_read=refuse)])]
    radio.add(Peripheral(PEER, services=services, interval=SOON))
    told = {"characteristics": ["2a19"], "read": ["2a25"], "address": PEER}
    one = GattRead(GattOptions.model_validate(told), links())
    with pytest.raises(LinkError, match="0x80"):
        await one.read()
    assert await one.read() == [Reading("battery", 51, "%EL")]
