"""One captured frame, line, advertisement or register block through a profile or driver, without hardware.

Prints one line, {"temperature":{"value":24.3,"unit":"Cel"}, ...}; what must be refused ends with 1 and the reason.
"""

import importlib.util
import math
import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gateway.cli import show, unconfigured
from gateway.config import profile_names
from gateway.driver import BUILT_IN, driver_names, load_driver
from gateway.errors import ConfigError, DecodeError, LabgateError
from gateway.problem import or_known
from gateway.reading import Reading

Decode = Callable[[bytes, Mapping[str, str]], list[Reading]]

EXAMPLE = "labgate decode xy_md02 0131 --context register_address=1 --context function=4"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("name", metavar="NAME", help="a profile, driver or protocol, by name or by path (.yaml, .py)")
    parser.add_argument("input", metavar="INPUT", help="what was captured")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--hex", action="store_true", help="INPUT is bytes in hexadecimal (default)")
    form.add_argument("--text", action="store_true", help="INPUT is text as it was received")
    parser.add_argument(
        "--context",
        metavar="KEY=VALUE",
        type=_pair,
        action="append",
        default=[],
        help="what came with the capture: register_address, register_count, function, data_type, word_order …",
    )


def run(args: Namespace) -> int:
    """Decode and print."""
    data = os.fsencode(args.input) if args.text else from_hex(args.input)
    here = args.name.endswith((".py", ".yaml")) and Path(args.name).is_file()
    decode = find(str(Path(args.name).absolute()) if here else args.name, Path(args.config).parent)
    try:
        readings = decode(data, dict(args.context))
    except LabgateError:
        raise
    except Exception as error:
        raise DecodeError(f"the driver failed: {type(error).__name__}: {error}") from error
    show.json_line(named(readings))
    return 0


def find(name: str, base: Path) -> Decode:
    """What decodes for `name`: a driver, with the options its profile gives it, or a codec. Raises ConfigError.

    A protocol's own label will do for all three: `mh-z19` is the profile mh_z19.
    """
    if (plain := name.replace("-", "_")) != name and name not in (known := [*profile_names(base), *driver_names()]):
        name = plain if plain in known else name
    if name.endswith(".py") or name in driver_names():
        return partial(load_driver(name, base).decode_input, None)
    if not name.endswith(".yaml") and name not in profile_names(base):
        if (codec := _codec(name)) is not None:
            return codec
        raise ConfigError(f"no profile or driver {name!r}; {or_known(name, [*profile_names(base), *driver_names()])}")
    driver, options = unconfigured.of_profile(name, base)
    return partial(driver.decode_input, options)


def _codec(name: str) -> Decode | None:
    """The codec of a protocol: `ieee-11073-float` is drivers/codecs/ieee_11073_float.py, where that has a decoder."""
    module = name.replace("-", "_")
    if not module.isidentifier() or importlib.util.find_spec(f"{BUILT_IN}.codecs.{module}") is None:
        return None
    found: Decode | None = getattr(importlib.import_module(f"{BUILT_IN}.codecs.{module}"), "decode_input", None)
    return found


def named(readings: Iterable[Reading]) -> dict[str, dict[str, Any]]:
    """Readings by name; what is not available is left out, several values of one quantity are a list, also where there
    is but one of what comes as a series.

    Those in another unit are told apart: name.2.
    """
    several: dict[str, list[Reading]] = {}
    for reading in readings:
        if not isinstance(reading.value, float) or math.isfinite(reading.value):
            name, n = reading.name, 1
            while name in several and several[name][0].unit != reading.unit:
                n += 1
                name = f"{reading.name}.{n}"
            several.setdefault(name, []).append(reading)
    return {
        name: {
            "value": one[0].value if len(one) == 1 and not one[0].is_offset else [r.value for r in one],
            "unit": one[0].unit,
        }
        for name, one in several.items()
    }


def from_hex(text: str) -> bytes:
    """Bytes written as 0104…, 01 04 …, 01:04:… or 0x0104…"""
    digits = text.strip().removeprefix("0x").replace(":", " ")
    try:
        return bytes.fromhex(digits)
    except ValueError:
        odd = next((c for c in digits if c not in "0123456789abcdefABCDEF \t\r\n"), None)
        wrong = "has an odd number of digits" if odd is None else f"has a {odd!r} in it"
        raise ConfigError(f"INPUT is not hexadecimal: it {wrong}; give text with --text") from None


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ArgumentTypeError(f"{text!r} is not KEY=VALUE, like register_address=52")
    return key, value
