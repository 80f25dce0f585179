"""The one task that owns the buffer's file: start, commits when they fall due, fetching the backlog, clean stop."""

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from gateway.buffer import Buffer, Held
from gateway.errors import DiskError
from gateway.limits import drop_over_limit
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
        self.changed: Callable[[], None] = lambda: None  # the application's: durable, or not any more
        self._buffer = buffer
        self._store: Store | None = None
        self._states: dict[str, str] = {}  # earlier run -> open | clean | unclean | settled
        self._boots: dict[str, str] = {}  # earlier run -> boot id
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._retry_at = -math.inf
        self._retry_pause = 0.0
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
        loop = asyncio.get_running_loop()
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            if self._stopping:
                return
            try:
                if self._store is None:
                    if loop.time() >= self._retry_at:
                        await undisturbed(self._open())
                elif self._due() <= loop.time():
                    await undisturbed(self._commit())
                if self._buffer.fetch_wanted:
                    self._buffer.fetch_wanted = False
                    await self._fetch()
            except DiskError as error:
                self._failed(error)
            self._arm()

    async def finish(self) -> None:
        """Rule 11: a clean stop is one commit. Call it when `run` has ended and nothing takes or publishes any more."""
        b, store = self._buffer, self._store
        self._disarm()
        if store is None:
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
            await store.close()

    def state_of(self, run: str) -> str:
        """open, clean, unclean or settled."""
        return self._states.get(run, "open")

    async def lasts(self) -> float | None:
        """Seconds until the size limit is reached if nothing is confirmed any more; None while there is no rate."""
        b, seconds = self._buffer, time.monotonic() - self._since
        if self._store is None or not b.taken_bytes:
            return None
        left = max(self.max_bytes - await self._store.used_bytes(), 0)
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

    async def _open(self) -> None:
        b, began = self._buffer, time.monotonic()
        store = await Store.open(self.path)
        try:
            found = await store.found()
            start = Commit(topics=[(t, d) for t, d in b.topics.items() if t not in found.topics])
            self._states, self._boots = found.states, found.boots
            for gateway, run in found.runs:
                if self._states[run] == "open":
                    self._states[run] = "unclean"
                    start.run_states.append((run, "unclean"))
                    kept = {book.device: book.kept for book in found.books.values() if book.run == run and book.kept}
                    start.notes.append(note(store.next_id("note"), gateway, run, ended="unclean", kept=kept))
                b.rows_left[gateway, run] = sum(book.held for book in found.books.values() if book.run == run)
            if found.runs:
                newest = found.runs[-1][1]
                self.previous = {"run": newest, "clean": newest not in found.open_runs}
            self._settle(store, start)
            await store.open_run(b.gateway, b.run, b.clock.boot_id, time.time_ns(), start)
        except DiskError:
            await store.close()
            raise
        self._store = store
        b.old_books = found.books
        b.topics = found.topics | b.topics
        b.notes = {n.id: n for n in [*found.notes, *start.notes]}
        b.on_disk = sum(book.held for book in found.books.values())
        b.disk_bytes = found.held_bytes
        self.commit_seconds = time.monotonic() - began
        self._works()

    async def _commit(self) -> None:
        """Rule 5: one transaction. What was asked of it stays asked for when it fails."""
        b, store, began = self._buffer, self._store, time.monotonic()
        assert store is not None
        await drop_over_limit(store, b, self.path.parent, self.max_bytes, self.keep_free)
        c, b.pending, b.pending_since = b.pending, Commit(), None
        batch = list(b.tail)
        for h in batch:
            h.book.kept = max(h.book.kept, h.seq)
        books = {h.book for h in batch} | b.dropped.books() | set(b.books.values() if c.last else ())
        for book in books:
            book.id = book.id or store.next_id("book")
        c.books += [book.row(c.last) for book in books]
        for (gateway, run), entries in b.dropped.take().items():
            c.notes.append(note(store.next_id("note"), gateway, run, dropped=entries))
        c.rows = [Row(store.next_id("sample"), h.book.id, h.seq, h.stamp, h.klass, len(h.body), h.body) for h in batch]
        self._settle(store, c)
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
            self._written(h, row)
        for row_id in c.delete_rows:
            b.busy.pop(row_id, None)
        for run in c.forget_runs:
            self._states.pop(run, None)
        b.notes |= {n.id: n for n in c.notes}
        b.exhausted = b.exhausted and not c.rows
        self._works()
        b.offer()

    def _written(self, h: Held, row: Row) -> None:
        b = self._buffer
        h.row = row.id
        h.sent = h.sent or not h.flying
        b.on_disk += 1
        b.disk_bytes += row.size
        if h.gone:  # confirmed or given up while it was being written
            b.row_gone(h.book, row.id, row.size)
            b.later()
            return
        del b.tail[h]
        b.tail_bytes -= row.size
        if h.flying:
            b.busy[row.id] = h
        else:
            b.leave_lane(h)

    def _settle(self, store: Store, c: Commit) -> None:
        """Rule 12: the transaction that takes the last row of an ended run says so."""
        for (gateway, run), left in list(self._buffer.rows_left.items()):
            if left == 0:
                del self._buffer.rows_left[gateway, run]
                if self._states.get(run) != "settled":
                    self._states[run] = "settled"
                    c.run_states.append((run, "settled"))
                    c.notes.append(note(store.next_id("note"), gateway, run, settled=True))

    async def _fetch(self) -> None:
        b = self._buffer
        if self._store is None:
            return
        found = await self._store.rows(b.cursor, _CHUNK, b.skip)
        b.exhausted = len(found) < _CHUNK
        by_id = {book.id: book for book in b.all_books()}
        for row in found:
            b.cursor = row.id
            if row.id in b.busy:
                continue
            book = by_id[row.book]
            boot = self._boots.get(book.run, b.clock.boot_id)
            held = Held(book, row.seq, row.stamp, boot, row.klass, row.body or b"")
            held.row, held.sent = row.id, True
            b.busy[row.id] = held
            b.backlog.setdefault(book, deque()).append(held)
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

    def _arm(self) -> None:
        """One timer, for the next commit; none while nothing waits."""
        self._disarm()
        due = self._retry_at if self._store is None else self._due()
        if not self._stopping and due < math.inf:
            self._timer = asyncio.get_running_loop().call_at(max(due, 0.0), self._fire)
            self._buffer.armed = True

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._buffer.armed = False

    def _fire(self) -> None:
        if self._store is None or self._due() <= asyncio.get_running_loop().time():
            self._disarm()
            self._wake.set()
        else:  # what it was set for is confirmed by now
            self._arm()

    def _failed(self, error: DiskError) -> None:
        """Go on from the memory tail, try again with growing pauses."""
        self._retry_pause = min(_LONGEST_RETRY, max(2 * self._retry_pause, self.commit_every))
        self._retry_at = asyncio.get_running_loop().time() + self._retry_pause
        if self._buffer.trouble != str(error):
            self._buffer.trouble = str(error)
            log.error("%s; samples are held in memory only", error)
            self.changed()
        self._arm()

    def _works(self) -> None:
        self._retry_at, self._retry_pause = -math.inf, 0.0
        if self._buffer.trouble is not None:
            self._buffer.trouble = None
            self.changed()
