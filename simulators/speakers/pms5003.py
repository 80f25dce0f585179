"""Plantower PMS5003 dust sensor: a frame each second, all zero while it warms up.

Source: Plantower PMS5003 series data manual V2.3, appendix I (active mode): 42 4D, length 28, thirteen words, high byte
first: PM1, PM2.5, PM10 in ug/m3 "CF=1", the same "under atmospheric environment", six counts of particles in 0.1 l, one
reserved; then the sum of all bytes before; 9600 8N1.
"""

import struct
from collections.abc import Iterable
from random import Random

from simulators.mains import pinned_or, wander
from simulators.settings import Settings, number, period
from simulators.speaker import Said, Speaker

SETTINGS = ("pm1", "pm2_5", "pm10", "warm_up", "every")
_CF1 = 1.5  # above 30 ug/m3 the two differ; here they always do, so that nobody can take one for the other


class Pms5003(Speaker):
    """A sensor in a room."""

    checked = True
    can_happen = ("novalue",)

    def __init__(self, seed: int, settings: Settings) -> None:
        random = Random(seed)
        self.period = period(settings, 1.0)
        pm1, finer, coarser = wander(random, 12, 6), wander(random, 8, 4), wander(random, 6, 3)
        self._masses = [
            pinned_or(number(settings, "pm1", 0, 1000), pm1),
            pinned_or(number(settings, "pm2_5", 0, 1000), lambda t: pm1(t) + finer(t)),
            pinned_or(number(settings, "pm10", 0, 1000), lambda t: pm1(t) + finer(t) + coarser(t)),
        ]
        self._counts = [wander(random, middle, middle / 2) for middle in (2400, 700, 120, 12, 4, 1)]
        self._warm_up = number(settings, "warm_up", 0, 1000)
        self._cold = 0.0

    def boot(self, t: float) -> Iterable[Said]:
        """Nothing; the laser and the fan start."""
        self._cold = 2 if self._warm_up is None else self._warm_up
        return ()

    def speak(self, t: float) -> Iterable[Said]:
        """See Speaker."""
        warm = self._cold <= 0 and not self.happens
        self._cold -= 1
        masses = [round(source(t)) for source in self._masses]
        counts = [round(source(t)) for source in self._counts]
        words = [round(_CF1 * mass) for mass in masses] + masses + counts + [0x9700]  # reserved: version, error code
        frame = b"\x42\x4d" + struct.pack(">14H", 28, *(words if warm else [0] * 13))
        given = [(name, "ug/m3", str(mass)) for name, mass in zip(("pm1", "pm2_5", "pm10"), masses, strict=True)]
        sizes = ("0_3", "0_5", "1_0", "2_5", "5_0", "10")
        given += [(f"n{size}", "/dL", str(number)) for size, number in zip(sizes, counts, strict=True)]
        return [Said(frame + struct.pack(">H", sum(frame)), tuple(given) if warm else (), checked=(4, 30))]


def build(seed: int, settings: Settings) -> Pms5003:
    """A sensor; `pm1`, `pm2_5`, `pm10` (ug/m3) can be pinned, the first `warm_up` frames (2 or as set) are all zero."""
    return Pms5003(seed, settings)
