"""`labgate scan` of a radio: what is in the air, strongest first, and what would read it. Nothing is connected to."""

import asyncio
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from gateway.cli import show, unconfigured
from gateway.cli.radio import NEW, Station, bluetoothd, usable
from gateway.config_ble import BleLinkConfig
from gateway.driver import Driver, Listener
from gateway.errors import DecodeError, LinkError
from gateway.links import open_link
from gateway.links.air import Advert, Adverts, Peer, Stream
from gateway.links.base import RadioLink
from gateway.reading import Reading

WITHIN = 8.0  # s; most beacons speak every second, some every five
SHOWN = 3  # readings that are shown of a device
_ANY = Peer()
_KEY = "bindkey_file"  # option of drivers whose devices may encrypt


@dataclass
class Seen:
    """A device in the air: the newest of what it advertises, and what makes sense of that."""

    address: str
    name: str | None = None
    rssi: int | None = None  # dBm, the strongest
    companies: set[int] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    made: dict[str, dict[str, Reading]] = field(default_factory=dict)  # by what makes them, and their names
    offers: dict[str, None] = field(default_factory=dict)  # what would read it when connected, most likely first
    refused: dict[str, str] = field(default_factory=dict)  # why something that knows such adverts made nothing of them
    _drivers: dict[str, Driver] = field(default_factory=dict)  # of its own: drivers remember what they heard

    def hear(self, advert: Advert, known: dict[str, unconfigured.Found]) -> None:
        """Take an advert of it."""
        self.name = advert.name or self.name
        self.rssi = max((r for r in (self.rssi, advert.rssi) if r is not None), default=None)
        self.companies |= advert.company.keys()
        self.services |= {*advert.services, *advert.service}
        self._drivers = self._drivers or {guess: make(options, None) for guess, (make, options) in known.items()}
        for guess, driver in self._drivers.items():
            hear = driver.hear if isinstance(driver, Listener) else None
            if isinstance(driver, Listener) and isinstance(hear, Adverts):
                if _carries(hear, advert):
                    self._decode(guess, driver, advert)
                continue
            service = hear.service if isinstance(hear, Stream) else getattr(driver.options, "peer", _ANY).service
            if service in self.services:
                self.offers[guess] = None

    def _decode(self, guess: str, driver: Listener, advert: Advert) -> None:
        try:
            readings = driver.decode(advert)
        except DecodeError as error:
            self.refused[guess] = str(error)
        else:
            self.made.setdefault(guess, {}).update({r.name: r for r in readings})

    @property
    def guesses(self) -> list[str]:
        """What would read it, the best first: what has read it, then what reads it when connected."""
        read = sorted((guess for guess, made in self.made.items() if made), key=lambda guess: -len(self.made[guess]))
        return [*read, *self.offers]

    def row(self, link: str, number: int, device: str | None) -> dict[str, Any]:
        """The device, for programs; `device` is what the configuration calls it."""
        guesses = self.guesses or list(self.refused)[:1]
        stanzas = [self._stanza(guess, link, number) for guess in guesses]
        readings = next((self.made[guess] for guess in guesses if guess in self.made), {})
        key, _, name = guesses[0].partition(": ") if guesses else ("driver", "", None)
        return {
            "address": self.address,
            "name": self.name,
            "rssi": self.rssi,
            "driver": None,
            "profile": None,
            key: name,
            "readings": {r.name: {"value": r.value, "unit": r.unit} for r in readings.values()},
            "refused": None if self.guesses else next(iter(self.refused.values()), None),
            "companies": sorted(self.companies),
            "services": sorted(self.services),
            "device": device,
            "stanza": None if device or not stanzas else stanzas[0],
            "or": [] if device else stanzas[1:],
        }

    def says(self) -> str:
        """The newest of what it says, for people."""
        if not self.guesses:
            return next(iter(self.refused.values()), "")
        made = self.made.get(self.guesses[0])
        if made is None:
            return "more, when connected"
        return show.readings(
            {r.name: {"value": r.value, "unit": r.unit} for r in made.values() if r.name != "rssi"}, SHOWN
        )

    def is_meant(self, peer: Peer) -> bool:
        """Whether a device of the configuration is this one."""
        if peer.address is not None:
            return peer.address == self.address
        named = peer.name is None or fnmatchcase(self.name or "", peer.name)
        return named and all(
            wanted is None or wanted in there
            for wanted, there in ((peer.service, self.services), (peer.company, self.companies))
        )

    def _stanza(self, guess: str, link: str, number: int) -> str:
        key, _, name = guess.partition(": ")
        options = f'{key}: {name}, link: {link}, address: "{self.address}"'
        needs = guess not in self.made and _KEY in self.refused.get(guess, "")
        return f"{name.replace('_', '-')}-{number}: {{{options}{f', {_KEY}: {name}-{number}.key' if needs else ''}}}"


