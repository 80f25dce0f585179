"""A Bluetooth adapter: adverts and connected peers, for all who listen and read over it."""

import asyncio
import contextlib
from typing import Any

from gateway.config_ble import BleLinkConfig
from gateway.errors import LinkError
from gateway.links.air import OnAir, Peer, Value
from gateway.links.base import Told
from gateway.links.ble import BLEDevice, Sent
from gateway.links.connection import Connection, Shared
from gateway.links.radio_ears import AdvertEar, Bell, RadioEar, make_ear
from gateway.links.radio_watch import QUIET, Watch
from gateway.links.sightings import Sightings
from gateway.links.slots import Slots
from gateway.supervisor import background, end

FIND_WITHIN = 30.0  # s in which a peer that is to be read is heard and connected
_END_WITHIN = 15.0  # s; a connection takes 2.2 s to end


class Radio:
    """One adapter; fulfils gateway.links.base.RadioLink."""

    def __init__(self, name: str, config: BleLinkConfig) -> None:
        self.name = name
        self.trace: Told | None = None
        self._config = config
        self._ears: dict[str, RadioEar] = {}
        self._connections: dict[Peer, Connection] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._bell = Bell()
        self._sightings = Sightings(self._bell, lambda: self.trace)
        self._shared = Shared(
            name,
            config.timeout,
            self._sightings,
            Slots(config.connections),
            self._bell,
            self._left_over,
            self._forget_services,
            lambda: self.trace,
        )
        self._watch: Watch | None = None

    async def close(self) -> None:
        """End all connections and the scan. Never raises; the next question begins anew."""
        tasks, self._tasks, self._watch = self._tasks, [], None
        await end(tasks, _END_WITHIN)
        self._bell.close()
        self._shared.trouble = None
        for ear in self._ears.values():
            ear.trouble.clear()

    async def frames(self, ear: str, hear: OnAir, within: float) -> list[Any]:
        """Frames for an ear, as gateway.links.base.RadioLink says."""
        loop = asyncio.get_running_loop()
        mine = self._ears.get(ear)
        if mine is None or (mine.asked is not hear and mine.asked != hear):
            await self.forget(ear)
            mine = self._join(ear, hear)
        self._open()
        if (frames := mine.fetch()) or within <= 0:
            return frames
        until = loop.time() + within
        if mine.trouble.due > loop.time():
            mine.waiter = loop.create_future()
            timer = loop.call_at(min(until, mine.trouble.due), mine.wake)
            try:
                await mine.waiter
            finally:
                timer.cancel()
                mine.waiter = None
            if frames := mine.fetch():
                return frames
        if (error := mine.trouble.take(loop.time())) is not None:
            raise error
        return []

    def counts(self, ear: str) -> dict[str, int]:
        """What an ear lost, as gateway.links.base.RadioLink says."""
        return self._ears[ear].counts() if ear in self._ears else {}

    async def forget(self, ear: str) -> None:
        """Nobody listens with this ear any more."""
        mine = self._ears.pop(ear, None)
        if isinstance(mine, AdvertEar):
            self._sightings.leave(mine)
        elif mine is not None:
            self._connections[mine.asked.peer].leave(mine)

    async def read_values(
        self,
        peer: Peer,
        characteristics: tuple[str, ...],
        timeout: float | None = None,  # noqa: ASYNC109 - a plain value of the contract, kept by the link
    ) -> list[Value]:
        """Read, as gateway.links.base.RadioLink says."""
        connection = self._connection(peer)
        self._open()
        if (trouble := self._shared.trouble) is not None and connection.session is None:
            raise LinkError(str(trouble), trouble.reason)
        return await connection.read(characteristics, self._config.timeout if timeout is None else timeout, FIND_WITHIN)

    def _join(self, name: str, hear: OnAir) -> RadioEar:
        mine = self._ears[name] = make_ear(hear)
        if isinstance(mine, AdvertEar):
            self._sightings.join(mine)
        else:
            self._connection(hear.peer).join(mine)
        if self._shared.trouble is not None:
            mine.trouble.set(self._shared.trouble, lasts=True)
        return mine

    def _connection(self, peer: Peer) -> Connection:
        found = self._connections.get(peer)
        if found is None:
            found = self._connections[peer] = Connection(self._shared, peer)
            if self._tasks:
                self._keep(found)
        return found

    def _open(self) -> None:
        """Begin all that runs beside those who listen."""
        if self._tasks:
            return
        self._watch = Watch(self.name, self._config, self._sightings, self._told, self._busy, self._ours)
        self._tasks.append(background(f"link {self.name}", self._watch.run))
        for connection in self._connections.values():
            self._keep(connection)

    def _keep(self, connection: Connection) -> None:
        if self._watch is not None:
            self._watch.answer()
        self._tasks.append(background(f"link {self.name}, a connection", connection.keep))

    # -- what the watch says, and what it is asked ----------------------------------------------------------------

    def _told(self, trouble: LinkError | None) -> None:
        """Nothing goes over the adapter, or it does again."""
        self._shared.trouble = trouble
        for ear in self._ears.values():
            if trouble is None:
                ear.trouble.clear()
            elif isinstance(ear, AdvertEar):
                ear.trouble.set(trouble, lasts=True)
                ear.wake()
        for connection in self._connections.values():
            if trouble is not None and (trouble.reason != "silent" or connection.session is None):
                connection.lose(trouble)
                connection.tell(trouble, lasts=True)

    def _busy(self) -> bool:
        since = asyncio.get_running_loop().time() - QUIET
        return any(one.session is not None and one.heard_at > since for one in self._connections.values())

    def _ours(self, address: str) -> bool:
        return address in self._shared.held or any(peer.address == address for peer in self._connections)

    async def _left_over(self) -> list[tuple[BLEDevice, Sent]]:
        return [] if self._watch is None else await self._watch.left_over()

    async def _forget_services(self, address: str) -> None:
        with contextlib.suppress(LinkError):
            if self._watch is not None:
                await self._watch.forget_services(address)
