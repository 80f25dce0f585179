"""Carlo Gavazzi ET112 (and EM111, EM112), single-phase energy meter.

Source: Carlo Gavazzi, EM111/EM112/ET112 communication protocol: int32 with the low word first, functions 3 and 4, at
most 50 registers a request; 9600 8N1, unit id 1. Only the voltage stands where the three-phase meters have it.
"""

from simulators.devices._gavazzi import SINGLE_PHASE_SETTINGS, single_phase_meter
from simulators.modbus_slave import Slave
from simulators.settings import Settings

SETTINGS = SINGLE_PHASE_SETTINGS
MAX_REGISTERS = 50


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """A meter in front of a household load."""
    return single_phase_meter(unit_id, seed, settings, MAX_REGISTERS)
