"""Relay board with eight relays and eight inputs, as Waveshare, LC and Novabo sell them.

Source: Waveshare "Modbus RTU Relay (D)" manual and Novabo SQR-2 product page: relays are coils from 0x0000 (function
1), inputs discrete inputs from 0x0000 (function 2), the first point in the lowest bit; unit id 1, or 255 as shipped.
"""

import math
from random import Random

from simulators.modbus_slave import READ_COILS, READ_DISCRETE_INPUTS, Slave
from simulators.settings import Settings, closest
from simulators.tables import BitTable

POINTS = 8
SETTINGS = tuple(f"{name}_{place}" for name in ("coil", "input") for place in range(POINTS))
_STATES = {"on": True, "off": False}


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """A board whose relays and inputs change now and then; `input_3=on` pins one."""
    random = Random(seed)
    periods = {name: (random.uniform(5, 40), random.uniform(0, math.tau)) for name in SETTINGS}
    pinned = {name: _state(name, settings[name]) for name in SETTINGS if name in settings}
    coils, inputs = [False] * POINTS, [False] * POINTS
    t = 0.0

    def measure(seconds: float) -> None:
        nonlocal t
        t += seconds
        for name, (period, phase) in periods.items():
            kind, _, place = name.partition("_")
            on = pinned.get(name, math.sin(math.tau * t / period + phase) > 0)
            (coils if kind == "coil" else inputs)[int(place)] = on

    tables = {READ_COILS: BitTable(coils, "coil_"), READ_DISCRETE_INPUTS: BitTable(inputs, "input_")}
    return Slave(unit_id, tables, measure=measure)


def _state(name: str, text: str) -> bool:
    if text not in _STATES:
        raise ValueError(f"{name} cannot be {text!r}; {closest(text, _STATES)}")
    return _STATES[text]
