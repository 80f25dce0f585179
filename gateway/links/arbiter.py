"""One port, many who ask: turns, first come, first served, with the silence a bus needs between them."""

import asyncio
from collections import deque
from contextvars import ContextVar

REST = 0.02  # s without a byte after which a bus is quiet again; USB adapters hold bytes back for 16 ms
LATEST = 0.3  # s, at least, in which an answer that missed its time-out may still come

# A person waits for what is asked in this context: it goes before the polls that wait.
URGENT: ContextVar[bool] = ContextVar("urgent", default=False)


class Arbiter:
    """Whoever takes the turn gives it back by `free` or `free_when_quiet`, from a task or from the loop's clock."""

    def __init__(self) -> None:
        self._taken = False
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._last_byte = 0.0  # loop time
        self._owing: dict[int, float] = {}  # unit -> until when its late answer may come

    def byte(self, wire_time: float = 0.0) -> None:
        """Something is on the wire now, and until `wire_time` s from now."""
        self._last_byte = asyncio.get_running_loop().time() + wire_time

    async def take(self, unit: int) -> None:
        """Wait for the turn. Who asks a unit that owes an answer lets the others go first until it is too late."""
        while True:
            if self._taken:
                await self._wait()
            self._taken = True
            if unit not in self._owing:
                return
            wait = self._owing[unit] - asyncio.get_running_loop().time()
            if wait <= 0:
                del self._owing[unit]
                return
            self.free()
            await asyncio.sleep(wait)

    async def _wait(self) -> None:
        """Stand in the queue until the turn is handed over; it is never free meanwhile."""
        queue = self._urgent if URGENT.get() else self._waiting
        mine = asyncio.get_running_loop().create_future()
        queue.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self.free()  # it was handed over just now
            raise

    async def keep_silence(self, pause: float) -> None:
        """Wait until nothing has been on the wire for `pause` s."""
        wait = self._last_byte + pause - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)

    def free(self) -> None:
        """The turn is over; the next in the queue has it."""
        for queue in (self._urgent, self._waiting):
            while queue:
                if not (next_one := queue.popleft()).done():  # done: cancelled
                    next_one.set_result(None)
                    return
        self._taken = False

    def free_when_quiet(self, unit: int, within: float) -> None:
        """The turn is over but for an answer that may still come, later than `within` s.

        All wait until nothing has come for 20 ms, at most `within` s. Who asks this unit waits twice `within`, at
        least 0.3 s: what it answered to the last question would meet the next one on the wire.
        """
        self.byte()
        self._owing[unit] = self._last_byte + max(2 * within, LATEST)
        self._free_after(self._last_byte + within + REST)

    def _free_after(self, latest: float) -> None:
        loop = asyncio.get_running_loop()
        quiet = min(self._last_byte + REST, latest)
        if loop.time() < quiet:
            loop.call_at(quiet, self._free_after, latest)
        else:
            self.free()
