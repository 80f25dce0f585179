"""What one listener has heard over a radio and not yet fetched: adverts, values, or a stream of bytes."""

import asyncio
import math
from typing import Any

from gateway.errors import LinkError
from gateway.links.air import Advert, Adverts, OnAir, Stream, Value, Values
from gateway.links.ear import Ear

KEPT = 4096  # frames that wait for who listens; of more the oldest are passed over
AGAIN = 5.0  # s after which a trouble that lasts is told again
# s between wake-ups of those who wait: what many beacons send is taken together, as gateway.links.serial does
REST = 0.04


class Trouble:
    """Why nothing can be heard: told at once, and now and then as long as it lasts."""

    def __init__(self) -> None:
        self._error: LinkError | None = None
        self._lasts = False
        self._due = math.inf  # loop time

    def set(self, error: LinkError, lasts: bool) -> None:
        """Something is wrong; `lasts`: until it is cleared, else it has happened once."""
        self._error, self._lasts, self._due = error, lasts, -math.inf

    def clear(self) -> None:
        """It is well again; what was not told yet need not be."""
        self._error, self._due = None, math.inf

    @property
    def due(self) -> float:
        """Loop time at which there is something to tell."""
        return self._due

    def take(self, now: float) -> LinkError | None:
        """What is to be told now. A LinkError is made anew each time: it grows a traceback when it is raised."""
        if self._error is None or now < self._due:
            return None
        error = LinkError(str(self._error), self._error.reason, self._error.code)
        if self._lasts:
            self._due = now + AGAIN
        else:
            self.clear()
        return error


class FrameEar:
    """An ear whose frames come whole."""

    def __init__(self) -> None:
        self.trouble = Trouble()
        self.waiter: asyncio.Future[None] | None = None
        self.passed_over = 0  # frames nobody fetched in time
        self._frames: list[Any] = []

    def put(self, frame: Advert | Value) -> None:
        """A frame came; who waits is woken by others."""
        self._frames.append(frame)
        if len(self._frames) > KEPT:
            del self._frames[: KEPT // 2]
            self.passed_over += KEPT // 2

    def fetch(self) -> list[Any]:
        """All frames, oldest first."""
        frames, self._frames = self._frames, []
        return frames

    def wake(self) -> None:
        """Tell who waits, if anybody does."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def counts(self) -> dict[str, int]:
        """As gateway.links.base.RadioLink says."""
        return {"passed_over": self.passed_over}


class AdvertEar(FrameEar):
    """Adverts of a peer. `wants` sees every advert of it: what it costs is paid a thousand times a second."""

    def __init__(self, hear: Adverts) -> None:
        super().__init__()
        self.asked = hear
        self.repeats = 0
        self._last: dict[str, Any] = {}  # payload by address
        self._one = hear.companies[0] if len(hear.companies) == 1 and not hear.services else None
        self._all = not hear.companies and not hear.services

    def wants(self, address: str, name: str | None, company: dict[int, bytes], service: dict[str, bytes]) -> bool:
        """Whether this advert carries what is asked for, and is no repeat."""
        payload: Any
        if self._one is not None:
            payload = company.get(self._one)
            if payload is None:
                return False
        elif self._all:
            payload = (name, company, service)
        else:
            payload = [company.get(c) for c in self.asked.companies] + [service.get(s) for s in self.asked.services]
            if not any(part is not None for part in payload):
                return False
        if not self.asked.repeats:
            if self._last.get(address) == payload:
                self.repeats += 1
                return False
            self._last[address] = payload
        return True

    def returned(self, address: str) -> None:
        """This one was away: what it sends is news, also when it is what it sent before."""
        self._last.pop(address, None)

    def keep_only(self, addresses: set[str]) -> None:
        """Forget what others sent last: addresses that change are not gathered for ever."""
        self._last = {address: payload for address, payload in self._last.items() if address in addresses}

    def counts(self) -> dict[str, int]:
        """As gateway.links.base.RadioLink says."""
        return {"repeats": self.repeats, **super().counts()}


class ValueEar(FrameEar):
    """Values a connected peer sends, or that were read once after the connect: these come first."""

    def __init__(self, hear: Values) -> None:
        super().__init__()
        self.asked = hear
        self._held: list[Value] | None = None  # what came before all is read

    def hold(self) -> None:
        """What is put from now on waits until `release`."""
        self._held = []

    def put_first(self, value: Value) -> None:
        """A value that was read while others are held."""
        super().put(value)

    def release(self) -> bool:
        """All is read, or nothing more can be; whether there is something to be fetched."""
        held, self._held = self._held or [], None
        for value in held:
            super().put(value)
        return bool(self._frames)

    def put(self, frame: Advert | Value) -> None:
        """A value came."""
        if self._held is not None and isinstance(frame, Value):
            self._held.append(frame)
        else:
            super().put(frame)


class StreamEar(Ear):
    """Frames in the bytes a connected peer sends."""

    def __init__(self, hear: Stream) -> None:
        super().__init__(hear.framings)
        self.asked = hear
        self.trouble = Trouble()


RadioEar = AdvertEar | ValueEar | StreamEar


def make_ear(hear: OnAir) -> RadioEar:
    """An ear for what is wanted."""
    if isinstance(hear, Adverts):
        return AdvertEar(hear)
    return ValueEar(hear) if isinstance(hear, Values) else StreamEar(hear)


class Bell:
    """Wakes who waits: the first after a silence at once, all others together, at instants REST s apart."""

    def __init__(self) -> None:
        self._next = -math.inf  # loop time before which nobody is woken
        self._due: set[RadioEar] = set()
        self._timer: asyncio.TimerHandle | None = None

    def ring(self, ear: RadioEar, now: float) -> None:
        """Something came for this ear, at `now` (loop time)."""
        if ear.waiter is None:
            return
        if now >= self._next:
            self._next = (now // REST + 1) * REST
            ear.wake()
            return
        self._due.add(ear)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(self._next, self._ring)

    def _ring(self) -> None:
        self._timer = None
        due, self._due = self._due, set()
        self._next = (asyncio.get_running_loop().time() // REST + 1) * REST
        for ear in due:
            ear.wake()

    def close(self) -> None:
        """Nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
