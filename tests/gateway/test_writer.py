"""The task that owns the file, on disks that are full, broken, read-only, damaged, taken or slow."""

import asyncio
import itertools
import json
import logging
import os
import resource
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway import uplink as uplink_module
from gateway import writer as writer_module
from gateway.errors import ConfigError, DiskError, LinkError
from gateway.store import Store
from tests.rig import Hub, Life

AWAY = LinkError("nothing listens there", "refused")


@pytest.fixture
async def hub(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    hub = Hub(refuses=AWAY)
    monkeypatch.setattr(uplink_module.mqtt, "connect", hub.connect)
    monkeypatch.setattr(uplink_module, "_RETRY", (0.001, 0.005))
    monkeypatch.setattr(uplink_module, "GOODBYE_WITHIN", 0.02)
    monkeypatch.setattr(writer_module, "_LONGEST_RETRY", 0.05)
    yield hub
    for life in hub.lives:
        await life.abandon()
    assert not hub.auditor.unexplained()
    assert not hub.faults


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "buffer.db"


def seqs(path: Path) -> list[int]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return [seq for (seq,) in db.execute("SELECT seq FROM sample ORDER BY id")]


def troubles(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "held in memory only" in r.getMessage()]


async def in_trouble(hub: Hub, life: Life) -> None:
    life.take()
    await hub.until(lambda: life.buffer.trouble)
    for _ in range(5):
        life.take()
        await asyncio.sleep(0.03)
    life.check()


async def well_again(hub: Hub, life: Life, count: int) -> None:
    """Everything that was taken meanwhile is on disk, then at the hub."""
    await hub.until(lambda: life.buffer.trouble is None and not life.buffer.tail)
    assert seqs(life.path) == list(range(1, count + 1))
    hub.refuses, hub.automatic = None, True
    await hub.until(lambda: life.idle)
    assert len(hub.auditor.accounts["run-1", "meter-1"].received) == count
    await life.stop()


async def test_a_full_disk(hub: Hub, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    life = await Life(hub, path, "run-1", commit_every=0.02).start()
    told: list[str | None] = []
    life.writer.changed = lambda: told.append(life.buffer.trouble)
    life.take()
    await hub.until(lambda: not life.buffer.tail)
    store = life.writer._store
    assert store is not None
    ((pages,),) = await store._all("PRAGMA page_count")
    await store._all(f"PRAGMA max_page_count={pages}")
    for _ in range(20):
        life.take(pad=3000)
    await in_trouble(hub, life)
    assert troubles(caplog) == [
        f"the buffer {path} cannot be used: database or disk is full; make room on the disk; "
        "samples are held in memory only"
    ]
    await store._all("PRAGMA max_page_count=1000000")
    await well_again(hub, life, 27)
    assert told == [f"the buffer {path} cannot be used: database or disk is full; make room on the disk", None]


async def test_a_disk_that_fails_to_write(hub: Hub, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The operating system refuses the write: the limit of a file's size stands for a broken card."""
    life = await Life(hub, path, "run-1", commit_every=0.02).start()
    life.take()
    await hub.until(lambda: not life.buffer.tail)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name("buffer.db-wal").stat().st_size, hard))
    try:
        await in_trouble(hub, life)
        assert len(troubles(caplog)) == 1
        assert "disk I/O error" in troubles(caplog)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await well_again(hub, life, 7)


async def test_a_file_that_becomes_read_only(hub: Hub, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    life = await Life(hub, path, "run-1", commit_every=0.02).start()
    store = life.writer._store
    assert store is not None
    await store._all("PRAGMA query_only=1")
    await in_trouble(hub, life)
    assert len(troubles(caplog)) == 1
    assert "attempt to write a readonly database; let this user write it" in troubles(caplog)[0]
    await store._all("PRAGMA query_only=0")
    await well_again(hub, life, 6)


async def test_a_buffer_at_its_limit_says_so_once_and_when_it_is_over(
    hub: Hub, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "labgate.buffer")
    life = await Life(hub, path, "run-1", commit_every=0.02, max_bytes=150_000).start()
    while life.writer.full is None:
        for _ in range(40):
            life.take(pad=600)
        await hub.until(lambda: not life.buffer.tail)
    told = "samples are given up, bulk and oldest first: max_bytes of the buffer are reached"
    assert life.writer.full == told
    life.take(pad=600)
    await hub.until(lambda: not life.buffer.tail)
    assert [r.getMessage() for r in caplog.records].count(told) == 1
    hub.refuses, hub.automatic = None, True
    await hub.until(lambda: life.idle)
    assert life.writer.full is None
    assert "no samples are given up any more" in caplog.text
    await life.stop()


async def test_without_a_disk_samples_go_to_the_hub_all_the_same(hub: Hub, path: Path) -> None:
    path.mkdir()
    life = await Life(hub, path, "run-1", commit_every=0.02).start()
    hub.refuses, hub.automatic = None, True
    for _ in range(10):
        life.take()
    await hub.until(lambda: life.buffer.held() == (0, 0))
    assert life.buffer.trouble is not None
    life.check()
    path.rmdir()
    await hub.until(lambda: life.buffer.trouble is None)
    await life.stop()
    life = await Life(hub, path, "run-2").start()
    await hub.until(lambda: "run-1" in hub.auditor.settled)
    await life.stop()


async def test_a_start_that_failed_but_reached_the_disk_is_taken_up_by_the_next_try(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk may say no to the last flush and have everything: our own run is not a killed one then."""
    open_run, failed = Store.open_run, []

    async def doubtful(store: Store, *run: Any) -> None:
        await open_run(store, *run)
        if not failed:
            failed.append(True)
            raise DiskError("disk I/O error")

    monkeypatch.setattr(Store, "open_run", doubtful)
    life = await Life(hub, path, "run-1", commit_every=0.02).start()
    assert life.buffer.trouble == "disk I/O error"
    life.take()
    await hub.until(lambda: life.buffer.trouble is None and not life.buffer.tail)
    assert life.writer.previous is None
    assert not life.buffer.notes
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT run, state FROM run").fetchall() == [("run-1", "open")]
    await well_again(hub, life, 1)


async def test_a_second_daemon_is_sent_away_at_its_start(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1").start()
    with pytest.raises(ConfigError, match=rf"held by another labgate \(process {os.getpid()}\)"):
        await Life(hub, path, "run-2").start()
    await life.stop()


async def test_another_daemon_that_takes_a_file_we_wait_for_is_trouble_and_no_end(hub: Hub, path: Path) -> None:
    path.mkdir()
    life = await Life(hub, path, "run-1", commit_every=0.02).start()
    life.take()
    other = await Store.open(path.with_name("other.db"))
    path.with_name("buffer.db.lock").unlink()
    path.with_name("other.db.lock").rename(path.with_name("buffer.db.lock"))  # its lock, on our file
    path.rmdir()
    await hub.until(lambda: "another labgate" in str(life.buffer.trouble))
    assert not life.tasks[0].done()
    await other.close()
    await well_again(hub, life, 1)


async def test_deletes_and_notes_of_a_commit_that_fails_are_in_the_next(
    hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await Life(hub, path, "run-1", commit_every=0.02).start()
    for _ in range(3):
        life.take()
    await hub.until(lambda: not life.buffer.tail)
    apply = Store._apply

    async def fails(store: Store, c: Any) -> None:
        await apply(store, c)
        raise DiskError("cut after the last statement")

    monkeypatch.setattr(Store, "_apply", fails)
    hub.refuses = None
    await hub.until(lambda: hub.session and hub.session.waiting)
    assert hub.session is not None
    hub.session.answer()  # a joined pack
    life.take()
    hub.session.answer(code=0x95)
    await hub.until(lambda: life.buffer.trouble)
    assert seqs(path) == [1, 2, 3]
    monkeypatch.setattr(Store, "_apply", apply)
    await hub.until(lambda: seqs(path) == [])
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT seq FROM aside").fetchall() == [(4,)]
        assert db.execute("SELECT dropped FROM book").fetchall() == [(1,)]
        assert [json.loads(b)["dropped"][0]["from"] for (b,) in db.execute("SELECT body FROM note")] == [4]
    life.check()
    await life.stop()


async def test_attempts_on_a_broken_disk_become_rarer(hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_LONGEST_RETRY", 0.1)
    path.mkdir()
    times: list[float] = []
    opened = Store.open

    async def counted(where: Path) -> Store:
        times.append(time.monotonic())
        return await opened(where)

    monkeypatch.setattr(Store, "open", counted)
    life = await Life(hub, path, "run-1", commit_every=0.01).start()
    for _ in range(120):
        life.take()
        await asyncio.sleep(0.005)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert 5 <= len(times) <= 15
    assert gaps[0] < 0.03
    assert max(gaps) >= 0.1
    await life.abandon()


async def test_a_clean_stop_tries_a_broken_disk_once_more(hub: Hub, path: Path) -> None:
    path.mkdir()
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    life.take()
    path.rmdir()
    await life.stop()
    assert seqs(path) == [1]


async def test_a_clean_stop_without_a_disk_says_what_is_lost(
    hub: Hub, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.mkdir()
    life = await Life(hub, path, "run-1", commit_every=60.0).start()
    life.take()
    life.take()
    with caplog.at_level(logging.ERROR):
        await life.stop()
    assert "2 samples in memory are lost" in caplog.text


async def test_nothing_is_lost_or_written_twice_when_the_stop_meets_a_commit(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1", commit_every=0.02).start()
    for _ in range(20):
        life.take()
        await asyncio.sleep(0.003)
    life.buffer.pending_since = 0.0  # due now
    life.buffer.wake()
    await asyncio.sleep(0)
    life.take()
    await life.stop()
    assert seqs(path) == list(range(1, 22))


async def test_how_long_the_buffer_lasts_and_how_old_its_oldest_is(hub: Hub, path: Path) -> None:
    life = await Life(hub, path, "run-1", commit_every=0.02, max_bytes=10**6).start()
    assert await life.writer.lasts() is None
    life.take(pad=2000)
    oldest = life.buffer.oldest()
    await hub.until(lambda: not life.buffer.tail)
    await life.writer.look_up_oldest()
    assert life.writer.oldest == oldest
    life.writer._since = time.monotonic() - 10
    lasts = await life.writer.lasts()
    assert lasts is not None
    rate = life.buffer.taken_bytes / 10 * 0.4
    assert lasts == pytest.approx((10**6 - 20_000) / rate, rel=0.1)
    await life.stop()


async def test_what_one_kill_may_lose_is_known(hub: Hub, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample taken just after a commit began waits for it, and for the next, which carries it."""
    life = await Life(hub, path, "run-1", commit_every=0.1).start()
    assert life.writer.bound == 0.1
    commit = Store.commit

    async def slow(store: Store, c: Any) -> None:
        await asyncio.sleep(0.15)
        await commit(store, c)

    monkeypatch.setattr(Store, "commit", slow)
    loop, oldest = asyncio.get_running_loop(), 0.0
    end = loop.time() + 0.7
    while loop.time() < end:
        life.take()
        await asyncio.sleep(0.005)
        there = set(seqs(path))
        oldest = max(oldest, *(loop.time() - at for (_, _, seq), (_, at) in hub.taken.items() if seq not in there))
    assert life.writer.bound == pytest.approx(0.3, rel=0.15)
    assert 0.22 < oldest < life.writer.bound + 0.03
    await life.stop()
