"""Damaged buffer files: the daemon starts, what can be read reaches the hub, and what cannot is declared."""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from gateway import uplink as uplink_module
from gateway.errors import LinkError
from tests.examples import LONG
from tests.rig import Hub, Life

AWAY = LinkError("nothing listens there", "refused")
TIMES = 500 if LONG else 40
DEVICES = ("meter-1", "meter-2", "scale")
ENDS = ("", "-wal", "-shm")


@pytest.fixture
async def hubs(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], Hub]]:
    monkeypatch.setattr(uplink_module, "_RETRY", (0.001, 0.005))
    monkeypatch.setattr(uplink_module, "GOODBYE_WITHIN", 0.02)
    made: list[Hub] = []

    def make() -> Hub:
        hub = Hub(refuses=AWAY)
        monkeypatch.setattr(uplink_module.mqtt, "connect", hub.connect)
        made.append(hub)
        return hub

    yield make
    for hub in made:
        for life in hub.lives:
            await life.abandon()
        assert not hub.faults


async def written(hub: Hub, path: Path, samples: int = 240, killed: bool = False) -> None:
    """A file with samples of three devices in two runs, none of them confirmed."""
    for run in ("run-1", "run-2"):
        life = await Life(hub, path, run, commit_every=0.01).start()
        for n in range(samples // 2):
            life.take(DEVICES[n % 3], pad=(n % 7) * 150)
            if n % 20 == 0:
                await hub.until(lambda life=life: not life.buffer.tail)
        await hub.until(lambda: not life.buffer.tail)  # noqa: B023 - awaited here
        if killed and run == "run-2":
            await life.kill(path.with_name("killed.db"))
            for end in ENDS:
                path.with_name(path.name + end).unlink(missing_ok=True)
            for end in ENDS[:2]:
                if (copy := path.with_name(f"killed.db{end}")).exists():
                    copy.rename(path.with_name(path.name + end))
        else:
            await life.stop()


async def drained(hub: Hub, path: Path, run: str = "run-3") -> Life:
    """The next start: all that is there reaches the hub."""
    hub.refuses, hub.automatic = None, True
    life = await Life(hub, path, run, commit_every=0.01).start()
    await hub.until(lambda: life.idle, within=10)
    await life.stop()
    return life


def verdicts(hub: Hub) -> set[str]:
    assert not hub.auditor.unexplained()
    return {said for account in hub.auditor.verdicts().values() for said in account.values()}


def received(hub: Hub) -> int:
    return sum(len(account.received) for account in hub.auditor.accounts.values())


@pytest.mark.parametrize("killed", [False, True], ids=["clean", "killed"])
async def test_any_damage_starts_and_nothing_is_wrong_or_lost_in_silence(
    hubs: Callable[[], Hub], tmp_path: Path, killed: bool
) -> None:
    first = hubs()
    whole = tmp_path / "whole.db"
    await written(first, whole, killed=killed)
    random, rescued = Random(20261121), []
    for n in range(TIMES):
        hub, path = hubs(), tmp_path / str(n) / "buffer.db"
        hub.taken = dict(first.taken)
        path.parent.mkdir()
        for end in ENDS[:2]:
            if (part := whole.with_name(whole.name + end)).exists():
                data = bytearray(part.read_bytes())
                if end == "" or random.random() < 0.5:
                    damage(data, random)
                path.with_name(path.name + end).write_bytes(data)
        life = await drained(hub, path)
        assert verdicts(hub) <= {"dropped", "at risk"}
        assert life.buffer.trouble is None
        rescued.append(received(hub))
        shutil.rmtree(path.parent)
    assert sum(rescued) / len(rescued) > 0.5 * len(first.taken)  # most of it, as a rule


def damage(data: bytearray, random: Random) -> None:
    """Some bits turned, or the end missing."""
    if random.random() < 0.2:
        del data[random.randrange(len(data)) :]
        return
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


async def test_one_bad_page_costs_its_own_samples_and_no_others(
    hubs: Callable[[], Hub], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub, path = hubs(), tmp_path / "buffer.db"
    await written(hub, path)
    with closing(sqlite3.connect(path)) as db:
        (size,), (root,) = (
            db.execute("PRAGMA page_size").fetchone(),
            db.execute("SELECT rootpage FROM sqlite_master WHERE name='sample'").fetchone(),
        )
    data = bytearray(path.read_bytes())
    leaves = [n for n in range(root, len(data) // size) if data[n * size] == 0x0D]  # table leaves (SQLite, 1.6)
    page = leaves[len(leaves) // 2]
    data[page * size : (page + 1) * size] = b"\xa5" * size
    path.write_bytes(data)
    life = await drained(hub, path)
    assert verdicts(hub) == {"dropped"}
    lost = len(hub.taken) - received(hub)
    assert 0 < lost < 15
    assert life.writer.set_aside is not None
    (aside,) = (p for p in tmp_path.iterdir() if p.name.startswith("buffer.db.2"))
    assert f"is damaged: its pages do not fit together; set aside as {aside}, {received(hub)} samples" in caplog.text
    assert aside.read_bytes() == data  # as it was found
    assert {said for a in hub.auditor.accounts.values() for said in a.declared.values()} == {"damaged"}


async def test_a_turned_bit_in_a_number_is_a_declared_loss_and_not_another_sample(
    hubs: Callable[[], Hub], tmp_path: Path
) -> None:
    hub, path = hubs(), tmp_path / "buffer.db"
    await written(hub, path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE sample SET seq=seq+500 WHERE id=50")
        db.execute("UPDATE sample SET book=2 WHERE book=1 AND id BETWEEN 100 AND 103")
    await drained(hub, path)
    assert verdicts(hub) == {"dropped"}
    assert len(hub.taken) - received(hub) == 3


@pytest.mark.parametrize("table", ["book", "run", "origin"])
async def test_whose_the_samples_are_does_not_hang_on_one_table(
    hubs: Callable[[], Hub], tmp_path: Path, table: str
) -> None:
    hub, path = hubs(), tmp_path / "buffer.db"
    await written(hub, path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"DELETE FROM {table}")
    await drained(hub, path)
    assert verdicts(hub) <= {"dropped"}
    assert received(hub) == len(hub.taken)


async def test_what_is_no_database_and_what_is_of_another_version_are_set_aside(
    hubs: Callable[[], Hub], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub, path = hubs(), tmp_path / "buffer.db"
    path.write_bytes(b"this is no database" * 300)
    await drained(hub, path, "run-1")
    assert "file is not a database; set aside as" in caplog.text
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value=9 WHERE key='major'")
        db.execute("PRAGMA user_version=9")
    before = path.read_bytes()
    life = await drained(hub, path, "run-2")
    assert "of another version (format 9, ours is 2); set aside as" in caplog.text
    assert life.buffer.trouble is None
    asides = sorted(p for p in tmp_path.iterdir() if p.name.startswith("buffer.db.2"))
    assert len(asides) == 2
    assert before in [p.read_bytes() for p in asides]


async def test_a_bit_that_makes_another_version_of_it_is_damage(hubs: Callable[[], Hub], tmp_path: Path) -> None:
    hub, path = hubs(), tmp_path / "buffer.db"
    await written(hub, path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value=3 WHERE key='major'")
    await drained(hub, path)
    assert received(hub) == len(hub.taken)


async def test_a_rescue_that_was_cut_off_begins_anew(hubs: Callable[[], Hub], tmp_path: Path) -> None:
    hub, path = hubs(), tmp_path / "buffer.db"
    await written(hub, path)
    data = bytearray(path.read_bytes())
    data[2048 * 9 : 2048 * 10] = bytes(2048)
    path.write_bytes(data)
    path.with_name("buffer.db.new").write_bytes(b"half of it")
    await drained(hub, path)
    assert verdicts(hub) <= {"dropped"}
    assert received(hub) > 0.8 * len(hub.taken)
    assert not [p for p in tmp_path.iterdir() if ".new" in p.name]
