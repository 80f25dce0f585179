"""Eastron SDM630-Modbus V2, three-phase energy meter, wired for three phases and neutral.

Source: Eastron SDM630-Modbus V2 protocol document v1.8, sections 1.2.1 (input registers), 1.3.1 (holding registers) and
3.8 to 3.11: float32, high word first, even addresses and counts, at most 40 parameters (80 registers) a request, half a
parameter is exception 2; 9600 8N1, unit id 1.
"""

from simulators.devices._eastron import three_phase_meter
from simulators.modbus_slave import Slave
from simulators.settings import Settings
from simulators.tables import Quantity
from simulators.three_phase import PAIRS, SETTINGS, three

__all__ = ["SETTINGS", "build"]

INPUT = (
    *three(0x0000, "voltage", "V"),
    *three(0x0006, "current", "A"),
    *three(0x000C, "power", "W"),
    *three(0x0012, "apparent_power", "VA"),
    *three(0x0018, "reactive_power", "var"),
    *three(0x001E, "power_factor", "/"),
    *three(0x0024, "phase_angle", "deg"),
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
    *three(0x00C8, "voltage", "V", of=PAIRS),
    Quantity(0x00CE, "voltage_line_to_line_average", "V"),
    Quantity(0x00E0, "current_neutral", "A"),
    *three(0x00EA, "voltage_thd", "%"),
    *three(0x00F0, "current_thd", "%"),
    Quantity(0x00F8, "voltage_thd_average", "%"),
    Quantity(0x00FA, "current_thd_average", "%"),
    *three(0x0102, "current_demand", "A"),
    *three(0x0108, "current_demand_max", "A"),
    *three(0x014E, "voltage_thd", "%", of=PAIRS),
    Quantity(0x0154, "voltage_line_to_line_thd_average", "%"),
    Quantity(0x0156, "energy_total", "kWh"),
    Quantity(0x0158, "reactive_energy_total", "kvarh"),
    *three(0x015A, "energy_import", "kWh"),
    *three(0x0160, "energy_export", "kWh"),
    *three(0x0166, "energy_total", "kWh"),
    *three(0x016C, "reactive_energy_import", "kvarh"),
    *three(0x0172, "reactive_energy_export", "kvarh"),
    *three(0x0178, "reactive_energy_total", "kvarh"),
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


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """A meter in front of a small workshop. Set without a phase (`voltage`), a quantity is set for all three: voltage,
    current and power factor alike, power and energies a third each."""
    return three_phase_meter(unit_id, seed, settings, INPUT, HOLDING)
