"""Buffer -> hub: what is sent next, how much at once, and what each verdict means.

Order: retained descriptions, ledger notes, live samples (oldest first), backlog (at most half of the window).
Sending is synchronous: a sample is on the wire before `take` returns, and the verdict of one publish sends the next.
"""

import asyncio
import contextlib
import logging
import math
import random
from collections import deque
from collections.abc import Callable
from functools import partial

from gateway import mqtt
from gateway.buffer import Buffer, Held
from gateway.clock import Clock
from gateway.config import HubConfig
from gateway.errors import LinkError
from gateway.ledger import Book
from gateway.packing import take_pack

log = logging.getLogger("labgate.uplink")

WINDOW = 64  # of ours; the broker's Receive Maximum is usually smaller
JOINED_BYTES = 64_000  # a pack of several samples is no larger
ANSWER_WITHIN = 20.0  # s; a publish without an answer for so long ends the connection
TRIES = 3  # refusals of one sample before it is set aside
NOT_AUTHORISED, QUOTA_EXCEEDED, PACKET_TOO_LARGE, NO_SUBSCRIBERS = 0x87, 0x97, 0x95, 0x10
_PAUSE = (1.0, 300.0)  # s, first and longest pause of a refused topic or login
_RETRY = (0.3, 0.8)  # s, by which the pause after a failed connection grows, and the longest of them
_OVERHEAD = 32  # bytes of a PUBLISH beside topic and payload, at most


class Flight:
    """One publish that has no verdict yet: of samples (`held`), a ledger note, or a retained description."""

    __slots__ = ("backlog", "held", "since", "topic", "verdict")

    def __init__(self, topic: str, held: list[Held], backlog: bool, verdict: Callable[["Flight", int], None]) -> None:
        self.topic, self.held, self.backlog, self.verdict = topic, held, backlog, verdict
        self.since = 0.0


