"""The physics behind simulated three-phase meters: three phases, their sums, and what lies between lines."""

import cmath
import math
from collections.abc import Sequence
from random import Random

from simulators.mains import PHASE_SETTINGS, Demand, Phase, pinned_or, wander
from simulators.settings import Settings, number
from simulators.tables import Quantity

PHASES = ("l1", "l2", "l3")
PAIRS = ("l1_l2", "l2_l3", "l3_l1")
_SHARED = ("power", "energy_import", "energy_export")  # set without a phase: shared among them
SETTINGS = (*PHASE_SETTINGS, *(f"{name}_{phase}" for name in PHASE_SETTINGS for phase in PHASES), "frequency")
_PHASE_VALUES = ("voltage", "current", "power", "apparent_power", "reactive_power", "power_factor", "phase_angle")
_ENERGIES = ("energy_import", "energy_export", "reactive_energy_import", "reactive_energy_export")


def three(
    address: int,
    name: str,
    unit: str,
    code: str = "f",
    scale: int = 1,
    missing: float | None = None,
    of: tuple[str, ...] = PHASES,
) -> list[Quantity]:
    """Three quantities side by side: `name_l1` and so on."""
    size = Quantity(address, name, unit, code).size
    return [
        Quantity(address + size * place, f"{name}_{suffix}", unit, code, scale, missing)
        for place, suffix in enumerate(of)
    ]


def _phase_settings(settings: Settings, phase: str, phases: int) -> dict[str, str]:
    """What `settings` says of one phase. Raises ValueError for what is set with and without the phase."""
    of_phase = {}
    for name in PHASE_SETTINGS:
        own = f"{name}_{phase}"
        if name in settings and own in settings:
            raise ValueError(f"{name} sets all phases; set {name} or {own}, not both")
        if name in settings:
            share = number(settings, name)
            of_phase[name] = repr(share / phases) if share is not None and name in _SHARED else settings[name]
        elif own in settings:
            of_phase[name] = settings[own]
    return of_phase


class Supply:
    """Three phases or fewer, and what a meter makes of them. Raises ValueError for settings that cannot be."""

    def __init__(self, random: Random, settings: Settings, phases: Sequence[str] = PHASES) -> None:
        for name in settings:
            if name[-2:] in PHASES and name[-2:] not in phases:
                raise ValueError(f"{name} cannot be set: that phase is not connected")
        self.phases = {phase: Phase(random, _phase_settings(settings, phase, len(phases))) for phase in phases}
        self._frequency = pinned_or(number(settings, "frequency", 0, 100), wander(random, 50, 0.03))
        self._voltage_thd = {phase: wander(random, 1.8, 0.5) for phase in phases}
        self._current_thd = {phase: wander(random, 12, 6) for phase in phases}
        self._pairs = PAIRS[: len(phases) * (len(phases) - 1) // 2]
        self._t = 0.0  # s
        names = ("power", "apparent_power", "current_neutral", *(f"current_{phase}" for phase in phases))
        self._demands = {name: Demand() for name in names}

    def advance(self, seconds: float) -> dict[str, float]:
        """Lets time pass; every quantity by name, those of a phase with `_l1` and so on."""
        values: dict[str, float] = {}
        for name, phase in self.phases.items():
            phase.advance(seconds)
            values |= {f"{quantity}_{name}": getattr(phase, quantity) for quantity in (*_PHASE_VALUES, *_ENERGIES)}
            values[f"energy_total_{name}"] = phase.energy_import + phase.energy_export
            values[f"reactive_energy_total_{name}"] = phase.reactive_energy_import + phase.reactive_energy_export
        phases = self.phases.values()
        for quantity in ("power", "reactive_power", "energy_total", "reactive_energy_total", *_ENERGIES):
            values[quantity] = sum(values[f"{quantity}_{name}"] for name in self.phases)
        values["apparent_energy"] = sum(phase.apparent_energy for phase in phases)
        values["charge"] = sum(phase.charge for phase in phases)
        values["apparent_power"] = math.hypot(values["power"], values["reactive_power"])
        values["power_factor"] = values["power"] / values["apparent_power"] if values["apparent_power"] else 1.0
        values["phase_angle"] = math.degrees(math.acos(values["power_factor"]))
        self._t += seconds
        values["frequency"] = self._frequency(self._t)
        self._lines(values)
        self._thd(self._t, values)
        for name, demand in self._demands.items():
            demand.advance(values[name], seconds)
            head, _, phase_name = name.rpartition("_")
            stem, tail = (f"{head}_demand", f"_{phase_name}") if phase_name in PHASES else (f"{name}_demand", "")
            values[f"{stem}{tail}"], values[f"{stem}_max{tail}"] = demand.mean, demand.maximum
        return values

    def _lines(self, values: dict[str, float]) -> None:
        """Averages and sums, and what follows from vectors evenly around the circle."""
        phases = list(self.phases.values())
        turned = [cmath.rect(1, -math.tau * place / len(phases)) for place in range(len(phases))]
        voltages = [phase.voltage * turn for phase, turn in zip(phases, turned, strict=True)]
        lags = [cmath.rect(phase.current, -math.radians(phase.phase_angle)) for phase in phases]
        currents = [current * turn for current, turn in zip(lags, turned, strict=True)]
        lines = [abs(voltages[place] - voltages[(place + 1) % len(phases)]) for place in range(len(self._pairs))]
        values |= {f"voltage_{pair}": line for pair, line in zip(self._pairs, lines, strict=True)}
        values["voltage_average"] = sum(phase.voltage for phase in phases) / len(phases)
        values["voltage_line_to_line_average"] = sum(lines) / len(lines) if lines else 0
        values["current_sum"] = sum(phase.current for phase in phases)
        values["current_average"] = values["current_sum"] / len(phases)
        values["current_neutral"] = abs(sum(currents))

    def _thd(self, t: float, values: dict[str, float]) -> None:
        """Harmonic distortion (%); between lines it is taken as the mean of the two phases."""
        for name in self.phases:
            values[f"voltage_thd_{name}"] = self._voltage_thd[name](t)
            values[f"current_thd_{name}"] = self._current_thd[name](t)
        for pair in self._pairs:
            values[f"voltage_thd_{pair}"] = sum(values[f"voltage_thd_{name}"] for name in pair.split("_")) / 2
        average = sum(values[f"voltage_thd_{name}"] for name in self.phases) / len(self.phases)
        values["voltage_thd_average"] = values["voltage_line_to_line_thd_average"] = average
        values["current_thd_average"] = sum(values[f"current_thd_{name}"] for name in self.phases) / len(self.phases)
