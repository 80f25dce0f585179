"""When: wall time, boot time, and whether the wall clock can be trusted."""

import time
from pathlib import Path

from gateway.reading import Stamp

# An impossible clock is lifted to this day: no sample was ever taken before this code was written.
BUILD_DATE_NS = 1_793_491_200 * 10**9  # 2026-11-01T00:00:00Z

TIMESYNCD_FLAG = Path("/run/systemd/timesync/synchronized")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_CHECK_NS = {False: 1 * 10**9, True: 60 * 10**9}  # how long an answer about synchronisation is believed
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


class Clock:
    """Stamps samples; corrects the stamps of this boot once the clock is synchronised.

    A Pi has no battery clock: after boot the time is plausible and wrong. The boot clock is right from the start, so
    a stamp taken too early is moved by what is known later.
    """

    def __init__(self) -> None:
        self.boot_id = BOOT_ID.read_text().strip() if BOOT_ID.exists() else "unknown"
        self._synced = False
        self._check_at = 0
        self._last_us = 0

    @property
    def synced(self) -> bool:
        """Whether a time daemon has synchronised the wall clock (asked of the system at most once a second)."""
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if now >= self._check_at:
            self._synced = _is_synchronised()
            self._check_at = now + _CHECK_NS[self._synced]
        return self._synced

    def stamp(self) -> Stamp:
        """Now, on both clocks. No two stamps of one clock share a microsecond, the resolution of `bt`."""
        boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        wall = time.time_ns()
        synced = self._synced if boot < self._check_at else self.synced
        if wall < BUILD_DATE_NS:
            wall = BUILD_DATE_NS + boot
            synced = False
        us = wall // 1000
        if us == self._last_us:
            us += 1
            wall = us * 1000
        self._last_us = us
        return Stamp(wall, boot, synced)

    def placed(self, stamp: Stamp, boot_id: str) -> tuple[int, bool]:
        """Wall time in ns of a stamp as known now, and whether it can be trusted.

        A stamp of this boot that was taken before synchronisation is corrected by the boot-time difference.
        """
        if stamp.synced:
            return stamp.wall, True
        if boot_id == self.boot_id and self.synced:
            return time.time_ns() - (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - stamp.boot), True
        return stamp.wall, False


def _is_synchronised() -> bool:
    """Ask timesyncd's flag file, then the kernel, which any time daemon tells."""
    if TIMESYNCD_FLAG.exists():
        return True
    import ctypes  # costs 1 MB; hosts with timesyncd never need it

    timex = ctypes.create_string_buffer(208)  # struct timex, modes = 0: only asks
    try:
        state: int = ctypes.CDLL(None).adjtimex(timex)
    except (OSError, AttributeError):
        return False
    return 0 <= state < _TIME_ERROR
