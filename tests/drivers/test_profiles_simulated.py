"""Profiles against the simulators of the same devices, which were written from the vendors' documents alone."""

import json
import struct
from pathlib import Path

import pytest

from drivers.codecs.registers import plan
from drivers.modbus import ModbusOptions
from gateway import Reading
from gateway.config import load_profile
from simulators.catalog import load, slaves
from simulators.modbus_slave import Slave

ROOT = Path(__file__).parents[2]
FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
# profile -> its simulator and settings, where the name does not tell
OTHERS = {
    "abb_b21": ("abb_b23", {"phases": "1"}),
    "abb_b24": ("abb_b23", {}),
    "carlo_gavazzi_et340": ("carlo_gavazzi_em340", {}),
    "pzem_004t": ("pzem016", {}),
    "eastron_sdm72_v1": ("eastron_sdm72", {}),
}
NAMES = {"voltage": "voltage_l1", "current": "current_l1"}  # of the ET112, which the public vector names so
PROFILES = [
    path.stem
    for path in sorted((ROOT / "drivers/profiles").glob("*.yaml"))
    if path.stem in slaves() or path.stem in OTHERS
]


def simulated(name: str) -> Slave:
    kind, settings = OTHERS.get(name, (name, {}))
    return load(kind).build(1, 5, settings)


def test_most_profiles_have_a_simulator() -> None:
    assert {"eastron_sdm630", "eastron_sdm72", "carlo_gavazzi_em340", "garo_gnm3d", "abb_b23"} <= set(PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_reads_what_the_device_gives(name: str) -> None:
    options, slave = ModbusOptions.model_validate(load_profile(name, ROOT).options), simulated(name)
    asked = {register.name: register for register in options.asked}
    read: dict[str, Reading] = {}
    given: dict[str, tuple[str, str]] = {}
    for block in plan(options.asked, options.max_registers, options.max_gap):
        request = struct.pack(">BHH", FUNCTIONS[block.table], block.address, block.count)
        answer = slave.answer(request, 0.0)
        assert answer[0] == request[0], f"{block} is refused with exception {answer[1]}"
        read |= {reading.name: reading for reading in block.decode(answer[2:])}
        for quantity, unit, value in slave.given(request, answer):
            given[quantity if quantity in asked else NAMES.get(quantity, quantity)] = (unit, value)
    assert read.keys() == given.keys()
    for quantity, reading in read.items():
        unit, value = given[quantity]
        assert (reading.unit or "") == unit
        if asked[quantity].values is None:
            assert reading.value == json.loads(value)
