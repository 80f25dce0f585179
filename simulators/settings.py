"""What `--set name=value` means: texts from the command line, checked by the simulator that knows the name."""

import difflib
import math
import re
from collections.abc import Iterable, Mapping

Settings = Mapping[str, str]

TIMES = {"ms": 0.001, "s": 1.0, "min": 60.0}


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


def duration(text: str) -> float:
    """Seconds, of 200ms, 1.5s or 2min. Raises ValueError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|min)", text, re.ASCII)
    if not match:
        raise ValueError(f"wants a time such as 200ms or 1.5s, not {text!r}")
    return float(match[1]) * TIMES[match[2]]


def seconds(settings: Settings, name: str, default: float, low: float, high: float) -> float:
    """The time that `name` is set to, s. Raises ValueError outside low..high."""
    if name not in settings:
        return default
    try:
        found = duration(settings[name])
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
    if not low <= found <= high:
        raise ValueError(f"{name} must be between {low:g}s and {high:g}s, not {settings[name]}")
    return found


def period(settings: Settings, default: float) -> float:
    """Seconds from one speech to the next, as `every` is set. Raises ValueError for what cannot be."""
    return seconds(settings, "every", default, 0.001, 3600)


def choice(settings: Settings, name: str, known: Iterable[str]) -> str:
    """The word that `name` is set to, the first `known` one where it is not set. Raises ValueError for another word."""
    known = list(known)
    word = settings.get(name, known[0])
    if word not in known:
        raise ValueError(f"{name} cannot be {word!r}; {closest(word, known)}")
    return word


def closest(word: str, known: Iterable[str]) -> str:
    """How an error about an unknown word ends: the nearest known one, else all of them."""
    known = list(known)
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"there is {', '.join(known)}"
