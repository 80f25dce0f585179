"""One peer that is connected to while anybody wants something of it: found, connected, asked, lost, and again.

Rule numbers are those of README.md, A Bluetooth radio.
"""

import asyncio
import math
import random
from collections import ChainMap
from collections.abc import Awaitable, Callable, Collection, Container
from dataclasses import dataclass, field

from gateway.errors import LinkError, Reason
from gateway.links.air import Peer, Value
from gateway.links.base import Told
from gateway.links.ble import BLEDevice, Client, Sent
from gateway.links.gatt import ConnectedEar, Session
from gateway.links.radio_ears import Bell
from gateway.links.sightings import FRESH, Sighting, Sightings, matches
from gateway.links.slots import Slot, Slots
from gateway.supervisor import undisturbed

PAUSE = (0.5, 60.0)  # s after a failure, first and longest; then the peer has to be heard again
KEEP = 15.0  # s a connection is kept for the next read, where reads come as often
VISIT = 60.0  # s; who hangs up sooner, and has told something, came to tell it: no fault (thermometers, scales)
MISSING = 30.0  # s between looks at who is connected already, and therefore does not advertise (rule 7)
FULL = 60.0  # s of waiting for a free connection after which that is said


@dataclass
class Shared:
    """What all connections over one adapter share."""

    link: str
    timeout: float  # s, of a read
    sightings: Sightings
    slots: Slots
    bell: Bell
    left_over: Callable[[], Awaitable[list[tuple[BLEDevice, Sent]]]]  # who is connected already
    forget_services: Callable[[str], Awaitable[None]]  # of an address, unless it is bonded
    trace: Callable[[], Told | None]
    trouble: LinkError | None = None  # why nothing goes over this adapter
    connecting: asyncio.Lock = field(default_factory=asyncio.Lock)  # one at a time (rule 10)
    held: dict[str, "Connection"] = field(default_factory=dict)  # by address: connected, or about to
    named: dict[str, "Connection"] = field(default_factory=dict)  # by the address of the peer that is meant


@dataclass
class _Reader:
    """Somebody who wants to read one of these characteristics, and gets a session of a peer that has one."""

    wanted: Collection[str]
    ready: "asyncio.Future[Session]"


