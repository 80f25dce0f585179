"""Connections an adapter has at one time, and who may have one: in turn, where more want one than there are."""

import asyncio
import math
from collections import deque
from collections.abc import Callable

SHARE = 10.0  # s a connection is left to who has it, although others wait, once it has told something …
PATIENCE = 30.0  # … and while it has not


class Slot:
    """One connection's place. `give_up` is called once, when others wait and its share is over."""

    def __init__(self, give_up: Callable[[], None]) -> None:
        self.give_up = give_up
        self.since = math.inf  # loop time from which its share is counted: connected
        self.served = False  # something came over the connection
        self.asked = False  # to give up

    def over(self) -> float:
        """Loop time at which its share is over."""
        return self.since + (SHARE if self.served else PATIENCE)


class Slots:
    """So many places. Who takes one frees it; who waits for one gets it in the order of asking."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: list[Slot] = []
        self._waiting: deque[tuple[asyncio.Future[None], Slot]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, give_up: Callable[[], None]) -> Slot:
        """A place, as soon as one is free and those who asked before have theirs."""
        slot = Slot(give_up)
        if len(self._held) < self._size and not self._waiting:
            self._held.append(slot)
            return slot
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append((mine, slot))
        self._press()
        try:
            await mine
        except asyncio.CancelledError:
            if slot in self._held:
                self.free(slot)  # it was handed over just now
            raise
        return slot

    def connected(self, slot: Slot) -> None:
        """The share of this place begins."""
        slot.since = asyncio.get_running_loop().time()
        self._press()

    def served(self, slot: Slot) -> None:
        """Something came over this connection."""
        if not slot.served:
            slot.served = True
            self._press()

    def free(self, slot: Slot) -> None:
        """The place is free; the next in the queue has it."""
        self._held.remove(slot)
        while self._waiting and len(self._held) < self._size:
            mine, next_one = self._waiting.popleft()
            if not mine.done():  # done: cancelled
                self._held.append(next_one)
                mine.set_result(None)
        self._press()

    def _press(self) -> None:
        """Ask as many to give up as others wait, longest over first; look again when the next share is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wanted = sum(not mine.done() for mine, _ in self._waiting) - sum(slot.asked for slot in self._held)
        if wanted <= 0:
            return
        loop = asyncio.get_running_loop()
        for slot in sorted((slot for slot in self._held if not slot.asked), key=Slot.over):
            if slot.over() > loop.time():
                if slot.over() < math.inf:
                    self._timer = loop.call_at(slot.over(), self._press)
                return
            slot.asked = True
            slot.give_up()
            wanted -= 1
            if not wanted:
                return
