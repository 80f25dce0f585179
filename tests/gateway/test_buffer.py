"""The buffer's rules, one by one, on real files; the hub is scripted (tests/rig.py)."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway import buffer as buffer_module
from gateway import pauses as pauses_module
from gateway import uplink as uplink_module
from gateway import writer as writer_module
from gateway.errors import DiskError, LinkError
from gateway.store import Store
from tests.rig import Hub, Life

AWAY = LinkError("nothing listens there", "refused")


@pytest.fixture
async def hub(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    hub = Hub()
    monkeypatch.setattr(uplink_module.mqtt, "connect", hub.connect)
    monkeypatch.setattr(uplink_module, "_RETRY", (0.001, 0.005))
    monkeypatch.setattr(uplink_module, "GOODBYE_WITHIN", 0.02)
    yield hub
    for life in hub.lives:
        await life.abandon()
    assert not hub.auditor.unexplained()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "buffer.db"


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """What another process sees in the file: only what is committed."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def seqs(path: Path) -> list[int]:
    return [seq for (seq,) in rows(path, "SELECT seq FROM sample ORDER BY id")]


def notes(path: Path) -> list[dict[str, Any]]:
    return [json.loads(body) for (body,) in rows(path, "SELECT body FROM note ORDER BY id")]


async def committed(life: Life, seq: int, within: float = 5.0) -> None:
    """Until a device's sample of that number is on disk, and the writer knows."""
    await life.hub.until(lambda: seq not in {h.seq for h in life.buffer.tail}, within)
    assert seq in seqs(life.path)


# -- 1 to 3: taking


async def test_rule_01_numbers_begin_at_1_for_each_device_of_each_run(hub: Hub, path: Path) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1").start()
    assert [life.take("a"), life.take("b"), life.take("a"), life.take("a"), life.take("b")] == [1, 1, 2, 3, 2]
    await life.stop()
    life = await Life(hub, path, "run-2").start()
    assert life.take("a") == 1
    await life.stop()


async def test_rule_02_start_closes_what_was_left_open_in_one_transaction_before_the_first_publish(
    hub: Hub, path: Path, tmp_path: Path
) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1").start()
    life.take("a")
    life.take("a")
    await committed(life, 2)
    life.take("a")  # not committed: at risk
    await life.kill(tmp_path / "killed.db")
    assert rows(tmp_path / "killed.db", "SELECT run, state FROM run") == [("run-1", "open")]

    hub.refuses = None
    life = Life(hub, tmp_path / "killed.db", "run-2")
    await life.writer.open({})
    assert hub.attempts == 0 or not hub.sessions
    assert rows(life.path, "SELECT run, state FROM run ORDER BY id") == [("run-1", "unclean"), ("run-2", "open")]
    assert notes(life.path) == [{"run": "run-1", "ended": "unclean", "kept": {"a": 2}}]
    assert life.writer.previous == {"run": "run-1", "clean": False}
    life.tasks = [asyncio.create_task(life.writer.run()), asyncio.create_task(life.uplink.run())]
    hub.automatic = True
    await hub.until(lambda: "run-1" in hub.auditor.settled)
    assert hub.heard[0].kind == "ledger"
    assert hub.auditor.verdicts() == {("run-1", "a"): {}}  # 3 was never heard of
    await life.stop()


