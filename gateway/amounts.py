"""Durations and sizes as people write them: `250ms`, `1s`, `5min`, `24h`; `200MB`, `1GB`."""

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, WithJsonSchema

from gateway.problem import show

_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,6})?"
_SECONDS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_DURATION = re.compile(rf"({_NUMBER})({'|'.join(_SECONDS)})")
_SIZE = re.compile(rf"({_NUMBER})({'|'.join(_BYTES)})")
LONGEST = 3650 * 86400.0


def duration(value: Any) -> float:
    """Seconds, from text such as `250ms`. Raises ValueError whose text says what to write instead."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{show(value)} is not a duration; write it like {_hint(value, 'ms', 's')}")
    # Divided rather than multiplied for ms: 3 * 0.001 is not 0.003.
    number = float(match[1])
    seconds = number / 1000 if match[2] == "ms" else number * _SECONDS[match[2]]
    if seconds > LONGEST:
        raise ValueError(f"{value} is longer than ten years; write it like 250ms, 1s, 5min or 24h")
    return seconds


def _not_zero(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("a duration of 0 makes no sense here; write it like 250ms, 1s, 5min or 24h")
    return seconds


def size(value: Any) -> int:
    """Bytes, from text such as `200MB` (decimal). Raises ValueError whose text says what to write instead."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{show(value)} is not a size; write it like {_hint(value, 'kB', 'MB')}")
    return round(float(match[1]) * _BYTES[match[2]])


def _from_file_or_program(parse: Callable[[Any], Any]) -> BeforeValidator:
    """In a file (validated with a context) an amount needs its unit; a program may pass plain seconds or bytes."""

    def validate(value: Any, info: ValidationInfo) -> Any:
        return value if info.context is None and isinstance(value, (int, float)) else parse(value)

    return BeforeValidator(validate)


def _hint(value: Any, small: str, usual: str) -> str:
    """What to write: the number that stands there with a unit, where only the unit is missing."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**6:
        return f"{value}{small} or {value}{usual}"
    return "250ms, 1s, 5min or 24h" if usual == "s" else "200MB or 1GB"


DURATION_SCHEMA = {"type": "string", "pattern": rf"^{_DURATION.pattern}$", "examples": ["250ms", "1s", "5min", "24h"]}
SIZE_SCHEMA = {"type": "string", "pattern": rf"^{_SIZE.pattern}$", "examples": ["200MB", "1GB"]}

DurationOrZero = Annotated[float, _from_file_or_program(duration), WithJsonSchema(DURATION_SCHEMA)]
"""A field of configuration that is a duration; seconds."""

Duration = Annotated[float, _from_file_or_program(duration), AfterValidator(_not_zero), WithJsonSchema(DURATION_SCHEMA)]
"""A field of configuration that is a duration longer than 0; seconds."""

Size = Annotated[
    int,
    _from_file_or_program(size),
    WithJsonSchema(SIZE_SCHEMA),
]
"""A field of configuration that is a size; bytes."""
