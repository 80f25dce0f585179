"""A serial line paced to its baud rate: pseudo-terminals and sockets have no speed of their own.

Source: MODBUS over Serial Line V1.02, 2.5.1.1: 3.5 characters of silence end a frame, above 19200 baud 1.75 ms.
"""

import asyncio
import math
from collections.abc import Callable

_SILENCE = 3.5  # characters
_FASTEST = 0.00175  # s, of silence
_ALMOST = 0.9  # of the silence is enough before a request: clocks differ
_PIECE = 0.004  # s; an answer comes out in pieces that last about that long, of a few characters at 9600 baud

Callback = Callable[[], None] | None


class Line:
    """A half-duplex line that a master and its slaves share.

    A request takes its time from the moment it arrives, the slaves hear it after the silence that ends a frame, and an
    answer comes out piece by piece. What begins while something else is on the line collides with it: both are lost. A
    request too soon after the frame before it melts into that one for the slaves, and is lost too.

    For tests: `busy` (s) is what characters took, `silent` (s) what silences between frames had to take, `elapsed` (s)
    runs from the first request to the last character; all in a line's own reckoning, whatever the machine's load.
    """

    def __init__(self, baudrate: int, parity: str = "N", stopbits: int = 1) -> None:
        self.character = (1 + 8 + (parity != "N") + stopbits) / baudrate
        self.silence = max(_SILENCE * self.character, _FASTEST)
        self.hear: Callable[[bytes], None] = lambda _: None  # the slaves' ears
        self.send: Callable[[bytes], None] = lambda _: None  # to the master
        self.busy = self.silent = 0.0
        self.frames = self.collisions = self.crowded = 0
        self._began = math.nan
        self._until = -math.inf  # when the last character was or will be over
        self._request = b""
        self._request_until = -math.inf
        self._spoilt = False  # the request that is on the line is lost
        self._ends: asyncio.TimerHandle | None = None  # of the request
        self._pieces: list[asyncio.TimerHandle] = []  # of the answer
        self._moment: float | None = None  # set while the slaves hear a request: when they heard it

    @property
    def elapsed(self) -> float:
        """Seconds from the first request to the last character."""
        return 0.0 if math.isnan(self._began) else self._until - self._began

    def report(self) -> dict[str, float]:
        """How busy the line was."""
        times = {"busy_s": self.busy, "silent_s": self.silent, "elapsed_s": self.elapsed}
        counts = {"frames": self.frames, "collisions": self.collisions, "crowded": self.crowded}
        return {name: round(value, 6) for name, value in times.items()} | counts

    def ask(self, data: bytes) -> None:
        """Bytes of the master arrive at its end of the line now."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if math.isnan(self._began):
            self._began = now
        if self._ends is None:
            self._request, self._spoilt = b"", False
            if now < self._until:
                self._collide()
            elif now < self._until + _ALMOST * self.silence:
                self.crowded += 1
                self._spoilt = True
            self._count_frame()
        else:
            self._ends.cancel()
        start = max(now, self._request_until)  # a master sends its own bytes one after the other
        self._request += data
        self._request_until = self._occupy(start, len(data))
        self._ends = loop.call_at(self._request_until + self.silence, self._heard)

    def answer(self, frame: bytes, before: Callback = None, after: Callback = None) -> None:
        """A slave sends `frame` now. `before` and `after` are called when the last piece of it goes out."""
        loop = asyncio.get_running_loop()
        start = loop.time() if self._moment is None else self._moment
        collides = start < self._until
        if collides:
            self._collide()
        end = self._occupy(start, len(frame))
        self._count_frame()
        if self._moment is not None:
            self._moment = end + self.silence  # a second answer to one request waits for the first
        if collides:
            return
        size = max(4, round(_PIECE / self.character))
        for begin in range(0, len(frame), size):
            piece = frame[begin : begin + size]
            due = start + (begin + len(piece)) * self.character
            calls = (before, after) if begin + size >= len(frame) else (None, None)
            self._pieces.append(loop.call_at(due, self._out, piece, *calls))

    def end(self) -> None:
        """Nothing more is heard or sent."""
        self._stop()
        if self._ends:
            self._ends.cancel()

    def _heard(self) -> None:
        request, self._request, self._ends = self._request, b"", None
        if self._spoilt:
            return
        self._moment = self._request_until + self.silence
        self.hear(request)
        self._moment = None

    def _out(self, piece: bytes, before: Callback, after: Callback) -> None:
        del self._pieces[0]
        if before:
            before()
        self.send(piece)
        if after:
            after()

    def _collide(self) -> None:
        """What is on the line is lost."""
        self.collisions += 1
        self._spoilt = True
        self._stop()

    def _stop(self) -> None:
        for piece in self._pieces:
            piece.cancel()
        self._pieces.clear()

    def _occupy(self, start: float, characters: int) -> float:
        """Reckons characters from `start` on; when they are over."""
        end = start + characters * self.character
        self.busy += max(0.0, end - max(start, self._until))
        self._until = max(self._until, end)
        return end

    def _count_frame(self) -> None:
        self.frames += 1
        self.silent += self.silence
