"""A pydantic model's verdict on parsed text -> faults in our words, each at its place. Pure."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from gateway import units
from gateway.problem import Fault, Way, did_you_mean, halves, one_line, or_known, show

# pydantic's error type -> what would be right there
_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "path_type": "the name of a file",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "iterable_type": "a list",
    "dict_type": "a group of keys",
    "mapping_type": "a group of keys",
    "model_type": "a group of keys",
    "model_attributes_type": "a group of keys",
    "dataclass_type": "a group of keys",
    "bytes_type": "text",
}
_EXAMPLES = {
    "text": "write it in quotes",
    "the name of a file": "write it in quotes",
    "a whole number": "write digits, like 16 or 0x10",
    "a number": "write digits, like 0.1",
    "true or false": "write true or false",
    "a list": "write [A, B], or lines that begin with -",
    "a group of keys": "write {KEY: VALUE}, or indented lines KEY: VALUE",
}
_LIMITS = {
    "greater_than_equal": "is too small; write {ge} or more",
    "less_than_equal": "is too large; write {le} or less",
    "greater_than": "is too small; write more than {gt}",
    "less_than": "is too large; write less than {lt}",
    "multiple_of": "does not fit; write a multiple of {multiple_of}",
}

_NONE: frozenset[str] = frozenset()
_M = TypeVar("_M", bound=BaseModel)


def faults(
    error: ValidationError, raw: Any, model: type[BaseModel], also: Callable[[Any], frozenset[str]] = lambda _: _NONE
) -> list[Fault]:
    """What is wrong in `raw`, in our words. `also(key)`: what else might have stood in place of a wrong top key."""
    found: list[Fault] = []
    taken: set[tuple[Way, bool]] = set()
    for e in error.errors(include_url=False):
        path, at_key = _path(e["loc"], raw, e["type"])
        # The members of a union each complain at the same place; the first one tells enough.
        if (path, at_key) in taken and e["type"] != "missing":
            continue
        # A list whose items are wrong is also called too short; that is no news.
        if e["type"] == "too_short" and len(e["input"]) >= e["ctx"]["min_length"]:
            continue
        taken.add((path, at_key))
        known = _known_keys(model, path[:-1]) | (also(path[0]) if len(path) == 1 else _NONE)
        text, instead = _words(dict(e), path, known)
        found.append(Fault(path if e["type"] != "missing" else path[:-1], text, instead, at_key))
    return found


def check_keys(model: type[_M], raw: dict[Any, Any], context: dict[str, Any]) -> tuple[_M | None, list[Fault]]:
    """`raw` as a model of mostly optional keys: with what is wrong left out, so that the rest can still be looked at.

    None when even then it is not valid (a required key is missing or wrong).
    """
    try:
        value = model.model_validate(raw, context=context)
        found = bool_faults(value, raw)
    except ValidationError as error:
        found = faults(error, raw, model)
        wrong = {fault.path[0] for fault in found if fault.path}
        try:
            return model.model_validate({k: v for k, v in raw.items() if k not in wrong}, context=context), found
        except ValidationError:
            return None, found
    return value, found


def _path(loc: tuple[Any, ...], raw: Any, kind: str) -> tuple[Way, bool]:
    """The way through `raw` that pydantic's `loc` means (it also names union members), and whether the key is meant."""
    path: list[Any] = []
    at_key = not loc or kind in ("extra_forbidden", "missing") or loc[-1] == "[key]"
    here = raw
    for n, step in enumerate(loc):
        in_list = isinstance(here, list) and isinstance(step, int) and 0 <= step < len(here)
        if in_list or (isinstance(here, dict) and step in here):
            path.append(step)
            here = here[step]
        elif kind == "missing" and n == len(loc) - 1:
            path.append(step)
    return tuple(path), at_key


def _known_keys(model: type[BaseModel], path: Way) -> frozenset[str]:
    """The keys that are right in the group at `path` below `model`."""
    models = {model}
    for step in path:
        if isinstance(step, str):
            annotations = [
                f.annotation for m in models for name, f in m.model_fields.items() if step in (name, f.alias)
            ]
            models = {m for a in annotations for m in _models_in(a)} or models
    return frozenset(f.alias or name for m in models for name, f in m.model_fields.items())


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and not get_args(annotation):
        return {annotation} if issubclass(annotation, BaseModel) else set()
    return {m for part in get_args(annotation) for m in _models_in(part)}


