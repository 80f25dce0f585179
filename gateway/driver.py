"""The contract a driver author reads: Driver, Polled, Options, and how a driver is found by its name."""

import importlib
import importlib.util
import inspect
import sys
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from gateway.errors import ConfigError, DecodeError, LabgateError
from gateway.reading import Quantity, Reading

ENTRY_POINTS = "labgate.drivers"
BUILT_IN = "drivers"


class Options(BaseModel):
    """What a driver may be told in the configuration; a driver subclasses it and adds its fields.

    Unknown keys are refused. Fields common to all devices (link, every, class …) are not options.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def warnings(self) -> list[tuple[tuple[str | int, ...], str, str]]:
        """What is allowed but probably not meant: (path inside the options, what is odd, what to write instead).

        What is wrong is a ValueError of a validator; its text is `what is wrong; what to write instead`.
        """
        return []


@dataclass(frozen=True)
class Driver(ABC):
    """Knowledge of a device model. Never touches disk, hub or clock, never connects or reconnects.

    A driver is a frozen dataclass; the annotation of `options` names the model its configuration is checked with,
    the annotation of `link` the shape of link it needs (`None`: it needs none).
    """

    options: Options
    link: Any

    def trouble(self) -> LabgateError | None:
        """What is wrong although `read` gives readings: a register the device refuses, a value that makes no sense."""
        return None

    def identity(self) -> dict[str, str | None]:
        """Who the device says it is, by `model`, `serial` and `firmware`; empty until it has said anything."""
        return {}

    def quantities(self) -> dict[str, Quantity]:
        """What it will read, as far as known beforehand, by name. Shown in the retained `meta`."""
        return {}

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """Decode one captured frame, line or register block with no hardware (`labgate decode`).

        `options` are the profile's, or None when only the driver is named. `context` holds what came with the
        capture (register_address, company_id …). Raises DecodeError for what must be refused.
        """
        raise DecodeError(f"driver {cls.__name__} cannot decode a capture")


class Polled(Driver):
    """A driver that asks. `read` is called once a period, on a fixed grid."""

    @abstractmethod
    async def read(self) -> list[Reading]:
        """Ask the device once. Raises LinkError or DecodeError; an empty list means nothing was available."""

    def traffic(self) -> list[tuple[int, int]]:
        """Bytes asked and bytes answered of each turn of one `read`, for the load a bus is planned with."""
        return []


class Listener(Driver):
    """A driver that listens: the device speaks by itself, and each frame may be a sample."""

    @property
    @abstractmethod
    def hear(self) -> Any:
        """What it wants to hear, as data: over a serial line a tuple of framings, of several the first that fits;
        over a radio one of Adverts, Values and Stream (gateway.links.air).
        """

    @abstractmethod
    def decode(self, frame: Any) -> list[Reading]:
        """Readings of one frame: bytes, an Advert or a Value. None where it tells none (a banner, a header).

        Raises DecodeError.
        """


def link_shape(driver: type[Driver]) -> type | None:
    """The shape of link a driver class asks for, or None."""
    shape = typing.get_type_hints(driver).get("link")
    return shape if isinstance(shape, type) and shape is not type(None) else None


def options_model(driver: type[Driver]) -> type[Options]:
    """The pydantic model a driver class checks its options with."""
    model = typing.get_type_hints(driver)["options"]
    if not (isinstance(model, type) and issubclass(model, Options)):
        raise ConfigError(f"driver {driver.__module__}: `options` must be annotated with a subclass of Options")
    return model


def driver_names() -> list[str]:
    """Names of all drivers that can be found without a path: built in and installed."""
    spec = importlib.util.find_spec(BUILT_IN)
    folders = [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []
    from importlib.metadata import entry_points  # 20 ms

    names = {f.stem for folder in folders for f in folder.glob("*.py") if not f.stem.startswith("_")}
    return sorted(names | {e.name for e in entry_points(group=ENTRY_POINTS)})


def load_driver(name: str, base: Path) -> type[Driver]:
    """Find a driver: `NAME.py` path (relative to `base`), built-in name, or entry point `labgate.drivers`.

    Raises ConfigError when there is none, or when its module does not hold exactly one driver.
    """
    if name.endswith(".py"):
        return _only_driver(_load_file((base / name).resolve(), name), name)
    if not name.isidentifier():
        raise ConfigError(f"no driver {name!r}")
    if importlib.util.find_spec(f"{BUILT_IN}.{name}") is not None:
        return _only_driver(importlib.import_module(f"{BUILT_IN}.{name}"), name)
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINTS, name=name):
        found = _guarded(entry.load, name)
        if inspect.ismodule(found):
            return _only_driver(found, name)
        if isinstance(found, type) and issubclass(found, Driver):
            return found
        raise ConfigError(f"driver {name!r}: entry point {entry.value!r} is neither a module nor a Driver")
    raise ConfigError(f"no driver {name!r}")


def _load_file(path: Path, name: str) -> Any:
    if not path.is_file():
        raise ConfigError(f"no driver file {path}")
    module_name = f"labgate_driver_{path.stem}_{abs(hash(path)):x}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be loaded as a driver")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and type hints look their module up here
    try:
        _guarded(lambda: spec.loader.exec_module(module) if spec.loader else None, name)
    except ConfigError:
        del sys.modules[module_name]
        raise
    return module


def _guarded(load: typing.Callable[[], Any], name: str) -> Any:
    """Run foreign module code: whatever it raises is the driver's fault and is told in one line."""
    try:
        return load()
    except Exception as error:  # foreign code may raise anything at import
        where = ""
        for frame in inspect.getinnerframes(error.__traceback__) if error.__traceback__ else []:
            where = f" (line {frame.lineno} of {frame.filename})"
        if isinstance(error, SyntaxError):
            where = f" (line {error.lineno} of {error.filename})"
        raise ConfigError(f"driver {name!r} cannot be loaded: {type(error).__name__}: {error}{where}") from error


def _only_driver(module: Any, name: str) -> type[Driver]:
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Driver)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    ]
    if len(found) != 1:
        names = ", ".join(cls.__name__ for cls in found) or "none"
        raise ConfigError(f"driver {name!r}: its module must hold exactly one driver class, found {names}")
    return found[0]
