"""Eastron SDM72D-M V2, three-phase energy meter.

Source: Eastron SDM72D-M V2 protocol document, input and holding register tables: a part of what the SDM630 has, at the
same addresses, and the powers and energies of each direction; 9600 8N1, unit id 1.
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
    Quantity(0x002A, "voltage_average", "V"),
    Quantity(0x002E, "current_average", "A"),
    Quantity(0x0030, "current_sum", "A"),
    Quantity(0x0034, "power", "W"),
    Quantity(0x0038, "apparent_power", "VA"),
    Quantity(0x003C, "reactive_power", "var"),
    Quantity(0x003E, "power_factor", "/"),
    Quantity(0x0046, "frequency", "Hz"),
    Quantity(0x0048, "energy_import", "kWh"),
    Quantity(0x004A, "energy_export", "kWh"),
    *three(0x00C8, "voltage", "V", of=PAIRS),
    Quantity(0x00CE, "voltage_line_to_line_average", "V"),
    Quantity(0x00E0, "current_neutral", "A"),
    Quantity(0x0156, "energy_total", "kWh"),
    Quantity(0x0158, "reactive_energy_total", "kvarh"),
    Quantity(0x0180, "energy_total_resettable", "kWh"),
    Quantity(0x0184, "energy_import_resettable", "kWh"),
    Quantity(0x0186, "energy_export_resettable", "kWh"),
    Quantity(0x018C, "energy_net", "kWh"),
    Quantity(0x0500, "power_import", "W"),
    Quantity(0x0502, "power_export", "W"),
)
HOLDING = (
    Quantity(0x000A, "system_type"),
    Quantity(0x000C, "pulse_width", "ms"),
    Quantity(0x0012, "parity"),
    Quantity(0x0014, "unit_id"),
    Quantity(0x0018, "password"),
    Quantity(0x001C, "baud_rate"),
    Quantity(0xFC00, "serial_number", "", "I"),
)


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """A meter in front of a small workshop; settings as of eastron_sdm630."""
    return three_phase_meter(unit_id, seed, settings, INPUT, HOLDING)