async def test_rule_02_a_start_that_is_killed_leaves_the_file_as_it_was(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1").start()
    life.take()
    await life.stop()
    before = rows(path, "SELECT run, state FROM run"), notes(path)

    async def broken(self: Store, commit: object) -> None:
        raise DiskError("cut")

    monkeypatch.setattr(Store, "_apply", broken)
    life = await Life(hub, path, "run-2").start(uplink=False)
    assert life.buffer.trouble == "cut"
    assert (rows(path, "SELECT run, state FROM run"), notes(path)) == before
    monkeypatch.undo()
    await life.stop()


async def test_rule_03_a_sample_is_published_at_once_and_forgotten_when_confirmed(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1").start()
    await hub.until(lambda: life.uplink.protocol)
    before = path.stat().st_mtime_ns, path.with_name("buffer.db-wal").stat().st_mtime_ns
    for seq in range(1, 21):
        life.take()
        assert hub.session is not None
        assert hub.session.waiting[0].samples == [("meter-1", seq)]  # before `take` returned
        assert not hub.session.answer().payload.count(b"late")
        assert (life.buffer.held(), len(life.buffer.tail), life.buffer.live) == ((0, 0), 0, {})
    await asyncio.sleep(2.5 * life.commit_every)
    assert (path.stat().st_mtime_ns, path.with_name("buffer.db-wal").stat().st_mtime_ns) == before
    life.check()
    await life.stop()


# -- 4 and 5: when, and what, a commit writes


async def test_rule_04_every_sample_is_committed_before_it_is_commit_every_old(hub: Hub, path: Path) -> None:
    """Looked at from another process, as a kill would find it."""
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1", commit_every=0.2).start()
    loop = asyncio.get_running_loop()
    oldest = 0.0
    end = loop.time() + 0.9
    while loop.time() < end:
        life.take()
        there = set(seqs(path))
        ages = [loop.time() - at for (_, _, seq), (_, at) in hub.taken.items() if seq not in there]
        oldest = max(oldest, *ages)
        await asyncio.sleep(0.003)
    assert 0.1 < oldest < 0.2
    await life.stop()


async def test_rule_04_a_slow_disk_is_given_more_time(hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1", commit_every=0.2).start()
    commit, finished = Store.commit, dict[int, float]()
    loop = asyncio.get_running_loop()

    async def slow(self: Store, c: Any) -> None:
        await asyncio.sleep(0.04)
        await commit(self, c)
        finished.update({r.seq: loop.time() for r in c.rows})

    monkeypatch.setattr(Store, "commit", slow)
    for _ in range(30):
        life.take()
        await asyncio.sleep(0.02)
    await hub.until(lambda: len(finished) == 30)
    ages = {seq: at - hub.taken["run-1", "meter-1", seq][1] for seq, at in finished.items()}
    later = [age for seq, age in ages.items() if seq > 10]  # the first commit cannot know how slow the disk is
    assert max(later) < 0.2
    await life.stop()


async def test_rule_04_what_waits_beside_the_tail_does_not_hold_up_its_commit(hub: Hub, path: Path) -> None:
    """A delete waits; a sample taken a little later is due before the delete has waited commit_every."""
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1", commit_every=0.3).start()
    await hub.until(lambda: life.buffer.trouble is None)
    life.writer.commit_seconds = 0.1  # as measured on a slow card: the lead is 0.2 s
    life.buffer.topics["lab/pi-7/gone/meta"] = "gone"
    life.buffer.release_topic("lab/pi-7/gone/meta")
    await asyncio.sleep(0.02)
    began = asyncio.get_running_loop().time()
    life.take()
    await committed(life, 1)
    assert asyncio.get_running_loop().time() - began < 0.3 - 0.1
    await life.stop()


async def test_rule_04_nothing_else_writes_and_nothing_wakes_when_nothing_waits(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await Life(hub, path, "run-1", commit_every=0.05).start()
    hub.automatic = True
    life.take()
    await hub.until(lambda: life.buffer.held() == (0, 0))
    await hub.until(lambda: life.writer._timer is None)
    fired: list[object] = []
    fire = writer_module.Writer._fire
    monkeypatch.setattr(writer_module.Writer, "_fire", lambda w: (fired.append(w), fire(w)))
    commits: list[object] = []
    commit = writer_module.Writer._commit
    monkeypatch.setattr(writer_module.Writer, "_commit", lambda w: (commits.append(w), commit(w))[1])
    await asyncio.sleep(0.3)
    assert life.writer._timer is None
    assert (fired, commits) == ([], [])
    # Samples that are confirmed at once cost one timer a commit_every, and no commit.
    assert hub.session is not None
    for _ in range(100):
        life.take()
        hub.session.answer()
        await asyncio.sleep(0.002)
    assert len(fired) <= 8
    assert commits == []
    await life.stop()


async def test_rule_04_without_a_hub_one_commit_each_commit_every(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1", commit_every=0.06).start()
    commits: list[int] = []
    commit = Store.commit

    async def counted(self: Store, c: Any) -> None:
        commits.append(len(c.rows))
        await commit(self, c)

    monkeypatch.setattr(Store, "commit", counted)
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() < began + 0.6:
        life.take()
        await asyncio.sleep(0.005)
    assert 8 <= len(commits) <= 12
    assert all(n > 5 for n in commits)
    await life.stop()


async def test_rule_04_a_full_tail_is_written_at_once(hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.refuses = AWAY
    monkeypatch.setattr(buffer_module, "TAIL_BYTES", 5000)
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    for _ in range(12):
        life.take(pad=500)
    await committed(life, 12)
    assert life.buffer.tail_bytes == 0
    life.check()
    await life.stop()


async def test_rule_05_a_commit_writes_the_whole_tail_kept_deletes_and_notes_in_one_transaction(
    hub: Hub, path: Path
) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1").start()
    for device in ("a", "b", "a"):
        life.take(device)
    await committed(life, 2)
    assert rows(path, "SELECT device, kept FROM book ORDER BY device") == [("a", 2), ("b", 1)]
    hub.refuses, before = None, life.buffer.on_disk
    await hub.until(lambda: hub.session and hub.session.waiting)
    assert hub.session is not None
    hub.session.answer_all()
    await hub.until(lambda: not life.buffer.on_disk)
    assert before == 3
    await hub.until(lambda: seqs(path) == [])  # in a commit of their own, commit_every later
    await hub.until(lambda: not life.buffer.busy)
    await life.stop()


async def test_rule_05_the_books_are_written_as_they_were_when_the_commit_began(
    hub: Hub, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample refused while a commit is under way: its drop and its note belong to the next one, both."""
    life = await Life(hub, path, "run-1").start()
    await hub.until(lambda: life.uplink.protocol)
    assert hub.session is not None
    life.take()
    life.take()
    await committed(life, 2)  # on disk and in flight
    apply, waiting = Store._apply, asyncio.Event()

    async def held_up(self: Store, c: Any) -> None:
        hub.session.answer(code=0x95)
        await apply(self, c)
        waiting.set()

    monkeypatch.setattr(Store, "_apply", held_up)
    life.take()
    await asyncio.wait_for(waiting.wait(), 5)
    monkeypatch.undo()
    await life.kill(tmp_path / "killed.db")
    ((held,),) = rows(tmp_path / "killed.db", "SELECT count(*) FROM sample WHERE seq=1")
    ((dropped,),) = rows(tmp_path / "killed.db", "SELECT dropped FROM book")
    declared = [n for n in notes(tmp_path / "killed.db") if "dropped" in n]
    assert (held, dropped, len(declared)) in ((1, 0, 0), (0, 1, 1))


async def test_rule_05_a_cancelled_commit_is_finished_first(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1").start()
    apply, under_way = Store._apply, asyncio.Event()

    async def held_up(self: Store, c: Any) -> None:
        under_way.set()
        await asyncio.sleep(0.02)
        await apply(self, c)

    monkeypatch.setattr(Store, "_apply", held_up)
    life.take()
    life.take()
    await asyncio.wait_for(under_way.wait(), 5)
    life.tasks[0].cancel()  # as a TaskGroup does when another part fails
    with pytest.raises(asyncio.CancelledError):
        await life.tasks.pop(0)
    assert seqs(path) == [1, 2]
    life.check()
    life.take()
    await life.stop()
    assert seqs(path) == [1, 2, 3]


# -- 6 to 8: confirmed, outstanding, lost


async def test_rule_06_a_refusal_is_no_confirmation(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1").start()
    await hub.until(lambda: life.uplink.protocol)
    assert hub.session is not None
    life.take()
    hub.session.answer(code=0x87)
    assert life.buffer.held()[0] == 1
    life.check()
    await life.stop()
    assert seqs(path) == [1]


async def test_rule_06_confirmed_while_it_is_being_written_it_is_deleted_by_the_next_commit(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await Life(hub, path, "run-1", commit_every=0.2).start()
    await hub.until(lambda: life.uplink.protocol)
    apply = Store._apply

    async def meanwhile(self: Store, c: Any) -> None:
        if c.rows:
            assert hub.session is not None
            hub.session.answer()
            life.check()
        await apply(self, c)

    monkeypatch.setattr(Store, "_apply", meanwhile)
    life.take()
    await hub.until(lambda: life.path.exists() and seqs(path) == [1] and life.buffer.pending_since)
    assert life.buffer.books["meter-1"].confirmed == 1
    life.check()
    life.buffer.rewind()
    life.buffer.exhausted, life.buffer.fetch_wanted = False, True  # read before its row is deleted
    life.buffer.wake()
    await hub.until(lambda: not life.buffer.fetch_wanted)
    assert hub.session is not None
    assert hub.session.waiting == []
    await hub.until(lambda: seqs(path) == [])
    life.check()
    await life.stop()


@pytest.mark.parametrize("on_disk", [False, True])
async def test_rule_07_and_08_what_was_outstanding_returns_in_order_and_is_sent_late_under_the_same_name(
    hub: Hub, path: Path, on_disk: bool
) -> None:
    life = await Life(hub, path, "run-1", commit_every=0.05 if on_disk else 60.0).start()
    await hub.until(lambda: life.uplink.protocol)
    for _ in range(3):
        life.take("a")
        life.take("b")
    if on_disk:
        await hub.until(lambda: life.buffer.on_disk == 6)
    first = hub.session
    assert first is not None
    assert [p.samples for p in first.waiting] == [
        [("a", 1)],
        [("b", 1)],
        [("a", 2)],
        [("b", 2)],
        [("a", 3)],
        [("b", 3)],
    ]
    first.lose(read=2)
    await hub.until(
        lambda: hub.session and hub.session is not first and sum(p.kind == "data" for p in hub.session.waiting)
    )
    assert hub.session is not None
    again = [s for p in hub.session.waiting for s in p.samples]
    assert [s for s in again if s[0] == "a"] == [("a", 1), ("a", 2), ("a", 3)]
    assert [s for s in again if s[0] == "b"] == [("b", 1), ("b", 2), ("b", 3)]
    heads = [r for p in hub.session.waiting for r in json.loads(p.payload)]
    assert all(r["late"] is True and r["run"] == "run-1" for r in heads)
    hub.session.answer_all()
    life.check()
    assert life.buffer.held()[0] == 0
    assert hub.auditor.accounts["run-1", "a"].copies == 4  # the first was heard twice
    await life.stop()


async def test_rule_08_given_back_samples_stand_in_front_of_younger_ones_of_their_device(hub: Hub, path: Path) -> None:
    """One in flight is written to disk meanwhile; then it returns to a backlog that holds older ones."""
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1", commit_every=0.05).start()
    for _ in range(6):
        life.take(pad=40_000)  # too large to be joined
    await committed(life, 6)
    hub.refuses, hub.window = None, 2  # one of the backlog at a time
    await hub.until(lambda: hub.session and hub.session.waiting)
    first = hub.session
    assert first is not None
    life.take()
    await committed(life, 7)
    assert [p.samples[0][1] for p in first.waiting] == [1, 7]
    hub.window = 12
    first.lose()
    await hub.until(lambda: hub.session and len(hub.session.waiting) >= 4)
    assert hub.session is not None
    assert [seq for p in hub.session.waiting for _, seq in p.samples][:4] == [1, 2, 3, 4]
    await life.stop()


# -- 9 and 10: drops and `done`


async def test_rule_09_the_size_limit_takes_class_first_then_the_oldest_and_says_so_in_the_same_transaction(
    hub: Hub, path: Path
) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1", commit_every=0.02, max_bytes=200_000).start()
    for turn in range(40):
        for device, klass in (("alarm", "alarm"), ("normal", "normal"), ("bulk", "bulk")):
            life.take(device, klass, pad=5000 + turn)
        await committed(life, turn + 1)
        assert_books_and_notes_agree(path)
    held = {d: [s for (s,) in rows(path, f"SELECT seq FROM sample JOIN book ON book.id=book WHERE device='{d}'")]
            for d in ("alarm", "normal", "bulk")}  # fmt: skip
    assert held["alarm"] == list(range(1, 41))
    assert held["bulk"] == [40]  # of those that were on disk all went before the first normal one
    assert held["normal"] == list(range(held["normal"][0], 41))
    assert 1 < held["normal"][0] < 40
    life.check()
    await life.stop()


def assert_books_and_notes_agree(path: Path) -> None:
    """In one look at the file: what is missing of what was kept is declared, exactly once, and counted."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        db.execute("BEGIN")
        for id_, device, kept, dropped in db.execute("SELECT id, device, kept, dropped FROM book").fetchall():
            there = {s for (s,) in db.execute("SELECT seq FROM sample WHERE book=?", (id_,))}
            declared = [
                seq
                for (body,) in db.execute("SELECT body FROM note")
                for e in json.loads(body).get("dropped", [])
                if e["device"] == device
                for seq in range(e["from"], e["through"] + 1)
            ]
            assert set(declared) | there == set(range(1, kept + 1))
            assert not set(declared) & there
            assert len(set(declared)) == dropped


async def test_rule_09_what_was_set_aside_goes_before_anything_that_is_held(hub: Hub, path: Path) -> None:
    """It is on the ledger as dropped already; a hub that refuses everything must not fill the file with it."""
    hub.automatic = True
    life = await Life(hub, path, "run-1", commit_every=0.03).start()
    await hub.until(lambda: life.uplink.protocol)
    assert hub.session is not None
    hub.automatic = False
    for _ in range(20):
        life.take(pad=5000)
        hub.session.answer(code=0x95)
    await hub.until(lambda: len(rows(path, "SELECT seq FROM aside")) == 20)
    hub.refuses = AWAY
    hub.session.lose()
    store = life.writer._store
    assert store is not None
    life.writer.max_bytes = (await store.space())[0] + 10_000
    for _ in range(10):
        life.take(pad=5000)
        await asyncio.sleep(0.01)
    await hub.until(lambda: not life.buffer.tail)
    assert len(seqs(path)) == 10
    left = [seq for (seq,) in rows(path, "SELECT seq FROM aside ORDER BY id")]
    assert 0 < len(left) < 20
    assert left == list(range(21 - len(left), 21))  # the newest
    assert life.buffer.books["meter-1"].dropped == 20
    life.writer.max_bytes = 25_000
    life.take()
    await hub.until(lambda: not life.buffer.tail)
    assert rows(path, "SELECT seq FROM aside") == []
    life.check()
    await life.stop()


async def test_rule_09_a_long_time_at_the_limit_is_told_in_a_few_notes(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1", commit_every=0.01, max_bytes=60_000).start()
    for _ in range(40):
        life.take("a", pad=3000)
        life.take("b", "bulk", pad=3000)
        await hub.until(lambda: not life.buffer.tail)
    assert len(life.buffer.notes) == len(notes(path)) == 1
    assert_books_and_notes_agree(path)
    # One that is under way is left as it is.
    hub.refuses, hub.window = None, 1
    await hub.until(lambda: hub.session and any(p.kind == "ledger" for p in hub.session.waiting))
    assert hub.session is not None
    for _ in range(10):
        life.take("a", pad=3000)
        await hub.until(lambda: not life.buffer.tail)
    assert len(life.buffer.notes) == 2
    hub.automatic = True
    await hub.until(lambda: life.idle)
    said = hub.auditor.verdicts()
    assert {d: len(said["run-1", d]) for d in "ab"} == {d: life.buffer.books[d].dropped for d in "ab"}
    await life.stop()


async def test_rule_09_one_in_flight_is_never_dropped(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1", max_bytes=120_000).start()
    await hub.until(lambda: life.uplink.protocol)
    life.take(pad=20_000)  # in flight for all that follows
    for _ in range(58):
        life.take("other", pad=20_000)
        await asyncio.sleep(0.004)
    await hub.until(lambda: life.buffer.books["other"].dropped)
    assert life.buffer.books["meter-1"].dropped == 0
    life.check()
    hub.automatic = True
    await hub.until(lambda: life.idle)
    said = hub.auditor.verdicts()["run-1", "other"]
    assert set(said.values()) == {"dropped"}
    assert len(said) == life.buffer.books["other"].dropped
    await life.stop()


async def test_rule_09_what_the_coming_deletes_free_is_not_dropped_for(hub: Hub, path: Path) -> None:
    """At the size limit, when the hub returns: confirmed rows make room, so nothing needs to be given up."""
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1", commit_every=0.1, max_bytes=200_000).start()
    while not life.buffer.books or not life.buffer.books["meter-1"].dropped:
        for _ in range(5):
            life.take(pad=4000)
        await asyncio.sleep(0.02)
    hub.refuses, hub.automatic = None, True
    await hub.until(lambda: life.uplink.protocol)
    dropped = life.buffer.books["meter-1"].dropped
    for _ in range(100):
        assert hub.session is not None
        hub.session.answer_all()
        life.take(pad=100)
        await asyncio.sleep(0.002)
        if not life.buffer.on_disk:
            break
    await hub.until(lambda: not life.buffer.on_disk)
    assert life.buffer.books["meter-1"].dropped == dropped
    await life.stop()


async def test_rule_09_keep_free_stops_growth_but_never_eats_what_is_held(hub: Hub, path: Path) -> None:
    """Dropping rows gives the disk nothing back: where others filled it, the buffer must only not grow."""
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1").start()
    for _ in range(100):
        life.take(pad=2000)
    await committed(life, 100)
    life.writer.keep_free = 10**18  # as if somebody had filled the disk
    size = path.stat().st_size
    for turn in range(1, 6):
        life.take()
        await committed(life, 100 + turn)
    assert life.buffer.books["meter-1"].held >= 100
    assert path.stat().st_size <= size + 20_000
    life.check()
    await life.stop()


async def test_rule_09_a_row_that_was_dropped_is_not_sent_although_the_commit_failed(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1", max_bytes=100_000).start()
    for seq in range(1, 21):
        life.take(pad=2000 + seq)
    await committed(life, 20)
    commit, failing = Store.commit, True

    async def sometimes(self: Store, c: Any) -> None:
        if failing:
            raise DiskError("no")
        await commit(self, c)

    monkeypatch.setattr(Store, "commit", sometimes)
    life.writer.max_bytes = 30_000
    life.take()
    await hub.until(lambda: life.buffer.trouble)
    dropped = life.buffer.books["meter-1"].dropped
    assert dropped
    hub.refuses, hub.automatic = None, True
    await hub.until(lambda: life.buffer.books["meter-1"].held == 0)
    life.check()
    failing = False
    await hub.until(lambda: life.buffer.trouble is None and life.idle)
    assert set(hub.auditor.verdicts()["run-1", "meter-1"].values()) == {"dropped"}
    assert len(hub.auditor.verdicts()["run-1", "meter-1"]) == dropped
    await life.stop()


# -- the backlog


@pytest.mark.parametrize("chunk", [2, 256])
async def test_the_backlog_is_read_again_from_its_oldest_row_although_a_fetch_is_under_way(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """A paused topic resumes while rows of another device are on their way: what it holds must not be skipped."""
    hub.refuses = AWAY
    monkeypatch.setattr(writer_module, "_CHUNK", chunk)
    monkeypatch.setattr(pauses_module, "PAUSE", (0.05, 0.05))
    life = await Life(hub, path, "run-1", commit_every=0.02).start()
    for device in "aaabbb":
        life.take(device, pad=40_000)  # too large to be joined
    await committed(life, 3)
    fetch = Store.rows

    async def slow(self: Store, after: int, *more: Any) -> Any:
        found = await fetch(self, after, *more)
        await hub.until(lambda: not life.uplink.paused)
        return found

    monkeypatch.setattr(Store, "rows", slow)
    hub.refuses, hub.window = None, 2
    await hub.until(lambda: hub.session and hub.session.waiting)
    assert hub.session is not None
    assert hub.session.answer(code=0x97).samples == [("a", 1)]
    assert life.uplink.paused
    await asyncio.sleep(0.1)
    hub.automatic = True
    await hub.until(lambda: life.idle)
    life.check()
    await life.stop()


async def test_what_a_paused_topic_holds_stays_on_disk(
    hub: Hub, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of books that begin, or come to the disk for the first time, while the topic is paused."""
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1", commit_every=0.02).start()
    for _ in range(5):
        life.take()
    await life.stop()
    hub.refuses = None
    life = await Life(hub, path, "run-2", commit_every=0.02).start()
    await hub.until(lambda: hub.session and any(p.kind == "data" for p in hub.session.waiting))
    session = hub.session
    assert session is not None
    while any(p.kind == "data" for p in session.waiting):
        p = session.waiting[0]
        session.answer(p, 0x87 if p.kind == "data" else 0)
    for turn in range(1, 30):
        life.take()
        life.take("other")
        session.answer_all()
        if turn % 10 == 0:
            await committed(life, turn)
    await hub.until(lambda: not life.buffer.tail)
    assert len(life.buffer.busy) <= 5  # those that had been in flight
    assert life.buffer.books["meter-1"].held == 29
    life.check()
    await life.stop()


async def test_a_row_that_is_damaged_on_disk_is_dropped_and_declared(hub: Hub, path: Path) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1").start()
    for _ in range(3):
        life.take()
    await life.stop()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE sample SET body=x'fffefd' WHERE seq=2")
    hub.refuses, hub.automatic = None, True
    life = await Life(hub, path, "run-2").start()
    await hub.until(lambda: life.idle and "run-1" in hub.auditor.settled)
    assert hub.auditor.verdicts()["run-1", "meter-1"] == {2: "dropped"}
    assert hub.auditor.accounts["run-1", "meter-1"].declared == {2: "damaged"}
    await life.stop()


async def test_a_disk_that_can_only_be_read_is_drained(hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full, or mounted read-only: what the hub confirms makes room, if it is sent."""
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1", commit_every=0.02).start()
    for _ in range(600):
        life.take()
    await committed(life, 600)
    commit, full = Store.commit, [True]

    async def fails(self: Store, c: Any) -> None:
        if full[0]:
            raise DiskError("database or disk is full")
        await commit(self, c)

    monkeypatch.setattr(Store, "commit", fails)
    life.take()
    await hub.until(lambda: life.buffer.trouble)
    hub.refuses, hub.automatic = None, True
    await hub.until(lambda: life.buffer.held() == (0, 0))
    life.check()
    assert len(seqs(path)) == 600
    full[0] = False
    await hub.until(lambda: life.idle and seqs(path) == [])
    assert hub.auditor.accounts["run-1", "meter-1"].copies == 601
    await life.stop()


# -- without a disk


@pytest.fixture
def no_disk(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("a folder cannot be made here")
    return tmp_path / "file" / "buffer.db"


async def test_without_a_disk_the_tail_is_bounded_class_first_then_oldest_and_declared_when_the_disk_is_back(
    hub: Hub, no_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refuses = AWAY
    monkeypatch.setattr(buffer_module, "TAIL_BYTES", 100_000)
    life = await Life(hub, no_disk, "run-1").start()
    assert life.buffer.trouble is not None
    assert "cannot be used" in life.buffer.trouble
    for _ in range(150):
        for device, klass in (("alarm", "alarm"), ("normal", "normal"), ("bulk", "bulk")):
            life.take(device, klass, pad=400)
        assert life.buffer.tail_bytes <= 100_000
        life.check()
    books = life.buffer.books
    assert (books["alarm"].dropped, books["alarm"].held) == (0, 150)
    assert books["bulk"].held < 10  # those that came last, into the room made for some more
    assert 0 < books["normal"].dropped < 150
    assert sorted(h.seq for h in life.buffer.tail if h.book is books["normal"])[-1] == 150
    no_disk.parent.unlink()
    await hub.until(lambda: life.buffer.trouble is None and seqs(no_disk))
    assert_books_and_notes_agree(no_disk)
    hub.refuses, hub.automatic = None, True
    await hub.until(lambda: life.idle)
    life.check()
    said = hub.auditor.verdicts()
    assert {d: len(said["run-1", d]) for d in books} == {d: books[d].dropped for d in books}
    await life.stop()


async def test_without_a_disk_one_that_is_stuck_does_not_hold_what_is_confirmed_behind_it(
    hub: Hub, no_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buffer_module, "TAIL_BYTES", 100_000)
    life = await Life(hub, no_disk, "run-1").start()
    await hub.until(lambda: life.uplink.protocol)
    assert hub.session is not None
    life.take("stuck")
    stuck = hub.session.waiting[0]
    for _ in range(500):
        life.take(pad=1000)
        hub.session.answer(hub.session.waiting[1])
    assert hub.session.waiting == [stuck]
    assert life.buffer.books["stuck"].held == 1
    assert life.buffer.held() == (1, len(stuck.payload) - stuck.payload.index(b'"n":') + 2)
    assert len(life.buffer.tail) == 1
    await life.abandon()


async def test_on_a_disk_that_is_far_too_slow_the_tail_is_bounded_too(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refuses = AWAY
    monkeypatch.setattr(buffer_module, "TAIL_BYTES", 50_000)
    life = await Life(hub, path, "run-1").start()
    apply, go_on, under_way = Store._apply, asyncio.Event(), asyncio.Event()

    async def slow(self: Store, c: Any) -> None:
        under_way.set()
        await asyncio.wait_for(go_on.wait(), 5)
        await apply(self, c)

    monkeypatch.setattr(Store, "_apply", slow)
    for _ in range(60):
        life.take(pad=1000)
    await asyncio.wait_for(under_way.wait(), 5)
    for _ in range(100):
        life.take(pad=1000)
        assert life.buffer.tail_bytes <= 100_000
    dropped = life.buffer.books["meter-1"].dropped
    assert dropped > 40
    go_on.set()
    monkeypatch.setattr(Store, "_apply", apply)
    hub.refuses, hub.automatic = None, True
    await hub.until(lambda: life.idle)
    life.check()
    assert len(hub.auditor.verdicts()["run-1", "meter-1"]) == dropped == life.buffer.books["meter-1"].dropped
    await life.stop()


async def test_rule_10_done_follows_confirmations_without_gap_and_confirmed_drops(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1").start()
    await hub.until(lambda: life.uplink.protocol)
    session = hub.session
    assert session is not None
    for _ in range(4):
        life.take()
    book = life.buffer.books["meter-1"]
    session.answer(session.waiting[1])
    assert book.done == 0
    session.answer(session.waiting[0])
    assert book.done == 2
    session.answer(session.waiting[0], 0x95)  # 3 is dropped
    session.answer(session.waiting[0])
    assert book.done == 2
    life.take()
    assert json.loads(session.waiting[-1].payload)[0]["done"] == 2
    await hub.until(lambda: any(p.kind == "ledger" for p in session.waiting))
    note = next(p for p in session.waiting if p.kind == "ledger")
    assert json.loads(note.payload)["dropped"] == [
        {"device": "meter-1", "from": 3, "through": 3, "reason": "refused 0x95"}
    ]
    session.answer(note)
    assert book.done == 4
    life.take()
    assert json.loads(session.waiting[-1].payload)[0]["done"] == 4
    await life.stop()


# -- 11 to 13: ends


async def test_rule_11_a_clean_stop_is_one_commit(hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    for device in ("a", "a", "b"):
        life.take(device)
    commits: list[object] = []
    commit = Store.commit
    monkeypatch.setattr(Store, "commit", lambda s, c: (commits.append(c), commit(s, c))[1])
    await life.stop()
    assert len(commits) == 1
    assert rows(path, "SELECT run, state FROM run") == [("run-1", "clean")]
    assert rows(path, "SELECT device, kept, last FROM book ORDER BY device") == [("a", 2, 2), ("b", 1, 1)]
    assert notes(path) == [{"run": "run-1", "ended": "clean", "last": {"a": 2, "b": 1}}]
    assert len(seqs(path)) == 3


async def test_rule_12_settled_is_written_with_the_last_delete_and_forgets_the_book_when_confirmed(
    hub: Hub, path: Path
) -> None:
    hub.refuses = AWAY
    life = await Life(hub, path, "run-1").start()
    life.take()
    await life.stop()
    hub.refuses = None
    life = await Life(hub, path, "run-2").start()
    await hub.until(lambda: hub.session and any(p.kind == "data" for p in hub.session.waiting))
    assert hub.session is not None
    while any(p.kind == "data" for p in hub.session.waiting):
        hub.session.answer()
    assert {"run": "run-1", "settled": True} not in notes(path)
    await hub.until(lambda: {"run": "run-1", "settled": True} in notes(path))
    assert seqs(path) == []
    assert rows(path, "SELECT state FROM run WHERE run='run-1'") == [("settled",)]
    assert [b.run for b in life.buffer.all_books()] == ["run-1"]
    hub.automatic = True
    await hub.until(lambda: "run-1" in hub.auditor.settled and life.buffer.all_books() == [])
    await hub.until(lambda: rows(path, "SELECT run FROM run") == [("run-2",)])
    assert rows(path, "SELECT count(*) FROM book") == [(0,)]
    await life.stop()


async def test_rule_12_a_run_that_held_nothing_is_settled_at_its_own_end(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1").start()
    hub.automatic = True
    life.take()
    await hub.until(lambda: life.buffer.held()[0] == 0)
    await life.stop()
    assert notes(path) == [
        {"run": "run-1", "ended": "clean", "last": {"meter-1": 1}},
        {"run": "run-1", "settled": True},
    ]
    assert rows(path, "SELECT state FROM run") == [("settled",)]
    life = await Life(hub, path, "run-2").start()
    await hub.until(lambda: "run-1" in hub.auditor.settled)
    assert life.writer.previous == {"run": "run-1", "clean": True}
    assert hub.auditor.verdicts()["run-1", "meter-1"] == {}
    await life.stop()


async def test_rule_13_books_of_a_clean_run_balance_exactly_after_the_restart(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1").start()
    await hub.until(lambda: life.uplink.protocol)
    assert hub.session is not None
    for _ in range(5):
        life.take()
    hub.session.answer(hub.session.waiting[2])
    hub.session.answer(hub.session.waiting[2], 0x95)
    await life.stop()
    hub.refuses = AWAY
    life = await Life(hub, path, "run-2").start()
    (book,) = life.buffer.all_books()
    assert (book.taken, book.confirmed, book.held, book.dropped) == (5, 1, 3, 1)
    await life.stop()


async def test_rule_13_of_a_killed_run_held_and_dropped_are_exact_and_kept_is_what_it_took_at_least(
    hub: Hub, path: Path, tmp_path: Path
) -> None:
    life = await Life(hub, path, "run-1").start()
    await hub.until(lambda: life.uplink.protocol)
    assert hub.session is not None
    for _ in range(5):
        life.take()
    hub.session.answer(hub.session.waiting[2], 0x95)
    await committed(life, 5)
    life.take()
    await life.kill(tmp_path / "killed.db")
    hub.refuses = AWAY
    life = await Life(hub, tmp_path / "killed.db", "run-2").start()
    (book,) = life.buffer.all_books()
    assert (book.kept, book.held, book.dropped) == (5, 4, 1)
    assert life.writer.state_of("run-1") == "unclean"
    await life.stop()


async def test_rule_15_a_refused_sample_of_the_tail_is_declared_before_it_is_commit_every_old(
    hub: Hub, path: Path
) -> None:
    """Else a kill loses a sample that is older than that, received by nobody and declared by nobody."""
    life = await Life(hub, path, "run-1", commit_every=0.3).start()
    await hub.until(lambda: life.uplink.protocol)
    assert hub.session is not None
    life.take()
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(0.2)
    hub.session.answer(code=0x95)
    await hub.until(lambda: any("dropped" in n for n in notes(path)))
    assert asyncio.get_running_loop().time() - began < 0.3
    assert rows(path, "SELECT seq, reason FROM aside") == [(1, "refused 0x95")]
    await life.stop()
