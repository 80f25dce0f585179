"""One simulated device on a real wire. The simulators have a command line of their own."""

import importlib
from collections.abc import Sequence


def run(argv: Sequence[str]) -> int:
    """Hand over to the simulators, by name: gateway knows no device model."""
    code: int = importlib.import_module("simulators.command").main(argv, "labgate simulate")
    return code
