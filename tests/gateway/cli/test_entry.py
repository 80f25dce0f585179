"""The command's own beginning: it notices packages that hide ours, in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BEGIN = f"import runpy, sys; sys.exit(runpy.run_path({str(ROOT / 'gateway/cli/entry.py')!r})['main']())"


def begin(*path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [sys.executable, "-c", BEGIN, "--version"]
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("name", ["gateway", "drivers", "simulators"])
@pytest.mark.parametrize("with_init", [True, False])
def test_a_package_that_hides_ours_is_named_in_one_line(tmp_path: Path, name: str, with_init: bool) -> None:
    (tmp_path / name).mkdir()
    if with_init:
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the foreign package was run')\n")
    done = begin(tmp_path, ROOT)
    if with_init:
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert f"{tmp_path / name} hides labgate's own package '{name}'" in done.stderr
    else:  # a mere folder of that name hides nothing: Python prefers a package that comes later
        assert done.returncode == 0


def test_with_nothing_in_front_the_command_runs() -> None:
    done = begin(ROOT)
    assert (done.returncode, done.stdout[:8]) == (0, "labgate ")
