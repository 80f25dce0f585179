"""GARO GNM3D, three-phase energy meter: a Carlo Gavazzi under a Swedish name.

Source: GARO GNM3D/GNM3T communication protocol v1 r1: int32 with the low word first, functions 3 and 4. Its text says
50 registers a request and its table 20; longer reads than 20 are refused here. 9600 8N1, unit id 1.
"""

from simulators.devices._gavazzi import three_phase_meter
from simulators.modbus_slave import Slave
from simulators.settings import Settings
from simulators.three_phase import SETTINGS

__all__ = ["SETTINGS", "build"]
MAX_REGISTERS = 20


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """A meter in front of a small workshop; settings as of eastron_sdm630."""
    return three_phase_meter(unit_id, seed, settings, MAX_REGISTERS)
