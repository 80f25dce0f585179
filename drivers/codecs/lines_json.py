"""Lines that are JSON: an object a line, nested ones with dotted names; or a SenML pack (RFC 8428)."""

import json
import math
import re
from typing import Any

from drivers.codecs.printed_numbers import LARGEST
from drivers.codecs.printed_units import unit_of
from gateway import DecodeError, Reading

DEEPEST = 16  # objects in objects; what is deeper is left out
_TEXT_OR_NONE = re.compile(r'("(?:[^"\\]|\\.)*")|[-+]?\b(?:nan|inf(?:inity)?|ovf)\b', re.IGNORECASE)

_RECORD_KEYS = frozenset({"n", "bn", "v", "vs", "vb", "vd", "s"})  # of which a SenML record has at least one


def load(text: str) -> Any:
    """A line of JSON. A board prints `nan` where its sensor failed, which JSON does not know: there it is null.

    Raises DecodeError.
    """
    try:
        try:
            return json.loads(text)
        except ValueError:
            return json.loads(_TEXT_OR_NONE.sub(lambda found: found.group(1) or "null", text))
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not whole as JSON: {text[:40]!r}; {error}"[:200]) from None


def readings(value: Any) -> list[Reading]:
    """An object by its keys, also one in a list; numbers in a list by position. null and NaN are left out."""
    found: list[Reading] = []
    if isinstance(value, dict):
        _walk(value, "", DEEPEST, found)
    elif isinstance(value, list):
        for i, item in enumerate(value, 1):
            _walk(item, "" if isinstance(item, dict) else f"value {i}", DEEPEST, found)
    return found


def _walk(value: Any, name: str, deeper: int, found: list[Reading]) -> None:
    if isinstance(value, dict):
        if deeper:
            for key, item in value.items():
                _walk(item, f"{name}.{key}" if name else key, deeper - 1, found)
    elif isinstance(value, list):
        if deeper:
            for item in value:
                _walk(item, name, deeper - 1, found)
    elif (plain := _plain(value)) is not None and name:
        found.append(Reading(_unicode(name), plain))


def _plain(value: Any) -> float | int | bool | str | None:
    if isinstance(value, str):
        return _unicode(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if type(value) is int and not -LARGEST <= value < LARGEST:
        return float(value) if abs(value) < 10**300 else None
    return value if isinstance(value, int) else None  # truth is one too


def _unicode(text: str) -> str:
    """JSON may name half a character (\\ud800), which no text can hold."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def is_senml(value: Any) -> bool:
    """Whether a line of JSON is a SenML pack: a list of objects that are records, the first of them with a name."""
    if not isinstance(value, list) or not all(isinstance(r, dict) and r.keys() & _RECORD_KEYS for r in value):
        return False
    return value != [] and ("n" in value[0] or "bn" in value[0])


def senml(pack: list[dict[str, Any]]) -> list[Reading]:
    """The resolved records of a pack: base fields hold for the records after them too (RFC 8428, section 4.6).

    Raises DecodeError for a pack that must not be used without understanding more (section 4.4).
    """
    found: list[Reading] = []
    base_name, base_unit, base_value = "", None, None
    for record in pack:
        if odd := [key for key in record if key.endswith("_")]:
            raise DecodeError(f"SenML demands that {odd[0]!r} is understood")
        base_name = record.get("bn", base_name)
        base_unit = record.get("bu", base_unit)
        base_value = record.get("bv", base_value)
        own = record.get("n", "")
        if not (isinstance(base_name, str) and isinstance(own, str)):
            raise DecodeError("a SenML name is text")
        name, value = base_name + own, _value(record, base_value)
        if not name or value is None:
            continue
        unit = record.get("u", base_unit)
        found.append(Reading(_unicode(name), value, _unit(unit, name) if isinstance(unit, str) else None))
    return found


def _value(record: dict[str, Any], base: Any) -> float | int | bool | str | None:
    for key in ("vs", "vd", "vb"):
        if key in record:
            return _plain(record[key]) if isinstance(record[key], bool if key == "vb" else str) else None
    value = record.get("v", record.get("s") if base is None else None)
    if isinstance(base, int | float) and not isinstance(base, bool):
        value = base if value is None else value + base if isinstance(value, int | float) else None
    return _plain(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _unit(unit: str, name: str) -> str | None:
    """In SenML C is coulomb; a temperature in coulomb is a board's mistake."""
    if unit == "C" and "temp" in name.lower():
        return "Cel"
    return (unit[:40] or None) if unit.isascii() else unit_of(unit, name)
