"""Carlo Gavazzi EM340 (and ET340), three-phase energy meter.

Source: Carlo Gavazzi, EM330/EM340/ET330/ET340 communication protocol: int32 with the low word first, functions 3 and 4,
at most 50 registers a request; 9600 8N1, unit id 1.
"""

from simulators.devices._gavazzi import three_phase_meter
from simulators.modbus_slave import Slave
from simulators.settings import Settings
from simulators.three_phase import SETTINGS

__all__ = ["SETTINGS", "build"]
MAX_REGISTERS = 50


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """A meter in front of a small workshop; settings as of eastron_sdm630."""
    return three_phase_meter(unit_id, seed, settings, MAX_REGISTERS)