class Uplink:
    """Publishes what the buffer offers and tells it what was confirmed. Reconnects for ever, with jitter."""

    def __init__(self, hub: HubConfig, client_id: str, buffer: Buffer, clock: Clock, will: mqtt.Will) -> None:
        self.hub, self.client_id, self.will = hub, client_id, will
        self.connected: Callable[[], None] = lambda: None  # the application's: say everything again
        self.changed: Callable[[], None] = lambda: None  # … : a problem came or went
        self.drained: Callable[[], None] = lambda: None  # … : the backlog of a device may be gone
        self.protocol: str | None = None  # "5.0" or "3.1.1" while connected
        self.problem: LinkError | None = None  # why there is no connection
        self.unheard = False  # the hub accepts samples that nobody subscribes to
        self.paused: dict[str, float] = {}  # topic -> loop time at which it is tried again
        self._buffer, self._clock = buffer, clock
        self._session: mqtt.Session | None = None
        self._window = 0
        self._backlog_in_flight = 0
        self._flights: dict[Flight, None] = {}  # oldest first
        self._lost: list[Flight] = []
        self._breaks = 0  # connections that ended with samples in flight and none confirmed between
        self._pauses: dict[str, float] = {}  # topic -> its last pause, doubled at each refusal
        self._retained: dict[str, bytes] = {}  # to be sent; the latest wins
        self._notes: set[int] = set()  # in flight, or refused on this connection
        self._ended: asyncio.Future[str] | None = None  # why we end this connection
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = asyncio.Event()
        buffer.offer = self.pump

    # -- connection ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep a connection until `stop`."""
        pause = 0.0
        while not self._stopping.is_set():
            try:
                async with mqtt.connect(self.hub, self.client_id, self.will) as session:
                    pause = 0.0
                    self._ended = asyncio.get_running_loop().create_future()
                    self._begin(session)
                    await asyncio.wait([session.lost, self._ended], return_when=asyncio.FIRST_COMPLETED)
                    if not self._stopping.is_set():  # leaving with an error publishes the will
                        if self._ended.done():
                            raise LinkError(self._ended.result(), "timeout")
                        raise LinkError(session.ended, code=session.end_code)
                self._end(LinkError("stopped"))
            except LinkError as error:
                self._end(error)
                # A closed port costs nothing to try; a hub that says no is asked less and less often.
                refused = error.code is not None
                pause = min(max(2 * pause, _PAUSE[0]), _PAUSE[1] / 5) if refused else min(pause + _RETRY[0], _RETRY[1])
            if not self._stopping.is_set():
                await self._sleep(pause * random.uniform(0.75, 1.1))

    async def stop(self, topic: str, goodbye: bytes) -> None:
        """Say goodbye (a retained status) if there is anybody to say it to, within a second; `run` ends."""
        if self._session is not None:
            heard = asyncio.Event()
            self._session.publish(topic, goodbye, True, lambda _: heard.set())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(heard.wait(), 1.0)
        self._stopping.set()
        self._hang_up("stopped")

    def _hang_up(self, why: str) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(why)

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _begin(self, session: mqtt.Session) -> None:
        self._session = session
        self.protocol, self.problem = session.protocol, None
        self._window = min(session.receive_maximum, WINDOW) if self._breaks < 2 else 1
        log.info("connected to %s (MQTT %s, window %d)", self.hub.url, session.protocol, self._window)
        self.connected()
        self.pump()

    def _end(self, error: LinkError) -> None:
        """All that had no verdict returns to its lane, to be sent again under the same name."""
        self._session, self.protocol = None, None
        outstanding = [f for f in (*self._lost, *self._flights) if f.held]
        self._lost, self._flights = [], {}
        self._backlog_in_flight = 0
        self._notes.clear()
        if outstanding:
            self._breaks += 1
        if self._breaks > 2 and len(outstanding) == 1 and len(outstanding[0].held) == 1:
            log.error("a sample on %s breaks the connection each time it is sent; set aside", outstanding[0].topic)
            self._buffer.refuse(outstanding.pop().held[0], "connection lost")
        for flight in reversed(outstanding):
            for held in reversed(flight.held):
                self._buffer.give_back(held)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.problem is None and not self._stopping.is_set():
            log.warning("no connection to %s: %s", self.hub.url, error)
        if str(self.problem) != str(error):
            self.problem = error
            self.changed()

    # -- sending ------------------------------------------------------------------------------------------------

    def retain(self, topic: str, content: bytes) -> None:
        """Publish a retained description, at least once; a newer one for the same topic replaces it. b"" clears."""
        self._retained.pop(topic, None)
        self._retained[topic] = content
        self.pump()

    def view(self, topic: str, content: bytes) -> None:
        """Publish the newest values for dashboards: retained, QoS 0, only while connected."""
        if self._session is not None:
            self._session.publish(topic, content, True)

    def pump(self) -> None:
        """Send what waits, as far as the window is open."""
        while self._session is not None and len(self._flights) < self._window:
            live = self._buffer.live
            if not (self._send_retained() or self._send_note() or self._send_from(live, False) or self._send_backlog()):
                return

    def _send_retained(self) -> bool:
        if not self._retained:
            return False
        topic = next(iter(self._retained))
        content = self._retained.pop(topic)

        def verdict(_: Flight, code: int) -> None:
            if code >= 0x80:
                log.warning("the hub refuses %s (0x%02x)", topic, code)
            elif not content:
                self._buffer.release_topic(topic)

        self._publish(Flight(topic, [], False, verdict), content, retain=True)
        return True

    def _send_note(self) -> bool:
        id_ = next((i for i in self._buffer.notes if i not in self._notes), None)
        if id_ is None:
            return False

        def verdict(flight: Flight, code: int) -> None:
            if code < 0x80:
                self._notes.discard(id_)
                self._buffer.confirm_note(id_)
            else:
                log.warning("the hub refuses %s (0x%02x); held until the next connection", flight.topic, code)

        note = self._buffer.notes[id_]
        self._notes.add(id_)
        self._publish(Flight(f"{self.hub.prefix}/{note.gateway}/ledger", [], False, verdict), note.body)
        return True

    def _send_backlog(self) -> bool:
        if self._backlog_in_flight * 2 >= self._window and self._backlog_in_flight:
            return False
        if self._buffer.backlog and self._send_from(self._buffer.backlog, backlog=True):
            return True
        self._buffer.want_backlog()
        return False

    def _send_from(self, lanes: dict[Book, deque[Held]], backlog: bool) -> bool:
        """Send the next pack of a lane: the samples of one device that wait together. False when there is none."""
        assert self._session is not None
        for book in lanes:
            topic = self._data_topic(book)
            if topic not in self.paused:
                break
        else:
            return False
        lane = lanes[book]
        most = (self._session.maximum_packet or math.inf) - len(topic) - _OVERHEAD
        joined = min(most, JOINED_BYTES) if self._window > 1 else 0
        held, content = take_pack(lane, self._clock, self._buffer.run, joined)
        if not lane:
            del lanes[book]
        if len(content) > most:
            self._buffer.refuse(held[0], f"refused 0x{PACKET_TOO_LARGE:02x}")
        elif held:
            self._backlog_in_flight += backlog
            self._publish(Flight(topic, held, backlog, self._verdict), content)
        return True

    def _data_topic(self, book: Book) -> str:
        return f"{self.hub.prefix}/{book.gateway}/{book.device}/data"

    def _publish(self, flight: Flight, content: bytes, retain: bool = False) -> None:
        assert self._session is not None
        loop = asyncio.get_running_loop()
        flight.since = loop.time()
        self._flights[flight] = None
        if self._timer is None:
            self._timer = loop.call_at(flight.since + ANSWER_WITHIN, self._check_stall)
        self._session.publish(flight.topic, content, retain, partial(self._answered, flight))

    # -- verdicts -----------------------------------------------------------------------------------------------

    def _answered(self, flight: Flight, code: int | None) -> None:
        if flight not in self._flights:
            return  # of a connection that is over
        del self._flights[flight]
        self._backlog_in_flight -= flight.backlog
        if code is None:
            self._session = None
            self._lost.append(flight)
        else:
            flight.verdict(flight, code)
            self.pump()

    def _verdict(self, flight: Flight, code: int) -> None:
        if code in (0, NO_SUBSCRIBERS) and self.unheard != (code == NO_SUBSCRIBERS):
            self.unheard = not self.unheard
            self.changed()
        if code < 0x80 and not (code == NO_SUBSCRIBERS and self.hub.unheard == "hold"):
            self._confirmed(flight)
        else:
            self._refused(flight, code)

    def _confirmed(self, flight: Flight) -> None:
        self._breaks = 0
        if self._window == 1 and self._session is not None:
            self._window = min(self._session.receive_maximum, WINDOW)
        if self._pauses:
            self._pauses.pop(flight.topic, None)
        for held in flight.held:
            self._buffer.confirm(held)
        if flight.held[-1].row is not None:
            self.drained()

    def _refused(self, flight: Flight, code: int) -> None:
        topic_refused = code in (NOT_AUTHORISED, QUOTA_EXCEEDED, NO_SUBSCRIBERS)
        for held in reversed(flight.held):
            # A joined pack that is refused says nothing about one sample: each is sent again alone.
            held.tries += not topic_refused
            alone = len(flight.held) == 1
            if alone and not topic_refused and (held.tries >= TRIES or code == PACKET_TOO_LARGE):
                self._buffer.refuse(held, f"refused 0x{code:02x}")
            else:
                self._buffer.give_back(held)
        if topic_refused:
            self._pause(flight.topic, code)

    def _pause(self, topic: str, code: int) -> None:
        loop = asyncio.get_running_loop()
        if topic in self.paused:
            return
        seconds = min(max(2 * self._pauses.get(topic, 0.0), _PAUSE[0]), _PAUSE[1])
        if topic not in self._pauses:
            log.warning("the hub refuses %s (0x%02x); its samples are held, others go on", topic, code)
        self._pauses[topic] = seconds
        self.paused[topic] = loop.time() + seconds
        loop.call_later(seconds, self._resume, topic)
        self._rewind()
        self.changed()

    def _resume(self, topic: str) -> None:
        del self.paused[topic]
        self._rewind()
        self.changed()
        self.pump()

    def _rewind(self) -> None:
        books = self._buffer.all_books()
        self._buffer.rewind(b for b in books if self._data_topic(b) in self.paused)

    def _check_stall(self) -> None:
        self._timer = None
        oldest = next(iter(self._flights), None)
        if oldest is None or self._session is None:
            return
        loop = asyncio.get_running_loop()
        if oldest.since + ANSWER_WITHIN > loop.time():
            self._timer = loop.call_at(oldest.since + ANSWER_WITHIN, self._check_stall)
        else:
            self._hang_up(f"the hub did not answer a publish within {ANSWER_WITHIN:g} s")
