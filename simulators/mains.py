"""The physics behind simulated meters: quantities that wander, and a phase of a mains supply with its energies."""

import math
from collections.abc import Callable
from random import Random

from simulators.settings import Settings, number

Source = Callable[[float], float]
"""A quantity as a function of time (s)."""

PHASE_SETTINGS = ("voltage", "current", "power_factor", "power", "energy_import", "energy_export")
"""What can be pinned of a phase; everything else of it follows."""


def wander(random: Random, middle: float, swing: float) -> Source:
    """A quantity that drifts, never further than `swing` from `middle`: three sines of seeded period and phase."""
    waves = [
        (share * swing, math.tau / random.uniform(shortest, 2 * shortest), random.uniform(0, math.tau))
        for share, shortest in ((0.6, 120), (0.3, 20), (0.1, 3))
    ]
    return lambda t: middle + sum(a * math.sin(w * t + p) for a, w, p in waves)


def pinned_or(value: float | None, source: Source) -> Source:
    """`source`, or the pinned value for ever."""
    return source if value is None else lambda t: value


class Phase:
    """One phase of a supply.

    Voltage (V), current (A) and power factor wander; power = voltage * current * power factor,
    apparent^2 = power^2 + reactive^2, and the energies (kWh, kvarh, kVAh, Ah) grow by them.

    Power and power factor are negative when energy flows back, as on an Eastron meter; reactive power is inductive.
    """

    def __init__(self, random: Random, settings: Settings) -> None:
        """Raises ValueError where the pinned values cannot all be true."""
        self._voltage = pinned_or(number(settings, "voltage", 0, 1000), wander(random, 230, 3))
        self._current = pinned_or(number(settings, "current", 0, 10_000), wander(random, 4, 3))
        self._factor = pinned_or(number(settings, "power_factor", -1, 1), wander(random, 0.92, 0.06))
        self._power = number(settings, "power")
        if self._power is not None:
            if "current" in settings:
                raise ValueError("current follows from power, voltage and power factor; set current or power, not both")
            if 0 in (number(settings, "voltage"), number(settings, "power_factor")):
                raise ValueError("there is no power without voltage and power factor; set power or these, not both")
            if self._power * (number(settings, "power_factor") or self._power) < 0:
                raise ValueError("power and power_factor must have the same sign")
        energy_import, energy_export = number(settings, "energy_import", 0), number(settings, "energy_export", 0)
        self._grows = (energy_import is None, energy_export is None)
        self.energy_import = random.uniform(100, 2000) if energy_import is None else energy_import
        self.energy_export = random.uniform(0, 50) if energy_export is None else energy_export
        self.reactive_energy_import = random.uniform(20, 400)
        self.reactive_energy_export = random.uniform(0, 10)
        self.apparent_energy = math.hypot(self.energy_import + self.energy_export, self.reactive_energy_import)
        self.charge = self.apparent_energy * 1000 / 230
        self.hours = 0.0
        self._measure()

    def advance(self, seconds: float) -> None:
        """Lets time pass: measures anew, and the energies grow."""
        hours = seconds / 3600
        self.hours += hours
        self._measure()
        if self._grows[0]:
            self.energy_import += max(self.power, 0) / 1000 * hours
        if self._grows[1]:
            self.energy_export += max(-self.power, 0) / 1000 * hours
        self.reactive_energy_import += self.reactive_power / 1000 * hours
        self.apparent_energy += self.apparent_power / 1000 * hours
        self.charge += self.current * hours

    def _measure(self) -> None:
        t = self.hours * 3600
        self.voltage = self._voltage(t)
        self.power_factor = self._factor(t)
        self.current = self._current(t)
        if self._power is not None:
            self.power_factor = math.copysign(self.power_factor, self._power)
            self.current = self._power / (self.voltage * self.power_factor)
        self.apparent_power = self.voltage * self.current
        self.power = self.apparent_power * self.power_factor
        self.reactive_power = math.sqrt(self.apparent_power**2 - self.power**2)
        self.phase_angle = math.degrees(math.acos(self.power_factor))


class Demand:
    """A demand as meters show it: the mean over the first hour so far, and the highest that has been."""

    def __init__(self) -> None:
        self.mean = self.maximum = 0.0
        self._sum = self._seconds = 0.0

    def advance(self, value: float, seconds: float) -> None:
        """Lets `value` last for `seconds`."""
        self._sum += value * seconds
        self._seconds += seconds
        self.mean = self._sum / self._seconds if self._seconds else value
        self.maximum = max(self.maximum, self.mean)
