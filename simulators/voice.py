"""The voice of a speaker: when it says what, what goes wrong with that on purpose, and the record of it."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import NamedTuple

from simulators.faults import Fault, Outcome
from simulators.modbus_slave import Given
from simulators.speaker import Said, Speaker
from simulators.truth import Truth

_LONGEST_REQUEST = 4096  # bytes; of what has no end the rest is forgotten
_BEHIND = 1.0  # s; what could not be said for so long is left out
_PIECE = 0.004  # s; on a paced line frames come out in pieces that last about that long


class _Piece(NamedTuple):
    """A frame, or a part of it, on its way."""

    due: float
    data: bytes
    first: bool
    last: bool
    given: tuple[Given, ...]
    then: Callable[[], None] | None


class Voice:
    """Lets `speaker` speak on a port: the port says when it has power and who listens, the voice says what is sent.

    Nothing is said while nobody listens. `speeches` counts what it had to say at a time, answers too; each may be
    struck by `faults`, which may be changed at any time. `character` (s) paces what it says; 0: as fast as it can.
    """

    def __init__(
        self,
        speaker: Speaker,
        faults: Iterable[Fault] = (),
        truth: Truth | None = None,
        random: Random | None = None,
        character: float = 0.0,
    ) -> None:
        self.speaker, self.faults, self.truth = speaker, list(faults), truth
        self.random = random or Random(0)
        self.speeches = 0
        self.device = ""  # how it is reached; the port sets it
        self.send: Callable[[bytes], bool] = lambda _: False  # whether all of it was heard
        self.unplug: Callable[[float], None] = lambda _: None
        self._character = character
        self._listening = False
        self._fresh = True  # it has power, and has not booted yet
        self._began = math.nan
        self._due = -math.inf  # of the next speech
        self._speech: asyncio.TimerHandle | None = None
        self._pending: deque[_Piece] = deque()
        self._sending: asyncio.TimerHandle | None = None
        self._free = -math.inf  # when all that is pending will have been sent
        self._whole = False  # every piece so far of this frame was heard
        self._held: list[Said] = []
        self._rest = b""

    def power(self) -> None:
        """It is switched on, or plugged in again."""
        self._fresh = True
        if math.isnan(self._began):
            self._began, self.speaker.started = asyncio.get_running_loop().time(), time.time()
        self._wind()

    def opened(self) -> None:
        """Somebody listens now."""
        self._listening, self._rest = True, b""
        if self._fresh or self.speaker.resets_when_opened:
            self._fresh = False
            for said in self.speaker.boot(self._now()):
                self._put(said.frame, said.given)
            self._wind()  # it may speak by itself from now on

    def closed(self) -> None:
        """Nobody listens any more."""
        self._listening = False

    def hear(self, data: bytes) -> None:
        """Bytes of those who ask."""
        if not self._listening:
            return  # the last words before it was pulled
        requests, rest = self.speaker.split(self._rest + data)
        self._rest = rest[-_LONGEST_REQUEST:]
        for request in requests:
            self._say(partial(self.speaker.answer, request))
        self._wind()

    def end(self) -> None:
        """Nothing more is said."""
        self._listening = False
        self._pending.clear()
        for timer in (self._speech, self._sending):
            if timer:
                timer.cancel()
        self._speech = self._sending = None

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    def _wind(self) -> None:
        loop = asyncio.get_running_loop()
        if math.isinf(self.speaker.period):
            if self._speech:
                self._speech.cancel()
            self._speech, self._due = None, -math.inf
        elif self._speech is None:
            self._due += self.speaker.period
            if self._due < loop.time() - _BEHIND:
                self._due = loop.time() + self.speaker.period
            self._speech = loop.call_at(self._due, self._speak)

    def _speak(self) -> None:
        self._speech = None
        if self._listening:
            self._say(self.speaker.speak)
        self._wind()

    def _say(self, words: Callable[[float], Iterable[Said]]) -> None:
        outcome = Outcome()
        for fault in self.faults:
            fault.apply(outcome, asyncio.get_running_loop().time(), self.random)
        self.speeches += 1
        self.speaker.happens = frozenset(outcome.happens)
        t = self._now()
        speech = [*(self.speaker.boot(t) if outcome.reset else ()), *words(t)]
        if outcome.silent:
            speech = []
        held, self._held = self._held, speech if outcome.hold else []
        speech = held if outcome.hold else held + speech
        if outcome.unplug is not None and not (outcome.mid and speech):
            self._pull(outcome.unplug)
            return
        struck = self._struck(speech, outcome)
        for place, said in enumerate(speech):
            delay = said.delay + (0.0 if place else outcome.delay)
            if place != struck:
                self._put(said.frame, said.given, delay)
            elif outcome.unplug is None:
                frame, given = self._spoilt(said, outcome)
                self._put(frame, given, delay)
            else:
                body, _ = _line(said.frame)  # a line that has lost but half its end is whole to whoever reads it
                part = said.frame[: self.random.randrange(1, max(2, len(body)))]
                self._put(part, (), delay, partial(self._pull, outcome.unplug))
                break

    def _struck(self, speech: list[Said], outcome: Outcome) -> int | None:
        """Which frame of a speech goes wrong."""
        places = [place for place, said in enumerate(speech) if said.checked or not outcome.crc]
        wrong = outcome.crc or outcome.cut or outcome.noise or outcome.mid
        return self.random.choice(places) if wrong and places else None

    def _spoilt(self, said: Said, outcome: Outcome) -> tuple[bytes, tuple[Given, ...]]:
        """A frame with all that goes wrong with it, and what may be believed of it."""
        frame, given, random = said.frame, said.given, self.random
        body, line_end = _line(frame)
        if outcome.crc and said.checked:
            place = random.randrange(*said.checked)
            frame = frame[:place] + bytes((frame[place] ^ 1 << random.randrange(8),)) + frame[place + 1 :]
            given = ()
        if outcome.cut and len(body) > 1:  # a line keeps its end: what comes after it is not its fault
            frame, given = frame[: random.randrange(1, len(body))] + line_end, ()
        if outcome.noise and line_end:  # a line of its own, of no letters: nothing is known of a line with noise in it
            frame = bytes(random.randrange(0x80, 0x100) for _ in range(random.randint(1, 8))) + line_end + frame
        elif outcome.noise:
            noise = random.randbytes(random.randint(1, 8))
            frame = noise + frame if random.random() < 0.5 else frame + noise
        return frame, given

    def _pull(self, seconds: float) -> None:
        self.end()
        self.unplug(seconds)

    def _put(
        self, frame: bytes, given: tuple[Given, ...], delay: float = 0.0, then: Callable[[], None] | None = None
    ) -> None:
        """Sends a frame when it is due, and after those before it."""
        now = asyncio.get_running_loop().time()
        start = max(self._free, now) + delay
        size = max(1, round(_PIECE / self._character)) if self._character else len(frame)
        for begin in range(0, len(frame), size):
            data, last = frame[begin : begin + size], begin + size >= len(frame)
            self._free = start + (begin + len(data)) * self._character
            self._pending.append(_Piece(self._free, data, begin == 0, last, given, then if last else None))
        if self._sending is None:
            self._send_due()

    def _send_due(self) -> None:
        self._sending = None
        loop = asyncio.get_running_loop()
        while self._pending and self._pending[0].due <= loop.time():
            self._send(self._pending.popleft())
        if self._pending:
            self._sending = loop.call_at(self._pending[0].due, self._send_due)

    def _send(self, piece: _Piece) -> None:
        when = Truth.now()  # before: who hears it may run first
        heard = self._listening and self.send(piece.data)
        self._whole = heard and (piece.first or self._whole)
        if piece.last and piece.given and self._whole and self.truth:
            self.truth.record(self.device, None, piece.given, when)
        if piece.then:
            piece.then()


def _line(frame: bytes) -> tuple[bytes, bytes]:
    """A line and its end; of anything else all of it, and nothing."""
    body = frame.rstrip(b"\r\n")
    return (body, frame[len(body) :]) if all(byte >= 0x20 or byte == 0x09 for byte in body) else (frame, b"")
