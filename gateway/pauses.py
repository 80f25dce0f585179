"""Topics that the hub refuses: each is left alone for a growing time, others go on."""

import asyncio
from collections.abc import Callable, Iterator

PAUSE = (1.0, 300.0)  # s, the first and the longest


class Pauses:
    """Iterates over the topics that are left alone now; `over` is called when one of them may be tried again."""

    def __init__(self, over: Callable[[], None]) -> None:
        self._over = over
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._lengths: dict[str, float] = {}  # of the last pause of topics not accepted since

    def __contains__(self, topic: str) -> bool:
        return topic in self._timers

    def __iter__(self) -> Iterator[str]:
        return iter(self._timers)

    def __bool__(self) -> bool:
        return bool(self._timers)

    def refused(self, topic: str) -> bool:
        """Leave it alone, twice as long as the last time. True when it is refused for the first time."""
        if topic in self._timers:  # several were in flight
            return False
        new = topic not in self._lengths
        self._lengths[topic] = seconds = PAUSE[0] if new else min(2 * self._lengths[topic], PAUSE[1])
        self._timers[topic] = asyncio.get_running_loop().call_later(seconds, self._end, topic)
        return new

    def accepted(self, topic: str) -> None:
        """The next pause is a short one again."""
        self._lengths.pop(topic, None)

    def clear(self) -> None:
        """Try all again now."""
        for timer in self._timers.values():
            timer.cancel()
        if self._timers:
            self._timers.clear()
            self._over()

    def _end(self, topic: str) -> None:
        del self._timers[topic]
        self._over()
