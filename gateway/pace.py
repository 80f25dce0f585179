"""When a device is asked: on a fixed grid, seldom while it is dead; and how much of what is asked is achieved. Pure."""

import math
from collections import Counter
from collections.abc import Sequence

_TOGETHER = 16  # links asked at one instant
_OFTEN = 0.2  # s
_APART = 0.0005  # s between links in step; none where they are asked often
_DEAD_AFTER = 3  # questions in a row without an answer
_SELDOM = 10.0  # s between the questions to a dead device, in the end
_COST = 30  # where others share its link: at least so many times of what such a question takes
_WINDOW, _PERIODS = 10.0, 10  # s and periods, at least, over which is reckoned how much is achieved
_KEEPS_UP = 0.9  # of what is asked


def phases(asked: Sequence[tuple[str | None, float]]) -> list[float]:
    """Where in its period (0 … 1) each device is asked, given the link and the period (s) of each.

    Devices of one link are spread over the period. Links keep step, 16 at a time: a poll that begins in what the one
    before left in the processor's caches costs two thirds of one that wakes up alone (tests/bench). Half a millisecond
    between them keeps most answers from waiting for another's; those asked five times a second or more do without.
    """
    names = [place if link is None else link for place, (link, _) in enumerate(asked)]  # no link: its turn is its own
    number = {name: place for place, name in enumerate(dict.fromkeys(names))}
    groups = math.ceil(len(number) / _TOGETHER)
    share, seen = Counter(names), Counter[str | int]()
    found = []
    for name, (_, every) in zip(names, asked, strict=True):
        apart = number[name] % _TOGETHER * _APART / every if every > _OFTEN else 0.0
        found.append((seen[name] + number[name] // _TOGETHER / groups) / share[name] + apart)
        seen[name] += 1
    return found


def most_pause(lasted: float, alone: bool) -> float:
    """Seconds from one question to a dead device to the next, in the end; such a question lasts `lasted` s."""
    return _SELDOM if alone else max(_SELDOM, _COST * lasted)


class Pace:
    """The points in time of one device; all times are of one steady clock (s)."""

    def __init__(self, every: float, alone: bool, now: float, phase: float = 0.0) -> None:
        """`alone`: no other device is on its link. Its grid is that of all, moved by `phase` periods."""
        self.full = False  # less than nine tenths of what is asked are achieved, though it answers
        self._every, self._alone = every, alone
        self._origin = now - now % every + phase * every
        self._turn = -1  # the point of the grid that was asked last
        self._window = max(_WINDOW, _PERIODS * every)
        self._began, self._before = now, now  # this window, and the one before
        self._last = now
        self._reads = self._reads_before = self._missed = 0
        self._failed = False

    def next(self, began: float, now: float, unanswered: int) -> float:
        """When to ask again after a question that lasted from `began` to `now`; so many were `unanswered` in a row.

        Of the points of the grid that passed meanwhile the last is taken up at once, so that a bus that is asked for
        more than it can carry never rests; the others are missed. After a question without an answer none is.
        """
        since = (now - self._origin) / self._every
        if unanswered:
            turn = max(self._turn + 1, math.floor(since + self._pause(now - began, unanswered) / self._every) + 1)
            self._failed = True
        elif self._turn < 0:
            turn = max(0, math.floor(since + 0.5) + 1)  # the first step is half a period long at least
        else:
            turn = max(self._turn + 1, math.floor(since))
            self._missed += turn - self._turn - 1
        self._turn = turn
        self._last = now
        self._reads += not unanswered
        if now - self._began >= self._window:
            self._reckon(now)
        return self._origin + turn * self._every

    def _pause(self, lasted: float, unanswered: int) -> float:
        """Longer and longer for a dead device: what waits for its answer makes the others on its link wait too."""
        if unanswered < _DEAD_AFTER:
            return 0.0
        return min(2.0 ** min(unanswered - _DEAD_AFTER, 16), most_pause(lasted, self._alone))

    def achieved(self) -> float:
        """Answered questions a second, in this window and the one before."""
        reads = self._reads_before + self._reads
        return reads / max(self._last - self._before, reads * self._every, self._every)

    def _reckon(self, now: float) -> None:
        if not self._failed:
            self.full = self._reads < _KEEPS_UP * (self._reads + self._missed)
        self._before, self._reads_before = self._began, self._reads
        self._began, self._reads, self._missed, self._failed = now, 0, 0, False
