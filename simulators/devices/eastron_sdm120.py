"""Eastron SDM120-Modbus, single-phase energy meter.

Source: Eastron SDM120-Modbus protocol document, input and holding register tables: float32, high word first, even
addresses and counts, at most 40 parameters (80 registers) a request, half a parameter is exception 2; 2400 8N1, unit
id 1.
"""

from random import Random

from simulators.mains import PHASE_SETTINGS, Demand, Phase, pinned_or, wander
from simulators.modbus_slave import READ_HOLDING_REGISTERS, READ_INPUT_REGISTERS, Slave
from simulators.settings import Settings, number
from simulators.tables import Quantity, RegisterTable

SETTINGS = (*PHASE_SETTINGS, "frequency")
MAX_REGISTERS = 80

INPUT = (
    Quantity(0x0000, "voltage", "V"),
    Quantity(0x0006, "current", "A"),
    Quantity(0x000C, "power", "W"),
    Quantity(0x0012, "apparent_power", "VA"),
    Quantity(0x0018, "reactive_power", "var"),
    Quantity(0x001E, "power_factor", "/"),
    Quantity(0x0046, "frequency", "Hz"),
    Quantity(0x0048, "energy_import", "kWh"),
    Quantity(0x004A, "energy_export", "kWh"),
    Quantity(0x004C, "reactive_energy_import", "kvarh"),
    Quantity(0x004E, "reactive_energy_export", "kvarh"),
    Quantity(0x0054, "power_demand", "W"),
    Quantity(0x0056, "power_demand_max", "W"),
    Quantity(0x0058, "import_power_demand", "W"),
    Quantity(0x005A, "import_power_demand_max", "W"),
    Quantity(0x005C, "export_power_demand", "W"),
    Quantity(0x005E, "export_power_demand_max", "W"),
    Quantity(0x0102, "current_demand", "A"),
    Quantity(0x0108, "current_demand_max", "A"),
    Quantity(0x0156, "energy_total", "kWh"),
    Quantity(0x0158, "reactive_energy_total", "kvarh"),
)
HOLDING = (
    Quantity(0x000C, "pulse_width", "ms"),
    Quantity(0x0012, "parity"),
    Quantity(0x0014, "unit_id"),
    Quantity(0x001C, "baud_rate"),
    Quantity(0xFC00, "serial_number", "", "I"),
)


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """A meter in front of a household load."""
    random = Random(seed)
    phase = Phase(random, settings)
    frequency = pinned_or(number(settings, "frequency", 0, 100), wander(random, 50, 0.03))
    demands = {name: Demand() for name in ("power", "import_power", "export_power", "current")}
    measured, kept = RegisterTable(INPUT), RegisterTable(HOLDING)
    # parity 0: none, one stop bit; baud rate 0: 2400, as shipped
    serial = random.randrange(10_000_000, 99_999_999)
    kept.set({"pulse_width": 100, "parity": 0, "unit_id": unit_id, "baud_rate": 0, "serial_number": serial})

    def measure(seconds: float) -> None:
        phase.advance(seconds)
        values = {q.name: getattr(phase, q.name) for q in INPUT if hasattr(phase, q.name)}
        flows = (phase.power, max(phase.power, 0), max(-phase.power, 0), phase.current)
        for (name, demand), flow in zip(demands.items(), flows, strict=True):
            demand.advance(flow, seconds)
            values[f"{name}_demand"], values[f"{name}_demand_max"] = demand.mean, demand.maximum
        values["frequency"] = frequency(phase.hours * 3600)
        values["energy_total"] = phase.energy_import + phase.energy_export
        values["reactive_energy_total"] = phase.reactive_energy_import + phase.reactive_energy_export
        measured.set(values)

    tables = {READ_INPUT_REGISTERS: measured, READ_HOLDING_REGISTERS: kept}
    return Slave(unit_id, tables, MAX_REGISTERS, measure)
