"""A device that speaks: by itself, when it is asked, or both. It knows no wire and no clock."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from simulators.modbus_slave import Given


class Said(NamedTuple):
    """A frame, or a line with its end, and the values in it.

    `checked` are the bytes under its checksum, from and to, where a turned bit makes the checksum wrong.
    """

    frame: bytes
    given: tuple[Given, ...] = ()
    delay: float = 0.0  # seconds until it comes
    checked: tuple[int, int] | None = None


class Speaker:
    """What a device says; `t` are seconds since it was first switched on, by any steady clock."""

    period = math.inf  # seconds from one speech to the next; may change after an answer
    request_end = b""  # what ends a request; empty: it does not listen
    checked = False  # whether its frames have a checksum
    resets_when_opened = False  # as boards do whose reset hangs on DTR
    can_happen: tuple[str, ...] = ()  # faults of its own, see faults.py
    happens: frozenset[str] = frozenset()  # which of them do so now
    started = 0.0  # the wall clock, s, when it was first switched on

    def boot(self, t: float) -> Iterable[Said]:
        """What it says when it starts (again)."""
        return ()

    def speak(self, t: float) -> Iterable[Said]:
        """What it says by itself each `period`."""
        return ()

    def answer(self, request: bytes, t: float) -> Iterable[Said]:
        """What it says to a request, without its end."""
        return ()

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Whole requests, and what is left for later."""
        if not self.request_end:
            return [], b""
        *requests, rest = data.split(self.request_end)
        return requests, rest
