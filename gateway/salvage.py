"""A buffer file that cannot be used is set aside; what can be read of it goes into a new one, the rest is declared."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.errors import DiskError, UnusableError
from gateway.ledger import Book, Dropped
from gateway.lock import lock_file
from gateway.rows import Columns, Found, checksum, is_whole, note
from gateway.store import RESTART, Store

FILES = ("", "-wal", "-shm")  # of SQLite, behind the path
STATES = ("open", "clean", "unclean", "settled")
TOGETHER = 1000  # rows read at once
FARTHEST = 2**41  # no row has a higher id

Run = tuple[str, str, str, int, str]  # gateway, run, boot, started, state


@dataclass
class Salvaged:
    """What came of it."""

    aside: Path  # where the old file is now
    samples: int = 0
    lost: int = 0  # numbers declared lost; some of them may have been confirmed before


async def usable(path: Path, replaced: bool) -> tuple[Store, Found, str | None]:
    """The file, what is in it, and what became of a damaged one, which is `replaced` or left alone.

    Raises DiskError, and ConfigError when another daemon holds it.
    """
    said = None
    try:
        return *await _read(path), said
    except UnusableError as error:
        if not replaced:
            raise
        done = await replace(path, "another version" not in str(error))
        said = f"{str(error).removesuffix(f'; {RESTART}')}; set aside as {done.aside}, {done.samples} samples rescued"
        said += f", up to {done.lost} lost and declared" if done.lost else ""
    return *await _read(path), said


async def _read(path: Path) -> tuple[Store, Found]:
    store = await Store.open(path)
    try:
        return store, await store.found()
    except BaseException:
        await store.close()
        raise


async def replace(path: Path, ours: bool = True) -> Salvaged:
    """Set the file aside under a dated name, and put a new one in its place; with what can be read, if it is `ours`.

    Nothing of the old one is changed. Raises DiskError when that cannot be done now, ConfigError when another daemon
    holds the file.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        with lock_file(path):
            _remove(new)
            done = Salvaged(_dated(path))
            store = await Store.open(new)
            try:
                if ours:
                    await _bring(path, store, done)
            finally:
                await store.close()
            for end in FILES:
                with suppress(FileNotFoundError):
                    path.with_name(path.name + end).rename(done.aside.with_name(done.aside.name + end))
            new.rename(path)
            _remove(new)
    except OSError as error:
        raise DiskError(f"the buffer {path} cannot be set aside: {error.strerror}; move it away") from error
    return done


async def _bring(path: Path, store: Store, done: Salvaged) -> None:
    try:
        old = await Store.look(path, checked=False)
    except DiskError:
        return
    try:
        await _Salvage(old, store, done).all()
    finally:
        await old.close()


