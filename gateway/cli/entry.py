"""Where the command `labgate` begins: installed as the module `labgate`, because a name of its own cannot be hidden.

Another package called gateway, drivers or simulators that Python finds before ours would be run instead of it.
"""

import importlib.util
import sys
from pathlib import Path

OURS = {"gateway": "cli/__init__.py", "drivers": "codecs/__init__.py", "simulators": "modbus_slave.py"}


def hidden() -> str | None:
    """What hides a package of ours, in one line; None when all is well."""
    for name, file in OURS.items():
        spec = importlib.util.find_spec(name)
        folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
        if not any((folder / file).is_file() for folder in folders):
            where = folders[0] if folders else spec.origin if spec else None
            advice = "start elsewhere, take its folder off PYTHONPATH, or uninstall it"
            hides = f"{where} hides labgate's own package {name!r}; {advice}"
            return hides if where else f"labgate's package {name!r} is missing; install labgate again"
    return None


def main() -> int:
    """Run the command line if all three packages are ours; else name what hides them, and 2."""
    if fault := hidden():
        print(f"labgate: {fault}", file=sys.stderr)
        return 2
    from gateway.cli import main as command

    return command()
