"""Runs `labgate` as a process of its own, as a person or a script does."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = (sys.executable, "-P", "-m", "gateway.cli")
_FORGET = ("LABGATE_CONFIG", "JOURNAL_STREAM")


def environment(**more: str) -> dict[str, str]:
    """This process's, without what would lead the command to something of this machine."""
    kept = {name: value for name, value in os.environ.items() if name not in _FORGET}
    return {**kept, "PYTHONPATH": str(ROOT), "TZ": "UTC", **more}


def labgate(
    *arguments: str | Path, folder: Path = Path("/"), timeout: float = 20, **more: str
) -> subprocess.CompletedProcess[str]:
    """What it said and its exit code. There is never a traceback."""
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        cwd=folder,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def one_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line that a failed command says on standard error; nothing on standard output."""
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done
    assert done.stderr.startswith("labgate"), done.stderr
    return done.stderr
