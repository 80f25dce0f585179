"""Holds samples until the hub has confirmed them: a short tail in memory, the rest in SQLite.

The fifteen rules it keeps stand in gateway/README.md. All here is synchronous, so that between two awaits the books
always balance; the file belongs to the writer (writer.py).
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from operator import attrgetter

from gateway.clock import Clock
from gateway.ledger import Book, Dropped, read_note
from gateway.reading import Class, Stamp
from gateway.rows import Commit, Note, compress

TAIL_BYTES = 16_000_000
CLASSES: tuple[Class, ...] = ("bulk", "normal", "alarm")  # the order in which they are given up

_class, _seq = attrgetter("klass"), attrgetter("seq")


class Held:
    """One sample the buffer answers for."""

    __slots__ = (
        *("alone", "body", "book", "boot", "flying", "gone", "klass", "row", "sent", "seq", "stamp", "taken", "tries"),
    )

    def __init__(self, book: Book, seq: int, stamp: Stamp, boot: str, klass: int, body: bytes) -> None:
        self.book = book
        self.seq = seq
        self.stamp = stamp
        self.boot = boot  # boot id
        self.klass = klass
        self.body = body
        self.taken = 0.0  # loop time
        self.row: int | None = None  # its row id, once on disk
        self.flying = False  # published, no verdict yet
        self.sent = False  # published before, or read from disk: the next time it is late
        self.gone = False  # confirmed or dropped: not held any more
        self.alone = False  # the hub refused a pack it was in: it goes in one of its own
        self.tries = 0  # times the hub refused it so


class Buffer:
    """Takes samples, offers them to the uplink in two lanes, forgets them when they are confirmed."""

    def __init__(self, gateway: str, run: str, clock: Clock) -> None:
        self.gateway, self.run, self.clock = gateway, run, clock
        self.books: dict[str, Book] = {}  # of this run, by device
        self.old_books: dict[int, Book] = {}  # of earlier runs, by book id
        self.notes: dict[int, Note] = {}  # ledger notes not confirmed, oldest first
        self.note_flying: int | None = None  # the one that is published and has no verdict yet
        self.topics: dict[str, str] = {}  # retained topics this gateway owns -> device
        self.trouble: str | None = "the buffer is not open yet"  # why it is not durable
        self.taken_bytes = 0  # of all bodies of this run
        self.on_disk = 0  # held samples there
        self.disk_bytes = 0  # of their bodies
        self.live: dict[Book, deque[Held]] = {}  # waiting in memory; by device, oldest first
        self.backlog: dict[Book, deque[Held]] = {}  # fetched from disk
        self.offer: Callable[[], None] = lambda: None  # the uplink's: something waits to be sent
        self._offering = False  # it will be, in the next round of the loop
        # For the writer:
        self.tail: OrderedDict[Held, None] = OrderedDict()  # neither confirmed nor on disk, oldest first
        self.tail_bytes = 0
        self.pending = Commit()  # deletes and notes that wait for the next commit
        self.pending_since: float | None = None
        self.dropped = Dropped()  # drops whose note waits for it
        self.rows_left: dict[tuple[str, str], int] = {}  # ended (gateway, run) -> held rows
        self.busy: dict[int, Held | None] = {}  # rows that are in memory too; None: gone, not yet deleted
        self.cursor = 0  # the backlog is fetched behind this row id …
        self.rewinds = 0  # how often the cursor was set back
        self.unwanted: Callable[[], list[Book]] = list  # … without the uplink's paused ones
        self.exhausted = False  # nothing more to fetch until rows are added
        self.fetch_wanted = False
        self.armed = False  # the writer has a timer for what is here
        self.wake: Callable[[], None] = lambda: None  # the writer has something to do now
        self.arm: Callable[[], None] = lambda: None  # the writer has something to do later

    # -- synchronous: taking, confirming, giving up ------------------------------------------------------------

    def take(self, device: str, stamp: Stamp, klass: Class, body: bytes, burst: bool = False) -> int:
        """Number a sample and answer for it from now on. Returns its seq.

        Of a `burst`, several samples in one round of the loop, all are offered together when that is over.
        """
        book = self.books.get(device)
        if book is None:
            book = self.books[device] = Book(self.gateway, self.run, device)
        held = Held(book, book.take(), stamp, self.clock.boot_id, CLASSES.index(klass), body)
        held.taken = asyncio.get_running_loop().time()
        self.tail[held] = None
        self.tail_bytes += len(body)
        self.taken_bytes += len(body)
        lane = self.live.get(book)
        if lane is None:
            self.live[book] = deque((held,))
        else:
            lane.append(held)
        if not self.armed:
            self.arm()
        if self.tail_full:
            self._make_room()
        if not burst:
            self.offer()
        elif not self._offering:
            self._offering = True
            asyncio.get_running_loop().call_soon(self._offer)
        return held.seq

    def _offer(self) -> None:
        self._offering = False
        self.offer()

    def confirm(self, held: Held) -> None:
        """The hub has it: PUBACK below 0x80 on the connection that sent it."""
        held.book.confirm(held.seq)
        self._let_go(held)

    def refuse(self, held: Held, reason: str) -> None:
        """The hub will never take it: dropped with the reason on the ledger, and kept aside in the file."""
        book = held.book
        self.pending.aside.append((book.gateway, book.run, book.device, held.seq, reason, compress(held.body)))
        self._drop(held, reason)

    def give_back(self, held: Held) -> None:
        """Not confirmed: back to its lane, to be sent again under the same name."""
        held.flying = False
        self._wait(held)

    def written(self, held: Held, row: int) -> None:
        """It is on disk now, and leaves the memory unless it is in flight or the hub has refused it."""
        size = len(held.body)
        held.row = row
        held.sent = held.sent or not held.flying
        self.on_disk += 1
        self.disk_bytes += size
        if held.gone:  # confirmed or given up while it was being written
            self.row_gone(held.book, row, size)
            self.later()
            return
        del self.tail[held]
        self.tail_bytes -= size
        if held.flying:
            self.busy[row] = held
            return
        self.leave_lane(held)
        if held.alone or held.tries:
            self.fetched(held)

    def fetched(self, held: Held) -> None:
        """On disk and in memory, to be sent."""
        assert held.row is not None
        held.sent = True
        self.busy[held.row] = held
        self._wait(held)

    def _wait(self, held: Held) -> None:
        """Into its lane, which is sorted."""
        lane = (self.live if held.row is None else self.backlog).setdefault(held.book, deque())
        if not lane or lane[-1].seq < held.seq:
            lane.append(held)
        elif held.seq < lane[0].seq:
            lane.appendleft(held)
        else:
            ordered = sorted((held, *lane), key=_seq)
            lane.clear()
            lane.extend(ordered)

    def confirm_note(self, id_: int) -> None:
        """The hub has this ledger note: what it says is settled."""
        said = read_note(self.notes.pop(id_).body)
        for entry in said.dropped:
            for book in self.all_books():
                if book.run == said.run and book.device == entry.device:
                    book.settle(entry.first, entry.through)
        if said.settled:
            self.old_books = {i: b for i, b in self.old_books.items() if b.run != said.run}
            self.pending.forget_runs.append(said.run)
        self.pending.delete_notes.append(id_)
        self.later()

    def release_topic(self, topic: str) -> None:
        """A retained topic was cleared at the hub."""
        if self.topics.pop(topic, None) is not None:
            self.pending.delete_topics.append(topic)
            self.later()

    def want_backlog(self) -> None:
        """The uplink has room for more of what is on disk."""
        if self.on_disk and not self.exhausted and not self.fetch_wanted:
            self.fetch_wanted = True
            self.wake()

    def rewind(self) -> None:
        """Read the backlog again from its oldest row: other books are wanted than before."""
        waiting = [held for lane in self.backlog.values() for held in lane]
        self.backlog.clear()
        for held in waiting:
            if held.alone or held.tries:
                self._wait(held)  # what the hub said of it is known only here
            else:
                del self.busy[held.row or 0]
        self.cursor = 0
        self.rewinds += 1
        self.exhausted = False
        self.want_backlog()

    def _drop(self, held: Held, reason: str) -> None:
        held.book.drop(1)
        self.dropped.add(held.book, held.seq, reason)
        # Until its note is on disk a kill loses it unnamed: that is due when the sample itself would have been.
        self.later(held.taken if held.row is None else None)
        self._let_go(held)

    def _let_go(self, held: Held) -> None:
        held.gone = True
        held.flying = False
        if held.row is not None:
            self.row_gone(held.book, held.row, len(held.body))
            self.later()
        else:
            del self.tail[held]
            self.tail_bytes -= len(held.body)

    def give_up_row(self, row: int) -> bool:
        """Take a row out of the backlog to drop it. False when it is in flight or on its way out already."""
        if row in self.busy:
            held = self.busy[row]
            if held is None or held.flying:
                return False
            self.backlog[held.book].remove(held)
        return True

    def drop_row(self, book: Book, seq: int, row: int, size: int, reason: str) -> None:
        """A row of which nothing is in memory is given up."""
        book.drop(1)
        self.dropped.add(book, seq, reason)
        self.row_gone(book, row, size)
        self.later()

    def row_gone(self, book: Book, row: int, size: int) -> None:
        """A row is not held any more; it is deleted by the next commit, and not read again until then."""
        self.busy[row] = None
        self.pending.delete_rows.append(row)
        self.on_disk -= 1
        self.disk_bytes -= size
        run = (book.gateway, book.run)
        if run in self.rows_left:
            self.rows_left[run] -= 1

    @property
    def tail_full(self) -> bool:
        """Whether the tail is to be written now, however young it is."""
        return self.tail_bytes > TAIL_BYTES

    def _make_room(self) -> None:
        """Commit at once; where the disk cannot, or is far too slow, some go, declared: class first, then oldest."""
        if self.trouble is None:
            self.wake()
        limit = TAIL_BYTES if self.trouble else 2 * TAIL_BYTES
        if self.tail_bytes <= limit:
            return
        for held in sorted((h for h in self.tail if not h.flying), key=_class):
            if self.tail_bytes <= limit - limit // 16:  # some more, so that this is not done for every sample
                break
            self.leave_lane(held)
            self._drop(held, "memory limit")

    def leave_lane(self, held: Held) -> None:
        """It goes on without the live lane: written to disk, or dropped."""
        lane = self.live.get(held.book)
        if lane is not None:
            lane.remove(held)  # at its front: O(1)
            if not lane:
                del self.live[held.book]

    def later(self, since: float | None = None) -> None:
        """Something waits for the next commit, at most `commit_every` (from loop time `since`, or from now)."""
        if since is None:
            since = asyncio.get_running_loop().time()
        if self.pending_since is None or since < self.pending_since:
            self.pending_since = since
            if not self.armed:
                self.arm()

    # -- what is held ------------------------------------------------------------------------------------------

    def held(self) -> tuple[int, int]:
        """(samples, bytes) not confirmed, in memory and on disk."""
        return len(self.tail) + self.on_disk, self.tail_bytes + self.disk_bytes

    def oldest(self) -> int | None:
        """Wall time (ns) of the oldest held sample in memory, or None; `Store.oldest` knows those on disk."""
        return next((h.stamp.wall for h in self.tail), None)

    def all_books(self) -> list[Book]:
        """Books of earlier runs that are not settled, then those of this run."""
        return [*self.old_books.values(), *self.books.values()]
