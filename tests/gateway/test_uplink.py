"""Buffer -> hub: lanes, window, verdicts, and what becomes of a connection; the hub is scripted (tests/rig.py)."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from gateway import pauses as pauses_module
from gateway import uplink as uplink_module
from gateway import window as window_module
from gateway.errors import LinkError
from tests.rig import Hub, Life, Publish, Session

AWAY = LinkError("nothing listens there", "refused")


@pytest.fixture
async def hub(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    hub = Hub()
    monkeypatch.setattr(uplink_module.mqtt, "connect", hub.connect)
    monkeypatch.setattr(uplink_module, "_RETRY", (0.001, 0.005))
    monkeypatch.setattr(uplink_module, "GOODBYE_WITHIN", 0.02)
    monkeypatch.setattr(pauses_module, "PAUSE", (0.02, 0.3))
    yield hub
    for life in hub.lives:
        await life.abandon()
    assert not hub.auditor.unexplained()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "buffer.db"


async def online(hub: Hub, life: Life) -> Session:
    """The next connection, once it is there."""
    await hub.until(lambda: life.uplink.protocol)
    assert hub.session is not None
    return hub.session


def data(session: Session) -> list[Publish]:
    return [p for p in session.waiting if p.kind == "data"]


def samples(session: Session) -> list[tuple[str, int]]:
    """What is in flight, in the order in which it was sent."""
    return [s for p in session.waiting for s in p.samples]


async def with_backlog(hub: Hub, path: Path, count: int, devices: Sequence[str] = "a", pad: int = 0) -> Life:
    """A life with samples on disk that has not been connected yet."""
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1", commit_every=0.02).start()
    for _ in range(count):
        for device in devices:
            life.take(device, pad=pad)
    await hub.until(lambda: not life.buffer.tail)
    hub.refuses = None
    return life


# -- order and window


async def test_order_is_descriptions_then_notes_then_live_then_backlog(hub: Hub, path: Path) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-0", commit_every=0.02).start()
    life.take("old")
    await life.stop()
    life = Life(hub, path, "run-1", commit_every=60.0)
    life.uplink.connected = lambda: life.uplink.retain("lab/pi-7/status", b"{}")
    await life.start()
    life.take("live")
    hub.refuses = None
    session = await online(hub, life)
    await hub.until(lambda: len(session.waiting) == 4)
    assert [(p.kind, p.samples) for p in session.waiting] == [
        ("status", []),
        ("ledger", []),
        ("data", [("live", 1)]),
        ("data", [("old", 1)]),
    ]
    await life.stop()


@pytest.mark.parametrize(("receive_maximum", "expected"), [(1, 1), (2, 2), (5, 5), (64, 64), (65_535, 64)])
async def test_the_window_is_never_larger_than_receive_maximum_nor_than_ours(
    hub: Hub, path: Path, receive_maximum: int, expected: int
) -> None:
    hub.window = receive_maximum
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    session = await online(hub, life)
    for n in range(100):
        life.take(f"d{n}")
        assert len(session.waiting) == min(n + 1, expected)
    while session.waiting:
        session.answer()
        assert len(session.waiting) <= expected
    life.check()
    await life.stop()


@pytest.mark.parametrize(("window", "expected"), [(1, 1), (2, 1), (3, 1), (4, 2), (20, 10)])
async def test_the_backlog_takes_at_most_half_of_the_window(hub: Hub, path: Path, window: int, expected: int) -> None:
    life = await with_backlog(hub, path, 1, devices="abcdefghijklmnopqrstuvw")
    hub.window = window
    session = await online(hub, life)
    await hub.until(lambda: len(data(session)) == expected)
    await asyncio.sleep(0.02)
    assert len(data(session)) == expected
    if window > 1:
        life.take("live")
        assert samples(session)[-1] == ("live", 1)  # the other half is free for it
    await life.stop()


async def test_live_samples_go_before_what_waits_on_disk(hub: Hub, path: Path) -> None:
    life = await with_backlog(hub, path, 1, devices="abcd")
    hub.window = 2
    session = await online(hub, life)
    await hub.until(lambda: len(session.waiting) == 1)
    life.commit_every = life.writer.commit_every = 60.0
    life.take("x")
    life.take("y")
    assert samples(session) == [("a", 1), ("x", 1)]
    session.answer()
    assert samples(session) == [("x", 1), ("y", 1)]
    session.answer()
    assert samples(session) == [("y", 1), ("b", 1)]
    await life.stop()


async def test_each_device_is_sent_oldest_first_and_the_longest_waiting_device_first(hub: Hub, path: Path) -> None:
    hub.window = 1
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    session = await online(hub, life)
    for device in ("first", "b", "a", "b", "c", "a"):
        life.take(device)
    sent = []
    while session.waiting:
        sent += session.answer().samples
    assert sent == [("first", 1), ("b", 1), ("b", 2), ("a", 1), ("a", 2), ("c", 1)]
    await life.stop()


# -- joined packs


async def test_only_a_full_window_and_the_backlog_join_and_only_one_devices_samples(hub: Hub, path: Path) -> None:
    hub.window = 3
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    session = await online(hub, life)
    for _ in range(3):
        life.take("a")
    for _ in range(4):
        life.take("a")
        life.take("b")
    assert [p.samples for p in session.waiting] == [[("a", 1)], [("a", 2)], [("a", 3)]]
    session.answer()
    session.answer()
    assert [p.samples for p in session.waiting[1:]] == [
        [("a", n) for n in range(4, 8)],
        [("b", n) for n in range(1, 5)],
    ]
    heads = [r for r in json.loads(session.waiting[1].payload) if "bn" in r]
    assert [(r["bn"], r["run"], r["seq"]) for r in heads] == [("pi-7/a/", "run-1", n) for n in range(4, 8)]
    assert not any("late" in r for r in heads)  # they wait, but have never been sent
    session.answer_all()
    life.check()
    await life.stop()


@pytest.mark.parametrize(("maximum_packet", "expected"), [(None, 64_000), (1_000_000, 64_000), (3000, 3000)])
async def test_a_joined_pack_is_at_most_64_kb_and_fits_the_maximum_packet_size(
    hub: Hub, path: Path, maximum_packet: int | None, expected: int
) -> None:
    hub.maximum_packet = maximum_packet
    life = await with_backlog(hub, path, 400, pad=500)
    session = await online(hub, life)
    await hub.until(lambda: len(data(session)) >= 3)
    sizes = [len(p.payload) for p in data(session)]
    assert max(sizes) <= expected
    assert max(sizes) > expected - 1200
    hub.automatic = True
    await hub.until(lambda: life.idle)
    life.check()
    await life.stop()


# -- refusals


@pytest.mark.parametrize("code", [0x87, 0x97])
async def test_not_authorised_and_quota_pause_that_topic_longer_and_longer_and_drop_nothing(
    hub: Hub, path: Path, code: int
) -> None:
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    session = await online(hub, life)
    loop, tried = asyncio.get_running_loop(), []
    life.take("a")
    for _ in range(4):
        await hub.until(lambda: data(session))
        tried.append(loop.time())
        for p in data(session):
            session.answer(p, code)
        life.take("a")
        life.take("b")
        assert [s[0] for s in samples(session)] == ["b"]  # others go on
        session.answer()
    gaps = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert [0.02 * 2**n <= gap < 0.02 * 2**n + 0.05 for n, gap in enumerate(gaps)] == [True] * 3
    assert list(life.uplink.paused) == ["lab/pi-7/a/data"]
    life.check()
    hub.automatic = True
    await hub.until(lambda: life.idle)
    assert life.buffer.books["a"].confirmed == 5
    assert [s for p in hub.heard for s in p.samples if s[0] == "a"] == [("a", n) for n in range(1, 6)]
    # Accepted once, the next pause is short again.
    session.answer_all()
    hub.automatic = False
    life.take("a")
    session.answer(code=code)
    again = loop.time()
    await hub.until(lambda: data(session))
    assert loop.time() - again < 0.07
    await life.stop()


async def test_a_new_connection_tries_paused_topics_at_once_their_backlog_too(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rights and quotas often change with the broker."""
    monkeypatch.setattr(pauses_module, "PAUSE", (60.0, 60.0))
    life = await with_backlog(hub, path, 3, pad=40_000)  # too large to be joined
    hub.window = 2
    session = await online(hub, life)
    await hub.until(lambda: data(session))
    session.answer(code=0x87)
    await hub.until(lambda: life.buffer.exhausted)
    assert [h.seq for lane in life.buffer.backlog.values() for h in lane] == [1]
    session.lose()
    hub.automatic = True
    await hub.until(lambda: life.idle)
    life.check()
    await life.stop()


