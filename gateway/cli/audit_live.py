"""What an audit shows while it listens: the newest values of each device with its rate, and the sums now and then."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from gateway.audit import Audit
from gateway.audit_messages import Place, Record
from gateway.cli.audit_report import sums
from gateway.cli.received import samples
from gateway.cli.show import clock, plural, rate, readings

EVERY = 1.0  # s between looks
_SUMS_EVERY = 10  # looks
_MOST_LINES = 20  # a look
_WIDEST = 200  # characters
_SHOWN = 4  # readings of a sample


class Live:
    """Remembers the newest pack of each device until it is shown."""

    def __init__(self, audit: Audit) -> None:
        self.due = time.monotonic() + EVERY
        self._audit = audit
        self._newest: dict[tuple[str, str], bytes] = {}  # gateway, device -> pack
        self._came: dict[tuple[str, str], int] = {}  # samples since it was shown last
        self._shown: dict[tuple[str, str], float] = {}  # when that was (monotonic)
        self._looks = self._all = 0

    def took(self, where: Place, heads: list[Record], payload: bytes) -> None:
        """A pack came."""
        key = (where.gateway, where.device)
        self._newest[key] = payload
        self._came[key] = self._came.get(key, 0) + len(heads)
        self._all += len(heads)

    def lines(self) -> Iterator[str]:
        """What came since the last look; the next is due in a second."""
        now = time.monotonic()
        self.due = now + EVERY
        # Those that waited longest come first, where there are too many for all.
        waiting = sorted(self._newest, key=lambda key: (self._shown.get(key, 0.0), key))
        for key in waiting[:_MOST_LINES]:
            yield self._line(key, now)
        if more := len(self._newest):
            yield f"… {plural(more, 'more device')}"
        self._looks += 1
        if self._looks % _SUMS_EVERY == 0:
            found = sums(self._audit)
            yield (
                f"{plural(len(self._audit.gateways), 'gateway')}, {_rate(self._all, _SUMS_EVERY * EVERY)};"
                f" missing: {found['dropped']} dropped, {found['at_risk']} at risk, {found['on_the_way']} on the way,"
                f" {found['unexplained']} UNEXPLAINED"
            )
            self._all = 0

    def _line(self, key: tuple[str, str], now: float) -> str:
        *_, newest = samples(self._newest.pop(key))
        came, since = self._came.pop(key), self._shown.get(key)
        self._shown[key] = now
        per = f", {_rate(came, now - since)}" if since is not None else ""
        at = clock(datetime.fromtimestamp(newest.time, UTC).isoformat())
        text = f"{at}  {' '.join(key)}  {readings(newest.readings, _SHOWN)}  (seq {newest.seq}{per})"
        return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _rate(times: int, seconds: float) -> str:
    return rate(float(f"{times / seconds:.2g}"))
