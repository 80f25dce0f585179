"""The buffer's SQLite file: schema, start, one transaction per commit, reads. The only user of aiosqlite.

Used by one task only (the buffer's writer). Every sqlite3 error becomes a DiskError.
"""

import os
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import aiosqlite

from gateway import schema
from gateway.errors import DiskError, UnusableError
from gateway.ledger import Book
from gateway.lock import lock_file
from gateway.rows import Columns, Commit, Found, Note, Row, checksum, from_disk, is_sealed, ranges, to_disk

RESTART = "labgate sets it aside when it starts"
_DAMAGED = "not a database|malformed|decode to UTF-8|can't decode|no such table|no such column|raised exception"
_TODO = {  # what SQLite says -> what to do about it
    "full": "make room on the disk",
    "readonly": "let this user write it, or remount the disk",
    "unable to open": "check the folder and its permissions",
}


class Store:
    """One open buffer file, locked against a second daemon."""

    def __init__(self, path: Path, db: aiosqlite.Connection, lock: IO[str] | None) -> None:
        self._path = path
        self._db = db
        self._lock = lock
        self._ids = {"sample": 0, "note": 0, "book": 0}
        self._origins: dict[int, str] = {}  # book -> its name

    @classmethod
    async def open(cls, path: Path) -> "Store":
        """Open or create the file. Raises DiskError, or ConfigError when another daemon holds it."""
        async with _translated(path):
            lock = lock_file(path)
            try:
                path.open("ab").close()  # says better than SQLite why it cannot, and leaves no thread behind
                db = await aiosqlite.connect(path, isolation_level=None)
            except BaseException:
                lock.close()
                raise
        store = cls(path, db, lock)
        try:
            async with _translated(path):
                await db.execute(schema.PAGE)
                if await store._all("PRAGMA journal_mode=WAL") != [("wal",)]:
                    raise DiskError(f"{path} cannot have a write-ahead log there; put the buffer on a local disk")
                await db.executescript(schema.SETTINGS)
                await store._prepare(path)
        except BaseException:
            await store.close()
            raise
        return store

    @classmethod
    async def look(cls, path: Path, checked: bool = True) -> "Store":
        """Open the file of a stopped gateway to read it; nothing in its folder changes. Raises DiskError."""
        # A clean stop leaves no write-ahead log. After a kill SQLite needs the index beside it, or makes a new one.
        log, index = (path.with_name(path.name + suffix).exists() for suffix in ("-wal", "-shm"))
        how = "immutable=1" if not log else "readonly_shm=1" if index else "cache=private"
        async with _translated(path):
            path.open("rb").close()  # says better than SQLite why it cannot
            store = cls(path, await aiosqlite.connect(f"file:{quote(os.fspath(path))}?mode=ro&{how}", uri=True), None)
        try:
            if checked:
                async with _translated(path):
                    await store._check_version(path)
        except BaseException:
            await store.close()
            raise
        return store

    async def _prepare(self, path: Path) -> None:
        if not await self._all("SELECT 1 FROM sqlite_master LIMIT 1"):
            await self._db.executescript(schema.NEW)
        await self._check_version(path)

    async def _check_version(self, path: Path) -> None:
        """It stands in two places: a bit that has turned must not make another version of it."""
        told = {*await self._all("SELECT value FROM meta WHERE key='major'"), *await self._all("PRAGMA user_version")}
        if (schema.MAJOR,) not in told:
            other = f"is of another version (format {min(told)[0]}, ours is {schema.MAJOR})"
            raise UnusableError(f"the buffer {path} {other}; {RESTART}")
        if len(told) > 1:
            raise UnusableError(f"the buffer {path} is damaged: its version is not as it was written; {RESTART}")

    async def found(self) -> Found:
        """Read what the file holds: runs, books, notes and owned topics; samples are only counted.

        Raises UnusableError where any of it is not as it was written.
        """
        try:
            return await self._found()
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            what = str(error) if isinstance(error, ValueError) else "its tables do not fit together"
            raise UnusableError(f"the buffer {self._path} is damaged: {what}; {RESTART}") from error

    async def _found(self) -> Found:
        async with _translated(self._path):
            runs = await self._all("SELECT id, gateway, run, boot, state FROM run ORDER BY id")
            names = {id_: (gateway, run) for id_, gateway, run, _, _ in runs}
            books: dict[int, Book] = {}
            for id_, run_id, device, kept, last, dropped, told in await self._all("SELECT * FROM book"):
                book = books[id_] = Book(*names[run_id], device, id_)
                if told != checksum(kept, last, dropped):
                    raise ValueError(f"the account of {device} is not as it was written")
                book.kept, book.dropped, book.taken = kept, dropped, last or 0
                self._origins[id_] = book.origin
            if dict(await self._all("SELECT * FROM origin")) != self._origins:
                raise ValueError("it is not clear whose samples it holds")
            held_bytes = await self._count(books)
            for book in books.values():
                book.confirmed = max(book.taken - book.held - book.dropped, 0)
            for table in self._ids:
                ((highest,),) = await self._all(f"SELECT max(id) FROM {table}")  # noqa: S608 - names of ours
                self._ids[table] = highest or 0
            return Found(
                runs=list(names.values()),
                states={run: state for _, _, run, _, state in runs},
                boots={run: boot for _, _, run, boot, _ in runs},
                books=books,
                held_bytes=held_bytes,
                notes=[_note(row) for row in await self._all("SELECT * FROM note ORDER BY id")],
                topics={row[0]: row[1] for row in await self._all("SELECT * FROM topic")},
            )

    async def _count(self, books: dict[int, Book]) -> int:
        """Count each book's samples; bytes of all. Every one is looked at, in SQLite's thread."""

        def damaged(book: Any, told: Any, body: Any) -> bool:
            return not is_sealed(self._origins.get(book, ""), told, body)

        for check in schema.CHECKS:
            if await self._all(check) != [("ok",)]:
                raise ValueError("its pages do not fit together")
        await self._db.create_function("damaged", 3, damaged)
        if await self._all(f"SELECT 1 FROM sample WHERE damaged({schema.SEALED}) LIMIT 1"):  # noqa: S608 - ours
            raise ValueError("samples are not as they were written")
        held_bytes = 0
        for book, count, size in await self._all("SELECT book, count(*), sum(size) FROM sample GROUP BY book"):
            books[book].held = count
            held_bytes += size
        return held_bytes

    def highest(self, table: str) -> int:
        """The last id given out."""
        return self._ids[table]

    def next_id(self, table: str) -> int:
        """A fresh row id in `sample`, `note` or `book`; ids are ours, so one statement writes many rows."""
        self._ids[table] += 1
        return self._ids[table]

    async def open_run(self, gateway: str, run: str, boot: str, started: int, commit: Commit) -> None:
        """The start's one transaction: end what was left open, write this run as open."""
        async with self._transaction():
            await self._db.execute(
                "INSERT OR IGNORE INTO run(gateway, run, boot, started, state) VALUES(?,?,?,?,'open')",
                (gateway, run, boot, started),
            )
            await self._apply(commit)

    async def commit(self, commit: Commit) -> None:
        """One transaction, all or nothing. Raises DiskError; then nothing of it happened."""
        async with self._transaction():
            await self._apply(commit)

    async def _apply(self, c: Commit) -> None:
        many = self._db.executemany
        if c.books:
            await many(
                "INSERT INTO book(id, run, device, kept, last, dropped, checksum) "
                "VALUES(?, (SELECT id FROM run WHERE run=?), ?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE "
                "SET kept=excluded.kept, last=excluded.last, dropped=excluded.dropped, checksum=excluded.checksum",
                [(*book, checksum(*book[3:])) for book in c.books],
            )
        if c.origins:
            await many("INSERT OR REPLACE INTO origin VALUES(?,?)", c.origins)
        if c.delete_rows:  # before the inserts: what they free is used again at once
            await many("DELETE FROM sample WHERE id BETWEEN ? AND ?", ranges(c.delete_rows))
        if c.rows:
            self._origins.update((r.book, r.origin) for r in c.rows)
            await many("INSERT INTO sample VALUES(?,?,?,?,?,?,?,?,?)", map(to_disk, c.rows))
        if c.delete_aside:
            await many("DELETE FROM aside WHERE id BETWEEN ? AND ?", ranges(c.delete_aside))
        if c.aside:
            await many("INSERT INTO aside(gateway, run, device, seq, reason, body) VALUES(?,?,?,?,?,?)", c.aside)
        if c.notes:
            notes = [(n.id, n.gateway, n.run, n.body) for n in c.notes]
            await many("INSERT INTO note VALUES(?,?,?,?,?)", [(*row, checksum(*row)) for row in notes])
        if c.delete_notes:
            await many("DELETE FROM note WHERE id=?", [(i,) for i in c.delete_notes])
        if c.run_states:
            await many("UPDATE run SET state=? WHERE run=?", [(state, run) for run, state in c.run_states])
        for run in c.forget_runs:
            books = "SELECT id FROM book WHERE run=(SELECT id FROM run WHERE run=?)"
            await self._db.execute(f"DELETE FROM origin WHERE id IN ({books})", (run,))  # noqa: S608 - ours
            await self._db.execute("DELETE FROM book WHERE run=(SELECT id FROM run WHERE run=?)", (run,))
            await self._db.execute("DELETE FROM run WHERE run=?", (run,))
        if c.topics:
            await many("INSERT OR REPLACE INTO topic VALUES(?,?)", c.topics)
        if c.delete_topics:
            await many("DELETE FROM topic WHERE topic=?", [(t,) for t in c.delete_topics])

    async def rows(self, after: int, limit: int, without_books: Iterable[int] = ()) -> list[Row]:
        """Samples on disk, oldest first, behind row id `after`, none of the given books."""
        books = ",".join(str(int(b)) for b in without_books)
        sql = f"SELECT * FROM sample WHERE id > ? AND book NOT IN ({books}) ORDER BY id LIMIT ?"  # noqa: S608 - ints
        return [from_disk(row, self._origins.get(row[1], "")) for row in await self.read(sql, (after, limit))]

    async def oldest(self) -> int | None:
        """Wall time (ns) of the oldest sample on disk."""
        return next((row[0] for row in await self.read("SELECT wall FROM sample ORDER BY id LIMIT 1")), None)

    async def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Columns]:
        """What a query gives."""
        async with _translated(self._path):
            return await self._all(sql, parameters)

    async def scan(self, sql: str, many: int) -> AsyncIterator[list[Columns]]:
        """What a query gives, `many` rows at a time."""
        async with _translated(self._path), self._db.execute(sql) as cursor:
            while found := await cursor.fetchmany(many):
                yield [tuple(row) for row in found]

    async def adopt(self, table: str, rows: list[Columns]) -> None:
        """Rows of another file, as they are."""
        if rows:
            async with self._transaction():
                places = ",".join("?" * len(rows[0]))
                await self._db.executemany(f"INSERT OR REPLACE INTO {table} VALUES({places})", rows)

    async def space(self) -> tuple[int, int]:
        """Bytes of the file that hold something, and its size: freed pages are used again."""
        numbers = [(await self.read(f"PRAGMA {n}"))[0][0] for n in ("page_count", "freelist_count", "page_size")]
        pages, free, size = map(int, numbers)
        return (pages - free) * size, pages * size

    async def close(self) -> None:
        """Close the file and let go of the lock."""
        try:
            with suppress(sqlite3.Error):  # nothing is open in it: a commit either happened or did not
                await self._db.close()
        finally:
            if self._lock:
                self._lock.close()

    async def _all(self, sql: str, parameters: Sequence[Any] = ()) -> list[Columns]:
        return [tuple(row) for row in await self._db.execute_fetchall(sql, parameters)]

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        async with _translated(self._path):
            if self._db.in_transaction:  # a cancelled start of one; nothing of it was promised to anybody
                await self._db.rollback()
            await self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                await self._db.execute("COMMIT")
            except BaseException:
                await self._db.rollback()  # also after a failed COMMIT, which leaves the transaction open
                raise


def _note(row: Columns) -> Note:
    if row[-1] == checksum(*row[:-1]):
        return Note(*row[:-1])
    raise ValueError(f"note {row[0]} is not as it was written")


@asynccontextmanager
async def _translated(path: Path) -> AsyncIterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # the last: a damaged table's name in SQLite's words
        what = getattr(error, "strerror", None) or str(error)
        if any(said in what for said in _DAMAGED.split("|")):
            raise UnusableError(f"the buffer {path} is damaged: {what}; {RESTART}") from error
        todo = next((f"; {todo}" for said, todo in _TODO.items() if said in what), "")
        raise DiskError(f"the buffer {path} cannot be used: {what}{todo}") from error
