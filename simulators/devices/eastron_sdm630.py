"""Eastron SDM630-Modbus V2, three-phase energy meter, wired for three phases and neutral.

Source: Eastron SDM630-Modbus V2 protocol document v1.8, sections 1.2.1 (input registers), 1.3.1 (holding registers) and
3.8 to 3.11: float32, high word first, even addresses and counts, at most 40 parameters (80 registers) a request, half a
parameter is exception 2; 9600 8N1, unit id 1.
"""

import cmath
import math
from collections.abc import Iterator
from random import Random

from simulators.mains import PHASE_SETTINGS, Demand, Phase, pinned_or, wander
from simulators.modbus_slave import READ_HOLDING_REGISTERS, READ_INPUT_REGISTERS, Slave
from simulators.settings import Settings, number
from simulators.tables import Quantity, RegisterTable

PHASES = ("l1", "l2", "l3")
PAIRS = ("l1_l2", "l2_l3", "l3_l1")
_SHARED = ("power", "energy_import", "energy_export")  # set without a phase: a third for each
SETTINGS = (*PHASE_SETTINGS, *(f"{name}_{phase}" for name in PHASE_SETTINGS for phase in PHASES), "frequency")
MAX_REGISTERS = 80


def _three(address: int, name: str, unit: str, of: tuple[str, ...] = PHASES) -> Iterator[Quantity]:
    return (Quantity(address + 2 * place, f"{name}_{suffix}", unit) for place, suffix in enumerate(of))


INPUT = (
    *_three(0x0000, "voltage", "V"),
    *_three(0x0006, "current", "A"),
    *_three(0x000C, "power", "W"),
    *_three(0x0012, "apparent_power", "VA"),
    *_three(0x0018, "reactive_power", "var"),
    *_three(0x001E, "power_factor", "/"),
    *_three(0x0024, "phase_angle", "deg"),
    Quantity(0x002A, "voltage_average", "V"),
    Quantity(0x002E, "current_average", "A"),
    Quantity(0x0030, "current_sum", "A"),
    Quantity(0x0034, "power", "W"),
    Quantity(0x0038, "apparent_power", "VA"),
    Quantity(0x003C, "reactive_power", "var"),
    Quantity(0x003E, "power_factor", "/"),
    Quantity(0x0042, "phase_angle", "deg"),
    Quantity(0x0046, "frequency", "Hz"),
    Quantity(0x0048, "energy_import", "kWh"),
    Quantity(0x004A, "energy_export", "kWh"),
    Quantity(0x004C, "reactive_energy_import", "kvarh"),
    Quantity(0x004E, "reactive_energy_export", "kvarh"),
    Quantity(0x0050, "apparent_energy", "kVAh"),
    Quantity(0x0052, "charge", "Ah"),
    Quantity(0x0054, "power_demand", "W"),
    Quantity(0x0056, "power_demand_max", "W"),
    Quantity(0x0064, "apparent_power_demand", "VA"),
    Quantity(0x0066, "apparent_power_demand_max", "VA"),
    Quantity(0x0068, "current_neutral_demand", "A"),
    Quantity(0x006A, "current_neutral_demand_max", "A"),
    *_three(0x00C8, "voltage", "V", PAIRS),
    Quantity(0x00CE, "voltage_line_to_line_average", "V"),
    Quantity(0x00E0, "current_neutral", "A"),
    *_three(0x00EA, "voltage_thd", "%"),
    *_three(0x00F0, "current_thd", "%"),
    Quantity(0x00F8, "voltage_thd_average", "%"),
    Quantity(0x00FA, "current_thd_average", "%"),
    *_three(0x0102, "current_demand", "A"),
    *_three(0x0108, "current_demand_max", "A"),
    *_three(0x014E, "voltage_thd", "%", PAIRS),
    Quantity(0x0154, "voltage_line_to_line_thd_average", "%"),
    Quantity(0x0156, "energy_total", "kWh"),
    Quantity(0x0158, "reactive_energy_total", "kvarh"),
    *_three(0x015A, "energy_import", "kWh"),
    *_three(0x0160, "energy_export", "kWh"),
    *_three(0x0166, "energy_total", "kWh"),
    *_three(0x016C, "reactive_energy_import", "kvarh"),
    *_three(0x0172, "reactive_energy_export", "kvarh"),
    *_three(0x0178, "reactive_energy_total", "kvarh"),
)
HOLDING = (
    Quantity(0x0000, "demand_time", "min"),
    Quantity(0x0002, "demand_period", "min"),
    Quantity(0x000A, "system_type"),
    Quantity(0x000C, "pulse_width", "ms"),
    Quantity(0x000E, "password_lock"),
    Quantity(0x0012, "parity"),
    Quantity(0x0014, "unit_id"),
    Quantity(0x0016, "pulse_divisor"),
    Quantity(0x0018, "password"),
    Quantity(0x001C, "baud_rate"),
    Quantity(0x0056, "pulse_energy_type"),
    Quantity(0xFC00, "serial_number", "", "I"),
)
_PHASE_VALUES = ("voltage", "current", "power", "apparent_power", "reactive_power", "power_factor", "phase_angle")
_ENERGIES = ("energy_import", "energy_export", "reactive_energy_import", "reactive_energy_export")


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


class Meter:
    """Three phases, and what the meter makes of them."""

    def __init__(self, random: Random, settings: Settings) -> None:
        self.phases = {phase: Phase(random, _phase_settings(settings, phase)) for phase in PHASES}
        self._frequency = pinned_or(number(settings, "frequency", 0, 100), wander(random, 50, 0.03))
        self._voltage_thd = {phase: wander(random, 1.8, 0.5) for phase in PHASES}
        self._current_thd = {phase: wander(random, 12, 6) for phase in PHASES}
        names = ("power", "apparent_power", "current_neutral", *(f"current_{phase}" for phase in PHASES))
        self._demands = {name: Demand() for name in names}

    def advance(self, seconds: float) -> dict[str, float]:
        """Lets time pass; every quantity of INPUT by name."""
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


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """A meter in front of a small workshop. Set without a phase (`voltage`), a quantity is set for all three: voltage,
    current and power factor alike, power and energies a third each."""
    random = Random(seed)
    meter = Meter(random, settings)
    measured, kept = RegisterTable(INPUT), RegisterTable(HOLDING)
    serial = random.randrange(10_000_000, 99_999_999)
    # As shipped: three phases four wires (3), no parity, one stop bit (0), 9600 baud (2), pulses for exported kWh (4).
    shipped = {"demand_time": 1, "demand_period": 60, "system_type": 3, "pulse_width": 100, "baud_rate": 2}
    own = {"unit_id": unit_id, "pulse_energy_type": 4, "serial_number": serial}
    kept.set({q.name: 0 for q in HOLDING} | shipped | own)

    def measure(seconds: float) -> None:
        measured.set(meter.advance(seconds))

    tables = {READ_INPUT_REGISTERS: measured, READ_HOLDING_REGISTERS: kept}
    return Slave(unit_id, tables, MAX_REGISTERS, measure)