@cache
def known() -> dict[str, unconfigured.Found]:
    """What reads devices over a radio and need be told no more than which; profiles before the drivers they use."""
    found = unconfigured.all_on(RadioLink)
    used = {driver for name, (driver, _) in found.items() if name.startswith("profile: ")}
    return {name: it for name, it in found.items() if name.startswith("profile: ") or it[0] not in used}


async def scan(station: Station, within: float | None, as_json: bool) -> None:
    """Listen on that radio, and tell what was heard. Raises LinkError where it cannot."""
    async with bluetoothd(station.link) as bluez:
        adapter = usable(bluez, station.config.ble)
    span = within or WITHIN
    if not as_json:
        print(f"listening on {adapter.index} ({adapter.address}) for {span:g} s; nothing is connected to")
    seen = await listen(station, span)
    if not as_json and station.name is None:
        print(f'paste under links:    {NEW}: {{ble: "{adapter.address}"}}')
    tell(seen, station, as_json)


async def scan_adapter(where: str, within: float | None, as_json: bool) -> None:
    """Listen on the adapter of that address or index. Raises LinkError where it cannot."""
    await scan(Station(BleLinkConfig(ble=where)), within, as_json)


async def scan_any(within: float | None, as_json: bool) -> None:
    """Listen on the first radio there is. That there is none, or that it is off, is no error."""
    try:
        async with bluetoothd(NEW) as bluez:
            adapter = usable(bluez, None)
        await scan_adapter(adapter.address, within, as_json)
    except LinkError as error:
        if not as_json:
            print(f"the air cannot be heard: {error}")


async def listen(station: Station, within: float, only: Peer = _ANY) -> list[Seen]:
    """What is heard, strongest first."""
    loop = asyncio.get_running_loop()
    seen: dict[str, Seen] = {}
    makers = known()
    link: Any = open_link(station.link, station.config)
    until = loop.time() + within
    try:
        while (wait := until - loop.time()) > 0:
            for advert in await link.frames("scan", Adverts(only), wait):
                seen.setdefault(advert.address, Seen(advert.address)).hear(advert, makers)
    finally:
        await link.close()
    return sorted(seen.values(), key=lambda s: (-s.rssi if s.rssi is not None else math.inf, s.address))


def tell(seen: Iterable[Seen], station: Station, as_json: bool) -> None:
    """A line for each device."""
    rows = []
    numbers: dict[str, int] = {}
    for each in seen:
        what = next(iter(each.guesses or each.refused), "")
        numbers[what] = numbers.get(what, 0) + 1
        device = next((name for name, peer in station.devices.items() if each.is_meant(peer)), None)
        row = each.row(station.link, numbers[what], device)
        if as_json:
            show.json_line(row)
        else:
            last = f"is {device}" if device else row["stanza"]
            rows.append((each.address, each.rssi, each.name, what.replace(":", "") or None, each.says(), last))
    if rows:
        head = ("ADDRESS", "DBM", "NAME", "WHAT", "SAYS", "PASTE UNDER devices:")
        show.table(head, rows, right=("DBM",))
    elif not as_json:
        print("nothing was heard; does the device advertise now? some do only when woken, or while nobody is connected")


def _carries(hear: Adverts, advert: Advert) -> bool:
    """Whether the advert has data of a kind that is wanted."""
    return any(c in advert.company for c in hear.companies) or any(s in advert.service for s in hear.services)
