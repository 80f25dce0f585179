"""Joins the NMEA sentences of one instant: RMC, GGA and VTG of a receiver are one sample and not three."""

from drivers.codecs.nmea_0183 import time_of
from gateway import Reading

LATEST = 10  # s; what was half heard before the line was unplugged is not told when it comes back


class Epoch:
    """The sentences since the last instant was told.

    An instant ends where the next sentence has another time, or is of a type that already came with a value. Which
    sentence was its last is remembered (type, and the how manieth of it): when that comes again, the instant is told
    at once.
    """

    def __init__(self) -> None:
        self._found: dict[str, Reading] = {}
        self._time = ""
        self._counts: dict[str, int] = {}  # sentences of each type
        self._valued: set[str] = set()  # types that told something
        self._previous = ("", 0)
        self._last: tuple[str, int] | None = None

    def add(self, kind: str, fields: list[str], readings: list[Reading]) -> list[Reading]:
        """Readings of the instant that is over with, or before, this sentence; mostly none."""
        time, over = time_of(kind, fields), []
        again = kind in self._valued and kind != "GSA"  # several systems have a GSA each
        if (time and self._time and time != self._time) or (again and (not time or time != self._time)):
            if not (time and self._time) or _seconds(self._time, time) <= LATEST:
                over = list(self._found.values())
            self._last = self._previous
            self._clear()
        self._time = time or self._time
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._previous = (kind, self._counts[kind])
        if readings:
            self._valued.add(kind)
            self._found.update({r.name: r for r in readings})
        if self._previous == self._last and not over:
            over = list(self._found.values())
            self._clear(time=self._time)
        return over

    def _clear(self, time: str = "") -> None:
        self._found, self._counts, self._valued, self._time = {}, {}, set(), time


def _seconds(before: str, after: str) -> int:
    """From one hhmmss to another, on a clock that begins again at midnight."""
    if not all(len(t) >= 6 and t[:6].isdecimal() for t in (before, after)):
        return 0
    first, second = (int(t[:2]) * 3600 + int(t[2:4]) * 60 + int(t[4:6]) for t in (before, after))
    return (second - first) % 86400
