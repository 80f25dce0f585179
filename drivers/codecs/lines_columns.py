"""Rows of values: CSV with or without a header, and the value-only lines of the Arduino plotter."""

import re

from drivers.codecs.lines_labels import is_label
from drivers.codecs.printed_numbers import Numbers, is_none
from drivers.codecs.printed_units import in_brackets, unit_of
from gateway import DecodeError, Reading

_STATUS = re.compile(
    r"\b(?:ready|start\w*|begin\w*|boot\w*|ok|init\w*|setup|hello|done|reset\w*|connect\w*|fail\w*|error\w*|found|"
    r"wait\w*|sensor|device|version|running|loading|not|no|to|from|the|is|please|warning|success\w*|calibrat\w*)\b",
    re.IGNORECASE,
)
_MESSAGE = re.compile(
    r"\b(?:please|ready|starting|booting|initiali\w*|calibrating|(?:re)?connect\w*|waiting|retry\w*|lost|failed)\b",
    re.IGNORECASE,
)
# In a name this is noise; but a degree sign of an older character set (U+FFFD) stands before C or F, or in brackets.
_NOISE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]|\ufffd(?![CF]\b)")
_BRACKETS = re.compile(r"\([^)]*\)|\[[^\]]*\]")
_BEGINS = "+-.0123456789"  # of numbers
_MOMENT = re.compile(r"[0-9]+(?:[-:/.T ][0-9]+)+Z?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")


def cells(line: str, decimal_comma: bool) -> tuple[list[str], bool]:
    """The cells of a row and whether more than spaces parts them; a separator at the end parts nothing."""
    for separator in (";", "\t") if decimal_comma else (";", "\t", ","):
        if separator in line:
            found = [cell.strip() for cell in line.split(separator)]
            if not found[-1]:
                found.pop()
            return found, True
    found = []
    for cell in line.split():
        if found and cell[0] not in _BEGINS and found[-1][0] in _BEGINS and unit_of(cell):
            found[-1] += " " + cell  # 22.5 C
        else:
            found.append(cell)
    return found, False


def header(line: str, decimal_comma: bool) -> list[str] | None:
    """The names a header gives to the columns of the rows after it; None where it is none.

    `Label 1:`, `a: b:`, `a:<tab>b:`, or plain names parted by separators. Words parted by spaces are names where they
    are no message (`Sensor ready`).
    """
    line = line.lstrip("# ")
    if line.endswith(":") and ("\t" not in line and "," not in line and ";" not in line):
        names, parted = [name.strip() for name in line[:-1].split(":")], True
    else:
        found, parted = cells(line, decimal_comma)
        names = [cell.strip("\"'").removesuffix(":").rstrip() for cell in found]
    if (_MESSAGE if parted else _STATUS).search(line) or _NOISE.search(_BRACKETS.sub("", line)):
        return None
    return names if names and all(map(is_label, names)) else None


def readings(row: list[str], names: list[str], parted: bool, text: bool, numbers: Numbers) -> list[Reading] | None:
    """The cells of a row by the names of its columns; None where it is no row.

    An empty cell and one that says nan are left out, and where more than spaces parts the cells (`parted`) a date or
    time. A cell that is no number is told as text where `text` says so, else the line is no row; one that has a number
    in it may have its unit too (`22.5 C`). Raises DecodeError where a comma may be a decimal mark.
    """
    found: list[Reading] = []
    known = False
    for name, cell in zip(names, row, strict=True):
        match = numbers.pattern.match(cell)
        unit = None
        if match is not None and match.end() < len(cell):
            unit = unit_of(cell[match.end() :], name)
            if unit is None:
                match = None
        if match is not None:
            known = True
            if (value := numbers.value(match.group())) is not None:
                found.append(Reading(name, value, unit or in_brackets(name)))
        elif not cell or is_none(cell) == len(cell):
            known = known or bool(cell)
        elif parted and _DECIMAL_COMMA.fullmatch(cell):
            raise DecodeError(
                f"{name[:40]!r} has the value {cell[:20]}: with a decimal comma write decimal_comma: true"
            )
        elif text:
            found.append(Reading(name, cell))
        elif not (parted and _MOMENT.fullmatch(cell)):
            return None
    return found if known else None


def by_position(count: int) -> list[str]:
    """The names of columns nobody named."""
    return [f"value {i}" for i in range(1, count + 1)]