def _words(e: dict[str, Any], path: Way, known: frozenset[str]) -> tuple[str, str]:
    """(what is wrong, what to write instead) of one of pydantic's errors."""
    kind, value, ctx = e["type"], e["input"], e.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        text, instead = halves(ctx.get("error", e["msg"]))
        return text or "this value is refused", instead
    if kind == "extra_forbidden":
        return f"unknown key {show(path[-1])}", or_known(path[-1], sorted(known))
    if kind == "missing":
        return f'"{path[-1]}" is missing', f"add {path[-1]}: VALUE"
    if kind in ("literal_error", "enum"):
        allowed = [a.strip(" '") for a in str(ctx.get("expected", "")).replace(" or ", ", ").split(", ")]
        close = did_you_mean(value, allowed)
        named = ", ".join(allowed[:-1]) + " or " + allowed[-1] if len(allowed) > 1 else allowed[0]
        return f"{show(value)} is not {named}", f'did you mean "{close}"?' if close else f"write {named}"
    if limit := _LIMITS.get(kind):
        text, _, instead = limit.format(**ctx).partition("; ")
        return f"{show(value)} {text}", instead
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        least, most = ctx.get("min_length"), ctx.get("max_length")
        what = f"{show(value)} is too {'short' if kind.endswith('short') else 'long'}"
        of = "characters" if kind.startswith("string") else "items"
        return what, f"write {least} or more {of}" if least is not None else f"write {most} or fewer {of}"
    if wanted := _KINDS.get(kind):
        if wanted in ("text", "the name of a file") and isinstance(value, (int, Decimal)):
            return f"{show(value)} is not {wanted}", f'write "{show(value)}", in quotes'
        if wanted == "a list" and not isinstance(value, (dict, type(None))):
            return f"{show(value)} is not a list", f"write [{show(value)}]"
        return f"{show(value)} is not {wanted}", _EXAMPLES[wanted]
    said = one_line(str(e["msg"])).removeprefix("Input should ").removeprefix("Value error, ")
    return f"{show(value)} does not fit", said


def bool_faults(value: Any, raw: Any, path: Way = ()) -> list[Fault]:
    """Where `true` was taken for a number: pydantic reads it as 1."""
    if isinstance(raw, bool):
        wrong = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
        return [Fault(path, f"{show(raw)} is not a number", "write digits, like 16 or 0x10")] if wrong else []
    if isinstance(value, BaseModel) and isinstance(raw, dict):
        pairs: list[tuple[Any, Any, Any]] = [
            (getattr(value, name), raw[key], key)
            for name, f in type(value).model_fields.items()
            for key in {f.alias or name, name}
            if key in raw
        ]
    elif isinstance(value, dict) and isinstance(raw, dict):
        pairs = [(value[key], raw[key], key) for key in raw if key in value]
    elif isinstance(value, (list, tuple)) and isinstance(raw, list) and len(value) == len(raw):
        pairs = [(v, r, n) for n, (v, r) in enumerate(zip(value, raw, strict=True))]
    else:
        return []
    return [fault for v, r, key in pairs for fault in bool_faults(v, r, (*path, key))]


def unit_faults(raw: Any, path: Way = ()) -> list[Fault]:
    """Units that neither SenML nor UCUM has, in any value under a key `unit`."""
    if isinstance(raw, list):
        return [fault for n, item in enumerate(raw) for fault in unit_faults(item, (*path, n))]
    if not isinstance(raw, dict):
        return []
    found: list[Fault] = []
    for key, value in raw.items():
        here = (*path, key)
        if key == "unit" and isinstance(value, str):
            found += _unit_fault(value, here)
        else:
            found += unit_faults(value, here)
    return found


def _unit_fault(unit: str, path: Way) -> list[Fault]:
    if unit == "C":
        return [Fault(path, "C is coulomb", "write Cel for degrees Celsius", warning=True)]
    if units.is_senml(unit) or units.is_ucum(unit):
        return []
    guess = units.suggest_unit(unit)
    instead = f"write {guess}" if guess else "write one of SenML (Cel, V, kWh, %RH, …) or UCUM (m3/h, mm[Hg], …)"
    return [Fault(path, f"{show(unit)} is not a unit", instead)]
