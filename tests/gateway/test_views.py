"""The `state` topics: the newest values, each topic at most once in its time."""

import asyncio
import json

from gateway.reading import Reading, Sample, Stamp
from gateway.views import Views

EVERY = 0.1  # s


def sample(value: float) -> Sample:
    return Sample("d", Stamp(1_763_636_400_123_456_789, 0, synced=True), [Reading("v", value)])


class Sent:
    """What was published, and when."""

    def __init__(self) -> None:
        self.views = Views(EVERY, self.take)
        self.values: list[float] = []
        self.times: list[float] = []
        self.taken = asyncio.Event()

    def take(self, topic: str, content: bytes) -> None:
        assert topic == "lab/gw/d/state"
        view = json.loads(content)
        assert view["time"] == "2025-11-20T11:00:00.123Z"
        self.values.append(view["v"])
        self.taken.set()
        self.times.append(asyncio.get_running_loop().time())

    def show(self, value: float) -> None:
        self.views.show("lab/gw/d/state", sample(value))


async def test_the_first_is_sent_at_once_and_of_many_only_the_newest() -> None:
    sent = Sent()
    for value in range(5):
        sent.show(value)
    assert sent.values == [0]
    sent.taken.clear()
    await asyncio.wait_for(sent.taken.wait(), 5)
    assert sent.values == [0, 4]
    assert sent.times[1] - sent.times[0] >= EVERY * 0.99


async def test_a_device_asked_at_the_same_rate_is_shown_at_once_though_never_faster_on_average() -> None:
    sent = Sent()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for turn in range(10):  # each a little early
        await asyncio.sleep(began + turn * 0.97 * EVERY - loop.time())
        sent.show(turn)
        late = loop.time() - began - turn * 0.97 * EVERY
        assert len(sent.values) - 1 <= (loop.time() - began) / EVERY + 0.05 + late
    assert sent.values[0] == 0
    assert sent.values == sorted(sent.values)


async def test_what_is_not_available_is_left_out() -> None:
    contents: list[bytes] = []
    views = Views(EVERY, lambda _, content: contents.append(content))
    readings = [Reading("a", float("nan")), Reading("b", 1.5), Reading("c", float("inf")), Reading("d", "x:null")]
    views.show("t", Sample("d", Stamp(0, 0, synced=True), readings))
    assert json.loads(contents[0]) == {"time": "1970-01-01T00:00:00.000Z", "b": 1.5, "d": "x:null"}


async def test_each_topic_has_its_own_turn_and_nothing_is_repeated() -> None:
    sent: list[tuple[str, float]] = []
    third = asyncio.Event()

    def send(topic: str, content: bytes) -> None:
        sent.append((topic, json.loads(content)["v"]))
        if len(sent) == 3:
            third.set()

    views = Views(EVERY, send)
    views.show("a", sample(1))
    views.show("b", sample(2))
    views.show("a", sample(3))
    assert sent == [("a", 1), ("b", 2)]
    await asyncio.wait_for(third.wait(), 5)
    assert sent == [("a", 1), ("b", 2), ("a", 3)]
    await asyncio.sleep(1.5 * EVERY)  # nothing is repeated
    assert len(sent) == 3
    views.show("a", sample(4))
    assert sent[3:] == [("a", 4)]
