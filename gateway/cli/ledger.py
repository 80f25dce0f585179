"""For each run and device: taken = confirmed + held + dropped. Asks the gateway, or reads its file when none runs.

Of a run that was killed only the least that was taken is known: `kept`.
"""

import asyncio
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from gateway import control
from gateway.cli import show
from gateway.errors import ConfigError, LinkError

EXAMPLE = "labgate ledger --json"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--json", action="store_true", help="one JSON object a book, and one about what is held")


def run(args: Namespace) -> int:
    """Ask the daemon, else read the file of the configuration."""
    socket = control.socket_path(args.socket)
    try:
        rows = list(control.ask(socket, "ledger"))
        source = "the running gateway"
    except control.NoDaemonError as error:
        from gateway.config import load_site
        from gateway.lock import holder

        site = load_site(Path(args.config))
        for problem in site.problems:
            if problem.severity == "error" and problem.part in ("file", "buffer"):
                raise ConfigError(str(problem)) from None
        path = site.buffer.path
        if not path.exists():
            raise LinkError(f"{error}, and there is no buffer file {path}", "missing") from None
        if (process := holder(path)) is not None:  # what it has in memory is not in the file
            raise LinkError(f"process {process} uses {path}, but {error}, or name its --socket", "busy") from None
        rows = asyncio.run(read_file(path))
        source = f"{path} (no gateway listens on {socket})"
    if args.json:
        for row in rows:
            show.json_line(row)
    else:
        _tell(rows[:-1], rows[-1]["held"], source)
    return 0


async def read_file(path: Path) -> list[dict[str, Any]]:
    """The rows the daemon would answer with, from the file of a stopped one, which stays as it is."""
    from gateway.answer_rows import book_row, held_row
    from gateway.store import Store

    store = await Store.look(path)
    try:
        found = await store.found()
        oldest = await store.oldest()
    finally:
        await store.close()
    # A run that is still open in the file of a stopped gateway was killed; the next start will say so.
    states = {run: "unclean" if state == "open" else state for run, state in found.states.items()}
    rows = [book_row(book, states[book.run]) for book in found.books.values()]
    return [*rows, held_row(sum(book.held for book in found.books.values()), found.held_bytes, oldest, None)]


def _tell(books: list[dict[str, Any]], held: dict[str, Any], source: str) -> None:
    print(f"from {source}")
    if books:
        show.table(
            ("GATEWAY", "RUN", "ENDED", "DEVICE", "TAKEN", "CONFIRMED", "HELD", "DROPPED"),
            [
                (
                    book["gateway"],
                    book["run"],
                    {"open": "runs", "unclean": "killed"}.get(book["state"], book["state"]),
                    book["device"],
                    book["taken"] if "taken" in book else f">= {book['kept']}",
                    book.get("confirmed"),
                    book["held"],
                    book["dropped"],
                )
                for book in books
            ],
            right=("TAKEN", "CONFIRMED", "HELD", "DROPPED"),
        )
    else:
        print("nothing was taken that is not settled")
    if held["samples"]:
        lasts = f"; at this rate the buffer lasts {show.age(held['lasts'])}" if held["lasts"] is not None else ""
        oldest = f", the oldest {show.age(held['age'])} old" if held["age"] is not None else ""
        print(f"held: {show.plural(held['samples'], 'sample')}, {show.size(held['bytes'])}{oldest}{lasts}")
    else:
        print("held: nothing")
