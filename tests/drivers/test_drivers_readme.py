"""What drivers/README.md shows is true: the driver runs, the profile loads and decodes its vector."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from drivers.codecs.register_map import Register
from drivers.modbus import Modbus, ModbusOptions
from gateway import Reading
from gateway.cli import main
from gateway.config import load_profile, load_site
from gateway.driver import load_driver, options_model

README = (Path(__file__).parents[2] / "drivers/README.md").read_text("utf-8")
BLOCKS = re.findall(r"```(python|yaml)\n(.*?)```", README, re.DOTALL)


class Fan:
    """A link on which register 0 holds 900 and register 1 the state given."""

    name, trace = "bus-1", None

    def __init__(self, state: int) -> None:
        self.state = state

    async def read_block(self, unit_id: int, table: str, address: int, count: int) -> bytes:
        assert (unit_id, table, address, count) == (4, "holding", 0, 2)
        return b"\x03\x84" + self.state.to_bytes(2)


async def test_the_driver(tmp_path: Path) -> None:
    (source,) = [text for language, text in BLOCKS if language == "python"]
    assert len(source.splitlines()) < 20
    (tmp_path / "fan.py").write_text(source)
    driver = load_driver("fan.py", tmp_path)
    options = options_model(driver).model_validate({"unit_id": 4})
    assert await driver(options, Fan(0)).read() == [Reading("speed", 900, "1/min")]
    assert await driver(options, Fan(1)).read() == []


def test_the_driver_in_a_configuration(tmp_path: Path) -> None:
    source, devices = (next(text for language, text in BLOCKS if language == wanted) for wanted in ("python", "yaml"))
    (tmp_path / "fan.py").write_text(source)
    (tmp_path / "gateway.yaml").write_text("gateway: {id: pi-7}\nlinks: {bus-1: {modbus: /dev/ttyUSB0}}\n" + devices)
    site = load_site(tmp_path / "gateway.yaml")
    assert [problem for problem in site.problems if problem.severity == "error"] == []
    assert site.devices["fan-1"].driver == "fan.py"


def test_the_profile(tmp_path: Path) -> None:
    (tmp_path / "acme_flow.yaml").write_text([text for language, text in BLOCKS if language == "yaml"][1])
    profile = load_profile("acme_flow.yaml", tmp_path)
    options = ModbusOptions.model_validate(profile.options)
    (vector,) = profile.vectors
    context: dict[str, Any] = {key: str(value) for key, value in vector["context"].items()}
    readings = Modbus.decode_input(options, bytes.fromhex(vector["input_hex"]), context)
    assert readings == [Reading("flow", 1.0, "m3/s")]
    told = vector["expected"]["flow"]
    assert (float(told["value"]), told["unit"]) == (1.0, "m3/s")
    shown = {key for register in options.registers for key in register.model_fields_set}
    assert shown == set(Register.model_fields), "the example shows every key"


def test_a_look_alike(tmp_path: Path) -> None:
    (tmp_path / "th_10.yaml").write_text([text for language, text in BLOCKS if language == "yaml"][2])
    profile = load_profile("th_10.yaml", tmp_path)
    assert (profile.driver, profile.vendor, profile.model) == ("modbus", "XY", "TH-10")
    options = ModbusOptions.model_validate(profile.options)
    assert options.max_registers == 2, "as in the original"
    readings = Modbus.decode_input(options, bytes.fromhex("01310222"), {"register_address": "0"})
    assert readings == [Reading("temperature", 30.5, "Cel"), Reading("humidity", 54.6, "%RH")]


def test_a_sunspec_device(tmp_path: Path) -> None:
    devices = [text for language, text in BLOCKS if language == "yaml"][3]
    (tmp_path / "gateway.yaml").write_text('gateway: {id: pi-7}\nlinks: {plc: {modbus: "tcp://192.0.2.1"}}\n' + devices)
    site = load_site(tmp_path / "gateway.yaml")
    assert [problem for problem in site.problems if problem.severity == "error"] == []
    assert site.devices["roof"].driver == "sunspec"


@pytest.mark.parametrize("command", re.findall(r"`(labgate decode [^`]*[^A-Z`][^`]*)`", README))
def test_what_decode_is_shown_with(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if "HEX" in command:
        return
    (tmp_path / "profiles").mkdir()
    text = [text for language, text in BLOCKS if language == "yaml"][1]
    (tmp_path / "profiles/acme_flow.yaml").write_text(text)
    code = main(["-c", str(tmp_path / "gateway.yaml"), *shlex.split(command)[1:]])
    assert (code, capsys.readouterr().err) == (0, "")


def test_every_key_of_a_register_is_explained() -> None:
    table = README.partition("| key | says |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:]))) == set(
        Register.model_fields
    )
