"""Times that devices state themselves: which readings are one sample, and which records were told before."""

import math
from collections import OrderedDict

from gateway.errors import DecodeError
from gateway.reading import Reading, Sample, Stamp

AHEAD = 86_400 * 10**9  # ns; who states a later time than this from now has a wrong clock
REMEMBERED = 256  # records of a device, which may tell them again


class StatedTimes:
    """The times that one device has stated of late."""

    def __init__(self) -> None:
        self._told: OrderedDict[float, list[Reading]] = OrderedDict()
        self._walls: OrderedDict[int, None] = OrderedDict()

    def samples(self, device: str, readings: list[Reading], now: Stamp) -> list[Sample]:
        """What was received now, as samples, oldest first: one for each stated time, one for what states none.

        No two share a time. A record that was told before is left out. A time far ahead of ours is not believed.
        Raises DecodeError for what is no time.
        """
        groups: dict[float, list[Reading]] = {}
        at_once: list[Reading] = []
        for r in readings:
            if r.at is None or r.is_offset or (now.synced and now.wall + AHEAD < r.at * 1e9 < math.inf):
                at_once.append(r if r.at is None or r.is_offset else Reading(r.name, r.value, r.unit, r.quality))
            elif math.isfinite(r.at) and r.at > 0:
                groups.setdefault(r.at, []).append(Reading(r.name, r.value, r.unit, r.quality))
            else:
                raise DecodeError(f"{r.name}: {r.at!r} is no time; a driver gives seconds")
        samples = []
        for at, group in sorted(groups.items()):
            if self._told.get(at) == group:
                continue
            self._told[at] = group
            # Stated times need no correction, whatever the gateway's own clock says.
            samples.append(Sample(device, Stamp(self._free(round(at * 1e6) * 1000), now.boot, True), group, now))
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return [*samples, Sample(device, now, at_once)] if at_once else samples

    def _free(self, wall: int) -> int:
        """`wall` (ns), or the next microsecond that no sample of the device has."""
        while wall in self._walls:
            wall += 1000
        self._walls[wall] = None
        if len(self._walls) > REMEMBERED:
            self._walls.popitem(last=False)
        return wall
