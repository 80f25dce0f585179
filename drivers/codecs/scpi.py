"""Answers of SCPI instruments (SCPI-99 volume 1; IEEE 488.2): numbers, lists, texts, identity, errors."""

import re
from collections.abc import Mapping

from drivers.codecs.printed_numbers import number
from drivers.codecs.printed_units import unit_of
from gateway import DecodeError, Reading

_NUMBER = re.compile(
    r"(?::?[A-Za-z][A-Za-z0-9:]*\s+)?([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*(\S*)"
)
_ERROR = re.compile(r'\s*([+-]?[0-9]{1,5})\s*(?:,\s*"?([^"]*)"?.*)?')
_CELL = re.compile(r'\s*("(?:[^"]|"")*"|[^,]*?)\s*(?:,|$)')

INFINITY = 9.9e37  # and 9.91e37 is not a number (SCPI-99, 7.2.1.4 and 7.2.1.5)

# What a multimeter measures, by a part of the question; READ?, FETCh? and the like measure what was chosen before.
_MEASURES = {"VOLT": "V", "CURR": "A", "RES": "Ohm", "FRES": "Ohm", "FREQ": "Hz", "PER": "s", "CAP": "F", "TEMP": "Cel"}
_CHOSEN_BEFORE = re.compile(r"(?:READ|FETC|DATA|INIT|R\?|VAL)", re.IGNORECASE)
IDENTITY = ("manufacturer", "model", "serial", "firmware")


def answer(text: str, name: str, unit: str | None = None) -> list[Reading]:
    """The values of an answer, all by one name; what is not a number or infinite is left out.

    `unit` holds where the answer prints none. Raises DecodeError for an answer that is none.
    """
    text = text.strip()
    if not text or not all(c.isprintable() for c in text):
        raise DecodeError(f"no answer to {name}: {text[:40]!r}")
    found: list[Reading] = []
    for cell in _cells(text):
        match = _NUMBER.fullmatch(cell)
        if match is None or (match[2] and unit_of(match[2], name) is None):
            plain = cell[1:-1].replace('""', '"') if cell[:1] == '"' else cell
            if plain:
                found.append(Reading(name, plain))
            continue
        value = number(match[1])
        if value is not None and abs(value) < INFINITY:
            found.append(Reading(name, value, unit_of(match[2], name) or unit))
    return found


def identified(text: str) -> dict[str, str]:
    """Maker, model, serial number and firmware, from the answer to *IDN?. Raises DecodeError."""
    parts = [part.strip() for part in text.strip().split(",", 3)]
    if len(parts) < 4 or not all(c.isprintable() for c in text.strip()):
        raise DecodeError(f"no answer to *IDN?: {text.strip()[:60]!r}")
    return dict(zip(IDENTITY, parts, strict=True))


def error(text: str) -> tuple[int, str]:
    """Number and text of the oldest error, from the answer to SYST:ERR?; 0 is none. Raises DecodeError."""
    found = _ERROR.fullmatch(text.strip())
    if found is None or not text.strip().isprintable():
        raise DecodeError(f"no answer to SYST:ERR?: {text.strip()[:60]!r}")
    return int(found[1]), (found[2] or "").strip()


def decode_input(data: bytes, context: Mapping[str, str]) -> list[Reading]:
    """A captured answer; `context` may hold the `request`, and the `unit` chosen on the instrument.

    An instrument that was told nothing measures DC voltage (as after *RST), so READ? without more is in V.
    """
    text, request = data.decode("latin-1"), context.get("request", "").strip().upper()
    if request == "*IDN?":
        return [Reading(name, part) for name, part in identified(text).items() if part]
    if "ERR" in request:
        code, why = error(text)
        raise DecodeError(f"the instrument says {code}: {why}" if code else "the instrument says no error")
    unit = context.get("unit")
    if unit is None and request:
        words = re.split(r"[:?\s]+", request)
        measured = [_MEASURES[word[:4]] for word in words if word[:4] in _MEASURES]
        unit = measured[-1] if measured else ("V" if _CHOSEN_BEFORE.match(request.lstrip(":")) else None)
    return answer(text, "reading", unit)


def _cells(text: str) -> list[str]:
    found: list[str] = []
    at = 0
    while at < len(text):
        match = _CELL.match(text, at)
        if match is None or match.end() == at:
            return [*found, text[at:]]
        found.append(match[1])
        at = match.end()
    return found
