"""What goes between the buffer and its file: rows, ledger notes, and all that one transaction does. Pure."""

import zlib
from dataclasses import dataclass, field
from typing import Any

from gateway.ledger import Book, BookRow
from gateway.payload import to_json
from gateway.reading import Stamp

Columns = tuple[Any, ...]  # of a row
STORED_RATIO = 0.4  # bytes on disk of a byte of body: compressed, in pages (for forecasts and limits)


@dataclass(frozen=True)
class Row:
    """A sample on disk, where its body lies compressed: `size` is its length here, None a body that is damaged.

    `origin` is the name of its book, GATEWAY/DEVICE/RUN; the columns of a row are (id, book, seq, wall, boot, synced,
    class, size, body).
    """

    id: int
    book: int
    origin: str
    seq: int
    stamp: Stamp
    klass: int
    size: int
    body: bytes | None


@dataclass(frozen=True)
class Note:
    """A ledger note that is kept until the hub has confirmed it."""

    id: int
    gateway: str
    run: str
    body: bytes


@dataclass
class Commit:
    """All that one transaction does."""

    rows: list[Row] = field(default_factory=list)
    books: list[BookRow] = field(default_factory=list)  # whose kept, last or dropped changed, as they were then
    origins: list[tuple[int, str]] = field(default_factory=list)  # new books, and their names
    delete_rows: list[int] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    delete_notes: list[int] = field(default_factory=list)
    run_states: list[tuple[str, str]] = field(default_factory=list)  # (run, state)
    forget_runs: list[str] = field(default_factory=list)
    topics: list[tuple[str, str]] = field(default_factory=list)  # (topic, device) now owned
    delete_topics: list[str] = field(default_factory=list)
    aside: list[tuple[str, str, str, int, str, bytes]] = field(default_factory=list)
    delete_aside: list[int] = field(default_factory=list)
    last: bool = False  # a clean stop: the books state their last number

    def followed_by(self, other: "Commit") -> "Commit":
        """Both in one, when the first could not be written."""
        mine = {k: v for k, v in vars(self).items() if k != "last"}
        return Commit(**{k: v + getattr(other, k) for k, v in mine.items()}, last=self.last or other.last)


@dataclass
class Found:
    """What an opened file holds."""

    runs: list[tuple[str, str]]  # (gateway, run), oldest first
    states: dict[str, str]  # run -> open | clean | unclean | settled
    boots: dict[str, str]  # run -> boot id
    books: dict[int, Book]
    held_bytes: int
    notes: list[Note]
    topics: dict[str, str]  # topic -> device


def compress(body: bytes) -> bytes:
    """A body as it lies on disk."""
    z = zlib.compressobj(6, zlib.DEFLATED, -15, 9)
    return z.compress(body) + z.flush()


def to_disk(r: Row) -> Columns:
    """A row's columns. Called in SQLite's thread: compressing a long tail would hold up the event loop."""
    assert r.body is not None
    told = (r.seq, r.stamp.wall, r.stamp.boot, int(r.stamp.synced), r.klass, r.size)
    body = compress(r.body)
    return r.id, r.book, *told, body + _seal(r.origin, _told((r.id, *told)), body)


def from_disk(columns: Columns, origin: str) -> Row:
    """The row that `to_disk` was given; without body where a bit of it, or of whose and when it is, has changed."""
    id_, book, seq, wall, boot, synced, klass, size, stored = columns
    body = zlib.decompress(stored[:-4], -15) if is_whole(columns, origin) else None
    return Row(id_, book, origin, seq, Stamp(wall, boot, bool(synced)), klass, size, body)


def is_whole(columns: Columns, origin: str) -> bool:
    """Whether a row is as it was written."""
    return is_sealed(origin, _told((columns[0], *columns[2:-1])), columns[-1])


def is_sealed(origin: str, told: Any, stored: Any) -> bool:
    """The same of a row whose id and columns from seq to size are text with blanks between: SQLite makes it fastest."""
    if not isinstance(told, str) or not isinstance(stored, bytes):
        return False
    return stored[-4:] == _seal(origin, told, stored[:-4])


def _told(columns: Columns) -> str:
    return " ".join(map(str, columns))


def _seal(origin: str, told: str, body: bytes) -> bytes:
    return zlib.crc32(body, zlib.crc32(f"{origin} {told}".encode())).to_bytes(4, "big")


def checksum(*values: object) -> int:
    """Of what a row says. SQLite has none: a bit that turns on a worn card would make another value of it."""
    return zlib.crc32(repr(values).encode())


def note(id_: int, gateway: str, run: str, **content: object) -> Note:
    """A ledger note about a run."""
    return Note(id_, gateway, run, to_json({"run": run, **content}))


def ranges(ids: list[int]) -> list[tuple[int, int]]:
    """Row ids as ranges, both ends included: a drained backlog is deleted in a few statements."""
    found: list[tuple[int, int]] = []
    for i in sorted(ids):
        if found and found[-1][1] == i - 1:
            found[-1] = (found[-1][0], i)
        else:
            found.append((i, i))
    return found
