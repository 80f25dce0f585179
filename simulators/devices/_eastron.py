"""What Eastron meters share: float32, high word first, at most 40 parameters (80 registers) a request, serial settings.

Source: the protocol documents of the meters, see there.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from simulators.mains import PHASE_SETTINGS, Demand, Phase, pinned_or, wander
from simulators.modbus_slave import READ_HOLDING_REGISTERS, READ_INPUT_REGISTERS, Slave
from simulators.settings import Settings, number
from simulators.tables import Quantity, RegisterTable
from simulators.three_phase import Supply

MAX_REGISTERS = 80
BAUD_2400, BAUD_9600 = 0, 2  # as the holding register says it
SINGLE_PHASE_SETTINGS = (*PHASE_SETTINGS, "frequency")

SINGLE_PHASE_INPUT = (
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


def single_phase_meter(
    unit_id: int,
    seed: int,
    settings: Settings,
    measured: Sequence[Quantity],
    kept: Sequence[Quantity],
    baudrate: int = BAUD_9600,
) -> Slave:
    """A single-phase meter with `measured` in its input and `kept` in its holding registers."""
    random = Random(seed)
    phase = Phase(random, settings)
    frequency = pinned_or(number(settings, "frequency", 0, 100), wander(random, 50, 0.03))
    demands = {name: Demand() for name in ("power", "import_power", "export_power", "current")}
    table, serial = RegisterTable(measured), random.randrange(10_000_000, 99_999_999)

    def measure(seconds: float) -> None:
        phase.advance(seconds)
        values = {q.name: getattr(phase, q.name) for q in measured if hasattr(phase, q.name)}
        flows = (phase.power, max(phase.power, 0), max(-phase.power, 0), phase.current)
        for (name, demand), flow in zip(demands.items(), flows, strict=True):
            demand.advance(flow, seconds)
            values[f"{name}_demand"], values[f"{name}_demand_max"] = demand.mean, demand.maximum
        values["frequency"] = frequency(phase.hours * 3600)
        for kind in ("", "reactive_"):
            both = (getattr(phase, f"{kind}energy_{way}") for way in ("import", "export"))
            values[f"{kind}energy_total"] = values[f"{kind}energy_total_resettable"] = sum(both)
        table.set(values)

    return _meter(unit_id, table, kept, {"baud_rate": baudrate, "serial_number": serial}, measure)


def three_phase_meter(
    unit_id: int, seed: int, settings: Settings, measured: Sequence[Quantity], kept: Sequence[Quantity]
) -> Slave:
    """A three-phase meter, likewise."""
    random = Random(seed)
    supply, table = Supply(random, settings), RegisterTable(measured)
    serial = random.randrange(10_000_000, 99_999_999)

    def measure(seconds: float) -> None:
        values = supply.advance(seconds)
        values["power_import"], values["power_export"] = max(values["power"], 0), max(-values["power"], 0)
        values["energy_net"] = values["energy_import"] - values["energy_export"]
        for name in ("energy_total", "reactive_energy_total", "energy_import", "energy_export"):
            values[f"{name}_resettable"] = values[name]
        table.set(values)

    return _meter(unit_id, table, kept, {"baud_rate": BAUD_9600, "serial_number": serial}, measure)


def _meter(
    unit_id: int,
    measured: RegisterTable,
    kept: Sequence[Quantity],
    own: Mapping[str, float],
    measure: Callable[[float], None],
) -> Slave:
    # As shipped: three phases four wires (3), no parity, one stop bit (0), pulses for exported kWh (4).
    shipped = {"demand_time": 1, "demand_period": 60, "system_type": 3, "pulse_width": 100, "pulse_energy_type": 4}
    table = RegisterTable(kept)
    table.set({q.name: 0 for q in kept} | shipped | {"unit_id": unit_id} | dict(own))
    return Slave(unit_id, {READ_INPUT_REGISTERS: measured, READ_HOLDING_REGISTERS: table}, MAX_REGISTERS, measure)
