"""The one task that owns the buffer's file: start, commits when they fall due, fetching the backlog, clean stop."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

from gateway import salvage
from gateway.buffer import Buffer, Held
from gateway.errors import ConfigError, DiskError, LabgateError
from gateway.limits import drop_over_limit
from gateway.notes import close_runs, declare_drops, settle_runs
from gateway.rows import STORED_RATIO, Commit, Row, note
from gateway.store import Store
from gateway.supervisor import undisturbed

log = logging.getLogger("labgate.buffer")

_CHUNK = 256  # rows fetched at a time
_LONGEST_RETRY = 30.0  # s between attempts on a disk that cannot be written


class Writer:
    """Keeps the durability promise: a commit is finished before any sample is `commit_every` (s) old."""

    def __init__(self, buffer: Buffer, path: Path, commit_every: float, max_bytes: int, keep_free: int) -> None:
        self.path, self.commit_every, self.max_bytes, self.keep_free = path, commit_every, max_bytes, keep_free
        self.previous: dict[str, object] | None = None  # the run before this one, for the status
        self.commit_seconds = 0.0  # how long the last commit took
        self.oldest: int | None = None  # as looked up last
        self.set_aside: str | None = None  # what became of a damaged file
        self.full: str | None = None  # why samples are given up
        self._used = False  # the file, by this run
        self.changed: Callable[[], None] = lambda: None  # the application's: durable, or not any more
        self._buffer = buffer
        self._store: Store | None = None
        self._states: dict[str, str] = {}  # earlier run -> open | clean | unclean | settled
        self._boots: dict[str, str] = {}  # earlier run -> boot id
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._retry_at = -math.inf
        self._retry_pause = 0.0
        self._fetch_at = -math.inf
        self._stopping = False
        self._since = time.monotonic()
        buffer.wake = self._wake.set
        buffer.arm = self._arm

    async def open(self, topics: dict[str, str]) -> None:
        """Rule 2: one transaction before the first publish. A disk that cannot be used is told in `buffer.trouble`.

        `topics` are the retained topics of the configuration, with their device. Raises ConfigError when another
        daemon holds the file.
        """
        self._buffer.topics |= topics
        try:
            await self._open()
        except DiskError as error:
            self._failed(error)

    async def run(self) -> None:
        """Commit what falls due and fetch what the uplink asks for, until `finish`."""
        now = asyncio.get_running_loop().time
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            if self._stopping:
                return
            try:
                if self._store is None and now() >= self._retry_at:
                    await undisturbed(self._open())
                if self._store is not None and now() >= self._due():
                    await undisturbed(self._commit())
            except (DiskError, ConfigError) as error:  # ConfigError: another daemon took the file meanwhile
                self._failed(error)
            # A disk that is full can be read, and what the hub confirms makes room.
            if self._buffer.fetch_wanted and self._store is not None and now() >= self._fetch_at:
                try:
                    await self._fetch()
                except DiskError as error:
                    self._failed(error)
                    self._fetch_at = self._retry_at
                    self._buffer.later()  # a commit will tell whether it works again
            self._arm()

    async def finish(self) -> None:
        """Rule 11: a clean stop is one commit. Call it when `run` has ended and nothing takes or publishes any more."""
        b = self._buffer
        self._disarm()
        try:
            store = self._store or await self._open()
        except LabgateError as error:
            log.error("no disk at the end, %d samples in memory are lost: %s", len(b.tail), error)
            return
        b.pending.run_states.append((b.run, "clean"))
        last = {device: book.taken for device, book in b.books.items()}
        b.pending.notes.append(note(store.next_id("note"), b.gateway, b.run, ended="clean", last=last))
        b.pending.last = True
        b.rows_left[b.gateway, b.run] = sum(book.held for book in b.books.values())
        try:
            await self._commit()
        except DiskError as error:
            log.error("the last commit failed, %d samples in memory are lost: %s", len(b.tail), error)
        finally:
            self._disarm()
            self._store = None
            await store.close()

    @property
    def bound(self) -> float:
        """Age (s) that samples reach at most before they are on disk, as things are now."""
        return max(self.commit_every, 2 * self.commit_seconds)

    def state_of(self, run: str) -> str:
        """open, clean, unclean or settled."""
        return self._states.get(run, "open")

    async def lasts(self) -> float | None:
        """Seconds until the size limit is reached if nothing is confirmed any more; None while there is no rate."""
        b, seconds = self._buffer, time.monotonic() - self._since
        if self._store is None or not b.taken_bytes:
            return None
        left = max(self.max_bytes - (await self._store.space())[0], 0)
        return left / (b.taken_bytes / seconds * STORED_RATIO)

    async def look_up_oldest(self) -> None:
        """Refresh `oldest`, the wall time (ns) of the oldest sample on disk."""
        if self._store is not None and self._buffer.on_disk:
            with contextlib.suppress(DiskError):  # the next commit will say so
                self.oldest = await self._store.oldest()

    def stop(self) -> None:
        """Let `run` end after what it is doing."""
        self._stopping = True
        self._wake.set()

    # -- what it does -------------------------------------------------------------------------------------------

    async def _open(self) -> Store:
        b = self._buffer
        store, found, said = await salvage.usable(self.path, not self._used)
        if said is not None:
            self.set_aside = said
            log.error("%s", said)
        try:
            found.runs = [run for run in found.runs if run[1] != b.run]  # ours: a try that failed in the last moment
            began = time.monotonic()
            start = Commit(topics=[(t, d) for t, d in b.topics.items() if t not in found.topics])
            self._states, self._boots = found.states, found.boots
            if found.runs:
                newest = found.runs[-1][1]
                self.previous = {"run": newest, "clean": found.states[newest] != "open"}
            close_runs(store, b, found, start)
            settle_runs(store, b, self._states, start)
            await store.open_run(b.gateway, b.run, b.clock.boot_id, time.time_ns(), start)
        except BaseException:
            await store.close()
            raise
        self._store, self._used = store, True
        b.old_books = found.books
        b.topics = found.topics | b.topics
        b.notes = {n.id: n for n in [*found.notes, *start.notes]}
        b.on_disk = sum(book.held for book in found.books.values())
        b.disk_bytes = found.held_bytes
        self.commit_seconds = time.monotonic() - began
        self._works()
        return store

    async def _commit(self) -> None:
        """Rule 5: one transaction. What was asked of it stays asked for when it fails."""
        b, store, began = self._buffer, self._store, time.monotonic()
        assert store is not None
        self._say_full(await drop_over_limit(store, b, self.path.parent, self.max_bytes, self.keep_free))
        c, b.pending, b.pending_since = b.pending, Commit(), None
        batch = list(b.tail)
        for h in batch:
            h.book.kept = max(h.book.kept, h.seq)
        books = {h.book for h in batch} | b.dropped.books() | set(b.books.values() if c.last else ())
        for book in books:
            if not book.id:
                book.id = store.next_id("book")
                c.origins.append((book.id, book.origin))
        c.books += [book.row(c.last) for book in books]
        declare_drops(store, b, c)
        c.rows = [
            Row(store.next_id("sample"), h.book.id, h.book.origin, h.seq, h.stamp, h.klass, len(h.body), h.body)
            for h in batch
        ]
        settle_runs(store, b, self._states, c)
        try:
            await store.commit(c)
        except DiskError:
            c.rows = []
            b.pending = c.followed_by(b.pending)
            b.later()
            raise
        finally:
            self.commit_seconds = time.monotonic() - began
        for h, row in zip(batch, c.rows, strict=True):
            b.written(h, row.id)
        for row_id in c.delete_rows:
            b.busy.pop(row_id, None)
        for run in c.forget_runs:
            self._states.pop(run, None)
        b.notes |= {n.id: n for n in c.notes}
        b.exhausted = b.exhausted and not c.rows
        self._works()
        b.offer()

    async def _fetch(self) -> None:
        b, store = self._buffer, self._store
        assert store is not None
        rewinds = b.rewinds
        found = await store.rows(b.cursor, _CHUNK, [book.id for book in b.unwanted()])
        if b.rewinds != rewinds:
            return  # other books are wanted now; still wanted: at the next turn
        b.fetch_wanted = False
        by_id = {book.id: book for book in b.all_books()}
        for row in found:
            b.cursor = row.id
            if row.id in b.busy:
                continue
            book = by_id[row.book]
            if row.body is None:
                log.error("sample %d of %s is damaged on disk; dropped", row.seq, book.device)
                b.drop_row(book, row.seq, row.id, row.size, "damaged")
                continue
            boot = self._boots.get(book.run, b.clock.boot_id)
            held = Held(book, row.seq, row.stamp, boot, row.klass, row.body)
            held.row = row.id
            b.fetched(held)
        if len(found) < _CHUNK:
            b.exhausted, b.cursor = True, store.highest("sample")
        b.offer()

    # -- when ---------------------------------------------------------------------------------------------------

    def _due(self) -> float:
        """Loop time at which the next commit must begin, or infinity. Rule 4."""
        b = self._buffer
        since = math.inf if b.pending_since is None else b.pending_since
        if b.tail:
            since = -math.inf if b.tail_full else min(since, next(iter(b.tail)).taken)
        # Twice the last commit, at least a twentieth for a loop that is late, never more than half.
        lead = min(max(2 * self.commit_seconds, self.commit_every / 20), self.commit_every / 2)
        return max(since + self.commit_every - lead, self._retry_at)

    def _next(self) -> float:
        """Loop time at which `run` has something to do, or infinity."""
        if self._store is None:
            return self._retry_at
        return min(self._due(), self._fetch_at) if self._buffer.fetch_wanted else self._due()

    def _arm(self) -> None:
        """One timer, for what is next; none while nothing waits."""
        self._disarm()
        due = self._next()
        if not self._stopping and due < math.inf:
            self._timer = asyncio.get_running_loop().call_at(max(due, 0.0), self._fire)
            self._buffer.armed = True

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._buffer.armed = False

    def _fire(self) -> None:
        if self._next() <= asyncio.get_running_loop().time():
            self._disarm()
            self._wake.set()
        else:  # what it was set for is confirmed by now
            self._arm()

    def _failed(self, error: LabgateError) -> None:
        """Go on from the memory tail, try again with growing pauses."""
        self._retry_pause = min(_LONGEST_RETRY, max(2 * self._retry_pause, self.commit_every))
        self._retry_at = asyncio.get_running_loop().time() + self._retry_pause
        if self._buffer.trouble != str(error):
            self._buffer.trouble = str(error)
            log.error("%s; samples are held in memory only", error)
            self.changed()
        self._arm()

    def _say_full(self, why: str | None) -> None:
        if why != self.full:
            self.full = why
            log.warning("%s", why or "no samples are given up any more")
            self.changed()

    def _works(self) -> None:
        if self._retry_pause:
            log.info("samples are held on disk again")
        self._retry_at, self._fetch_at, self._retry_pause = -math.inf, -math.inf, 0.0
        if self._buffer.trouble is not None:
            self._buffer.trouble = None
            self.changed()
