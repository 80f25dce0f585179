"""Pair with a Bluetooth device, so that it lets itself be read: its keys are kept by bluetoothd.

A passkey that the device shows is asked for in the terminal, or given by --passkey; one that is to be typed into the
device is shown.
"""

import asyncio
import contextlib
import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import Any

from gateway.cli import radio, scan_air, show, site
from gateway.cli.radio import Station
from gateway.cli.scan_air import Seen
from gateway.config_ble import BleLinkConfig
from gateway.errors import LinkError
from gateway.links import open_link
from gateway.links.air import Adverts, Peer
from gateway.links.bluez import AdapterInfo, Bluez
from gateway.links.pairing import Agent, Question

EXAMPLE = 'labgate pair "CB:B8:33:4C:88:4F"'

_HEARD_WITHIN = 30.0  # s; who is in pairing mode advertises every second
_PAIRED_WITHIN = 90.0  # s; bluetoothd waits a minute for a passkey
_ADDRESS = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}")


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("address", metavar="ADDRESS", type=_address, help="of the device; `labgate scan` shows it")
    parser.add_argument("--link", metavar="NAME", help="the radio link of the configuration, where there are several")
    parser.add_argument("--passkey", type=_passkey, metavar="N", help="the number on the device, or on its label")
    parser.add_argument("--json", action="store_true", help="JSON objects: what is to be typed, and the result")


def run(args: Namespace) -> int:
    """Hear the device, pair, trust it, and say what comes next."""
    station: Station | None
    if args.link is not None:
        station = radio.configured(site.usable_site(args.config), args.link)
    else:
        station = radio.only_configured(args.config)
    asyncio.run(_Pairing(args).run(station))
    return 0


class _Pairing:
    """One device on its way."""

    def __init__(self, args: Namespace) -> None:
        self.address: str = args.address
        self.passkey: str | None = args.passkey
        self.as_json: bool = args.json
        self.unanswered = ""  # what it wants to be told, and nobody was there to say

    async def run(self, station: Station | None) -> None:
        """Raises LinkError."""
        async with radio.bluetoothd(station.link if station else radio.NEW) as bluez:
            adapter = radio.usable(bluez, station.config.ble if station else None)
            station = station or Station(BleLinkConfig(ble=adapter.address))
            if await bluez.is_bonded(adapter, self.address):
                anew = f"`bluetoothctl remove {self.address}` to begin anew"
                raise LinkError(
                    f"{self.address} is paired already: {adapter.index}; nothing to do, or {anew}", "refused"
                )
            link = open_link(station.link, station.config)  # listens until the end: devices vanish that nobody hears
            try:
                seen = await self._find(link, bluez, adapter)
                await self._pair(bluez, adapter)
            finally:
                await link.close()
        self._done(seen, station)

    async def _find(self, link: Any, bluez: Bluez, adapter: AdapterInfo) -> Seen:
        """The device, heard or connected. Raises LinkError: `silent`."""
        loop, seen = asyncio.get_running_loop(), Seen(self.address)
        if self.address in await bluez.connected(adapter):
            return seen
        self._say(f"listening on {adapter.index} for {self.address}, at most {_HEARD_WITHIN:g} s")
        until = loop.time() + _HEARD_WITHIN
        makers = scan_air.known()
        while (wait := until - loop.time()) > 0:
            for advert in await link.frames("pair", Adverts(Peer(self.address)), wait):
                seen.hear(advert, makers)
                return seen
        where = f"not heard within {_HEARD_WITHIN:g} s: {adapter.index}"
        raise LinkError(
            f"{self.address} was {where}; put it into pairing mode, nearby; `labgate scan` shows who is there", "silent"
        )

    async def _pair(self, bluez: Bluez, adapter: AdapterInfo) -> None:
        self._say(f"pairing with {self.address}")
        await bluez.register_agent(Agent("KeyboardDisplay", self._answer))
        before = await bluez.connected(adapter)
        try:
            await bluez.pair(adapter, self.address, _PAIRED_WITHIN)
            await bluez.trust(adapter, self.address)
        except LinkError:
            if self.unanswered:
                raise LinkError(self.unanswered, "refused") from None
            raise
        finally:
            if self.address not in before:  # a connection that is left over keeps it from advertising
                with contextlib.suppress(LinkError):
                    await bluez.disconnect(adapter, self.address)

    async def _answer(self, question: Question) -> str | None:
        """What bluetoothd wants to know; only of the device that is meant."""
        if question.address != self.address:
            return None
        match question.wanted:
            case "consent":
                return "yes"
            case "type":
                if self.as_json:
                    show.json_line({"address": self.address, "type": question.number})
                self._say(f"type {question.number} into the device")
                return "shown"
            case "compare":
                if self.passkey is not None:
                    return "yes" if int(self.passkey) == int(question.number) else None
                said = await self._ask(f"does the device show {question.number}? [y/N] ")
                return "yes" if said.lower() in ("y", "yes") else None
            case _:
                return (
                    self.passkey
                    or await self._ask(f"{question.wanted} that the device shows, or has on its label: ")
                    or None
                )

    async def _ask(self, prompt: str) -> str:
        """A line from the terminal; empty where there is none."""
        if sys.stdin is None or not sys.stdin.isatty():
            wants = "a number compared" if prompt.endswith("] ") else "a passkey"
            self.unanswered = (
                f"{self.address} wants {wants}: nobody is here to ask; run it in a terminal, or give --passkey N"
            )
            return ""
        print(prompt, end="", file=sys.stderr if self.as_json else sys.stdout, flush=True)
        loop = asyncio.get_running_loop()
        said: asyncio.Future[bytes] = loop.create_future()
        fd = sys.stdin.fileno()

        def read() -> None:
            if not said.done():
                said.set_result(os.read(fd, 1000))

        loop.add_reader(fd, read)  # a thread that reads could not be ended
        try:
            return (await said).decode(errors="replace").strip()
        finally:
            loop.remove_reader(fd)

    def _say(self, text: str) -> None:
        if not self.as_json:
            print(text)

    def _done(self, seen: Seen, station: Station) -> None:
        device = next((name for name, peer in station.devices.items() if seen.is_meant(peer)), None)
        row = seen.row(station.link, 1, device)
        if self.as_json:
            show.json_line({"paired": True, **row})
            return
        print(f"{self.address} is paired")
        if device:
            print(f"it is {device}; the gateway reads it from now on")
            return
        if station.name is None:
            print(f'paste under links:    {station.link}: {{ble: "{station.config.ble}"}}')
        options = f'link: {station.link}, address: "{self.address}"'
        print(f"paste under devices:  {row['stanza'] or f'device-1: {{profile: NAME, {options}}}'}")


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text.upper()):
        raise ArgumentTypeError(f"{text!r} is no address of a Bluetooth device; write it like CB:B8:33:4C:88:4F")
    return text.upper()


def _passkey(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise ArgumentTypeError(f"{text!r} is no passkey; write its six digits")
    return text