class _Salvage:
    """Reads one file as far as it can be read, and writes another."""

    def __init__(self, old: Store, new: Store, done: Salvaged) -> None:
        self.old, self.new, self.done = old, new, done
        self.runs: dict[str, Run] = {}
        self.numbers: dict[int, tuple[int, int | None, int]] = {}  # book -> kept, last, dropped
        self.origins: dict[int, list[str]] = {}  # book -> what it may be called: told in two places
        self.sure: dict[int, str] = {}  # book -> what its samples say it is called
        self.reached: dict[int, int] = {}  # book -> number of its last sample
        self.behind: dict[int, int] = {}  # book -> number behind which samples may be missing
        self.lost = Dropped()
        self._made: dict[int, Book] = {}

    async def all(self) -> None:
        """Everything."""
        await self._names()
        await self._samples()
        books = self._books()
        clean = {b.run for b in books if b.taken}  # only a clean stop states the last number
        runs = [
            self.runs.get(b.run, (b.gateway, b.run, "unknown", 0, "clean" if b.run in clean else "open")) for b in books
        ]
        await self.new.adopt("run", [(n, *run) for n, run in enumerate(dict.fromkeys(runs), 1)])
        numbers = {run[1]: n for n, run in enumerate(dict.fromkeys(runs), 1)}
        rows = [(b.id, numbers[b.run], b.device, b.kept, b.taken or None, b.dropped) for b in books]
        await self.new.adopt("book", [(*row, checksum(*row[3:])) for row in rows])
        await self.new.adopt("origin", [(b.id, b.origin) for b in books])
        notes = [row[:-1] async for row in self._rows("note") if row and row[-1] == checksum(*row[:-1])]
        last = max((row[0] for row in notes), default=0)
        for (gateway, run), said in self.lost.take().items():
            last += 1
            made = note(last, gateway, run, dropped=said)
            notes.append((made.id, made.gateway, made.run, made.body))
        await self.new.adopt("note", [(*row, checksum(*row)) for row in notes])
        await self.new.adopt("aside", [row async for row in self._rows("aside") if row])
        with suppress(DiskError):
            await self.new.adopt("topic", await self.old.read("SELECT * FROM topic"))

    async def _names(self) -> None:
        runs = {}
        async for row in self._rows("run"):
            if row and all(isinstance(text, str) for text in (*row[1:4], row[5])) and isinstance(row[4], int):
                state = row[5] if row[5] in STATES else "open"
                runs[row[0]] = self.runs[row[2]] = (*row[1:5], state)
        async for row in self._rows("book"):
            if row and row[-1] == checksum(*row[3:-1]):
                self.numbers[row[0]] = row[3:-1]
            if row and row[1] in runs:
                gateway, run, *_ = runs[row[1]]
                self.origins.setdefault(row[0], []).append(f"{gateway}/{row[2]}/{run}")
        async for row in self._rows("origin"):
            if row and isinstance(row[1], str) and row[1].count("/") == 2:
                self.origins.setdefault(row[0], []).append(row[1])

    async def _samples(self) -> None:
        good: list[Columns] = []
        async for row in self._rows("sample"):
            if row is None:
                for book in self.origins:
                    self.behind.setdefault(book, self.reached.get(book, 0))
                continue
            book, seq = row[1:3]
            if book in self.behind:
                self._declare(book, self.behind.pop(book) + 1, seq - 1)
            self.reached[book] = seq
            good.append(row)
            if len(good) >= TOGETHER:
                await self.new.adopt("sample", good)
                self.done.samples += len(good)
                good.clear()
        await self.new.adopt("sample", good)
        self.done.samples += len(good)
        for book, behind in self.behind.items():
            self._declare(book, behind + 1, self.numbers.get(book, (0,))[0])

    def _whole(self, row: Columns) -> bool:
        sure = next((name for name in self.origins.get(row[1], ()) if is_whole(row, name)), None)
        if sure is not None:
            self.sure[row[1]] = sure
        return sure is not None

    def _declare(self, book: int, first: int, last: int) -> None:
        if first <= last:
            account = self._book(book)
            account.drop(last - first + 1)
            self.lost.add(account, first, "damaged", last)
            self.done.lost += last - first + 1

    def _books(self) -> list[Book]:
        """One account for each name: two that claim one cannot both be right."""
        books = {(b := self._book(id_)).origin: b for id_ in sorted(self.origins)}
        return list(books.values())

    def _book(self, id_: int) -> Book:
        """The account of a book; the same each time it is asked for."""
        if id_ not in self._made:
            gateway, device, run = (self.sure.get(id_) or self.origins[id_][-1]).split("/")
            book = self._made[id_] = Book(gateway, run, device, id_)
            kept, last, book.dropped = self.numbers.get(id_, (0, None, 0))
            book.kept, book.taken = max(kept, self.reached.get(id_, 0)), last or 0
        return self._made[id_]

    async def _rows(self, table: str) -> AsyncIterator[Columns | None]:
        """Rows of a table as they lie there; None where some cannot be read."""
        after, many = 0, TOGETHER
        sql = f"SELECT * FROM {table}"  # noqa: S608 - ours; the first time from the first page, whatever its ids are
        while True:
            try:
                async for found in self.old.scan(sql, many):
                    for row in found:
                        if table == "sample" and (row[0] <= after or not self._whole(row)):
                            yield None  # what should lie here lies elsewhere; or its id, too, may not be its own
                        else:
                            yield row
                            after = max(after, row[0])
                return
            except DiskError:
                many = 1 if many > 1 else TOGETHER  # one by one up to the row that cannot be read
                if many > 1:
                    yield None
                    readable = await self._readable(table, after)
                    if readable is None:
                        return
                    after = readable
                sql = f"SELECT * FROM {table} WHERE id>{after} ORDER BY id"  # noqa: S608 - ours

    async def _readable(self, table: str, after: int) -> int | None:
        """The lowest id behind `after` behind which something can be read again, or None."""

        async def fails(behind: int) -> bool:
            try:
                await self.old.read(f"SELECT * FROM {table} WHERE id>? ORDER BY id LIMIT 1", (behind,))  # noqa: S608 - ours
            except DiskError:
                return True
            return False

        step = 1
        while await fails(after + step):
            step *= 2
            if step > FARTHEST:
                return None
        low, high = after + step // 2, after + step  # fails, and does not
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if await fails(middle) else (low, middle)
        return high


def _dated(path: Path) -> Path:
    """A name of today's that no file has."""
    name = f"{path.name}.{datetime.now(UTC):%Y-%m-%d}"
    n = 1
    while (found := path.with_name(name if n == 1 else f"{name}.{n}")).exists():
        n += 1
    return found


def _remove(path: Path) -> None:
    for end in (*FILES, ".lock"):
        path.with_name(path.name + end).unlink(missing_ok=True)
