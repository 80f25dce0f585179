"""The uplink on real sockets: a scripted broker for what a broker says, a real mosquitto for what one does."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import pauses as pauses_module
from gateway import uplink as uplink_module
from gateway import window as window_module
from tests.fake_broker import FakeBroker, Publish, connack
from tests.real_broker import HubMessages, Mosquitto, free_port
from tests.rig import Hub, Life

SomeLife = Callable[..., Awaitable[Life]]


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    """Only the book of what was taken: the broker is real."""
    hub = Hub()
    yield hub
    for life in hub.lives:
        await life.abandon()


@pytest.fixture
def some_life(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SomeLife:
    monkeypatch.setattr(pauses_module, "PAUSE", (0.03, 0.1))

    async def start(port: int, commit_every: float = 0.05, run: str = "run-1", **hub_options: Any) -> Life:
        life = Life(hub, tmp_path / "buffer.db", run, commit_every)
        options = {"url": f"mqtt://127.0.0.1:{port}"} | hub_options
        life.uplink.hub = life.uplink.hub.model_copy(update=options)
        return await life.start()

    return start


async def until(condition: Callable[[], object], within: float = 5.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - there is nothing to be woken by
            await asyncio.sleep(0.002)


def heads(payload: bytes) -> list[dict[str, Any]]:
    return [r for r in json.loads(payload) if "bn" in r]


def sent(publishes: list[Publish]) -> list[list[int]]:
    return [[r["seq"] for r in heads(p.payload)] for p in publishes if p.topic.endswith("/data")]


# -- what a broker says


async def test_receive_maximum_and_maximum_packet_size_are_obeyed(some_life: SomeLife) -> None:
    async with FakeBroker(
        answer=lambda c: connack(c.level, receive_maximum=3, maximum_packet=900), puback=lambda _: None
    ) as broker:
        life = await some_life(broker.port, commit_every=60.0)
        await until(lambda: life.uplink.protocol)
        connection = await broker.connection()
        for _ in range(20):
            life.take()
        life.take("big", pad=2000)
        assert sent(await connection.publishes(3)) == [[1], [2], [3]]
        await asyncio.sleep(0.03)
        assert len(connection.published) == 3
        connection.puback(connection.published[0].id)
        (await connection.publishes(4))[3]
        assert len(connection.published[3].payload) + len(connection.published[3].topic) + 10 <= 900
        assert len(heads(connection.published[3].payload)) > 2
        broker.verdict = lambda _: 0
        for p in connection.published[1:]:
            connection.puback(p.id)
        await until(lambda: not life.buffer.held()[0])
        assert life.buffer.books["big"].dropped == 1
        await life.stop()


@pytest.mark.parametrize("code", [0x87, 0x97])
async def test_a_refused_topic_waits_and_others_go_on(some_life: SomeLife, code: int) -> None:
    times: list[float] = []

    def verdict(p: Publish) -> int:
        if p.topic != "lab/pi-7/a/data":
            return 0
        times.append(asyncio.get_running_loop().time())
        return code if len(times) < 3 else 0

    async with FakeBroker(puback=verdict) as broker:
        life = await some_life(broker.port)
        await until(lambda: life.uplink.protocol)
        life.take("a")
        life.take("b")
        await until(lambda: life.buffer.books["b"].confirmed == 1)
        await until(lambda: life.buffer.books["a"].confirmed == 1)
        assert times[1] - times[0] >= 0.03
        assert times[2] - times[1] >= 0.06
        assert life.buffer.books["a"].dropped == 0
        await life.stop()


async def test_refused_three_times_for_another_reason_it_is_dropped_and_told(some_life: SomeLife) -> None:
    async with FakeBroker(puback=lambda p: 0x99 if p.topic == "lab/pi-7/a/data" else 0) as broker:
        life = await some_life(broker.port)
        await until(lambda: life.uplink.protocol)
        life.take("a")
        await until(lambda: life.idle)
        connection = await broker.connection()
        notes = [json.loads(p.payload) for p in connection.published if p.topic.endswith("/ledger")]
        dropped = {"device": "a", "from": 1, "through": 1, "reason": "refused 0x99"}
        assert notes == [{"run": "run-1", "dropped": [dropped]}]
        assert sent(connection.published) == [[1], [1], [1]]
        assert [heads(p.payload)[0].get("late") for p in connection.published[:3]] == [None, True, True]
        await life.stop()


async def test_0x95_is_dropped_at_once(some_life: SomeLife) -> None:
    async with FakeBroker(puback=lambda p: 0x95 if p.topic == "lab/pi-7/a/data" else 0) as broker:
        life = await some_life(broker.port)
        await until(lambda: life.uplink.protocol)
        life.take("a")
        await until(lambda: life.idle)
        assert sent((await broker.connection()).published) == [[1]]
        assert life.buffer.books["a"].dropped == 1
        await life.stop()


async def test_a_refused_joined_pack_is_sent_one_by_one(some_life: SomeLife) -> None:
    async with FakeBroker(puback=lambda p: 0x83 if len(p.payload) > 300 else 0) as broker:
        closed = await some_life(free_port(), commit_every=0.02)
        for _ in range(4):
            closed.take("a")
        await until(lambda: not closed.buffer.tail)
        closed.uplink.hub = closed.uplink.hub.model_copy(update={"url": f"mqtt://127.0.0.1:{broker.port}"})
        await until(lambda: closed.idle)
        assert sent((await broker.connection()).published) == [[1, 2, 3, 4], [1], [2], [3], [4]]
        await closed.stop()


@pytest.mark.parametrize("unheard", ["accept", "hold"])
async def test_no_matching_subscribers(some_life: SomeLife, unheard: str) -> None:
    codes = iter([0x10, 0x10])
    async with FakeBroker(puback=lambda p: next(codes, 0)) as broker:
        life = await some_life(broker.port, unheard=unheard)
        await until(lambda: life.uplink.protocol)
        life.take("a")
        await until(lambda: life.uplink.unheard)
        assert life.buffer.held()[0] == (unheard == "hold")
        if unheard == "accept":
            life.take("a")
            life.take("a")
        await until(lambda: life.idle and not life.uplink.unheard)
        assert len(sent((await broker.connection()).published)) == 3
        await life.stop()


async def test_a_refused_login_is_tried_less_and_less_often(
    some_life: SomeLife, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink_module, "_SENT_AWAY", (0.05, 0.2))
    async with FakeBroker(answer=lambda c: connack(c.level, 0x86)) as broker:
        life = await some_life(broker.port)
        times = []
        for n in range(1, 5):
            await broker.connection(n)
            times.append(asyncio.get_running_loop().time())
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert gaps[0] < gaps[1] < gaps[2]
        assert "bad user name or password" in str(life.uplink.problem)
        await life.stop()


async def test_a_broker_that_falls_silent_loses_the_connection_and_publishes_the_will(
    some_life: SomeLife, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_module, "ANSWER_WITHIN", 0.1)
    async with FakeBroker(puback=lambda _: None) as broker:
        life = await some_life(broker.port, commit_every=60.0)
        await until(lambda: life.uplink.protocol)
        life.take("a")
        first = await broker.connection()
        await asyncio.wait_for(first.ended.wait(), 2)
        assert first.goodbye is None
        broker.verdict = lambda _: 0
        second = await broker.connection(2)
        await until(lambda: life.buffer.held()[0] == 0)
        assert [heads(p.payload)[0].get("late") for p in second.published] == [True]
        await life.stop()
        await asyncio.wait_for(second.ended.wait(), 2)
        assert second.goodbye == 0


@pytest.mark.parametrize("how", ["close", "reset", "disconnect"])
async def test_a_lost_connection_gives_everything_back_at_once_in_its_order(some_life: SomeLife, how: str) -> None:
    async with FakeBroker(puback=lambda _: None) as broker:
        life = await some_life(broker.port, commit_every=60.0)
        await until(lambda: life.uplink.protocol)
        for _ in range(5):
            life.take("a")
        first = await broker.connection()
        await first.publishes(5)
        broker.verdict = lambda _: 0
        getattr(first, how)()
        second = await broker.connection(2)
        await until(lambda: life.buffer.held()[0] == 0)
        assert [seq for pack in sent(second.published) for seq in pack] == [1, 2, 3, 4, 5]
        assert all(r["late"] is True for p in second.published for r in heads(p.payload))
        life.check_counts()
        await life.stop()


# -- what a broker does


async def test_a_broker_killed_with_samples_in_flight_and_back_within_a_second(
    some_life: SomeLife, mosquitto: Callable[..., Mosquitto], hub_messages: Callable[..., Awaitable[HubMessages]]
) -> None:
    broker = mosquitto("max_inflight_messages 5")
    life = await some_life(broker.port, commit_every=0.1)
    first = await hub_messages(broker.port, "lab/#")
    await until(lambda: life.uplink.protocol)
    for _ in range(50):
        life.take("a")
        life.take("b")
    await asyncio.to_thread(broker.kill)
    for _ in range(50):
        life.take("a")
        await asyncio.sleep(0.002)
    await asyncio.to_thread(broker.start)
    back = asyncio.get_running_loop().time()
    second = await hub_messages(broker.port, "lab/#")
    seq = life.take("live")
    await second.wait_for(lambda hub: hub.on("lab/pi-7/live/data"))
    assert asyncio.get_running_loop().time() - back < 1.0
    assert seq == 1
    await until(lambda: life.idle)
    received = {
        (r["bn"].split("/")[1], r["seq"])
        for hub in (first, second)
        for device in ("a", "b", "live")
        for payload in hub.on(f"lab/pi-7/{device}/data")
        for r in heads(payload)
    }
    # The second subscriber may have come after the first samples of the backlog; what the books say is confirmed.
    assert received >= {("live", 1)}
    assert {d: b.confirmed for d, b in life.buffer.books.items()} == {"a": 100, "b": 50, "live": 1}
    await life.stop()


async def test_a_topic_mosquitto_does_not_allow_is_paused_and_what_it_allows_arrives(
    some_life: SomeLife,
    mosquitto: Callable[..., Mosquitto],
    hub_messages: Callable[..., Awaitable[HubMessages]],
    tmp_path: Path,
) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite lab/pi-7/ledger\ntopic readwrite lab/pi-7/b/#\ntopic readwrite lab/pi-7/status\n")
    rules.chmod(0o700)
    broker = mosquitto(f"acl_file {rules}")
    life = await some_life(broker.port)
    messages = await hub_messages(broker.port, "lab/#")
    await until(lambda: life.uplink.protocol)
    life.take("a")
    life.take("b")
    await messages.wait_for(lambda hub: hub.on("lab/pi-7/b/data"))
    await until(lambda: list(life.uplink.paused) == ["lab/pi-7/a/data"])
    assert (life.buffer.books["a"].held, life.buffer.books["a"].dropped) == (1, 0)
    await life.stop()


async def test_a_clean_stop_leaves_stopped_at_the_hub_and_a_kill_the_will(
    some_life: SomeLife, mosquitto: Callable[..., Mosquitto], hub_messages: Callable[..., Awaitable[HubMessages]]
) -> None:
    broker = mosquitto()
    life = await some_life(broker.port)
    await until(lambda: life.uplink.protocol)
    life.take("a")
    await until(lambda: life.idle)
    await life.stop()  # publishes its goodbye on lab/pi-7/status; the will's topic is "w"
    messages = await hub_messages(broker.port, "#")
    await messages.wait_for(lambda hub: hub.on("lab/pi-7/status"))
    await asyncio.sleep(0.05)
    assert messages.on("lab/pi-7/status") == [b'{"state":"offline"}']
    assert messages.on("w") == []


async def test_a_retained_topic_is_cleared_at_mosquitto(
    some_life: SomeLife, mosquitto: Callable[..., Mosquitto], hub_messages: Callable[..., Awaitable[HubMessages]]
) -> None:
    broker = mosquitto()
    life = await some_life(broker.port)
    await until(lambda: life.uplink.protocol)
    life.uplink.retain("lab/pi-7/a/meta", b"{}")
    life.buffer.topics["lab/pi-7/a/meta"] = "a"
    life.uplink.retain("lab/pi-7/a/meta", b"")
    await until(lambda: "lab/pi-7/a/meta" not in life.buffer.topics)
    life.uplink.retain("lab/pi-7/b/meta", b"{}")
    messages = await hub_messages(broker.port, "lab/+/+/meta")
    await messages.wait(1)
    await asyncio.sleep(0.05)
    assert [str(m.topic) for m in messages.received] == ["lab/pi-7/b/meta"]
    await life.stop()
