"""Profiles that are not labgate's own prove themselves: their vectors through their driver, without hardware."""

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from gateway.cli.decode import from_hex, named
from gateway.config import DeviceConfig, Problem, Site
from gateway.driver import options_model
from gateway.errors import ConfigError, DecodeError
from gateway.problem import Fault, Way, halves, show
from gateway.profile import ProfileFile, read_profile
from gateway.yamltext import Document

CLOSE = 2e-6  # of a value, unless context.tolerance gives an absolute one
_WRITE = 'write {input_hex: "0104…", context: {…}, expected: {NAME: {value: 1.5, unit: V}}}'


def wrong_vectors(site: Site, docs: Sequence[Document]) -> list[Problem]:
    """Each vector of the user's profiles in use that does not decode to what it says. Profiles without are let be."""
    found: list[Problem] = []
    seen: set[str] = set()
    for doc in docs:
        devices = doc.value.get("devices")
        for name, raw in devices.items() if isinstance(devices, dict) else ():
            device = site.devices.get(str(name))
            if device is not None and device.profile is not None and raw["profile"] not in seen:
                seen.add(raw["profile"])
                file = read_profile(raw["profile"], site.path.parent)
                if file.profile is not None and not file.built_in:
                    part = f"devices.{device.name}"
                    found += [Problem.of(f, file.document.place(f), part) for f in _faults(file, device)]
    return found


def _faults(file: ProfileFile, device: DeviceConfig) -> Iterator[Fault]:
    assert file.profile is not None
    try:
        options = options_model(device.driver_class).model_validate(file.profile.options, context={})
    except ValidationError:  # the profile is completed where the device stands
        options = device.options
    for place, vector in enumerate(file.profile.vectors):
        way: Way = ("vectors", place)
        try:
            data, context, expected, tolerance = _taken_apart(vector)
        except (AttributeError, LookupError, TypeError, ValueError, ConfigError) as error:
            told = f" ({halves(error)[0]})" if isinstance(error, ConfigError) else ""
            yield Fault(way, f"this is no test vector{told}", _WRITE)
            continue
        label = f"vector {show(vector['id'])}" if "id" in vector else f"vector {place + 1}"
        got: dict[str, Any] = {}
        refused = ""
        try:
            got = named(device.driver_class.decode_input(options, data, context))
        except DecodeError as error:
            refused = f": {error}"
        except Exception as error:  # noqa: BLE001 - foreign code: a bug in it must not stop the check
            yield Fault(way, f"{label} makes the driver fail: {type(error).__name__}: {error}", "tell its author")
            continue
        wanted = {name: told for name, told in expected.items() if told["value"] is not None}
        if wrong := _difference(got, wanted, tolerance):
            yield Fault((*way, "expected"), f"{label} does not give this: {wrong}{refused}", "correct one of the two")


def _taken_apart(vector: Any) -> tuple[bytes, dict[str, str], dict[str, dict[str, Any]], float]:
    """Input, context, what is expected, and the absolute tolerance (0: none is given)."""
    data = vector["input_text"].encode() if "input_text" in vector else from_hex(vector["input_hex"])
    context = {str(key): str(told) for key, told in (vector.get("context") or {}).items() if told is not None}
    expected = {name: {"value": told["value"], "unit": told.get("unit")} for name, told in vector["expected"].items()}
    return data, context, expected, float(context.get("tolerance", 0))


def _difference(got: Mapping[str, Any], wanted: Mapping[str, Any], tolerance: float) -> str:
    """The first thing that is not as wanted; empty where all is. Of what is not asked about nothing is said."""
    if not wanted and got:
        return f"it gives {next(iter(got))}, nothing is expected"
    for name, told in wanted.items():
        if name not in got:
            return f"no {name}"
        (values, unit), (expected, wanted_unit) = (_values(entry) for entry in (got[name], told))
        if len(values) != len(expected):
            return f"{name} has {len(values)} values, not {len(expected)}"
        for value, one in zip(values, expected, strict=True):
            if unit != wanted_unit or not _same(value, one, tolerance):
                return f"{name} is {_text(value, unit)}, not {_text(one, wanted_unit)}"
    return ""


def _values(entry: Mapping[str, Any]) -> tuple[list[Any], str | None]:
    """One value or several, and their unit."""
    return entry["value"] if isinstance(entry["value"], list) else [entry["value"]], entry["unit"]


def _same(value: Any, told: Any, tolerance: float) -> bool:
    numbers = all(isinstance(v, int | float | Decimal) and not isinstance(v, bool) for v in (value, told))
    if not numbers or (isinstance(value, int) and isinstance(told, int)):
        return bool(value == told) and isinstance(value, bool) == isinstance(told, bool)
    return math.isclose(value, told, rel_tol=0 if tolerance else CLOSE, abs_tol=tolerance)


def _text(value: Any, unit: str | None) -> str:
    return show(value) + (f" {unit}" if unit else "")
