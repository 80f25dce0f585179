"""Eastron SDM120-Modbus, single-phase energy meter.

Source: Eastron SDM120-Modbus protocol document, input and holding register tables: float32, high word first, even
addresses and counts, at most 40 parameters (80 registers) a request, half a parameter is exception 2; 2400 8N1, unit
id 1.
"""

from simulators.devices._eastron import BAUD_2400, SINGLE_PHASE_INPUT, SINGLE_PHASE_SETTINGS, single_phase_meter
from simulators.modbus_slave import Slave
from simulators.settings import Settings
from simulators.tables import Quantity

SETTINGS = SINGLE_PHASE_SETTINGS

HOLDING = (
    Quantity(0x000C, "pulse_width", "ms"),
    Quantity(0x0012, "parity"),
    Quantity(0x0014, "unit_id"),
    Quantity(0x001C, "baud_rate"),
    Quantity(0xFC00, "serial_number", "", "I"),
)


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """A meter in front of a household load."""
    return single_phase_meter(unit_id, seed, settings, SINGLE_PHASE_INPUT, HOLDING, BAUD_2400)