async def test_pauses_grow_up_to_a_longest(hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses_module, "PAUSE", (0.001, 0.004))
    paused = pauses_module.Pauses(lambda: None)
    for expected in (0.001, 0.002, 0.004, 0.004):
        assert paused.refused("t") == (expected == 0.001)
        assert paused._lengths["t"] == expected
        assert not paused.refused("t")  # a second verdict of the same window changes nothing
        await hub.until(lambda: "t" not in paused)


async def test_a_joined_pack_that_is_refused_is_sent_again_one_by_one_and_says_nothing_of_one(
    hub: Hub, path: Path
) -> None:
    life = await with_backlog(hub, path, 3)
    session = await online(hub, life)
    await hub.until(lambda: data(session))
    assert session.answer(code=0x83).samples == [("a", 1), ("a", 2), ("a", 3)]
    assert [p.samples for p in session.waiting] == [[("a", 1)], [("a", 2)], [("a", 3)]]
    assert [h.tries for h in life.buffer.busy.values() if h] == [0, 0, 0]
    session.answer_all()
    assert life.buffer.books["a"].confirmed == 3
    await life.stop()


async def test_a_joined_pack_refused_for_its_quota_waits_and_then_goes_one_by_one(hub: Hub, path: Path) -> None:
    life = await with_backlog(hub, path, 2)
    session = await online(hub, life)
    await hub.until(lambda: data(session))
    session.answer(code=0x97)
    assert session.waiting == []
    await hub.until(lambda: len(data(session)) == 2)
    assert [p.samples for p in session.waiting] == [[("a", 1)], [("a", 2)]]
    await life.stop()


