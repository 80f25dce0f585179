"""Buffer -> hub: what is sent next, how much at once, and what each verdict means.

Order: retained descriptions, ledger notes, live samples (oldest first), backlog (at most half of the window).
Sending is synchronous: a sample is on the wire before `take` returns, and the verdict of one publish sends the next.
"""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable

from gateway import mqtt
from gateway.buffer import Buffer, Held
from gateway.clock import Clock
from gateway.config import HubConfig
from gateway.errors import LinkError
from gateway.ledger import Book
from gateway.packing import take_pack
from gateway.pauses import Pauses
from gateway.window import Flight, Window

log = logging.getLogger("labgate.uplink")

JOINED_BYTES = 64_000  # a pack of several samples is no larger
GOODBYE_WITHIN = 1.0  # s, for all answers when we leave
TRIES = 3  # refusals of one sample before it is set aside
REFUSED = 0x80  # reason codes from here on
NOT_AUTHORISED, QUOTA_EXCEEDED, PACKET_TOO_LARGE, NO_SUBSCRIBERS, SHUTTING_DOWN = 0x87, 0x97, 0x95, 0x10, 0x8B
_RETRY = (0.3, 0.8)  # s, by which the pause after a failed connection grows, and the longest of them
_SENT_AWAY = (1.0, 60.0)  # s, first and longest pause when the hub says no; a longer connection makes them short again


