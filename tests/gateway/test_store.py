"""The buffer's file: what a transaction does, and what a disk, a lock or a damaged file does to it."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError, DiskError
from gateway.ledger import Book
from gateway.reading import Stamp
from gateway.rows import Commit, Row, from_disk, is_whole, note, to_disk
from gateway.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "buffer.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    store = await Store.open(path)
    await store.open_run("pi-7", "run-1", "boot-1", 123, Commit())
    yield store
    await store.close()


def row(id_: int, seq: int | None = None, book: int = 1, klass: int = 1, body: bytes = b'[{"n":"x","v":1}]') -> Row:
    stamp = Stamp(1_763_636_400 * 10**9 + id_, 10**9 + id_, id_ % 2 == 0)
    origin = f"pi-7/{'ab'[book - 1]}/run-1"
    return Row(id_, book, origin, id_ if seq is None else seq, stamp, klass, len(body), body)


def book(device: str, id_: int, **numbers: int) -> Book:
    made = Book("pi-7", "run-1", device, id_)
    for name, number in numbers.items():
        setattr(made, name, number)
    return made


def books(*made: Book, last: bool = False) -> Commit:
    return Commit(books=[b.row(last) for b in made], origins=[(b.id, b.origin) for b in made], last=last)


@given(st.binary(max_size=3000))
def test_a_row_comes_back_from_the_disk_as_it_was(body: bytes) -> None:
    one = row(7, body=body)
    assert from_disk(to_disk(one), one.origin) == one


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_row_is_damaged_when_any_bit_of_it_has_turned(body: bytes, data: st.DataObject) -> None:
    one = row(7, body=body)
    columns = list(to_disk(one))
    place = data.draw(st.integers(2, 8))
    if place == 8:
        stored = bytearray(columns[8])
        stored[data.draw(st.integers(0, len(stored) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        columns[8] = bytes(stored)
    else:
        columns[place] ^= 1 << data.draw(st.integers(0, 40))
    assert not is_whole(tuple(columns), one.origin)
    assert from_disk(tuple(columns), one.origin).body is None
    assert not is_whole(to_disk(one), "pi-7/a/run-2")  # another's
    for strange in (None, 1.5, "text"):
        assert not is_whole((*to_disk(one)[:8], strange), one.origin)


async def test_what_was_written_is_found_again(path: Path, store: Store) -> None:
    c = books(book("a", 1, kept=7, dropped=2), book("b", 2, kept=1))
    c.rows = [row(1), row(2), row(3, book=2, klass=2)]
    c.notes = [note(1, "pi-7", "run-1", settled=True)]
    c.topics = [("lab/pi-7/a/meta", "a")]
    await store.commit(c)
    assert [(r.id, r.stamp, r.body) for r in await store.rows(0, 10)] == [(r.id, r.stamp, r.body) for r in c.rows]
    await store.close()
    again = await Store.open(path)
    found = await again.found()
    assert [(b.device, b.kept, b.dropped, b.held, b.taken) for b in found.books.values()] == [
        ("a", 7, 2, 2, 0),
        ("b", 1, 0, 1, 0),
    ]
    assert found.runs == [("pi-7", "run-1")]
    assert found.states == {"run-1": "open"}
    assert found.boots == {"run-1": "boot-1"}
    assert found.notes == c.notes
    assert found.topics == {"lab/pi-7/a/meta": "a"}
    assert found.held_bytes == sum(r.size for r in c.rows)
    assert (again.next_id("sample"), again.next_id("note"), again.next_id("book")) == (4, 2, 3)
    await again.close()


async def test_books_of_a_clean_run_state_their_last_number(store: Store) -> None:
    await store.commit(books(book("a", 1, kept=7, taken=9, held=0, dropped=1), last=True))
    (found,) = (await store.found()).books.values()
    assert (found.taken, found.confirmed, found.held, found.dropped, found.kept) == (9, 8, 0, 1, 7)


async def test_rows_are_read_on_from_a_row_and_without_some_books(store: Store) -> None:
    c = books(book("a", 1), book("b", 2))
    c.rows = [row(i, book=1 + i % 2) for i in range(1, 11)]
    await store.commit(c)
    assert [r.id for r in await store.rows(0, 3)] == [1, 2, 3]
    assert [r.id for r in await store.rows(3, 3)] == [4, 5, 6]
    assert [r.id for r in await store.rows(3, 9, [1])] == [5, 7, 9]
    assert [r.id for r in await store.rows(0, 9, [1, 2])] == []


async def test_deletes_of_scattered_rows_delete_these_and_no_others(store: Store) -> None:
    c = books(book("a", 1))
    c.rows = [row(i) for i in range(1, 31)]
    await store.commit(c)
    gone = [30, 1, 2, 3, 7, 9, 10, 20]
    await store.commit(Commit(delete_rows=gone))
    assert [r.id for r in await store.rows(0, 99)] == [i for i in range(1, 31) if i not in gone]


async def test_a_row_that_cannot_be_read_back_has_no_body(path: Path, store: Store) -> None:
    c = books(book("a", 1))
    c.rows = [row(1), row(2)]
    await store.commit(c)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE sample SET body=x'fffefd' WHERE id=1")
    assert [(r.id, r.body) for r in await store.rows(0, 9)] == [(1, None), (2, b'[{"n":"x","v":1}]')]


@pytest.mark.parametrize("statement", ["INSERT INTO sample", "DELETE FROM sample", "INSERT INTO note", "COMMIT"])
async def test_a_transaction_that_fails_leaves_nothing_behind(
    path: Path, store: Store, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever statement the disk fails at, the last one too."""
    c = books(book("a", 1))
    c.rows = [row(1), row(2)]
    await store.commit(c)

    def broken(kind: str) -> Any:
        real = getattr(store._db, kind)

        def call(sql: str, *parameters: Any) -> Any:
            if sql.startswith(statement):

                async def fail() -> None:
                    await real("SELECT 1") if kind == "execute" else None
                    raise sqlite3.OperationalError("database or disk is full")

                return fail()
            return real(sql, *parameters)

        return call

    monkeypatch.setattr(store._db, "execute", broken("execute"))
    monkeypatch.setattr(store._db, "executemany", broken("executemany"))
    d = books(book("a", 1, kept=3))
    d.rows, d.delete_rows, d.notes = [row(3)], [1], [note(1, "pi-7", "run-1", settled=True)]
    with pytest.raises(DiskError, match="database or disk is full"):
        await store.commit(d)
    assert [r.id for r in await store.rows(0, 9)] == [1, 2]  # on the same connection too
    monkeypatch.undo()
    await store.commit(d)
    assert [r.id for r in await store.rows(0, 9)] == [2, 3]


