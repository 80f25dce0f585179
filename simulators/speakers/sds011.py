"""Nova SDS011 dust sensor: a frame each second, all zero while it warms up.

Source: Laser Dust Sensor Control Protocol V1.3 (Nova Fitness), "PC gets data": AA C0, PM2.5 and PM10 as 16-bit numbers
of 0.1 ug/m3, low byte first, two bytes of id, low byte of the sum of these six, AB; 9600 8N1.
"""

from collections.abc import Iterable
from random import Random

from simulators.mains import pinned_or, wander
from simulators.settings import Settings, number, period
from simulators.speaker import Said, Speaker

SETTINGS = ("pm2_5", "pm10", "warm_up", "every")


class Sds011(Speaker):
    """A sensor in a room."""

    checked = True
    can_happen = ("novalue",)

    def __init__(self, seed: int, settings: Settings) -> None:
        random = Random(seed)
        self.period = period(settings, 1.0)
        self._id = random.randbytes(2)
        self._pm2_5 = pinned_or(number(settings, "pm2_5", 0, 999.9), wander(random, 9, 5))
        coarse = wander(random, 9, 5)  # PM10 is PM2.5, and more
        pm10 = number(settings, "pm10", 0, 1999.9)
        self._pm10 = pinned_or(pm10, lambda t: self._pm2_5(t) + coarse(t))
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
        pm2_5, pm10 = (round(10 * source(t)) if warm else 0 for source in (self._pm2_5, self._pm10))
        body = pm2_5.to_bytes(2, "little") + pm10.to_bytes(2, "little") + (self._id if warm else bytes(2))
        frame = b"\xaa\xc0" + body + bytes((sum(body) & 0xFF, 0xAB))
        given = ("pm2_5", "ug/m3", f"{pm2_5 / 10:.1f}"), ("pm10", "ug/m3", f"{pm10 / 10:.1f}")
        return [Said(frame, given if warm else (), checked=(2, 8))]


def build(seed: int, settings: Settings) -> Sds011:
    """A sensor; `pm2_5` and `pm10` (ug/m3) can be pinned, the first `warm_up` frames (2 or as set) are all zero."""
    return Sds011(seed, settings)
