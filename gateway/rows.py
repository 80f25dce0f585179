"""What goes between the buffer and its file: rows, ledger notes, and all that one transaction does. Pure."""

import zlib
from dataclasses import dataclass, field

from gateway.ledger import Book, BookRow
from gateway.payload import to_json
from gateway.reading import Stamp

STORED_RATIO = 0.4  # bytes on disk of a byte of body: compressed, in pages (for forecasts and limits)


@dataclass(frozen=True)
class Row:
    """A sample on disk, where its body lies compressed: `size` is its length here, None a body that is damaged."""

    id: int
    book: int
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
    """A body as a row holds it."""
    z = zlib.compressobj(6, zlib.DEFLATED, -15, 9)
    return z.compress(body) + z.flush()


def decompress(body: bytes) -> bytes | None:
    """The body that `compress` was given, or None for damaged bytes."""
    try:
        return zlib.decompress(body, -15)
    except zlib.error:
        return None


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
