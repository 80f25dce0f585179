"""Who is in the air: what was heard of each address last, which ears want it, and who waits for a peer to appear."""

import asyncio
import math
from collections.abc import Callable, Container
from fnmatch import fnmatchcase

from gateway.links.air import Advert, Peer
from gateway.links.base import Told
from gateway.links.ble import BLEDevice, Sent
from gateway.links.radio_ears import AdvertEar, Bell

FRESH = 12.0  # s for which a peer that was heard is there; they advertise every 10.24 s at least (Core 4 E 7.8.5)
REMEMBERED = 180.0  # s; bluetoothd forgets devices 30 s after their last advert


class Sighting:
    """What was heard of one address last."""

    __slots__ = ("at", "data", "device", "ears", "edition", "traits")

    def __init__(self, device: BLEDevice) -> None:
        self.device = device
        self.data: Sent | None = None  # None: not heard, but connected
        self.at = -math.inf  # loop time
        self.ears: list[AdvertEar] = []
        self.traits: tuple[object, ...] = ()  # what a match may depend on
        self.edition = -1  # of the ears there were


class Sightings:
    """All that one adapter hears."""

    def __init__(self, bell: Bell, trace: Callable[[], Told | None]) -> None:
        self.heard_at = -math.inf  # loop time of the last advert of anybody
        self.on_sound: Callable[[], None] | None = None  # called once, with the next advert of anybody
        self._bell, self._trace = bell, trace
        self._seen: dict[str, Sighting] = {}
        self._by_address: dict[str, list[AdvertEar]] = {}
        self._by_match: list[AdvertEar] = []
        self._edition = 0  # of the ears
        self._scans = 0
        self._awaited: dict[str | None, list[tuple[Peer, asyncio.Future[None]]]] = {}  # by address, None: by match

    def join(self, ear: AdvertEar) -> None:
        """This ear hears from now on."""
        address = ear.asked.peer.address
        (self._by_match if address is None else self._by_address.setdefault(address, [])).append(ear)
        self._edition += 1

    def leave(self, ear: AdvertEar) -> None:
        """This ear hears no more."""
        address = ear.asked.peer.address
        (self._by_match if address is None else self._by_address[address]).remove(ear)
        self._edition += 1

    @property
    def addresses(self) -> set[str]:
        """Of the peers whose adverts are wanted by address."""
        return {address for address, ears in self._by_address.items() if ears}

    def heard(self, device: BLEDevice, data: Sent) -> None:
        """An advert came: the callback of the scan."""
        now = asyncio.get_running_loop().time()
        self.heard_at = now
        if self.on_sound is not None:
            sound, self.on_sound = self.on_sound, None
            sound()
        address = device.address
        seen = self._seen.get(address)
        if seen is None:
            seen = self._seen[address] = Sighting(device)
        if now > seen.at + FRESH:
            for ear in seen.ears:
                ear.returned(address)
        seen.device, seen.data, seen.at = device, data, now
        if self._awaited:
            self._appeared(seen)
        company, service = data.manufacturer_data, data.service_data
        if self._by_match:
            traits = (data.local_name, tuple(data.service_uuids), tuple(company), tuple(service))
            if traits != seen.traits:
                seen.traits, seen.edition = traits, -1
        if seen.edition != self._edition:
            self._find_ears(seen)
        advert = None
        for ear in seen.ears:
            if ear.wants(address, data.local_name, company, service):
                if advert is None:
                    advert = Advert(
                        address, data.local_name, data.rssi, company, service, tuple(data.service_uuids)
                    )  # fmt: skip
                    if (trace := self._trace()) is not None:
                        for payload in (*company.values(), *service.values()):
                            trace("<<", payload, now)
                ear.put(advert)
                self._bell.ring(ear, now)

    def _find_ears(self, seen: Sighting) -> None:
        """Who once matched stays: a name may be in the answer to a scan only."""
        assert seen.data is not None
        address = seen.device.address
        known, data = seen.ears, seen.data
        matching = [e for e in self._by_match if e in known or matches(e.asked.peer, address, data)]
        seen.ears = [*self._by_address.get(address, ()), *matching]
        seen.edition = self._edition

    async def find(self, peer: Peer, after: float, taken: Container[str], within: float) -> Sighting | None:
        """A peer that is there: heard later than `after` (loop time) and just now, or else within so many seconds.

        Of several that match the one heard best, but none whose address is `taken`. None, too, when the scan was begun.
        """
        loop = asyncio.get_running_loop()
        until, edition = loop.time() + within, self._scans
        while self._scans == edition and loop.time() < until:
            since = max(after, loop.time() - FRESH)
            there = [
                seen
                for seen in self._candidates(peer)
                if seen.at > since
                and seen.device.address not in taken
                and seen.data is not None
                and matches(peer, seen.device.address, seen.data)
            ]
            if there:
                return max(there, key=lambda seen: seen.data.rssi if seen.data is not None else -math.inf)
            await self._await(peer, until)
        return None

    def _candidates(self, peer: Peer) -> list[Sighting]:
        if peer.address is None:
            return list(self._seen.values())
        return [self._seen[peer.address]] if peer.address in self._seen else []

    async def _await(self, peer: Peer, until: float) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (peer, mine)
        self._awaited.setdefault(peer.address, []).append(entry)
        try:
            async with asyncio.timeout_at(until):
                await mine
        except TimeoutError:
            pass
        finally:
            waiting = self._awaited[peer.address]
            waiting.remove(entry)
            if not waiting:
                del self._awaited[peer.address]

    def _appeared(self, seen: Sighting) -> None:
        assert seen.data is not None
        address = seen.device.address
        for key in (address, None):
            for peer, waiting in self._awaited.get(key, ()):
                if not waiting.done() and matches(peer, address, seen.data):
                    waiting.set_result(None)

    def gone(self, address: str) -> None:
        """This one is not there any more, whatever was heard before."""
        if address in self._seen:
            self._seen[address].at = -math.inf

    def begun(self) -> None:
        """The scan has begun: who waits for a peer looks, too, who is connected already."""
        self._scans += 1
        for waiting in self._awaited.values():
            for _, mine in waiting:
                if not mine.done():
                    mine.set_result(None)

    def clear(self) -> None:
        """Nothing that was heard holds any more: the scan begins anew."""
        self._seen.clear()
        self._keep_only(set())

    def prune(self, now: float) -> set[str]:
        """Forget who was not heard for long; addresses of the others."""
        self._seen = {address: seen for address, seen in self._seen.items() if seen.at > now - REMEMBERED}
        addresses = set(self._seen)
        self._keep_only(addresses)
        return addresses

    def _keep_only(self, addresses: set[str]) -> None:
        for ears in (self._by_match, *self._by_address.values()):
            for ear in ears:
                ear.keep_only(addresses)


def matches(peer: Peer, address: str, sent: Sent) -> bool:
    """Whether this is the peer that is meant: by its address, else by all that is said of it."""
    if peer.address is not None:
        return peer.address == address
    if peer.name is not None and not fnmatchcase(sent.local_name or "", peer.name):
        return False
    if peer.service is not None and peer.service not in sent.service_uuids and peer.service not in sent.service_data:
        return False
    return peer.company is None or peer.company in sent.manufacturer_data
