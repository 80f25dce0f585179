"""What Carlo Gavazzi meters and their rebrands share: int32 with the low word first, read with function 3 or 4.

Source: Carlo Gavazzi, EM330/EM340/ET330/ET340 and EM111/EM112/ET112 communication protocols, section "Instantaneous
variables and meters"; an overflow reads 7FFFFFFFh ("EEE").
"""

from collections.abc import Callable, Mapping
from random import Random

from simulators.mains import PHASE_SETTINGS, Demand, Phase, pinned_or, wander
from simulators.modbus_slave import READ_HOLDING_REGISTERS, READ_INPUT_REGISTERS, Slave
from simulators.settings import Settings, number
from simulators.tables import Quantity, RegisterTable, Value
from simulators.three_phase import PAIRS, Supply, three

OVERFLOW = 0x7FFFFFFF
HIGHEST = {"voltage": 1000.0, "current": 100.0}  # above is overflow; the documents leave it to the model
SINGLE_PHASE_SETTINGS = (*PHASE_SETTINGS, "frequency")


def quantity(address: int, name: str, unit: str, scale: int = 10) -> Quantity:
    """An int32 with the low word first, in tenths unless `scale` says otherwise."""
    return Quantity(address, name, unit, "i~", scale, OVERFLOW)


def _phases(
    address: int, name: str, unit: str, scale: int = 10, of: tuple[str, ...] = ("l1", "l2", "l3")
) -> list[Quantity]:
    return three(address, name, unit, "i~", scale, OVERFLOW, of)


THREE_PHASE = (
    *_phases(0x0000, "voltage", "V"),
    *_phases(0x0006, "voltage", "V", of=PAIRS),
    *_phases(0x000C, "current", "A", 1000),
    *_phases(0x0012, "power", "W"),
    *_phases(0x0018, "apparent_power", "VA"),
    *_phases(0x001E, "reactive_power", "var"),
    quantity(0x0024, "voltage_average", "V"),
    quantity(0x0026, "voltage_line_to_line_average", "V"),
    quantity(0x0028, "power", "W"),
    quantity(0x002A, "apparent_power", "VA"),
    quantity(0x002C, "reactive_power", "var"),
    *three(0x002E, "power_factor", "/", "h", 1000),
    Quantity(0x0031, "power_factor", "/", "h", 1000),
    Quantity(0x0032, "phase_sequence", "", "h"),
    Quantity(0x0033, "frequency", "Hz", "h", 10),
    quantity(0x0034, "energy_import", "kWh"),
    quantity(0x0036, "reactive_energy_import", "kvarh"),
    quantity(0x0038, "power_demand", "W"),
    quantity(0x003A, "power_demand_max", "W"),
    quantity(0x003C, "energy_import_partial", "kWh"),
    quantity(0x003E, "reactive_energy_import_partial", "kvarh"),
    *_phases(0x0040, "energy_import", "kWh"),
    quantity(0x0046, "energy_import_tariff_1", "kWh"),
    quantity(0x0048, "energy_import_tariff_2", "kWh"),
    quantity(0x004E, "energy_export", "kWh"),
    quantity(0x0050, "reactive_energy_export", "kvarh"),
)
SINGLE_PHASE = (
    quantity(0x0000, "voltage", "V"),
    quantity(0x0002, "current", "A", 1000),
    quantity(0x0004, "power", "W"),
    quantity(0x0006, "apparent_power", "VA"),
    quantity(0x0008, "reactive_power", "var"),
    quantity(0x000A, "power_demand", "W"),
    quantity(0x000C, "power_demand_max", "W"),
    Quantity(0x000E, "power_factor", "/", "h", 1000),
    Quantity(0x000F, "frequency", "Hz", "h", 10),
    quantity(0x0010, "energy_import", "kWh"),
    quantity(0x0012, "reactive_energy_import", "kvarh"),
    quantity(0x0014, "energy_import_partial", "kWh"),
    quantity(0x0016, "reactive_energy_import_partial", "kvarh"),
    quantity(0x0020, "energy_export", "kWh"),
    quantity(0x0022, "reactive_energy_export", "kvarh"),
)


def three_phase_meter(unit_id: int, seed: int, settings: Settings, max_registers: int) -> Slave:
    """A meter in front of a small workshop."""
    supply = Supply(Random(seed), settings)

    def values(seconds: float) -> dict[str, float]:
        values = supply.advance(seconds)
        values["phase_sequence"] = 0  # L1, L2, L3
        values["energy_import_tariff_1"], values["energy_import_tariff_2"] = values["energy_import"], 0
        return values

    return _meter(unit_id, max_registers, THREE_PHASE, values)


def single_phase_meter(unit_id: int, seed: int, settings: Settings, max_registers: int) -> Slave:
    """A meter in front of a household load."""
    random = Random(seed)
    phase = Phase(random, settings)
    frequency = pinned_or(number(settings, "frequency", 0, 100), wander(random, 50, 0.03))
    demand = Demand()

    def values(seconds: float) -> dict[str, float]:
        phase.advance(seconds)
        demand.advance(phase.power, seconds)
        values = {q.name: float(getattr(phase, q.name)) for q in SINGLE_PHASE if hasattr(phase, q.name)}
        values |= {"power_demand": demand.mean, "power_demand_max": demand.maximum}
        values["frequency"] = frequency(phase.hours * 3600)
        return values

    return _meter(unit_id, max_registers, SINGLE_PHASE, values)


def _meter(
    unit_id: int, max_registers: int, quantities: tuple[Quantity, ...], values: Callable[[float], Mapping[str, float]]
) -> Slave:
    table = RegisterTable(quantities)
    highest = {q.name: HIGHEST.get(q.name.split("_")[0]) for q in quantities}

    def measure(seconds: float) -> None:
        now: dict[str, Value] = dict(values(seconds))
        for kind in ("", "reactive_"):
            now[f"{kind}energy_import_partial"] = now[f"{kind}energy_import"]
        for name, limit in highest.items():
            value = now[name]
            if limit is not None and isinstance(value, float) and value > limit:
                now[name] = None
        table.set(now)

    tables = {READ_HOLDING_REGISTERS: table, READ_INPUT_REGISTERS: table}
    return Slave(unit_id, tables, max_registers, measure)
