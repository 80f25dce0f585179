"""Devices that want keys, over a radio link: a read or a subscription is answered, and never hangs (rule 16)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config_ble import BleLinkConfig
from gateway.errors import LinkError
from gateway.links.air import Peer, Value, Values
from gateway.links.base import RadioLink
from gateway.links.radio import Radio as Link
from simulators.bluez.model import Characteristic, Pairing, Peripheral, Service
from tests.commands import labgate, one_line
from tests.radio import ADAPTER, Radio, radio

__all__ = ["radio"]  # a fixture

ADDRESS = "A0:9E:1A:00:00:01"
LEVEL = "00002a19-0000-1000-8000-00805f9b34fb"
WITHIN = 5.0  # s; far less than the 30 s after which bluetoothd gives a read up


@pytest.fixture
async def link(radio: Radio) -> AsyncIterator[RadioLink]:
    opened = Link("radio", BleLinkConfig.model_validate({"ble": ADAPTER, "timeout": "300ms"}))
    yield opened
    await opened.close()


def guarded(radio: Radio, pairing: Pairing, read: str = "encrypt-read") -> Peripheral:
    level = Characteristic("2a19", [read, "encrypt-notify"], b"\x2a")
    one = Peripheral(ADDRESS, "guarded", interval=0.02, services=[Service("180f", [level])], pairing=pairing)
    radio.add(one)
    return one


async def test_a_device_that_pairs_without_a_person_is_read(radio: Radio, link: RadioLink) -> None:
    one = guarded(radio, Pairing("NoInputNoOutput"))
    async with asyncio.timeout(WITHIN):
        (value,) = await link.read_values(Peer(ADDRESS), (LEVEL,))
    assert value.data == b"\x2a"
    assert one.bonded


@pytest.mark.parametrize("hangs", [False, True], ids=["refused", "not answered"])
async def test_a_read_that_gets_no_keys(radio: Radio, link: RadioLink, hangs: bool) -> None:
    one = guarded(radio, Pairing(refuses=True))
    radio.bluez.pairing.refused_reads_hang = hangs
    async with asyncio.timeout(WITHIN):
        with pytest.raises(LinkError) as told:
            await link.read_values(Peer(ADDRESS), (LEVEL,))
    assert ADDRESS in str(told.value)
    if not hangs:
        assert told.value.reason == "refused"
        assert f"`labgate pair {ADDRESS}`" in str(told.value)
    assert not one.bonded


async def test_a_listener_is_told_that_the_device_wants_to_be_paired(radio: Radio, link: RadioLink) -> None:
    one = guarded(radio, Pairing(refuses=True))
    wanted = Values(Peer(ADDRESS), (LEVEL,), read=(LEVEL,))
    async with asyncio.timeout(WITHIN):
        with pytest.raises(LinkError, match=f"`labgate pair {ADDRESS}`") as told:
            await link.frames("guarded", wanted, WITHIN)
        assert told.value.reason == "refused"
        one.pairing = Pairing("NoInputNoOutput")  # as after somebody has pressed its button
        frames: list[Value] = []
        while not frames:
            with contextlib.suppress(LinkError):
                frames = await link.frames("guarded", wanted, WITHIN)
    assert frames[0].data == b"\x2a"


async def test_it_is_paired_while_the_gateway_wants_to_read_it(radio: Radio, link: RadioLink, tmp_path: Path) -> None:
    """Its own agent has paired it without a passkey, which is not enough for this one."""
    one = guarded(radio, Pairing("DisplayOnly", passkey=42), "encrypt-authenticated-read")
    with pytest.raises(LinkError, match=f"`labgate pair {ADDRESS}`"):
        await link.read_values(Peer(ADDRESS), (LEVEL,))
    assert one.bonded
    command = ("-c", tmp_path / "none.yaml", "pair", ADDRESS, "--passkey", "42", "--json")
    done = await asyncio.to_thread(labgate, *command)
    assert "is paired already" in one_line(done, 1)
    done = await asyncio.to_thread(labgate, *command, "--anew")
    assert (done.returncode, done.stderr) == (0, "")
    async with asyncio.timeout(WITHIN):
        value = None
        while value is None:
            with contextlib.suppress(LinkError):
                (value,) = await link.read_values(Peer(ADDRESS), (LEVEL,))
    assert value.data == b"\x2a"
