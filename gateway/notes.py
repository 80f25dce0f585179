"""What a commit tells the ledger: how runs ended, which samples were given up, which runs hold nothing any more."""

from gateway.buffer import Buffer
from gateway.ledger import read_note
from gateway.rows import Commit, Found, note
from gateway.store import Store

_LONG = 4000  # bytes; a longer note is not made still longer


def close_runs(store: Store, b: Buffer, found: Found, c: Commit) -> None:
    """Rule 2: every run still open has ended unclean; what of it was on disk is told."""
    for gateway, run in found.runs:
        books = [book for book in found.books.values() if book.run == run]
        if found.states[run] == "open":
            found.states[run] = "unclean"
            c.run_states.append((run, "unclean"))
            kept = {book.device: book.kept for book in books if book.kept}
            c.notes.append(note(store.next_id("note"), gateway, run, ended="unclean", kept=kept))
        b.rows_left[gateway, run] = sum(book.held for book in books)


def declare_drops(store: Store, b: Buffer, c: Commit) -> None:
    """Rule 9: one note a run. One that still waits is taken back and said again with the new drops: while the hub is
    away and the file at its limit, every commit drops, and the notes must not fill the memory.
    """
    books = {(book.run, book.device): book for book in b.all_books()}
    runs = {book.run for book in b.dropped.books()}
    for id_, old in list(b.notes.items()):
        if old.run in runs and id_ != b.note_flying and len(old.body) < _LONG:
            entries = read_note(old.body).dropped
            for e in entries:
                b.dropped.add(books[old.run, e.device], e.first, e.reason, e.through)
            if entries:
                del b.notes[id_]
                c.delete_notes.append(id_)
    for (gateway, run), said in b.dropped.take().items():
        c.notes.append(note(store.next_id("note"), gateway, run, dropped=said))


def settle_runs(store: Store, b: Buffer, states: dict[str, str], c: Commit) -> None:
    """Rule 12: the transaction that takes the last row of an ended run says so."""
    for (gateway, run), left in list(b.rows_left.items()):
        if left == 0:
            del b.rows_left[gateway, run]
            if states.get(run) != "settled":
                states[run] = "settled"
                c.run_states.append((run, "settled"))
                c.notes.append(note(store.next_id("note"), gateway, run, settled=True))