class Uplink:
    """Publishes what the buffer offers and tells it what was confirmed. Reconnects for ever, with jitter."""

    def __init__(self, hub: HubConfig, client_id: str, buffer: Buffer, clock: Clock, will: mqtt.Will) -> None:
        self.hub, self.client_id, self.will = hub, client_id, will
        self.connected: Callable[[], None] = lambda: None  # the application's: say everything again
        self.changed: Callable[[], None] = lambda: None  # … : a problem came or went
        self.drained: Callable[[], None] = lambda: None  # … : nothing is held any more of a device of an earlier run
        self.protocol: str | None = None  # "5.0" or "3.1.1" while connected
        self.problem: LinkError | None = None  # why there is no connection
        self.paused = Pauses(self._resume)  # topics the hub refuses
        self._unheard: set[str] = set()  # topics on which nobody listens
        self._buffer, self._clock = buffer, clock
        self._window = Window(self.pump, self._hang_up)
        self._breaks = 0  # connections that ended with samples in flight and none confirmed between
        self._retained: dict[str, bytes] = {}  # to be sent; the latest wins
        self._ended: asyncio.Future[None] | None = None  # we end this connection …
        self._why = ""  # … for this
        self._stopping = asyncio.Event()
        self._quiet: asyncio.Event | None = None  # we are leaving: set when the hub has answered everything
        buffer.offer = self.pump
        buffer.unwanted = self._unwanted

    @property
    def unheard(self) -> bool:
        """Whether the hub takes samples that nobody subscribes to."""
        return bool(self._unheard)

    # -- connection ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep a connection until `stop`."""
        now, pause = asyncio.get_running_loop().time, 0.0
        while not self._stopping.is_set():
            began = now()
            try:
                await self._connection()
            except LinkError as error:
                if self.problem is None:
                    log.warning("no connection to %s: %s", self.hub.url, error)
                self.problem = error
                if now() - began > _SENT_AWAY[1]:
                    pause = 0.0
                # A closed port costs nothing to try; a hub that says no is asked less and less often.
                passing = error.code in (None, 0, SHUTTING_DOWN)
                step, longest = _RETRY if passing else (max(pause, _SENT_AWAY[0]), _SENT_AWAY[1])
                pause = min(pause + step, longest)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause * random.uniform(0.75, 1.1))

    async def stop(self, topic: str, goodbye: bytes) -> None:
        """Say goodbye (a retained status) if there is anybody to say it to, and nothing else; `run` ends."""
        self._quiet = asyncio.Event()
        self._retained = {topic: goodbye}
        self.pump()
        if self._window.session is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), GOODBYE_WITHIN)
        self._stopping.set()
        self._hang_up("stopped")

    async def _connection(self) -> None:
        """One connection to its end. Raises LinkError, except when it is us who leave."""
        async with mqtt.connect(self.hub, self.client_id, self.will) as session:
            if self._stopping.is_set():
                return
            self._ended = asyncio.get_running_loop().create_future()
            self._begin(session)
            try:
                await asyncio.wait([session.lost, self._ended], return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._end()
            if self._stopping.is_set():
                return
            if self._ended.done():
                raise LinkError(self._why, "timeout")
            raise LinkError(session.ended or "the hub closed the connection", code=session.end_code)

    def _begin(self, session: mqtt.Session) -> None:
        self._window.open(session)
        self.protocol, self.problem = session.protocol, None
        self.paused.clear()
        log.info("connected to %s (MQTT %s, window %d)", self.hub.url, session.protocol, self._window.size)
        self.connected()
        self.pump()

    def _end(self) -> None:
        """All that had no verdict returns to its lane, to be sent again under the same name."""
        outstanding = [f for f in self._window.close() if f.held]
        self.protocol = self._buffer.note_flying = None
        if outstanding and not self._stopping.is_set():
            self._breaks += 1
            if self._breaks > 2 and len(outstanding) == 1 and len(outstanding[0].held) == 1:
                log.error("a sample on %s breaks the connection each time it is sent; set aside", outstanding[0].topic)
                self._refuse(outstanding.pop().held[0], "connection lost")
        for flight in reversed(outstanding):
            for held in reversed(flight.held):
                self._buffer.give_back(held)

    def _hang_up(self, why: str) -> None:
        if self._ended is not None and not self._ended.done():
            self._why = why
            self._ended.set_result(None)

    # -- sending ------------------------------------------------------------------------------------------------

    def retain(self, topic: str, content: bytes) -> None:
        """Publish a retained description, at least once; a newer one for the same topic replaces it. b"" clears."""
        if self._quiet is None:
            self._retained.pop(topic, None)
            self._retained[topic] = content
            self.pump()

    def view(self, topic: str, content: bytes) -> None:
        """Publish the newest values for dashboards: retained, QoS 0, only while connected."""
        if self._window.session is not None:
            self._window.session.publish(topic, content, True)

    def pump(self) -> None:
        """Send what waits, as far as the window is open: one at a time when the connection broke again and again."""
        window = self._window
        while window.session is not None and len(window) < (window.size if self._breaks < 2 else 1):
            if self._retained and self._send_retained():
                continue
            if self._quiet is not None:
                if not window:
                    self._quiet.set()
                return
            if not (self._send_note() or self._send_from(self._buffer.live, backlog=False) or self._send_backlog()):
                return

    def _send_retained(self) -> bool:
        topic = next((t for t in self._retained if t not in self.paused), None)
        if topic is None:
            return False
        content = self._retained.pop(topic)
        if len(content) > self._window.most(topic):
            log.warning("the hub does not take packets as large as %s (%d bytes)", topic, len(content))
            return True

        def verdict(_: Flight, code: int) -> None:
            if code >= REFUSED:
                self._retained.setdefault(topic, content)
                self._pause(topic, code)
            elif not content:
                self._buffer.release_topic(topic)

        self._window.publish(Flight(topic, verdict), content, retain=True)
        return True

    def _send_note(self) -> bool:
        """One note after the other: what is settled is said after what was dropped."""
        b = self._buffer
        if not b.notes or b.note_flying is not None:
            return False
        id_, note = next(iter(b.notes.items()))
        topic = f"{self.hub.prefix}/{note.gateway}/ledger"
        if topic in self.paused:
            return False
        if len(note.body) > self._window.most(topic):
            self._pause(topic, PACKET_TOO_LARGE)
            return False

        def verdict(_: Flight, code: int) -> None:
            b.note_flying = None
            if self._taken(code):
                self.paused.accepted(topic)
                b.confirm_note(id_)
            else:
                self._pause(topic, code)

        b.note_flying = id_
        self._window.publish(Flight(topic, verdict), note.body)
        return True

    def _send_backlog(self) -> bool:
        if self._window.backlog and (self._window.backlog + 1) * 2 > self._window.size:
            return False
        if self._buffer.backlog and self._send_from(self._buffer.backlog, backlog=True):
            return True
        self._buffer.want_backlog()
        return False

    def _send_from(self, lanes: dict[Book, deque[Held]], backlog: bool) -> bool:
        """Send the next pack of a lane: the samples of one device that wait together. False when there is none."""
        for book in lanes:
            topic = self._data_topic(book)
            if topic not in self.paused:
                break
        else:
            return False
        lane, most = lanes[book], self._window.most(topic)
        joined = min(most, JOINED_BYTES) if self._breaks < 2 else 0
        held, content = take_pack(lane, self._clock, self._buffer.run, joined)
        if not lane:
            del lanes[book]
        if len(content) > most:
            self._refuse(held[0], f"refused 0x{PACKET_TOO_LARGE:02x}")
        elif held:
            self._window.publish(Flight(topic, self._verdict, held, backlog), content)
        return True

    def _data_topic(self, book: Book) -> str:
        return f"{self.hub.prefix}/{book.gateway}/{book.device}/data"

    # -- verdicts -----------------------------------------------------------------------------------------------

    def _taken(self, code: int) -> bool:
        """Whether the hub answers for it now."""
        return code < REFUSED and not (code == NO_SUBSCRIBERS and self.hub.unheard == "hold")

    def _verdict(self, flight: Flight, code: int) -> None:
        if code == NO_SUBSCRIBERS or self._unheard:
            self._listeners(flight.topic, code)
        if not self._taken(code):
            self._refused(flight, code)
            return
        self._breaks = 0
        self.paused.accepted(flight.topic)
        for held in flight.held:
            self._buffer.confirm(held)
        self._emptied(flight.held[0].book)

    def _listeners(self, topic: str, code: int) -> None:
        before = self.unheard
        (self._unheard.add if code == NO_SUBSCRIBERS else self._unheard.discard)(topic)
        if self.unheard != before:
            self.changed()

    def _refused(self, flight: Flight, code: int) -> None:
        of_topic, first = code in (NOT_AUTHORISED, QUOTA_EXCEEDED, NO_SUBSCRIBERS), flight.held[0]
        alone = len(flight.held) == 1
        if alone and not of_topic:
            first.tries += 1
            if code == PACKET_TOO_LARGE or first.tries >= TRIES:
                self._refuse(first, f"refused 0x{code:02x}")
                return
        for held in reversed(flight.held):
            # A joined pack that is refused says nothing about one sample: each is sent again alone.
            held.alone = held.alone or code >= REFUSED
            self._buffer.give_back(held)
        if of_topic or alone:
            self._pause(flight.topic, code)

    def _refuse(self, held: Held, reason: str) -> None:
        self._buffer.refuse(held, reason)
        self._emptied(held.book)

    def _emptied(self, book: Book) -> None:
        if not book.held and book.run != self._buffer.run:
            self.drained()

    def _pause(self, topic: str, code: int) -> None:
        if self.paused.refused(topic):
            log.warning("the hub refuses %s (0x%02x); what it is for is held, other topics go on", topic, code)
        self._buffer.rewind()
        self.changed()

    def _resume(self) -> None:
        self._buffer.rewind()
        self.changed()
        self.pump()

    def _unwanted(self) -> list[Book]:
        """Books whose samples cannot be sent now."""
        return [b for b in self._buffer.all_books() if self._data_topic(b) in self.paused] if self.paused else []
