"""Blocks of VE.Direct text: label, tab, value a line, closed by a checksum (Victron, VE.Direct Protocol 3.x)."""

import re
from collections.abc import Mapping

from gateway import DecodeError, Reading

_END = b"\r\nChecksum\t"
_HEX = re.compile(rb":[0-9A-Fa-f]+\n")  # messages of the other protocol, sent between lines

# Label -> unit and the power of ten its number is divided by.
_NUMBERS: dict[str, tuple[str, int]] = {
    label: (unit, tens)
    for unit, tens, labels in (
        ("V", 1000, "V V2 V3 VS VM VPV H7 H8 H15 H16 DC_IN_V"),
        ("V", 100, "AC_OUT_V"),
        ("A", 1000, "I I2 I3 IL"),
        ("A", 10, "AC_OUT_I DC_IN_I"),
        ("W", 1, "P PPV H21 H23 DC_IN_P"),
        ("VA", 1, "AC_OUT_S"),
        ("Ah", 1000, "CE H1 H2 H3 H6"),
        ("%EL", 10, "SOC"),
        ("%", 10, "DM"),
        ("min", 1, "TTG"),
        ("Cel", 1, "T"),
        ("s", 1, "H9"),
        ("count", 1, "H4 H5 H10 H11 H12 H13 H14"),
        ("kWh", 100, "H17 H18 H19 H20 H22"),
    )
    for label in labels.split()
}
IDENTITY = {"PID": "model", "SER#": "serial", "FW": "firmware", "FWE": "firmware"}
STATIC = frozenset({*IDENTITY, "BMV"})


def blocks(data: bytes) -> list[dict[str, str]]:
    """Labels and values of the blocks in `data`, in their order. Raises DecodeError where none is whole.

    What stands before the first line end is the end of a block that was cut, and bytes behind the last checksum begin
    another.
    """
    found: list[dict[str, str]] = []
    at = begin = max(data.find(b"\r\n"), 0)
    while (end := data.find(_END, at)) >= 0 and end + len(_END) < len(data):
        after = end + len(_END) + 1
        block = data[begin:after]
        if sum(block) % 256:
            block = _HEX.sub(b"", block)
        if sum(block) % 256 == 0:
            found.append(_labels(block))
        at = begin = after
    if not found:
        raise DecodeError("no whole block of VE.Direct text: cut off, or the checksum is wrong")
    return found


def _labels(block: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in block[: block.rindex(_END)].decode("latin-1").split("\r\n"):
        label, tab, value = line.partition("\t")
        if tab and label:
            found[label] = value.strip()
    return found


def readings(block: dict[str, str], static: bool = True) -> list[Reading]:
    """A block's values by their labels; `---`, and a time to go of -1 (infinite), are left out.

    `static`: also what never changes (product, serial number, firmware).
    """
    found: list[Reading] = []
    for label, text in block.items():
        if not text or text.strip("-") == "" or (label in STATIC and not static):
            continue
        scaled = _NUMBERS.get(label)
        if scaled is None:
            found.append(Reading(label, text))
        elif re.fullmatch(r"[+-]?[0-9]{1,12}", text) and not (label == "TTG" and int(text) < 0):
            unit, tens = scaled
            found.append(Reading(label, int(text) / tens if tens > 1 else int(text), unit))
    return found


def identity(block: dict[str, str]) -> dict[str, str]:
    """Product id, serial number and firmware, where the block says them."""
    return {name: block[label] for label, name in IDENTITY.items() if block.get(label)}


def decode_input(data: bytes, _context: Mapping[str, str]) -> list[Reading]:
    """Captured blocks. Raises DecodeError where none is whole."""
    return [reading for block in blocks(data) for reading in readings(block)]
