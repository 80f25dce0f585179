"""What `--set name=value` means: texts from the command line, checked by the simulator that knows the name."""

import difflib
import math
from collections.abc import Iterable, Mapping

Settings = Mapping[str, str]


def number(settings: Settings, name: str, low: float = -math.inf, high: float = math.inf) -> float | None:
    """The number that `name` is set to, None where it is not set. Raises ValueError outside low..high."""
    if name not in settings:
        return None
    try:
        value = float(settings[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a number, not {settings[name]!r}")
    if not low <= value <= high:
        limits = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
        raise ValueError(f"{name} must be {limits}, not {settings[name]}")
    return value


def whole_number(settings: Settings, name: str, default: int, high: int) -> int:
    """The count, 1 to `high`, that `name` is set to. Raises ValueError for anything else."""
    value = number(settings, name, 1, high)
    if value is None:
        return default
    if value != int(value):
        raise ValueError(f"{name} must be a whole number, not {settings[name]}")
    return int(value)


def closest(word: str, known: Iterable[str]) -> str:
    """How an error about an unknown word ends: the nearest known one, else all of them."""
    known = list(known)
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"there is {', '.join(known)}"
