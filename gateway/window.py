"""The publishes of one connection that have no answer yet, and for how long they may be without."""

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import partial

from gateway import mqtt
from gateway.buffer import Held

WINDOW = 64  # of ours; the broker's Receive Maximum is usually smaller
ANSWER_WITHIN = 20.0  # s; a publish without an answer for so long ends the connection
_OVERHEAD = 32  # bytes of a PUBLISH beside topic and payload, at most


class Flight:
    """One publish that has no verdict yet: of samples (`held`), a ledger note, or a retained description."""

    __slots__ = ("backlog", "held", "since", "topic", "verdict")

    def __init__(
        self, topic: str, verdict: Callable[["Flight", int], None], held: Sequence[Held] = (), backlog: bool = False
    ) -> None:
        self.topic, self.verdict, self.held, self.backlog = topic, verdict, held, backlog
        self.since = 0.0  # loop time


class Window:
    """Its length is how many are in flight. `answered` is called after each verdict, `stalled` when none comes."""

    def __init__(self, answered: Callable[[], None], stalled: Callable[[str], None]) -> None:
        self.session: mqtt.Session | None = None  # None: nothing can be sent
        self.size = 0
        self.backlog = 0  # how many in flight are of the backlog
        self._flights: dict[Flight, None] = {}  # oldest first
        self._timer: asyncio.TimerHandle | None = None
        self._answered, self._stalled = answered, stalled

    def __len__(self) -> int:
        return len(self._flights)

    def open(self, session: mqtt.Session) -> None:
        """A new connection, with nothing in flight."""
        self.session = session
        self.size = min(session.receive_maximum, WINDOW)

    def close(self) -> list[Flight]:
        """The connection is over: what had no verdict, oldest first. None of it will have one."""
        self.session = None
        outstanding = list(self._flights)
        self._flights.clear()
        self.backlog = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return outstanding

    def most(self, topic: str) -> float:
        """The longest payload that the hub's Maximum Packet Size allows on a topic."""
        assert self.session is not None
        return (self.session.maximum_packet or math.inf) - len(topic) - _OVERHEAD

    def publish(self, flight: Flight, content: bytes, retain: bool = False) -> None:
        """Send now; the flight's verdict is called with the reason code."""
        assert self.session is not None
        loop = asyncio.get_running_loop()
        flight.since = loop.time()
        self._flights[flight] = None
        self.backlog += flight.backlog
        if self._timer is None:
            self._timer = loop.call_at(flight.since + ANSWER_WITHIN, self._check)
        self.session.publish(flight.topic, content, retain, partial(self._verdict, flight))

    def _verdict(self, flight: Flight, code: int | None) -> None:
        if flight not in self._flights:
            return  # of a connection that is over
        if code is None:
            self.session = None  # it is over, too; `close` follows
            return
        del self._flights[flight]
        self.backlog -= flight.backlog
        flight.verdict(flight, code)
        self._answered()

    def _check(self) -> None:
        self._timer = None
        oldest = next(iter(self._flights), None)
        if oldest is None or self.session is None:
            return
        loop = asyncio.get_running_loop()
        if oldest.since + ANSWER_WITHIN > loop.time():
            self._timer = loop.call_at(oldest.since + ANSWER_WITHIN, self._check)
        else:
            self._stalled(f"the hub did not answer a publish within {ANSWER_WITHIN:g} s")
