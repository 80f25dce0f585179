"""A driver author in another repository: labgate from its wheel, a driver of their own, our fixtures in their tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.version import VERSION

ROOT = Path(__file__).resolve().parents[2]

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "frothmeter"
version = "1"

[project.entry-points."labgate.drivers"]
frothmeter = "frothmeter"
"""

# What drivers/README.md teaches, and nothing else.
DRIVER = '''
"""A froth meter: level in millimetres, state in the lowest bit of the next register."""

from dataclasses import dataclass

from gateway import ModbusLink, Options, Polled, Reading


class FrothOptions(Options):
    unit_id: int = 1


@dataclass(frozen=True)
class Froth(Polled):
    options: FrothOptions
    link: ModbusLink

    async def read(self) -> list[Reading]:
        data = await self.link.read_block(self.options.unit_id, "holding", 0, 2)
        return [Reading("level", int.from_bytes(data[:2]), "mm"), Reading("foaming", data[3] & 1 == 1)]
'''

TESTS = '''
import json
import shutil

import pytest


def expected(truth, count):
    """What the simulated device says it gave, answer by answer."""
    given = [json.loads(line) for line in truth.read_text().splitlines()]
    values = [line["value"] for line in given]
    return [{"level": a, "foaming": b % 2 == 1} for a, b in list(zip(values[::2], values[1::2]))[:count]]


@pytest.mark.parametrize("driver", ["frothmeter", "./frothmeter.py"])
def test_a_froth_meter_reaches_the_hub(driver, tmp_path, labgate_simulator, labgate_gateway, labgate_hub):
    shutil.copy("frothmeter.py", tmp_path)
    wire = labgate_simulator("registers", "--port", "0")
    gateway = labgate_gateway({
        "links": {"wire": {"modbus": wire.url}},
        "devices": {"froth": {"driver": driver, "link": "wire", "every": "50ms"}},
    })
    samples = labgate_hub.samples("froth", 5)
    assert gateway.stop() == 0
    assert wire.stop() == 0
    assert samples == expected(wire.truth, 5)


def test_an_outage_loses_nothing(labgate_broker, labgate_simulator, labgate_gateway, labgate_hub):
    wire = labgate_simulator("registers", "--port", "0")
    labgate_gateway({
        "links": {"wire": {"modbus": wire.url}},
        "devices": {"froth": {"driver": "frothmeter", "link": "wire", "every": "50ms"}},
    })
    labgate_hub.samples("froth", 3)
    labgate_broker.kill()
    labgate_broker.up()
    samples = labgate_hub.samples("froth", 20)
    levels = [sample["level"] for sample in samples]
    assert len(set(levels)) == 20
'''


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


def test_a_foreign_driver_project_uses_the_wheel(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="builds the wheel; make sets it up")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist", cwd=ROOT)
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    project = tmp_path / "frothmeter"
    project.mkdir()
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / "frothmeter.py").write_text(DRIVER)
    (project / "test_frothmeter.py").write_text(TESTS)
    python = tmp_path / "env/bin/python"
    assert run(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path).returncode == 0
    pins = ["-c", str(ROOT / "constraints.txt")]
    install = [str(python), "-m", "pip", "install", "-q"]
    installed = run(*install, *pins, f"{wheel}[demo]", "pytest", "hatchling", "editables", cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    installed = run(*install, "--no-build-isolation", "--no-deps", ".", cwd=project)
    assert installed.returncode == 0, installed.stderr

    said = run(python.parent / "labgate", "--version", cwd=project)
    assert (said.returncode, said.stdout) == (0, f"labgate {VERSION}\n"), said.stderr

    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "CI")}
    tested = run(python, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", cwd=project, env=environment)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "3 passed" in tested.stdout
