"""When: wall time, boot time, and whether the wall clock can be trusted."""

import time
from pathlib import Path

from gateway.reading import Stamp

# An impossible clock is lifted to this day: no sample was ever taken before this code was written.
BUILD_DATE_NS = 1_793_491_200 * 10**9  # 2026-11-01T00:00:00Z

TIMESYNCD_FLAG = Path("/run/systemd/timesync/synchronized")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_CHECK_NS = {False: 1 * 10**9, True: 60 * 10**9}  # how long an answer about synchronisation is believed
_BURST_NS = 10**6  # stamps of one instant run ahead of the clock by less; a clock further back has been set back
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
        self._offset = 0  # wall minus boot, when it was last known to be right
        self._last_wall = self._last_boot = 0

    @property
    def synced(self) -> bool:
        """Whether a time daemon has synchronised the wall clock (asked of the system at most once a second)."""
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if now >= self._check_at:
            self._synced = _is_synchronised()
            self._check_at = now + _CHECK_NS[self._synced]
            # Once, not at each use: two readings of two clocks never lie equally far apart.
            self._offset = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return self._synced

    def stamp(self) -> Stamp:
        """Now, on both clocks. No two stamps share a microsecond, the resolution of `bt`, on either."""
        boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        synced = self._synced if boot < self._check_at else self.synced  # before the wall is read: it may be set now
        wall = time.time_ns()
        if wall < BUILD_DATE_NS:
            wall, synced = BUILD_DATE_NS + boot, False
        if -_BURST_NS < wall - self._last_wall < 1000:
            wall = self._last_wall + 1000
        self._last_wall = wall
        self._last_boot = boot = max(boot, self._last_boot + 1000)
        return Stamp(wall, boot, synced)

    def placed(self, stamp: Stamp, boot_id: str) -> tuple[int, bool]:
        """Wall time in ns of a stamp as known now, and whether it can be trusted.

        A stamp of this boot that was taken before synchronisation is corrected by the boot-time difference.
        """
        if stamp.synced:
            return stamp.wall, True
        if boot_id == self.boot_id and self.synced:
            return stamp.boot + self._offset, True
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