class Connection:
    """The connection to one peer; `keep` runs beside those who listen and read."""

    def __init__(self, shared: Shared, peer: Peer) -> None:
        self.peer, self.ears = peer, list[ConnectedEar]()
        self.heard_at = -math.inf  # loop time of the last value
        self.session: Session | None = None  # while connected
        self._shared = shared
        self._stir = asyncio.Event()
        self._readers: list[_Reader] = []  # that wait for a session
        self._reading = 0  # who waits, or reads
        self._failures = 0  # in a row
        self._after = -math.inf  # loop time; what was heard of the peer before is out of date
        self._read_at = self._keep_until = -math.inf  # loop time: of the last read; for the next one
        self._look_again = self._looked_again = False  # at services that were not as wanted (rule 12)
        self._end: LinkError | None = None  # why the connection is over
        self._giving_up = False  # it: others wait for a connection
        self._taken: Container[str] = shared.held  # addresses that are not this peer
        if peer.address is None:
            self._taken = ChainMap(shared.held, shared.named)
        else:
            shared.named[peer.address] = self

    def join(self, ear: ConnectedEar) -> None:
        """This ear wants what the peer sends."""
        self.ears.append(ear)
        self._stir.set()

    def leave(self, ear: ConnectedEar) -> None:
        """It does not any more."""
        self.ears.remove(ear)
        if self.session is not None:
            self.session.drop(ear)
        self._stir.set()

    def lose(self, error: LinkError) -> None:
        """The connection is over: the link is lost, or the adapter."""
        self._end = self._end or error
        self._stir.set()

    def tell(self, error: LinkError, lasts: bool = False) -> None:
        """Tell all who wait for something of this peer."""
        for ear in self.ears:
            ear.trouble.set(error, lasts)
            ear.wake()
        readers, self._readers = self._readers, []
        for reader in readers:
            if not reader.ready.done():
                reader.ready.set_exception(error)

    async def read(self, wanted: Collection[str], each: float, find: float) -> list[Value]:
        """Read all characteristics of these UUIDs, by handle; `each` s a read, `find` s for a connection."""
        loop = asyncio.get_running_loop()
        reader = _Reader(wanted, loop.create_future())
        self._readers.append(reader)
        self._reading += 1
        self._stir.set()
        try:
            session = await self._session_for(reader, find)
            often = loop.time() - self._read_at <= KEEP
            self._read_at = loop.time()
            self._keep_until = self._read_at + KEEP if often else -math.inf
            try:
                return await session.read(wanted, each)
            except LinkError as error:
                if error.reason in ("timeout", "network") and self.session is session:
                    self.lose(error)  # rules 6 and 9
                raise
        finally:
            self._reading -= 1
            self._stir.set()

    async def _session_for(self, reader: _Reader, find: float) -> Session:
        try:
            async with asyncio.timeout(find):
                return await reader.ready
        except TimeoutError:
            what, do = f"not connected within {find:g} s", "wake it, or bring it nearer"
            raise self._error(what, do, "silent") from None
        finally:
            if reader in self._readers:
                self._readers.remove(reader)

    async def keep(self) -> None:
        """Connect whenever somebody wants something of the peer, for ever."""
        while True:
            self._stir.clear()
            if not self._wanted():
                await self._stir.wait()
                continue
            try:
                await self._visit()
            except LinkError as error:
                trouble = self._shared.trouble
                if trouble is not None and trouble.reason != "silent":
                    continue  # told by others, and nobody is found before it is over
                if error.reason == "silent":  # it is waited for (rule 11)
                    continue
                self.tell(error)
                pause = min(PAUSE[0] * 2 ** min(self._failures, 10), PAUSE[1])
                self._failures += 1
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))

    def _wanted(self) -> bool:
        return bool(self.ears or self._reading) or asyncio.get_running_loop().time() < self._keep_until

    async def _visit(self) -> None:
        """One connection, from a sighting to its end. Raises LinkError where the end is a fault."""
        shared, seen = self._shared, await self._find()
        address = seen.device.address
        self._end, self._giving_up = None, False
        shared.held[address] = self
        try:
            slot = await self._take_slot()
            try:
                await self._connect(seen, slot)
            finally:
                shared.slots.free(slot)
            if self._look_again:
                self._look_again = False
                await shared.forget_services(address)
        finally:
            del shared.held[address]
            self._after = asyncio.get_running_loop().time()

    async def _find(self) -> Sighting:
        """The peer, when it is there: heard since the last connection ended, or connected already."""
        shared = self._shared
        while True:
            for device, sent in await shared.left_over():
                if matches(self.peer, device.address, sent) and device.address not in self._taken:
                    seen = Sighting(device)
                    seen.at = asyncio.get_running_loop().time()
                    return seen
            heard = await shared.sightings.find(self.peer, self._after, self._taken, MISSING)
            if heard is not None:
                return heard

    async def _take_slot(self) -> Slot:
        do = "use fewer devices that connect, or one more adapter"
        full = self._error(f"no connection free for {FULL:.3g} s", do, "bus_full")
        timer = asyncio.get_running_loop().call_later(FULL, self.tell, full, True)
        try:
            return await self._shared.slots.take(self._give_up)
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self._giving_up = True
        self._stir.set()

    async def _connect(self, seen: Sighting, slot: Slot) -> None:
        loop, shared = asyncio.get_running_loop(), self._shared
        client = Client(seen.device, shared.link, self._lost)
        try:
            async with shared.connecting:
                if self._end is not None or loop.time() > seen.at + FRESH:
                    return  # it took long to get here: is it there still?
                found = await client.connect()
            shared.slots.connected(slot)
            began = loop.time()

            def served() -> None:
                self.heard_at = loop.time()
                if not slot.served:
                    self._failures = 0
                    shared.slots.served(slot)

            self.session = Session(client, found, shared.bell, served, shared.trace)
            try:
                await self._serve(self.session)
            except LinkError as error:
                hung_up = error.reason == "network" and shared.trouble is None
                if not (hung_up and slot.served and loop.time() < began + VISIT):
                    raise
        finally:
            self.session = None
            await undisturbed(client.disconnect())

    def _lost(self) -> None:
        what, do = "the connection is lost, it hung up or is out of reach", "it is connected to again when it is heard"
        self.lose(self._error(what, do, "network"))

    async def _serve(self, session: Session) -> None:
        """Hear and read as is wanted, as long as it is wanted and the connection lasts."""
        while self._wanted():
            self._stir.clear()
            if self._end is not None:
                raise self._end
            if self._giving_up:
                async with session.busy:
                    return
            if self._lacks(session):
                return
            for ear in [ear for ear in self.ears if ear not in session.ears]:
                ear.trouble.clear()
                await session.hear(ear, self._shared.timeout)
            self._call_readers(session)
            try:
                async with asyncio.timeout_at(None if self.ears or self._reading else self._keep_until):
                    await self._stir.wait()
            except TimeoutError:
                return

    def _call_readers(self, session: Session) -> None:
        readers, self._readers = self._readers, []
        for reader in readers:
            if not reader.ready.done():
                reader.ready.set_result(session)

    def _lacks(self, session: Session) -> bool:
        """Whether this connection ends to find out what the peer has now. Tells those for whom there is nothing."""
        ears = [ear for ear in self.ears if ear not in session.ears and not session.offers(ear)]
        readers = [reader for reader in self._readers if not session.has(reader.wanted)]
        if not (ears or readers):
            self._looked_again = False
            return False
        if not self._looked_again:
            self._look_again = self._looked_again = True
            return True
        self._looked_again = False
        what, do = "it has not the characteristics that are wanted", "check that it is the model configured"
        error = self._error(what, do, "garbled")
        for reader in readers:
            self._readers.remove(reader)
            if not reader.ready.done():
                reader.ready.set_exception(error)
        if ears and not (set(self.ears) - set(ears)):
            raise error
        for ear in ears:
            session.ears.append(ear)
            ear.trouble.set(error, True)
            ear.wake()
        return False

    def _error(self, what: str, do: str, reason: Reason) -> LinkError:
        parts = (self.peer.address, self.peer.name, self.peer.service, self.peer.company)
        peer = next((part for part in parts if part is not None), "any peer")
        return LinkError(f"{peer} on {self._shared.link}: {what}; {do}", reason)
