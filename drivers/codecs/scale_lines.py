"""Lines of balances that print by themselves: Kern, G&G, Sartorius (SBI), A&D and CAS. The sign may stand apart."""

import re
from collections.abc import Mapping

from drivers.codecs.balance_units import MASS
from gateway import DecodeError, Reading

# Sartorius and Kern may put a word in front of the value (N, G, Net); A&D and CAS say whether the balance is at rest.
_LINE = re.compile(
    r"(?:(?P<rest>ST|US|QT)\s*,\s*(?:(?:GS|NT|TR|G|N)\s*,\s*)?)?(?:(?:N|G|T|Net|Gross)\s*[:\s]\s*)?"
    r"(?P<sign>[+-]?)\s*(?P<value>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(?P<unit>[A-Za-zµ%.]+)?\s*(?P<stable>[?*;]?)"
)
_OVER = re.compile(
    r"(?:OL\b|.*\b(?:H|High|Hi|o-?Err|Overload|L|Low|Lo|u-?Err|Underload)\b|[-=_ ]{4,}|[\^]+)", re.IGNORECASE
)
_TRUTH = {"ST": True, "QT": True, "US": False}


def readings(line: str) -> list[Reading]:
    """`weight` with its unit, and `stable` where the line says it.

    Nothing for a line with a value and no unit: balances leave the unit out while the pan moves, and it may be any.
    Raises DecodeError for what is no weight: over- and underload, errors, a unit that is not one number (lb:oz).
    """
    text = line.strip(" \t\r\n\0\x02\x03")
    found = _LINE.fullmatch(text)
    if found is None:
        if _OVER.fullmatch(text):
            raise DecodeError(f"the balance is over- or underloaded: {text[:40]!r}")
        raise DecodeError(f"no weight: {text[:40]!r}")
    if found["unit"] is None:
        return []
    unit = MASS.get(found["unit"])
    if unit is None:
        raise DecodeError(f"the balance prints an unknown unit: {text[:40]!r}; choose g or kg on it")
    value = float(found["value"])
    weight = Reading("weight", -value if found["sign"] == "-" and value else value, unit)
    at_rest = _TRUTH.get(found["rest"] or "")
    return [weight] if at_rest is None else [weight, Reading("stable", at_rest)]


def decode_input(data: bytes, _context: Mapping[str, str]) -> list[Reading]:
    """Captured lines. Raises DecodeError where none tells a weight."""
    found: list[Reading] = []
    reason: DecodeError | None = None
    for line in data.decode("latin-1").splitlines():
        if line.strip():
            try:
                found += readings(line)
            except DecodeError as error:
                reason = error
    if not found:
        raise reason or DecodeError("no weight: the unit is missing, as while the pan moves")
    return found
