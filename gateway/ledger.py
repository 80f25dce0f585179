"""The books: what was taken, confirmed, held, dropped. Pure: no clock, no disk."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

import msgspec


class Spans:
    """A set of whole numbers kept as disjoint, sorted ranges: memory follows the gaps, not the numbers."""

    __slots__ = ("_first", "_last")

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self._first: list[int] = []
        self._last: list[int] = []
        for first, last in spans:
            self.add(first, last)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._first, self._last, strict=True))

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._first, number) - 1
        return at >= 0 and number <= self._last[at]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self)

    def add(self, first: int, last: int | None = None) -> None:
        """Add `first` … `last`, both included."""
        last = first if last is None else last
        low = bisect_right(self._last, first - 2)  # the first range that touches or follows the new one
        high = bisect_right(self._first, last + 1)  # one past the last range that touches it
        if low < high:
            first = min(first, self._first[low])
            last = max(last, self._last[high - 1])
        self._first[low:high] = [first]
        self._last[low:high] = [last]

    def through(self, start: int = 1) -> int:
        """The highest n with every number from `start` to n inside, or start - 1."""
        at = bisect_right(self._first, start) - 1
        return self._last[at] if at >= 0 and self._last[at] >= start else start - 1


BookRow = tuple[int, str, str, int, int | None, int]  # id, run, device, kept, last, dropped


class Book:
    """The account of one device in one run.

    taken = confirmed + held + dropped, exactly, for a living or clean run; of a killed run `taken` is not known,
    only that it was at least `kept`.
    """

    __slots__ = ("_ahead", "confirmed", "device", "done", "dropped", "gateway", "held", "id", "kept", "run", "taken")

    def __init__(self, gateway: str, run: str, device: str, id_: int = 0) -> None:
        self.id = id_
        self.gateway = gateway
        self.run = run
        self.device = device
        self.taken = 0
        self.confirmed = 0
        self.held = 0
        self.dropped = 0
        self.kept = 0
        self.done = 0  # every seq up to here is confirmed, or dropped with its note confirmed
        self._ahead = Spans()  # the same beyond the first gap

    @property
    def origin(self) -> str:
        """GATEWAY/DEVICE/RUN."""
        return f"{self.gateway}/{self.device}/{self.run}"

    def take(self) -> int:
        """Count one more sample and return its number, from 1."""
        self.taken += 1
        self.held += 1
        return self.taken

    def confirm(self, seq: int) -> None:
        """The hub has it."""
        self.confirmed += 1
        self.held -= 1
        self.settle(seq, seq)

    def drop(self, count: int) -> None:
        """`count` held samples were given up; their numbers settle when the note about them is confirmed."""
        self.held -= count
        self.dropped += count

    def row(self, last: bool = False) -> BookRow:
        """As it goes to disk now; at a clean stop with the last number."""
        return self.id, self.run, self.device, self.kept, self.taken if last else None, self.dropped

    def settle(self, first: int, last: int) -> None:
        """Nothing more will come of these numbers, and the hub knows why."""
        if first == self.done + 1 and not self._ahead._first:
            self.done = last
            return
        self._ahead.add(first, last)
        reached = self._ahead.through(self.done + 1)
        if reached > self.done:
            self.done = reached
            self._ahead = Spans((a, b) for a, b in self._ahead if a > reached)


class Dropped:
    """Collects dropped numbers until a ledger note says so."""

    def __init__(self) -> None:
        self._spans: dict[tuple[Book, str], Spans] = {}

    def add(self, book: Book, first: int, reason: str, last: int | None = None) -> None:
        """`first` (… `last`) of `book` is given up for `reason`."""
        self._spans.setdefault((book, reason), Spans()).add(first, last)

    def books(self) -> set[Book]:
        """Whose samples were dropped."""
        return {book for book, _ in self._spans}

    def take(self) -> dict[tuple[str, str], list[dict[str, object]]]:
        """(gateway, run) -> entries for the `dropped` list of its note. Empties the collection."""
        found: dict[tuple[str, str], list[dict[str, object]]] = {}
        for (book, reason), spans in self._spans.items():
            for first, last in spans:
                entry: dict[str, object] = {"device": book.device, "from": first, "through": last, "reason": reason}
                found.setdefault((book.gateway, book.run), []).append(entry)
        self._spans.clear()
        return found


class Entry(msgspec.Struct, rename={"first": "from"}):
    """A dropped range in a ledger note."""

    device: str
    first: int
    through: int
    reason: str = ""


class NoteBody(msgspec.Struct):
    """What a ledger note says: one of its optional parts."""

    run: str
    dropped: list[Entry] = []
    ended: str | None = None
    kept: dict[str, int] = {}
    last: dict[str, int] = {}
    settled: bool = False


def read_note(body: bytes) -> NoteBody:
    """Decode a ledger note (contract: topic `ledger`)."""
    return msgspec.json.decode(body, type=NoteBody)
