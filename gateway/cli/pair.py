"""Pair with a Bluetooth device, so that it lets itself be read: its keys are kept by bluetoothd.

A passkey that the device shows is asked for in the terminal, or given by --passkey; one that is to be typed into the
device is shown.
"""

import asyncio
import contextlib
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import Any

from gateway.cli import radio, scan_air, show, site
from gateway.cli.passkeys import Person
from gateway.cli.radio import Station
from gateway.cli.scan_air import Seen
from gateway.config_ble import BleLinkConfig
from gateway.errors import LinkError
from gateway.links import open_link
from gateway.links.air import Adverts, Peer
from gateway.links.bluez import AdapterInfo, Bluez
from gateway.links.pairing import Agent

EXAMPLE = 'labgate pair "CB:B8:33:4C:88:4F"'

_HEARD_WITHIN = 30.0  # s; who is in pairing mode advertises every second
_AGAIN = 0.5  # s between attempts while another runs
_PAIRED_WITHIN = 90.0  # s; bluetoothd waits a minute for a passkey
_ADDRESS = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}")


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("address", metavar="ADDRESS", type=_address, help="of the device; `labgate scan` shows it")
    parser.add_argument("--link", metavar="NAME", help="the radio link of the configuration, where there are several")
    parser.add_argument("--passkey", type=_passkey, metavar="N", help="the number on the device, or on its label")
    parser.add_argument("--anew", action="store_true", help="forget a pairing there is, and pair again")
    parser.add_argument("--json", action="store_true", help="JSON objects: what is to be typed, and the result")


def run(args: Namespace) -> int:
    """Hear the device, pair, trust it, and say what comes next."""
    station: Station | None
    if args.link is not None:
        station = radio.configured(site.usable_site(args.config), args.link)
    else:
        station = radio.only_configured(args.config)
    asyncio.run(pair(args.address, station, Person(args.address, args.passkey, args.json), args.anew))
    return 0


async def pair(address: str, station: Station | None, person: Person, anew: bool = False) -> None:
    """Pair over that radio, else over the first there is. Raises LinkError."""
    async with radio.bluetoothd(station.link if station else radio.NEW) as bluez:
        adapter = radio.usable(bluez, station.config.ble if station else None)
        station = station or Station(BleLinkConfig(ble=adapter.address))
        if not anew and await bluez.is_bonded(adapter, address):
            text = f"{address} is paired already: {adapter.index}; if that is not enough for it, add --anew"
            raise LinkError(text, "refused")
        before = await bluez.connected(adapter)
        link = open_link(station.link, station.config)  # hears until the end: bluetoothd forgets whom nobody hears
        try:
            seen = Seen(address) if address in before else await _heard(link, adapter, address, person)
            await bluez.register_agent(Agent("KeyboardDisplay", person.answer))
            if anew:
                await bluez.remove(adapter, address)
                seen = await _heard(link, adapter, address, person)
            await _pair(bluez, adapter, address, person)
        finally:
            if address not in before:  # a connection that is left over keeps it from advertising
                with contextlib.suppress(LinkError):
                    await bluez.disconnect(adapter, address)
            await link.close()
    _done(seen, station, person.as_json)


async def _heard(link: Any, adapter: AdapterInfo, address: str, person: Person) -> Seen:
    """The device, from its next advert. Raises LinkError: `silent`."""
    loop, seen = asyncio.get_running_loop(), Seen(address)
    if not person.as_json:
        print(f"listening on {adapter.index} for {address}, at most {_HEARD_WITHIN:g} s")
    wanted = Adverts(Peer(address), repeats=True)
    await link.frames("pair", wanted, 0.0)  # what was heard before
    until = loop.time() + _HEARD_WITHIN
    while (wait := until - loop.time()) > 0:
        for advert in await link.frames("pair", wanted, wait):
            seen.hear(advert, scan_air.known())
            return seen
    text = f"{address} was not heard within {_HEARD_WITHIN:g} s: {adapter.index}"
    do = "put it into pairing mode, nearby, and disconnect it from other hosts; `labgate scan` shows who is there"
    raise LinkError(f"{text}; {do}", "silent")


async def _pair(bluez: Bluez, adapter: AdapterInfo, address: str, person: Person) -> None:
    if not person.as_json:
        print(f"pairing with {address}")
    until = asyncio.get_running_loop().time() + _PAIRED_WITHIN
    while True:
        within = until - asyncio.get_running_loop().time()
        try:
            await bluez.pair(adapter, address, within)
            return await bluez.trust(adapter, address)
        except LinkError as error:
            if person.refused:
                raise LinkError(person.refused, "refused") from None
            if error.reason not in ("busy", "silent") or within < _AGAIN:
                raise
        await asyncio.sleep(_AGAIN)  # the gateway connects to it at this moment, or pairs; or bluetoothd just forgot it


def _done(seen: Seen, station: Station, as_json: bool) -> None:
    device = next((name for name, peer in station.devices.items() if seen.is_meant(peer)), None)
    row = seen.row(station.link, 1, device)
    if as_json:
        show.json_line({"paired": True, **row})
        return
    print(f"{seen.address} is paired")
    if device:
        print(f"it is {device}; the gateway reads it from now on")
        return
    if station.name is None:
        print(f'paste under links:    {station.link}: {{ble: "{station.config.ble}"}}')
    options = f'link: {station.link}, address: "{seen.address}"'
    print(f"paste under devices:  {row['stanza'] or f'device-1: {{profile: NAME, {options}}}'}")


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text.upper()):
        raise ArgumentTypeError(f"{text!r} is no address of a Bluetooth device; write it like CB:B8:33:4C:88:4F")
    return text.upper()


def _passkey(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise ArgumentTypeError(f"{text!r} is no passkey; write its six digits")
    return text
