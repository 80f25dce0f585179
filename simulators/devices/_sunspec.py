"""SunSpec models as registers: a marker, the common model, a model of measurements, the end.

Source: SunSpec Device Information Model Specification V1.1, chapters 4 to 6, and the public models 1, 101 to 103, 111
to 113 and 201 to 204 (github.com/sunspec/models): value = raw * 10^(its scale factor); what is not implemented reads
FFFF, 8000h, FFFFFFFF or NaN by its type, an accumulator 0, a text nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from simulators.modbus_slave import READ_HOLDING_REGISTERS, Slave
from simulators.settings import Settings, closest, whole_number
from simulators.tables import Quantity, RegisterTable, Value

BASES = ("40000", "50000", "0")
SETTINGS = ("base", "common_length")
_MARKER = 0x53756E53  # SunS
_END = 0xFFFF
_MISSING = {"H": 0xFFFF, "h": -0x8000, "I": 0, "f": math.nan}  # I: an accumulator
_COMMON = (("Mn", 32), ("Md", 32), ("Opt", 16), ("Vr", 16), ("SN", 32))

Point = tuple[str, str, str, int]
"""Name, unit, struct code, and the exponent of its scale factor."""


def points(names: str, code: str, unit: str = "", exponent: int = 0) -> list[Point]:
    """Points of a kind, one after the other."""
    return [(name, unit, code, exponent) for name in names.split()]


def scale_factor(name: str, exponent: int) -> list[Point]:
    """The point that tells a scale factor, its own value standing in the exponent."""
    return [(name, "", "sf", exponent)]


def _layout(start: int, number: int, members: Sequence[Point]) -> tuple[list[Quantity], dict[str, Value]]:
    """A model's registers from its id on, and the values that never change."""
    quantities = [Quantity(start, f"{number}.ID", "", "H"), Quantity(start + 1, f"{number}.L", "", "H")]
    fixed: dict[str, Value] = {f"{number}.ID": number}
    for name, unit, code, exponent in members:
        at = quantities[-1].end
        if code == "sf":
            fixed[name] = exponent
            quantities.append(Quantity(at, name, unit, "h", 1, -0x8000))
        elif code == "B":
            quantities.append(Quantity(at, name, unit, "I", 1, 0xFFFFFFFF))  # a bit field
        elif code.endswith("s"):
            quantities.append(Quantity(at, name, unit, code))
        else:
            quantities.append(Quantity(at, name, unit, code, 10**-exponent, _MISSING[code]))
    fixed[f"{number}.L"] = quantities[-1].end - start - 2
    return quantities, fixed


def device(
    unit_id: int,
    settings: Settings,
    identity: Mapping[str, str],
    number: int,
    members: Sequence[Point],
    measure: Callable[[float], Mapping[str, Value]],
) -> Slave:
    """A device with `members` as its model `number`. What `measure` does not give is not implemented.

    Raises ValueError for settings that cannot be.
    """
    base = settings.get("base", BASES[0])
    if base not in BASES:
        raise ValueError(f"base cannot be {base!r}; {closest(base, BASES)}")
    length = whole_number(settings, "common_length", 66, 66)
    if length < 65:
        raise ValueError(f"common_length must be 65 or 66, not {length}")
    start = int(base)
    texts = [(name, "", f"{size}s", 0) for name, size in _COMMON]
    common, known = _layout(start + 2, 1, [*texts, *points("DA Pad" if length == 66 else "DA", "H")])
    model, fixed = _layout(common[-1].end, number, members)
    known |= {**fixed, **dict.fromkeys((name for name, _ in _COMMON), ""), **identity, "DA": unit_id, "Pad": 0x8000}
    known |= {"marker": _MARKER, "end.ID": _END, "end.L": 0}
    end = model[-1].end
    ends = [Quantity(end, "end.ID", "", "H"), Quantity(end + 1, "end.L", "", "H")]
    quantities = [Quantity(start, "marker", "", "I"), *common, *model, *ends]
    table = RegisterTable(quantities, halves=True)

    def measured(seconds: float) -> None:
        now = {**known, **measure(seconds)}
        table.set({q.name: now.get(q.name) for q in quantities})

    return Slave(unit_id, {READ_HOLDING_REGISTERS: table}, measure=measured)


def chosen(settings: Settings, models: Sequence[str]) -> int:
    """The number of the model that was asked for, the first where none was."""
    model = settings.get("model", models[0])
    if model not in models:
        raise ValueError(f"model cannot be {model!r}; {closest(model, models)}")
    return int(model)
