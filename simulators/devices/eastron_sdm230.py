"""Eastron SDM230-Modbus, single-phase energy meter.

Source: Eastron SDM230-Modbus protocol document, input and holding register tables: as the SDM120, and the phase angle
and the resettable energies; 9600 8N1, unit id 1.
"""

from simulators.devices._eastron import SINGLE_PHASE_INPUT, SINGLE_PHASE_SETTINGS, single_phase_meter
from simulators.modbus_slave import Slave
from simulators.settings import Settings
from simulators.tables import Quantity

SETTINGS = SINGLE_PHASE_SETTINGS

INPUT = (
    *SINGLE_PHASE_INPUT,
    Quantity(0x0024, "phase_angle", "deg"),
    Quantity(0x0180, "energy_total_resettable", "kWh"),
    Quantity(0x0182, "reactive_energy_total_resettable", "kvarh"),
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
    return single_phase_meter(unit_id, seed, settings, INPUT, HOLDING)
