"""A conversation on a wire: requests in, answers out, and what goes wrong with them on purpose."""

import asyncio
import heapq
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import NamedTuple

from simulators.faults import Fault, Outcome
from simulators.line import Line
from simulators.modbus_slave import (
    ILLEGAL_DATA_ADDRESS,
    READ_DISCRETE_INPUTS,
    Framing,
    FramingError,
    Request,
    Slave,
    exception,
)
from simulators.truth import Moment, Truth


@dataclass
class Station:
    """A slave on a wire, its faults, and the record of what it gives. `device`, how to reach it, is set by the wire.

    `faults` may be changed at any time. `asked` counts requests. `random` decides where faults leave a choice.
    """

    slave: Slave
    faults: list[Fault] = field(default_factory=list)
    truth: Truth | None = None
    device: str = ""
    random: Random = field(default_factory=lambda: Random(0))
    asked: int = 0


Stations = Mapping[int, Station]
"""Who is on the wire, by unit id."""

_FLAWLESS = Outcome()


class Reply(NamedTuple):
    """An answer on its way: whose (None: nobody's here), to what, and what becomes of it."""

    station: Station | None
    request: Request
    pdu: bytes
    outcome: Outcome = _FLAWLESS


class Conversation:
    """Requests in, answers out; each device gives its answers one after the other.

    `held` are answers that wait for the next request: all who talk over one wire share them. With a `line` everything
    takes its time on it.
    """

    def __init__(
        self, stations: Stations, framing: Framing, held: list[Reply] | None = None, line: Line | None = None
    ) -> None:
        self.send: Callable[[bytes], None] = lambda _: None
        self.hang_up: Callable[[], None] = lambda: None
        self.line = line
        self._stations = stations
        self._framing = framing
        self._held = [] if held is None else held
        self._rest = b""
        self._heard = -math.inf
        self._dropped = False
        self._waiting: list[tuple[float, int, Reply]] = []  # a heap: when it is due, its number
        self._number = 0
        self._due: dict[int, float] = {}  # by unit: when its last answer is
        self._timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Takes bytes as they come: pieces of a request, or several at once."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        if self._rest and now - self._heard < self._framing.patience:
            data = self._rest + data
        self._heard = now
        self._dropped = False
        try:
            requests, self._rest = self._framing.split(data)
        except FramingError:
            self._drop()
            return
        for request in requests:
            if self._dropped:
                break
            self._take(request, now)

    def end(self) -> None:
        """Gives up answers that are still to come."""
        self._waiting.clear()
        if self._timer:
            self._timer.cancel()

    def _take(self, request: Request, now: float) -> None:
        station = self._stations.get(request.unit_id)
        if station and not (station.faults or station.truth or self._held or self._waiting or self.line):
            station.asked += 1  # a load generator does nothing but this
            self.send(self._framing.join(request, station.slave.answer(request.pdu, now)))
            return
        held = self._held.pop() if self._held else None
        if held and not held.outcome.stale:
            self._give(held)
        if station is None:
            pdu = self._framing.stranger(request)
            reply = None if pdu is None else Reply(None, request, pdu)
        else:
            station.asked += 1
            reply = self._reply(station, request, now)
        if self._dropped:
            return
        if held and held.outcome.stale:
            self._give(held._replace(request=held.request._replace(transaction=request.transaction)))
            if reply and not reply.outcome.stale:
                return  # one request, one answer: its own is lost in the box
        if reply and (reply.outcome.hold or reply.outcome.stale):
            self._held[:] = [reply]
        elif reply:
            self._give(reply)

    def _reply(self, station: Station, request: Request, now: float) -> Reply | None:
        """What the station answers, if it does, with what becomes of it."""
        if not station.faults:
            return Reply(station, request, station.slave.answer(request.pdu, now))
        outcome = Outcome()
        for fault in station.faults:
            fault.apply(outcome, now, station.random)
        if outcome.drop:
            self._drop()
            return None
        if outcome.silent:
            return None
        if outcome.exception is not None:
            return Reply(station, request, exception(request.pdu[0], outcome.exception), outcome)
        pdu = station.slave.answer(request.pdu, now)
        if pdu[0] == request.pdu[0] and _touches(request.pdu, outcome.illegal):
            pdu = exception(request.pdu[0], ILLEGAL_DATA_ADDRESS)
        return Reply(station, request, pdu, outcome)

    def _give(self, reply: Reply) -> None:
        """Sends an answer when it is due, and after the answers of that unit before it."""
        delay = reply.outcome.delay
        if not delay and not self._waiting:
            self._send(reply)
            return
        unit, now = reply.request.unit_id, asyncio.get_running_loop().time()
        self._due[unit] = max(self._due.get(unit, now), now) + delay
        self._number += 1
        heapq.heappush(self._waiting, (self._due[unit], self._number, reply))
        self._wind()

    def _wind(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_at(self._waiting[0][0], self._send_due)

    def _send_due(self) -> None:
        _, _, reply = heapq.heappop(self._waiting)
        self._send(reply)
        self._wind()

    def _send(self, reply: Reply) -> None:
        station, request, pdu, outcome = reply
        truth = station.truth if station else None
        if outcome is _FLAWLESS:
            frame = self._framing.join(request, pdu)
        else:
            assert station
            frame = self._spoilt(reply, station.random)
            if outcome.short or outcome.crc or outcome.cut or outcome.foreign == "instead":
                truth = None  # what nobody may believe was not given
        if self.line:
            before = partial(_record, truth, reply) if truth else None
            self.line.answer(frame, before, self._drop if outcome.hang_up else None)
            return
        when = truth.now() if truth else None  # before: who hears it may run first
        self.send(frame)
        if truth:
            _record(truth, reply, when)
        if outcome.hang_up:
            self._drop()

    def _spoilt(self, reply: Reply, random: Random) -> bytes:
        """The frame of an answer, with all that goes wrong with it."""
        _, request, pdu, outcome = reply
        told = pdu[0] == request.pdu[0]  # not an exception
        if outcome.short and told:
            gone = 1 if pdu[0] <= READ_DISCRETE_INPUTS else 2
            pdu = bytes((pdu[0], len(pdu) - 2 - gone)) + pdu[2 + gone :]
        frame = self._framing.join(request, pdu)
        if outcome.crc:
            bit = random.randrange(8 * len(frame))
            frame = frame[: bit // 8] + bytes((frame[bit // 8] ^ 1 << bit % 8,)) + frame[bit // 8 + 1 :]
        if outcome.foreign:
            others = [unit for unit in self._stations if unit != request.unit_id] or [request.unit_id % 247 + 1]
            strange = request._replace(unit_id=random.choice(others))
            theirs = self._framing.join(strange, pdu[:2] + (random.randbytes(len(pdu) - 2)))
            frame = theirs + frame if outcome.foreign == "first" else theirs
        if outcome.cut:
            frame = frame[: random.randrange(1, len(frame))]
        if outcome.noise:
            noise = random.randbytes(random.randint(1, 8))
            frame = noise + frame if random.random() < 0.5 else frame + noise
        return frame

    def _drop(self) -> None:
        self._dropped = True
        self.hang_up()


def _record(truth: Truth, reply: Reply, when: Moment | None = None) -> None:
    assert reply.station
    values = reply.station.slave.given(reply.request.pdu, reply.pdu)
    truth.record(reply.station.device, reply.request.unit_id, values, when or truth.now())


def _touches(pdu: bytes, illegal: list[tuple[int, int, int]]) -> bool:
    """Whether a read, known to be right, meets one of these addresses."""
    start, count = int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5])
    return any(function in (0, pdu[0]) and first < start + count and start <= last for function, first, last in illegal)
