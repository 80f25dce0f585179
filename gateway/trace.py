"""What goes over a link, as lines of a transcript (README.md): of one read, or all of it."""

import asyncio
import time
from typing import Any

from gateway.links.base import Link


def frame_line(mark: str, data: bytes) -> str:
    """A frame as it went over the wire: `>> 01 04 00 00 00 02 71 cb`."""
    return f"{mark} {data.hex(' ')}"


class Trace:
    """What goes over a link while the task that makes it reads: `rows` for people and programs.

    A row is {"trace": ">> 01 04 00 00 00 02 71 cb", "ms": 0.4}; `ms` are from the start of the read. What others ask
    on that link meanwhile, and what comes then, is no part of this read and stands behind a `#`.
    """

    def __init__(self, link: "Link") -> None:
        self.rows: list[dict[str, Any]] = []
        self._link, self._before = link, link.trace
        self._task, self._ours, self._over = asyncio.current_task(), False, False
        self._began = time.monotonic()

    def __enter__(self) -> list[dict[str, Any]]:
        self._link.trace = self
        return self.rows

    def __exit__(self, *_: object) -> None:
        self._over = True
        trace = self._link.trace
        while isinstance(trace, Trace) and trace._over:  # another that began later may end later
            trace = trace._before
        self._link.trace = trace

    def __call__(self, mark: str, data: bytes) -> None:
        """A frame, as the link tells it."""
        if self._before is not None:
            self._before(mark, data)
        if mark == ">>":
            self._ours = asyncio.current_task() is self._task
        if not self._over:
            line = f"{'' if self._ours else '# '}{frame_line(mark, data)}"
            self.rows.append({"trace": line, "ms": round(1000 * (time.monotonic() - self._began), 1)})
