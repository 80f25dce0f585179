"""Teleplot lines: `>name:value§unit|flags`, with a time or several points (github.com/nesnes/teleplot, README)."""

from drivers.codecs.printed_numbers import Numbers
from drivers.codecs.printed_units import stated
from gateway import Reading


def readings(line: str, numbers: Numbers) -> list[Reading]:
    """What a line tells that begins with `>`; nothing for a log line (`>:text`), a 3D shape, or what is not finite.

    A point is `value`, `ms:value`, or with the flag xy `x:y` or `x:y:ms`; points are joined by `;`. With the flag t
    the value is text. The time is the plot's own and not told.
    """
    name, colon, rest = line[1:].partition(":")
    name = name.strip()
    if not colon or not name or name.startswith(("3D|", ">")):
        return []
    rest, _, flags = rest.partition("|")
    rest, _, printed = rest.partition("§")
    unit, kinds = stated(printed, name), [flag.strip() for flag in flags.split(",")]
    found: list[Reading] = []
    for point in rest.strip().split(";"):
        parts = [part.strip() for part in point.split(":")]
        if "xy" in kinds:
            if len(parts) in (2, 3):
                for axis, text in zip("xy", parts, strict=False):
                    _number(f"{name}.{axis}", text, unit, numbers, found)
        elif "t" in kinds:
            text = point.strip()
            if len(parts) > 1 and parts[0].isdecimal():
                text = point.strip().partition(":")[2].strip()
            if text:
                found.append(Reading(name, text, unit))
        elif len(parts) == 1 or (len(parts) == 2 and numbers.pattern.fullmatch(parts[0])):
            _number(name, parts[-1], unit, numbers, found)
    return found


def _number(name: str, text: str, unit: str | None, numbers: Numbers, found: list[Reading]) -> None:
    if numbers.pattern.fullmatch(text) and (value := numbers.value(text)) is not None:
        found.append(Reading(name, value, unit))
