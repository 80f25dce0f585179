"""The physics behind simulated three-phase meters: three phases, their sums, and what lies between lines."""

import cmath
import math
from random import Random

from simulators.mains import PHASE_SETTINGS, Demand, Phase, pinned_or, wander
from simulators.settings import Settings, number
from simulators.tables import Quantity

PHASES = ("l1", "l2", "l3")
PAIRS = ("l1_l2", "l2_l3", "l3_l1")
_SHARED = ("power", "energy_import", "energy_export")  # set without a phase: a third for each
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


def _phase_settings(settings: Settings, phase: str) -> dict[str, str]:
    """What `settings` says of one phase. Raises ValueError for what is set with and without the phase."""
    of_phase = {}
    for name in PHASE_SETTINGS:
        own = f"{name}_{phase}"
        if name in settings and own in settings:
            raise ValueError(f"{name} sets all phases; set {name} or {own}, not both")
        if name in settings:
            share = number(settings, name)
            of_phase[name] = repr(share / 3) if share is not None and name in _SHARED else settings[name]
        elif own in settings:
            of_phase[name] = settings[own]
    return of_phase


class ThreePhase:
    """Three phases, and what a meter makes of them. Raises ValueError for settings that cannot be."""

    def __init__(self, random: Random, settings: Settings) -> None:
        self.phases = {phase: Phase(random, _phase_settings(settings, phase)) for phase in PHASES}
        self._frequency = pinned_or(number(settings, "frequency", 0, 100), wander(random, 50, 0.03))
        self._voltage_thd = {phase: wander(random, 1.8, 0.5) for phase in PHASES}
        self._current_thd = {phase: wander(random, 12, 6) for phase in PHASES}
        names = ("power", "apparent_power", "current_neutral", *(f"current_{phase}" for phase in PHASES))
        self._demands = {name: Demand() for name in names}

    def advance(self, seconds: float) -> dict[str, float]:
        """Lets time pass; every quantity by name, those of a phase with `_l1` and so on."""
        values: dict[str, float] = {}
        for name, phase in self.phases.items():
            phase.advance(seconds)
            values |= {f"{quantity}_{name}": getattr(phase, quantity) for quantity in (*_PHASE_VALUES, *_ENERGIES)}
            values[f"energy_total_{name}"] = phase.energy_import + phase.energy_export
            values[f"reactive_energy_total_{name}"] = phase.reactive_energy_import + phase.reactive_energy_export
        phases = list(self.phases.values())
        for quantity in ("power", "reactive_power", "energy_total", "reactive_energy_total", *_ENERGIES):
            values[quantity] = sum(values[f"{quantity}_{name}"] for name in PHASES)
        values["apparent_energy"] = sum(phase.apparent_energy for phase in phases)
        values["charge"] = sum(phase.charge for phase in phases)
        values["apparent_power"] = math.hypot(values["power"], values["reactive_power"])
        values["power_factor"] = values["power"] / values["apparent_power"] if values["apparent_power"] else 1.0
        values["phase_angle"] = math.degrees(math.acos(values["power_factor"]))
        values["frequency"] = self._frequency(phases[0].hours * 3600)
        self._lines(phases, values)
        self._thd(phases[0].hours * 3600, values)
        for name, demand in self._demands.items():
            demand.advance(values[name], seconds)
            head, _, phase_name = name.rpartition("_")
            stem, tail = (f"{head}_demand", f"_{phase_name}") if phase_name in PHASES else (f"{name}_demand", "")
            values[f"{stem}{tail}"], values[f"{stem}_max{tail}"] = demand.mean, demand.maximum
        return values

    @staticmethod
    def _lines(phases: list[Phase], values: dict[str, float]) -> None:
        """Averages and sums, and what follows from three vectors a third of a turn apart."""
        turned = [cmath.rect(1, -math.tau * place / 3) for place in range(3)]
        voltages = [phase.voltage * turn for phase, turn in zip(phases, turned, strict=True)]
        lags = [cmath.rect(phase.current, -math.radians(phase.phase_angle)) for phase in phases]
        currents = [current * turn for current, turn in zip(lags, turned, strict=True)]
        for place, pair in enumerate(PAIRS):
            values[f"voltage_{pair}"] = abs(voltages[place] - voltages[(place + 1) % 3])
        values["voltage_average"] = sum(phase.voltage for phase in phases) / 3
        values["voltage_line_to_line_average"] = sum(values[f"voltage_{pair}"] for pair in PAIRS) / 3
        values["current_sum"] = sum(phase.current for phase in phases)
        values["current_average"] = values["current_sum"] / 3
        values["current_neutral"] = abs(sum(currents))

    def _thd(self, t: float, values: dict[str, float]) -> None:
        """Harmonic distortion (%); between lines it is taken as the mean of the two phases."""
        for name in PHASES:
            values[f"voltage_thd_{name}"] = self._voltage_thd[name](t)
            values[f"current_thd_{name}"] = self._current_thd[name](t)
        for pair in PAIRS:
            values[f"voltage_thd_{pair}"] = sum(values[f"voltage_thd_{name}"] for name in pair.split("_")) / 2
        average = sum(values[f"voltage_thd_{name}"] for name in PHASES) / 3
        values["voltage_thd_average"] = values["voltage_line_to_line_thd_average"] = average
        values["current_thd_average"] = sum(values[f"current_thd_{name}"] for name in PHASES) / 3
