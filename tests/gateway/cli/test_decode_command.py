"""`labgate decode` on public captures, through the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from tests.commands import labgate, one_line

VECTORS = {
    vector["id"]: vector
    for vector in json.loads((Path(__file__).parents[2] / "vectors/modbus.json").read_text())["vectors"]
    if vector["protocol"] == "modbus"
}
NEEDS_REGISTERS = {"pzem016", "abb-pf-na"}  # what is in the block, or what means not available, is in no context

PROFILE = """
driver: modbus
registers:
  - {name: power_factor, table: holding, address: 23355, type: int16, scale: 0.001, unit: "/", missing: [0x7FFF]}
"""


def decode(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["-c", "/nonexistent/gateway.yaml", "decode", *arguments])
    return code, *capsys.readouterr()


def context(vector: dict[str, Any]) -> list[str]:
    pairs = [f"{key}={value}" for key, value in vector["context"].items() if value is not None]
    return [word for pair in pairs for word in ("--context", pair)]


@pytest.mark.parametrize("name", sorted(set(VECTORS) - NEEDS_REGISTERS))
def test_public_capture(capsys: pytest.CaptureFixture[str], name: str) -> None:
    vector = VECTORS[name]
    code, out, err = decode(capsys, "modbus", vector["input_hex"], *context(vector))
    if vector["expected"]:
        assert (code, err, out.count("\n")) == (0, "", 1)
        values = [reading["value"] for reading in json.loads(out).values()]
        expected = [reading["value"] for reading in vector["expected"].values()]
        for value, wanted in zip(values, expected, strict=False):  # some captures have more bits than are named
            assert value == (wanted if isinstance(wanted, bool) else pytest.approx(wanted, rel=2e-6, abs=1e-20))
        assert len(values) >= len(expected)
    else:
        assert (code, out, err.count("\n")) == (1, "", 1)


def test_what_is_not_available_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "abb.yaml").write_text(PROFILE)
    vector = VECTORS["abb-pf-na"]
    assert decode(capsys, str(tmp_path / "abb.yaml"), vector["input_hex"], *context(vector)) == (0, "{}\n", "")


def test_a_profile_beside_the_configuration_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "abb.yaml").write_text(PROFILE)
    code = main(["-c", str(tmp_path / "gateway.yaml"), "decode", "abb", "01b3", "--context", "register_address=23355"])
    assert (code, capsys.readouterr().out) == (0, '{"power_factor":{"value":0.435,"unit":"/"}}\n')


def test_a_profile_that_is_wrong_is_told_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "abb.yaml").write_text(PROFILE.replace("int16", "int15"))
    line = one_line(labgate("decode", "./abb.yaml", "01b3", folder=tmp_path, LABGATE_CONFIG=str(tmp_path / "x")), 2)
    assert "abb.yaml:4:" in line
    assert "int15" in line


@pytest.mark.parametrize("form", ["0131", "01 31", "01:31", "0x0131", " 0131\n"])
def test_ways_to_write_bytes(capsys: pytest.CaptureFixture[str], form: str) -> None:
    code, out, _ = decode(capsys, "xy_md02", form, "--context", "register_address=1", "--context", "function=4")
    assert (code, out) == (0, '{"temperature":{"value":30.5,"unit":"Cel"}}\n')


DRIVER = """
from dataclasses import dataclass
from gateway import Options, Polled, Reading

class None_(Options):
    pass

@dataclass(frozen=True)
class Lines(Polled):
    options: None_
    link: None

    async def read(self):
        return []

    @classmethod
    def decode_input(cls, options, data, context):
        if data == b"boom":
            raise KeyError("froth")
        return [Reading("g", float(word)) for word in data.decode().split()]
"""


def test_text_through_a_driver_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lines.py").write_text(DRIVER)
    common = ["-c", str(tmp_path / "gateway.yaml"), "decode", "lines.py", "--text"]
    assert main([*common, "1.5 nan 2.5"]) == 0
    assert capsys.readouterr().out == '{"g":{"value":[1.5,2.5],"unit":null}}\n'
    assert main([*common, "boom"]) == 1
    assert capsys.readouterr().err == "labgate: the driver failed: KeyError: 'froth'\n"
