"""Where the command `labgate` begins: installed as the module `labgate`, because a name of its own cannot be hidden.

Another package called gateway, drivers or simulators that Python finds before ours would be run instead of it.
"""

import importlib.util
import sys
from pathlib import Path

OURS = {"gateway": "cli/entry.py", "drivers": "codecs/__init__.py", "simulators": "modbus_slave.py"}


def main() -> int:
    """Run the command line if all three packages are ours; else name what hides them, and 2."""
    for name, file in OURS.items():
        spec = importlib.util.find_spec(name)
        folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
        if not any((folder / file).is_file() for folder in folders):
            where = folders[0] if folders else spec.origin if spec else None
            hides = f"{where} hides labgate's own package {name!r}; take its folder off PYTHONPATH, or uninstall it"
            missing = f"labgate's package {name!r} is missing; install labgate again"
            print(f"labgate: {hides if where else missing}", file=sys.stderr)
            return 2
    from gateway.cli import main as command

    return command()
