"""SunSpec models as register lists: names, types and places of their points.

Facts of the public model definitions, github.com/sunspec/models, json/model_1, 101-103, 111-113, 201-204, 211-214.
"""

from collections.abc import Iterator
from functools import cache

from drivers.codecs.register_map import WORDS, Register

COMMON = 1
INVERTERS = (101, 102, 103)  # whole numbers and scale factors: single, split, three phase
FLOAT_INVERTERS = (111, 112, 113)
METERS = (201, 202, 203, 204)  # single, split, three phase wye, three phase delta
FLOAT_METERS = (211, 212, 213, 214)
MODELS = (COMMON, *INVERTERS, *FLOAT_INVERTERS, *METERS, *FLOAT_METERS)

# What says "not implemented", SunSpec Information Model Specification, data types. Older devices set the highest bit
# of a bit field alone. Of an accumulator 0 means that nothing is accumulated.
_TYPES: dict[str, tuple[str, list[int]]] = {
    "uint16": ("uint16", [0xFFFF]),
    "int16": ("int16", [0x8000]),
    "enum16": ("uint16", [0xFFFF]),
    "acc32": ("uint32", [0]),
    "bitfield32": ("uint32", [0xFFFFFFFF, 0x80000000]),
    "float32": ("float32", []),  # NaN
    "sunssf": ("int16", []),  # a power of ten, for others
}

Point = tuple[str, str, str | None, str | None]  # name, type, unit, its scale factor

_TEXTS = {"Mn": 16, "Md": 16, "Opt": 8, "Vr": 8, "SN": 16}  # of the common model: registers of each
_PHASES = ("phA", "phB", "phC")
_LINES = ("AB", "BC", "CA")


def _inverter() -> Iterator[Point]:
    """Of models 101 to 103; those of 111 to 113 are the same without scale factors."""
    yield from (("A" + phase, "uint16", "A", "A_SF") for phase in ("", *_PHASES))
    yield "A_SF", "sunssf", None, None
    yield from ((f"PPVph{lines}", "uint16", "V", "V_SF") for lines in _LINES)
    yield from ((f"PhV{phase}", "uint16", "V", "V_SF") for phase in _PHASES)
    yield "V_SF", "sunssf", None, None
    for name, kind, unit in [
        ("W", "int16", "W"),
        ("Hz", "uint16", "Hz"),
        ("VA", "int16", "VA"),
        ("VAr", "int16", "var"),
        ("PF", "int16", "%"),
        ("WH", "acc32", "Wh"),
        ("DCA", "uint16", "A"),
        ("DCV", "uint16", "V"),
        ("DCW", "int16", "W"),
    ]:
        yield name, kind, unit, f"{name}_SF"
        yield f"{name}_SF", "sunssf", None, None
    yield from ((f"Tmp{place}", "int16", "Cel", "Tmp_SF") for place in ("Cab", "Snk", "Trns", "Ot"))
    yield "Tmp_SF", "sunssf", None, None
    yield from ((name, "enum16", None, None) for name in ("St", "StVnd"))
    yield from ((name, "bitfield32", None, None) for name in ("Evt1", "Evt2"))
    yield from ((f"EvtVnd{i}", "bitfield32", None, None) for i in (1, 2, 3, 4))


def _meter(model: int) -> Iterator[Point]:
    """Of models 201 to 204; those of 211 to 214 are the same without scale factors."""
    is_float = model in FLOAT_METERS
    lines = "PPVph" if is_float or model == 201 else "PhVph"  # 202 to 204 name the voltages between lines otherwise
    phase_of_q = "ph" if is_float else "Ph"
    yield from (("A" + phase, "int16", "A", "A_SF") for phase in ("", *_PHASES))
    yield "A_SF", "sunssf", None, None
    yield from (("PhV" + phase, "int16", "V", "V_SF") for phase in ("", *_PHASES))
    yield from ((name, "int16", "V", "V_SF") for name in ("PPV", *(lines + pair for pair in _LINES)))
    yield "V_SF", "sunssf", None, None
    yield "Hz", "int16", "Hz", "Hz_SF"
    yield "Hz_SF", "sunssf", None, None
    for name, unit in [("W", "W"), ("VA", "VA"), ("VAR", "var"), ("PF", "/" if is_float else "%")]:
        yield from ((name + phase, "int16", unit, f"{name}_SF") for phase in ("", *_PHASES))
        yield f"{name}_SF", "sunssf", None, None
    for scale, unit, parts, phase in [
        ("TotWh", "Wh", ("Exp", "Imp"), "Ph"),
        ("TotVAh", "VAh", ("Exp", "Imp"), "Ph"),
        ("TotVArh", "varh", ("ImpQ1", "ImpQ2", "ExpQ3", "ExpQ4"), phase_of_q),
    ]:
        for part in parts:
            yield f"{scale}{part}", "acc32", unit, f"{scale}_SF"
            yield from ((f"{scale}{part}{phase}{letter}", "acc32", unit, f"{scale}_SF") for letter in "ABC")
        yield f"{scale}_SF", "sunssf", None, None
    yield "Evt", "bitfield32", None, None


def _points(model: int) -> list[Point]:
    points = list(_inverter() if model in INVERTERS + FLOAT_INVERTERS else _meter(model))
    if model in INVERTERS + METERS:
        return points
    whole = ("enum16", "bitfield32")
    return [(n, t if t in whole else "float32", u, None) for n, t, u, _ in points if t != "sunssf"]


@cache
def _register_list(model: int) -> tuple[Register, ...]:
    """The points of a model as registers, counted from the one behind its length."""
    found: list[dict[str, object]] = []
    at = 0
    if model == COMMON:
        for name, size in _TEXTS.items():
            found.append({"name": name, "address": at, "type": "text", "length": size})
            at += size
        found.append({"name": "DA", "address": at, "missing": [0xFFFF], "kind": "state"})
        at += 1
    else:
        places: dict[str, int] = {}
        for name, kind, unit, scale in _points(model):
            raw, missing = _TYPES[kind]
            places[name] = at
            if kind != "sunssf":
                counts = kind == "acc32" or unit in ("Wh", "VAh", "varh")
                role = "counter" if counts else "measurement" if unit else "state"
                told = {"name": name, "address": at, "type": raw, "unit": unit, "missing": missing, "kind": role}
                found.append({**told, "scale_register": scale})
            at += WORDS[raw]
        for line in found:
            if line["scale_register"] is not None:
                line["scale_register"] = places[str(line["scale_register"])]
    return tuple(Register.model_validate({"table": "holding", **line}) for line in found)


def point_names() -> list[str]:
    """Of all models."""
    return sorted({register.name for model in MODELS for register in _register_list(model)})


def registers(model: int, address: int = 0, length: int = 65536, prefix: str = "") -> list[Register]:
    """The points of a model whose data begins at `address` and has `length` registers; those behind are not there.

    `model` is one of MODELS.
    """
    found = []
    for register in _register_list(model):
        if register.extent[1] <= length:
            power = register.scale_register
            moved = {"name": prefix + register.name, "address": address + register.address}
            scale = {"scale_register": None if power is None else address + power}
            found.append(register.model_copy(update=moved | scale))
    return found


def length_of(model: int) -> int:
    """Registers of a model without its header, padding left out."""
    return max(register.extent[1] for register in _register_list(model))