async def test_refusals_are_counted_although_the_sample_goes_to_disk_meanwhile(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1", commit_every=0.01).start()
    session = await online(hub, life)
    life.take("a")
    for _ in range(uplink_module.TRIES):
        await hub.until(lambda: data(session))
        session.answer(code=0x99)
    assert life.buffer.books["a"].dropped == 1
    assert len(session.sent) == uplink_module.TRIES
    life.check()
    await life.stop()


@pytest.mark.parametrize("on_disk", [False, True])
async def test_refused_n_times_for_another_reason_it_is_dropped_on_the_ledger_and_kept_aside(
    hub: Hub, path: Path, on_disk: bool
) -> None:
    if on_disk:
        life = await with_backlog(hub, path, 1)
    else:
        life = await Life(hub, path, "run-1", commit_every=0.2).start()
    session = await online(hub, life)
    if not on_disk:
        life.take("a")
    for _ in range(uplink_module.TRIES):
        await hub.until(lambda: data(session))
        assert life.buffer.books["a"].dropped == 0
        session.answer(code=0x99)
    book = life.buffer.books["a"]
    assert (book.dropped, book.held) == (1, 0)
    life.take("a")
    assert samples(session) == [("a", 2)]  # the next is not held up any more
    hub.automatic = True
    await hub.until(lambda: life.idle)
    assert hub.auditor.accounts["run-1", "a"].declared == {1: "refused 0x99"}
    store = life.writer._store
    assert store is not None
    ((gateway, run, device, seq, reason),) = await store._all("SELECT gateway, run, device, seq, reason FROM aside")
    assert (gateway, run, device, seq, reason) == ("pi-7", "run-1", "a", 1, "refused 0x99")
    await life.stop()


async def test_between_two_refusals_for_another_reason_the_topic_is_paused(hub: Hub, path: Path) -> None:
    """A hub that is ill for a while must not make us give up everything within milliseconds."""
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    session = await online(hub, life)
    for _ in range(5):
        life.take("a")
    for _ in range(5):
        if data(session):
            session.answer(code=0x80)
    assert life.buffer.books["a"].dropped == 0
    assert data(session) == []
    await life.stop()


async def test_larger_than_the_maximum_packet_size_it_is_never_sent_but_dropped_and_kept_aside(
    hub: Hub, path: Path
) -> None:
    hub.maximum_packet = 1000
    life = await Life(hub, path, "run-1", commit_every=0.05).start()
    session = await online(hub, life)
    life.take("a", pad=2000)
    life.take("a")
    assert samples(session) == [("a", 2)]
    hub.automatic = True
    await hub.until(lambda: life.idle)
    assert hub.auditor.accounts["run-1", "a"].declared == {1: "refused 0x95"}
    await life.stop()


async def test_notes_and_descriptions_larger_than_that_are_not_sent_and_hold_up_no_sample(
    hub: Hub, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-0", commit_every=0.02).start()
    for n in range(60):
        life.take(f"a-device-with-a-long-name-{n}")
    await life.stop()
    hub.refuses, hub.automatic, hub.maximum_packet = None, True, 1000
    life = await Life(hub, path, "run-1", commit_every=0.02).start()
    await online(hub, life)
    life.uplink.retain("lab/pi-7/status", b"x" * 1000)
    life.take("a")
    await hub.until(lambda: life.buffer.held() == (0, 0))
    assert next(json.loads(n.body).get("ended") for n in life.buffer.notes.values()) == "clean"
    assert hub.retained == {}
    assert [r.getMessage().split()[-3] for r in caplog.records if "as large as" in r.getMessage()] == [
        "lab/pi-7/status"
    ]
    hub.maximum_packet = None
    assert hub.session is not None
    hub.session.lose()
    await hub.until(lambda: life.idle)
    await life.stop()


async def test_0x95_from_the_hub_drops_at_once(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1", commit_every=0.05).start()
    session = await online(hub, life)
    life.take("a")
    session.answer(code=0x95)
    assert life.buffer.books["a"].dropped == 1
    assert not life.uplink.paused
    await life.stop()


async def test_a_refused_note_is_tried_again_and_the_next_ones_wait_for_it(hub: Hub, path: Path) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-0", commit_every=0.02).start()
    await life.stop()
    hub.refuses = None
    life = await Life(hub, path, "run-1", commit_every=0.02).start()
    session = await online(hub, life)
    assert [json.loads(p.payload).get("ended") for p in session.waiting] == ["clean"]
    session.answer(code=0x97)
    life.take("a")
    assert [p.kind for p in session.waiting] == ["data"]
    await hub.until(lambda: any(p.kind == "ledger" for p in session.waiting))
    (note,) = (p for p in session.waiting if p.kind == "ledger")
    assert json.loads(note.payload)["ended"] == "clean"
    hub.automatic = True
    await hub.until(lambda: "run-0" in hub.auditor.settled)
    await life.stop()


async def test_a_refused_description_is_tried_again_unless_there_is_a_newer_one(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1").start()
    session = await online(hub, life)
    life.uplink.retain("lab/pi-7/a/meta", b"1")
    session.answer(code=0x97)
    life.uplink.retain("lab/pi-7/a/meta", b"2")
    assert session.waiting == []
    await hub.until(lambda: session.waiting)
    assert [p.payload for p in session.waiting] == [b"2"]
    session.answer_all()
    assert hub.retained == {"lab/pi-7/a/meta": b"2"}
    await life.stop()


@pytest.mark.parametrize("unheard", ["accept", "hold"])
async def test_0x10_is_a_confirmation_unless_told_to_hold(hub: Hub, path: Path, unheard: str) -> None:
    life = Life(hub, path, "run-1", commit_every=60.0)
    life.uplink.hub = life.uplink.hub.model_copy(update={"unheard": unheard})
    changes: list[bool] = []
    life.uplink.changed = lambda: changes.append(life.uplink.unheard)
    await life.start()
    session = await online(hub, life)
    life.take("a")
    session.answer(code=0x10)
    assert life.uplink.unheard
    assert life.buffer.held()[0] == (1 if unheard == "hold" else 0)
    if unheard == "hold":
        await hub.until(lambda: data(session))
        session.answer()
    else:
        life.take("a")
        session.answer()
    assert life.buffer.held()[0] == 0
    assert not life.uplink.unheard
    await life.stop()


async def test_that_nobody_listens_on_one_topic_is_told_once_while_others_are_heard(hub: Hub, path: Path) -> None:
    life = Life(hub, path, "run-1", commit_every=60.0)
    changes: list[bool] = []
    life.uplink.changed = lambda: changes.append(life.uplink.unheard)
    await life.start()
    session = await online(hub, life)
    for _ in range(10):
        life.take("a")
        session.answer(code=0x10)
        life.take("b")
        session.answer()
    assert changes == [True]
    life.take("a")
    session.answer()
    assert changes == [True, False]
    await life.stop()


# -- lost connections


async def test_a_closed_port_is_tried_again_within_a_second(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(uplink_module.mqtt, "connect", hub.connect)
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1").start()
    loop, times = asyncio.get_running_loop(), []
    for n in range(1, 5):
        await hub.until(lambda n=n: hub.attempts >= n)
        times.append(loop.time())
    assert max(b - a for a, b in itertools.pairwise(times)) < 1.0
    assert life.uplink.problem is AWAY
    hub.refuses = None
    await online(hub, life)
    assert life.uplink.problem is None
    await life.abandon()


async def test_a_hub_that_says_no_is_asked_less_and_less_often(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink_module, "_SENT_AWAY", (0.02, 0.1))
    hub.refuses = LinkError("bad user name or password", "refused", 0x86)
    life = await Life(hub, path, "run-1").start()
    loop, times = asyncio.get_running_loop(), []
    for n in range(1, 7):
        await hub.until(lambda n=n: hub.attempts >= n)
        times.append(loop.time())
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps[0] < 0.04 < gaps[2] < 0.13
    assert 0.07 < gaps[4] < 0.13
    # As soon as it is only the port that is closed, it is asked often again.
    hub.refuses = AWAY
    before = hub.attempts
    await hub.until(lambda: hub.attempts > before + 1)
    again = loop.time()
    await hub.until(lambda: hub.attempts > before + 5)
    assert loop.time() - again < 0.1
    await life.abandon()


@pytest.mark.parametrize("code", [None, 0, 0x8B])
async def test_a_hub_that_shuts_down_is_asked_again_soon(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    monkeypatch.setattr(uplink_module, "_SENT_AWAY", (10.0, 60.0))
    life = await Life(hub, path, "run-1").start()
    session = await online(hub, life)
    session.lose(why="the hub is shutting down", code=code)
    await hub.until(lambda: hub.session and hub.session is not session, 1.0)
    await life.abandon()


async def test_two_gateways_with_one_client_id_do_not_chase_each_other(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(uplink_module, "_SENT_AWAY", (0.02, 0.2))
    life = await Life(hub, path, "run-1").start()
    loop, times = asyncio.get_running_loop(), []
    for n in range(1, 6):
        await hub.until(lambda n=n: len(hub.sessions) >= n and hub.session)
        times.append(loop.time())
        assert hub.session is not None
        hub.session.lose(why="another client took over the client id", code=0x8E)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps[-1] > 0.1
    assert "another client took over the client id" in caplog.text
    await life.abandon()


async def test_a_connection_that_breaks_with_one_sample_alone_three_times_sets_it_aside(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    session = await online(hub, life)
    life.take("poison")
    life.take("a")
    life.take("b")
    for _ in range(2):
        assert len(data(session)) == 3
        session.lose()
        await hub.until(lambda old=session: hub.session and hub.session is not old and data(hub.session))
        assert hub.session is not None
        session = hub.session
    assert [p.samples for p in data(session)] == [[("poison", 1)]]  # one at a time
    session.lose()
    await hub.until(lambda: hub.session and hub.session is not session and data(hub.session))
    assert hub.session is not None
    session = hub.session
    assert life.buffer.books["poison"].dropped == 1
    assert samples(session) == [("a", 1)]  # still careful, until something is confirmed
    session.answer()
    life.take("c")
    assert samples(session) == [("b", 1), ("c", 1)]
    session.answer_all()
    life.writer.commit_every = 0.01
    life.buffer.arm()
    hub.automatic = True
    await hub.until(lambda: life.idle)
    assert hub.auditor.accounts["run-1", "poison"].declared == {1: "connection lost"}
    await life.stop()


async def test_a_clean_stop_sets_nothing_aside(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    session = await online(hub, life)
    life.take("a")
    for _ in range(2):
        session.lose()
        await hub.until(lambda old=session: hub.session and hub.session is not old and data(hub.session))
        assert hub.session is not None
        session = hub.session
    await life.stop()
    assert life.buffer.books["a"].dropped == 0


async def test_a_confirmation_between_makes_it_patient_again(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    session = await online(hub, life)
    for turn in range(6):
        life.take("a")
        life.take("b")
        await hub.until(lambda: hub.session and len(data(hub.session)) >= 2)
        if turn % 2:
            session.answer_all()
        else:
            session.lose()
            await hub.until(lambda old=session: hub.session and hub.session is not old)
            assert hub.session is not None
            session = hub.session
    assert life.buffer.held()[0] == 0
    life.check()
    await life.stop()


async def test_a_hub_that_does_not_answer_loses_the_connection(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(window_module, "ANSWER_WITHIN", 0.08)
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    session = await online(hub, life)
    loop = asyncio.get_running_loop()
    for _ in range(10):  # as long as it answers, it may take its time for each
        life.take("a")
        await asyncio.sleep(0.02)
        session.answer()
    assert hub.session is session
    life.take("a")
    began = loop.time()
    await hub.until(lambda: session.lost.done())
    assert 0.07 < loop.time() - began < 0.2
    await hub.until(lambda: "the hub did not answer a publish within 0.08 s" in caplog.text)
    assert hub.goodbyes == 0  # the hub is to publish the will
    await hub.until(lambda: hub.session and data(hub.session))
    assert hub.session is not None
    assert json.loads(data(hub.session)[0].payload)[0]["late"] is True
    hub.session.answer_all()
    life.check()
    await life.stop()


async def test_a_late_verdict_of_a_lost_connection_confirms_nothing(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    session = await online(hub, life)
    life.take("a")
    verdict = session.waiting[0].verdict
    assert verdict is not None
    session.lose()
    await hub.until(lambda: hub.session and hub.session is not session and data(hub.session))
    verdict(0)
    assert life.buffer.held()[0] == 1
    assert hub.session is not None
    hub.session.answer()
    assert life.buffer.held()[0] == 0
    life.check()
    await life.stop()


async def test_losing_the_connection_returns_every_lane_to_its_order(hub: Hub, path: Path) -> None:
    """Refused, joined, answered out of order, then lost: oldest first again, each once."""
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    hub.window = 4
    session = await online(hub, life)
    session.receive_maximum = 4
    for _ in range(12):
        life.take("a")
    session.answer(session.waiting[1], code=0x83)
    assert session.answer(session.waiting[1]).samples == [("a", 3)]
    session.lose()
    await hub.until(lambda: hub.session and hub.session is not session and data(hub.session))
    assert hub.session is not None
    sent = [s[1] for s in samples(hub.session)]
    while hub.session.waiting:
        hub.session.answer()
        sent += [s[1] for p in hub.session.waiting for s in p.samples if s[1] not in sent]
    assert sent == [1, 2, *range(4, 13)]
    life.check()
    await life.stop()


# -- leaving


async def test_goodbye_waits_for_a_place_in_the_window_and_is_the_last_word(hub: Hub, path: Path) -> None:
    hub.window = 2
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    session = await online(hub, life)
    for _ in range(4):
        life.take("a")
        life.take("b")
    life.uplink.retain("lab/pi-7/status", b"online")
    stopping = asyncio.create_task(life.uplink.stop("lab/pi-7/status", b"offline"))
    await asyncio.sleep(0)
    life.uplink.retain("lab/pi-7/status", b"online again")
    assert len(session.waiting) == 2
    for _ in range(3):
        session.answer()
    await stopping
    assert [p.payload for p in session.sent[-1:]] == [b"offline"]
    assert hub.retained == {"lab/pi-7/status": b"offline"}
    await asyncio.wait_for(life.tasks[1], 1)
    assert hub.goodbyes == 1  # a clean DISCONNECT: the hub forgets the will
    await life.stop()


async def test_a_hub_that_does_not_answer_cannot_hold_up_the_stop(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    await online(hub, life)
    life.take("a")
    began = asyncio.get_running_loop().time()
    await life.stop()
    assert asyncio.get_running_loop().time() - began < 0.3


async def test_a_connection_that_comes_up_while_we_leave_is_left(hub: Hub, path: Path) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1").start()
    await hub.until(lambda: hub.attempts)
    gate, connecting = asyncio.Event(), asyncio.Event()
    connect = hub.connect

    class Slow:
        def __init__(self, *arguments: object) -> None:
            self.inner = connect(*arguments)

        async def __aenter__(self) -> Session:
            connecting.set()
            await gate.wait()
            return await self.inner.__aenter__()

        async def __aexit__(self, *error: object) -> bool | None:
            return await self.inner.__aexit__(*error)

    uplink_module.mqtt.connect = Slow
    hub.refuses = None
    await asyncio.wait_for(connecting.wait(), 5)
    await life.uplink.stop("lab/pi-7/status", b"offline")
    gate.set()
    await asyncio.wait_for(life.tasks[1], 1)
    assert hub.goodbyes == 1


async def test_a_bug_in_the_uplink_gives_back_what_was_in_flight(hub: Hub, path: Path) -> None:
    """The supervisor starts it again; what was outstanding is sent again."""
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    session = await online(hub, life)
    life.take("a")
    session.lost.set_exception(RuntimeError("a bug"))
    session.lost.exception()
    life.tasks[1].cancel()
    await asyncio.gather(life.tasks[1], return_exceptions=True)
    assert [h.flying for h in life.buffer.tail] == [False]
    life.tasks[1] = asyncio.create_task(life.uplink.run())
    await hub.until(lambda: hub.session and data(hub.session))
    await life.stop()


# -- what the application is told


async def test_drained_is_told_once_when_the_last_sample_of_an_earlier_run_is_confirmed(hub: Hub, path: Path) -> None:
    life = await with_backlog(hub, path, 2, devices=["gone"])
    hub.refuses = AWAY
    await life.stop()
    life = Life(hub, path, "run-2", commit_every=0.02)
    told: list[int] = []
    life.uplink.drained = lambda: told.append(sum(b.held for b in life.buffer.all_books()))
    await life.start(topics={"lab/pi-7/gone/meta": "gone"})
    hub.refuses, hub.automatic = None, True
    await hub.until(lambda: life.idle)
    life.take("meter-1")
    await hub.until(lambda: life.idle)
    assert told == [0]
    life.uplink.retain("lab/pi-7/gone/meta", b"")
    await hub.until(lambda: "lab/pi-7/gone/meta" not in life.buffer.topics)
    assert hub.retained["lab/pi-7/gone/meta"] == b""
    await hub.until(lambda: life.idle)
    store = life.writer._store
    assert store is not None
    assert await store._all("SELECT * FROM topic") == []
    await life.stop()


async def test_a_view_is_sent_only_while_connected_and_needs_no_answer(hub: Hub, path: Path) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1").start()
    life.uplink.view("lab/pi-7/a/state", b"{}")
    hub.refuses = None
    session = await online(hub, life)
    assert session.sent == []
    life.uplink.view("lab/pi-7/a/state", b"{}")
    assert [(p.topic, p.retain, p.verdict) for p in session.sent] == [("lab/pi-7/a/state", True, None)]
    await life.stop()
