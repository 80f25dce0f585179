"""Peacefair PZEM-016, single-phase energy module with a clamp.

Source: Peacefair PZEM-014/016 user manual, section "Communication protocol": function 4 from 0x0000, ten registers, the
low word first, function 3 from 0x0001; 9600 8N1, unit id 1.
"""

from random import Random

from simulators.mains import Phase, pinned_or, wander
from simulators.modbus_slave import READ_HOLDING_REGISTERS, READ_INPUT_REGISTERS, Slave
from simulators.settings import Settings, number
from simulators.tables import Quantity, RegisterTable

SETTINGS = ("voltage", "current", "power_factor", "power", "energy", "frequency", "alarm_threshold")

INPUT = (
    Quantity(0x0000, "voltage", "V", "H", 10),
    Quantity(0x0001, "current", "A", "I~", 1000),
    Quantity(0x0003, "power", "W", "I~", 10),
    Quantity(0x0005, "energy", "Wh", "I~"),
    Quantity(0x0007, "frequency", "Hz", "H", 10),
    Quantity(0x0008, "power_factor", "/", "H", 100),
    Quantity(0x0009, "alarm", "", "flag"),
)
HOLDING = (
    Quantity(0x0001, "alarm_threshold", "W", "H"),
    Quantity(0x0002, "unit_id", "", "H"),
)


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """A module that measures a household load; the alarm is on above `alarm_threshold` (W). It counts one way."""
    random = Random(seed)
    energy = number(settings, "energy", 0)
    of_phase = {name: text for name, text in settings.items() if name in SETTINGS}
    phase = Phase(random, of_phase | ({} if energy is None else {"energy_import": repr(energy / 1000)}))
    frequency = pinned_or(number(settings, "frequency", 45, 65), wander(random, 50, 0.05))
    threshold = number(settings, "alarm_threshold", 0, 65535)
    threshold = 23000 if threshold is None else threshold
    measured, kept = RegisterTable(INPUT), RegisterTable(HOLDING)
    kept.set({"alarm_threshold": threshold, "unit_id": unit_id})

    def measure(seconds: float) -> None:
        phase.advance(seconds)
        values = {name: getattr(phase, name) for name in ("voltage", "current", "power", "power_factor")}
        values |= {"energy": phase.energy_import * 1000, "frequency": frequency(phase.hours * 3600)}
        measured.set(values | {"alarm": phase.power > threshold})

    return Slave(unit_id, {READ_INPUT_REGISTERS: measured, READ_HOLDING_REGISTERS: kept}, measure=measure)
