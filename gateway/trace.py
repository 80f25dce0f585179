"""What goes over a link, as lines of a transcript (README.md): of one read, or all of it for the debug log."""

import asyncio
import logging
from typing import Any

from gateway.links.base import Link, Told


class Trace:
    """What goes over a link while the task that makes it reads: `rows` for people and programs.

    A row is {"trace": ">> 01 04 00 00 00 02 71 cb", "ms": 0.4}; `ms` are from the start of the read to its first byte.
    What others ask on that link meanwhile, and what comes before our own question, is no part of this read and stands
    behind a `#`. Where nothing is asked, all that comes is part of it.
    """

    def __init__(self, link: Link) -> None:
        self.rows: list[dict[str, Any]] = []
        self._link, self._before = link, link.trace
        self._task, self._ours, self._over = asyncio.current_task(), True, False
        self._asked = False  # anything, by anybody
        self._began = asyncio.get_running_loop().time()

    def __enter__(self) -> list[dict[str, Any]]:
        self._link.trace = self
        return self.rows

    def __exit__(self, *_: object) -> None:
        self._over = True
        trace = self._link.trace
        while isinstance(trace, Trace) and trace._over:  # another that began later may end later
            trace = trace._before
        self._link.trace = trace

    def __call__(self, mark: str, data: bytes, at: float | None = None) -> None:
        """A frame, as the link tells it; `at`: when its first byte was on the wire, if not just now (loop time)."""
        at = asyncio.get_running_loop().time() if at is None else at
        if self._before is not None:
            self._before(mark, data, at)
        if self._over:
            return
        if mark == ">>":
            self._ours = asyncio.current_task() is self._task
            if not self._asked:
                self._asked = True
                for row in self.rows:
                    row["trace"] = f"# {row['trace']}"
        line = f"{'' if self._ours else '# '}{_frame(mark, data)}"
        self.rows.append({"trace": line, "ms": round(1000 * max(0.0, at - self._began), 1)})


def frame_log(log: logging.Logger, name: str) -> Told:
    """Tells `log` each frame of the link `name`, at the time of its first byte: bus-1 >> 01 04 00 00 00 02 71 cb."""

    def told(mark: str, data: bytes, at: float | None = None) -> None:
        record = log.makeRecord(log.name, logging.DEBUG, __file__, 0, "%s %s", (name, _frame(mark, data)), None)
        record.created -= 0.0 if at is None else asyncio.get_running_loop().time() - at
        record.msecs = record.created % 1 * 1000
        log.handle(record)

    return told


def _frame(mark: str, data: bytes) -> str:
    return f"{mark} {data.hex(' ')}"