async def test_a_file_that_may_not_grow_takes_what_the_same_transaction_frees(store: Store) -> None:
    """Deletes come before inserts, so at the limit what goes makes room for what comes."""
    c = books(book("a", 1))
    c.rows = [row(i, body=os.urandom(3000)) for i in range(1, 60)]
    await store.commit(c)
    ((pages,),) = await store._all("PRAGMA page_count")
    await store._all(f"PRAGMA max_page_count={pages}")
    with pytest.raises(DiskError, match="full"):
        await store.commit(Commit(rows=[row(i, body=os.urandom(3000)) for i in range(60, 120)]))
    await store.commit(
        Commit(rows=[row(i, body=os.urandom(3000)) for i in range(60, 110)], delete_rows=list(range(1, 60)))
    )
    assert len(await store.rows(0, 200)) == 50


async def test_the_file_is_what_the_promise_says_it_is(path: Path, store: Store) -> None:
    found = [(await store._all(f"PRAGMA {name}"))[0][0] for name in ("journal_mode", "synchronous", "page_size")]
    assert found == ["wal", 2, 2048]  # 2 is FULL


# -- who may open it


async def test_a_second_daemon_is_told_who_holds_the_file(path: Path, store: Store) -> None:
    with pytest.raises(ConfigError, match=rf"buffer\.db is held by another labgate \(process {os.getpid()}\)"):
        await Store.open(path)
    code = (
        "import asyncio, sys, pathlib; from gateway.store import Store; from gateway.errors import ConfigError\n"
        "try: asyncio.run(Store.open(pathlib.Path(sys.argv[1])))\n"
        "except ConfigError as e: print(e)"
    )
    other = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=20
    )
    assert f"process {os.getpid()}" in other.stdout
    assert await store.oldest() is None  # and nothing happened to ours


async def test_the_lock_ends_with_its_process(path: Path) -> None:
    path.parent.mkdir()
    code = (
        "import fcntl, os, sys; f=open(sys.argv[1] + '.lock', 'a+'); fcntl.flock(f, fcntl.LOCK_EX); f.write('x');"
        "f.flush(); print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(ConfigError, match="held by another labgate"):
        await Store.open(path)
    other.kill()
    other.wait()
    other.stdin.close()
    other.stdout.close()
    store = await Store.open(path)
    await store.close()
    assert path.with_name("buffer.db.lock").read_text() == str(os.getpid())


async def test_a_lock_the_file_system_cannot_give_is_no_second_daemon(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("gateway.lock.fcntl.flock", flock)
    with pytest.raises(DiskError, match="No locks available"):
        await Store.open(path)


async def test_a_file_that_is_no_database(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(os.urandom(5000))
    with pytest.raises(DiskError, match=r"buffer\.db is damaged: file is not a database"):
        await Store.open(path)
    path.unlink()
    store = await Store.open(path)  # the lock was let go
    await store.close()


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"file/buffer\.db cannot be used: .*(File exists|Not a directory)"):
        await Store.open(tmp_path / "file" / "buffer.db")


async def test_a_file_of_a_later_version_is_left_alone(path: Path) -> None:
    await (await Store.open(path)).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value=9 WHERE key='major'")
        db.execute("PRAGMA user_version=9")
    with pytest.raises(DiskError, match=r"is of another version \(format 9, ours is 2\)"):
        await Store.open(path)


async def test_a_file_that_cannot_have_a_write_ahead_log_is_not_taken_for_safe(path: Path) -> None:
    """Some network file systems quietly give another journal mode, whose commits a power cut may take back."""

    class Odd(Store):
        async def _all(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
            return [("delete",)] if "journal_mode" in sql else await super()._all(sql, parameters)

    with pytest.raises(DiskError, match="write-ahead log"):
        await Odd.open(path)


async def test_reading_the_file_of_a_killed_gateway_changes_nothing(path: Path, tmp_path: Path) -> None:
    store = await Store.open(path)
    await store.open_run("pi-7", "run-1", "boot-1", 1, Commit())
    c = books(book("a", 1, kept=2))
    c.rows = [row(1), row(2)]
    await store.commit(c)
    copy = tmp_path / "killed.db"
    for suffix in ("", "-wal"):
        copy.with_name(copy.name + suffix).write_bytes(path.with_name(path.name + suffix).read_bytes())
    await store.close()
    before = copy.read_bytes(), copy.with_name("killed.db-wal").read_bytes()
    reader = await Store.look(copy)
    assert [b.held for b in (await reader.found()).books.values()] == [2]
    await reader.close()
    assert (copy.read_bytes(), copy.with_name("killed.db-wal").read_bytes()) == before
