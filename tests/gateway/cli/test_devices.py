"""`labgate devices` of a running gateway that hears a board."""

import json
import os
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.testbed import Gateway
from tests.commands import labgate


def until(ask: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    """The answer, once it is good."""
    deadline = time.monotonic() + 10
    while not good(found := ask()):
        assert time.monotonic() < deadline, found
    return found


def test_what_a_board_says_and_is_no_sample_is_shown(tmp_path: Path) -> None:
    board, port = os.openpty()
    tty.setraw(port)
    site = {
        "gateway": {"id": "t-1"},
        "buffer": {"path": str(tmp_path / "b.db")},
        "links": {"desk": {"serial": os.ttyname(port)}},
        "devices": {"board-1": {"driver": "lines", "link": "desk"}},
    }
    with Gateway(tmp_path, site) as gateway:
        at = "-c", gateway.file, "--socket", gateway.socket

        def row() -> dict[str, Any]:
            found: dict[str, Any] = json.loads(labgate(*at, "devices", "--json").stdout)
            return found

        until(row, lambda row: "skipped" in row["unused"])  # it listens
        os.write(board, b"ment\ntemperature: 20\n")
        first = until(row, lambda row: row["state"] == "ok")
        assert first["unused"] == {
            "skipped": 0, "overlong": 0, "wrong_checksum": 0, "passed_over": 0, "thinned": 0
        }  # fmt: skip
        os.write(board, b"x" * 5000 + b"\ntemperature: 21\n")
        until(row, lambda row: row["unused"]["overlong"] == 1)
        (line,) = labgate(*at, "devices").stdout.splitlines()[1:]
        assert line.split()[:3] == ["board-1", "ok", "desk"]
        assert line.endswith("unused: 5000 bytes in no frame, 1 too long")
    os.close(board)
    os.close(port)
