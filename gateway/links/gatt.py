"""One live connection to a peer: what it has, what it sends to whom, and reads, one operation at a time."""

import asyncio
from collections.abc import Callable, Collection

from gateway.errors import LinkError
from gateway.links.air import Value
from gateway.links.base import Told
from gateway.links.ble import Characteristic, Client, drain
from gateway.links.radio_ears import Bell, StreamEar, ValueEar

ECHO = 1.0  # s in which what we read ourselves may come as a notification, too (rule 5)

ConnectedEar = ValueEar | StreamEar


class Session:
    """From the connect to the end of the link. `served` is called with all that comes."""

    def __init__(
        self,
        client: Client,
        found: list[Characteristic],
        bell: Bell,
        served: Callable[[], None],
        trace: Callable[[], Told | None],
    ) -> None:
        self.ears: list[ConnectedEar] = []  # that hear, or never will: it has not what they want
        self.busy = asyncio.Lock()  # one operation at a time (rule 8)
        self._client, self._found = client, found
        self._bell, self._served, self._trace = bell, served, trace
        self._told: dict[int, list[ConnectedEar]] = {}  # by handle
        self._reading: tuple[int, list[bytes]] | None = None  # handle, and what it notified meanwhile
        self._echoes: list[tuple[int, bytes, float]] = []  # handle, data, until when (loop time)

    def offers(self, ear: ConnectedEar) -> list[Characteristic]:
        """What the peer can send to this ear: chosen by UUID and property, never by the order it is listed in."""
        if isinstance(ear, StreamEar):
            return [c for c in self._found if c.notifies and c.service == ear.asked.service][:1]
        return [c for c in self._found if c.notifies and c.uuid in ear.asked.characteristics]

    def has(self, uuids: Collection[str]) -> bool:
        """Whether one of these can be read."""
        return any(c.readable and c.uuid in uuids for c in self._found)

    async def hear(self, ear: ConnectedEar, within: float) -> None:
        """Subscribe to what this ear wants, and read once what it wants to know first, `within` s each.

        What comes meanwhile stands behind what is read, and is kept also when the link is lost before the end.
        """
        self.ears.append(ear)
        async with self.busy:
            if isinstance(ear, StreamEar):
                ear.opened()
            else:
                ear.hold()
            try:
                for one in self.offers(ear):
                    ears = self._told.setdefault(one.handle, [])
                    ears.append(ear)
                    if len(ears) == 1:
                        await self._subscribe(one)
                if isinstance(ear, ValueEar):
                    await self._read_first(ear, within)
            finally:
                if isinstance(ear, ValueEar) and ear.release():
                    self._bell.ring(ear, asyncio.get_running_loop().time())

    async def _subscribe(self, one: Characteristic) -> None:
        await self._client.subscribe(one.handle, lambda data: self._came(one, data))

    async def _read_first(self, ear: ValueEar, within: float) -> None:
        for one in self._found:
            if one.readable and one.uuid in ear.asked.read:
                try:
                    ear.put_first(self._value(one, await self._read(one, within)))
                except LinkError as error:
                    if error.reason != "exception":  # it says no to this one
                        raise

    def drop(self, ear: ConnectedEar) -> None:
        """This ear hears no more."""
        if ear in self.ears:
            self.ears.remove(ear)
            for ears in self._told.values():
                if ear in ears:
                    ears.remove(ear)

    async def read(self, uuids: Collection[str], within: float) -> list[Value]:
        """Read all of these, by handle, `within` s each. Raises LinkError."""
        async with self.busy:
            wanted = [one for one in self._found if one.readable and one.uuid in uuids]
            return [self._value(one, await self._read(one, within)) for one in wanted]

    async def _read(self, one: Characteristic, within: float) -> bytes:
        """What is read comes as a notification, too, where one is subscribed to it: that is told to nobody."""
        early: list[bytes] = []
        if one.handle in self._told:
            self._reading = (one.handle, early)
        try:
            data = await self._client.read(one.handle, within)
            self._tell(data)
            drain()
            if data in early:
                early.remove(data)
            elif self._reading is not None:
                self._echoes.append((one.handle, data, asyncio.get_running_loop().time() + ECHO))
        finally:
            self._reading = None
            for other in early:
                self._deliver(one, other)
        self._served()
        return data

    def _came(self, one: Characteristic, data: bytes) -> None:
        if self._reading is not None and self._reading[0] == one.handle:
            self._reading[1].append(data)
            return
        if self._echoes:
            now = asyncio.get_running_loop().time()
            self._echoes = [echo for echo in self._echoes if now < echo[2]]
            for echo in self._echoes:
                if echo[:2] == (one.handle, data):
                    self._echoes.remove(echo)
                    return
        self._deliver(one, data)

    def _deliver(self, one: Characteristic, data: bytes) -> None:
        self._served()
        self._tell(data)
        now = asyncio.get_running_loop().time()
        for ear in self._told.get(one.handle, ()):
            if isinstance(ear, StreamEar):
                ear.hear(data)
            else:
                ear.put(self._value(one, data))
                self._bell.ring(ear, now)

    def _value(self, one: Characteristic, data: bytes) -> Value:
        return Value(self._client.address, one.uuid, one.handle, data)

    def _tell(self, data: bytes) -> None:
        if (trace := self._trace()) is not None:
            trace("<<", data, asyncio.get_running_loop().time())
