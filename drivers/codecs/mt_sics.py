"""Replies of MT-SICS balances and scales (Mettler-Toledo reference manual 11780711): weights, refusals, identity."""

import re
from collections.abc import Mapping

from drivers.codecs.balance_units import MASS
from gateway import DecodeError, Reading

_WEIGHT = re.compile(r"S[IRNU]* ([SD])\s+([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))\s*(\S.*)?")
_TEXT = re.compile(r'I([234]|1[01]) A "(.*)"')

IDENTITY = {"2": "model", "3": "firmware", "4": "serial", "10": "name", "11": "model"}
_SAYS_NO = {
    "I": "busy: it understood and cannot weigh now, or did not come to rest in time; try again",
    "+": "overload: take weight off",
    "-": "underload: put the pan on",
}
_ERRORS = {
    "ES": "does not know this command (ES)",
    "ET": "did not get the command whole (ET); check parity and baudrate",
    "EL": "cannot execute this command (EL)",
}


def weight(line: str) -> list[Reading]:
    """`weight` with its unit and whether it is `stable`, from the reply to S, SI and their like.

    Raises DecodeError for what is no weight: overload, underload, busy, an error, a unit that is not one number.
    """
    text = line.strip()
    found = _WEIGHT.fullmatch(text)
    if found is not None:
        unit = MASS.get((found[3] or "").strip())
        if unit is None:
            raise DecodeError(f"the balance prints no unit of mass: choose g or kg on it ({text[:40]!r})")
        value = float(found[2]) + 0.0  # never -0
        return [Reading("weight", value, unit), Reading("stable", found[1] == "S")]
    if text in _ERRORS:
        raise DecodeError(f"the balance {_ERRORS[text]}")
    if re.fullmatch(r"S[IRNU]* [I+-]", text):
        raise DecodeError(f"the balance says {_SAYS_NO[text[-1]]} ({text!r})")
    raise DecodeError(f"no weight: {text[:40]!r}")


def identity(line: str) -> tuple[str, str] | None:
    """`model`, `serial`, `firmware` or `name` and its text, from the reply to I2, I4, I3 or I10; None: none of these.

    I4 comes unasked too, when the balance is switched on.
    """
    found = _TEXT.fullmatch(line.strip())
    return (IDENTITY[found[1]], found[2].strip()) if found else None


def decode_input(data: bytes, _context: Mapping[str, str]) -> list[Reading]:
    """Captured replies, line by line. Raises DecodeError where none tells anything."""
    found: list[Reading] = []
    reason: DecodeError | None = None
    for line in data.decode("latin-1").splitlines():
        if not line.strip():
            continue
        if (known := identity(line)) is not None:
            found += [Reading(*known)] if known[1] else []
            continue
        try:
            found += weight(line)
        except DecodeError as error:
            reason = error
    if not found:
        raise reason or DecodeError("no reply of a balance")
    return found
