"""The plain-JSON view of each device's newest values: one publish each `hub.state` at most, the newest arrives."""

import asyncio
from collections.abc import Callable

from gateway import payload
from gateway.reading import Sample


class Views:
    """Rate-limits views; `send(topic, content)` publishes one. Live only: neither buffered nor counted nor repeated."""

    def __init__(self, every: float, send: Callable[[str, bytes], None]) -> None:
        self._every, self._send = every, send
        self._next: dict[str, float] = {}  # topic -> loop time before which nothing is sent
        self._newest: dict[str, Sample] = {}  # waiting for that time

    def show(self, topic: str, sample: Sample) -> None:
        """Publish now, or when the topic's time has come if nothing newer comes before."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = self._next.get(topic, 0.0)
        if topic in self._newest:
            self._newest[topic] = sample
        elif now < due - self._every / 20:  # a device asked once in this time is hardly early: no timer for that
            self._newest[topic] = sample
            loop.call_at(due, self._late, topic)
        else:
            self._publish(topic, sample, max(now, due))

    def _late(self, topic: str) -> None:
        self._publish(topic, self._newest.pop(topic), asyncio.get_running_loop().time())

    def _publish(self, topic: str, sample: Sample, now: float) -> None:
        self._next[topic] = now + self._every
        self._send(topic, payload.state_view(sample.stamp.wall, sample.readings))
