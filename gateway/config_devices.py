"""Devices of the configuration: common keys, profile, driver and the driver's options, each checked and placed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from gateway.config_models import DEVICE_KEYS, DeviceKeys, ModbusLinkConfig
from gateway.driver import Driver, Options, Polled, driver_names, link_shape, load_driver, options_model
from gateway.errors import ConfigError
from gateway.links.base import Link
from gateway.problem import Fault, Problem, Way, group_of_keys, halves, one_line, or_known, show
from gateway.profile import PROFILE_KEYS, Profile, ProfileFile, read_profile
from gateway.validation import bool_faults, check_keys, faults, unit_faults
from gateway.yamltext import Document

if TYPE_CHECKING:
    from gateway.config_ble import BleLinkConfig
    from gateway.config_serial import SerialLinkConfig

    LinkConfig = ModbusLinkConfig | SerialLinkConfig | BleLinkConfig


@dataclass(frozen=True)
class DeviceConfig:
    """One device, ready to be made. Times in seconds."""

    name: str
    driver: str
    driver_class: type[Driver]
    profile: str | None
    version: str | None  # the profile's
    options: Options
    link: str | None
    every: float  # 0: each time the device speaks by itself
    silent_after: float | None
    klass: Literal["alarm", "normal", "bulk"]
    labels: dict[str, str]
    max_quantities: int
    isolate: bool


@dataclass
class Links:
    """The links devices may name: usable ones, and those spoiled by an error, with that error."""

    usable: "dict[str, LinkConfig]"
    spoiled: dict[str, Problem] = field(default_factory=dict)


class DeviceReader:
    """Checks one device entry after the other; profiles and drivers are read once."""

    def __init__(self, base: Path, links: Links) -> None:
        self.base = base
        self.links = links
        self._profiles: dict[str, ProfileFile | ConfigError] = {}
        self._drivers: dict[str, tuple[type[Driver], type[Options]] | ConfigError] = {}
        self._said: dict[tuple[str, str], Any] = {}  # (profile, option) -> its value

    def read(self, name: str | int, raw: Any, doc: Document) -> tuple[DeviceConfig | None, list[Problem]]:
        """The device at `devices.NAME` of `doc`, if nothing is wrong with it, and its problems."""
        entry = _Entry(name, raw, doc)
        config = entry.check(self)
        entry.problems.sort(key=lambda p: (p.place.file != doc.file, p.place.line, p.place.col))
        errors = any(p.severity == "error" for p in entry.problems)
        return None if errors else config, entry.problems

    def profile(self, name: str) -> ProfileFile:
        """Raises ConfigError when there is none."""
        if name not in self._profiles:
            try:
                self._profiles[name] = read_profile(name, self.base)
            except ConfigError as error:
                self._profiles[name] = error
        found = self._profiles[name]
        if isinstance(found, ConfigError):
            raise found
        return found

    def driver(self, name: str) -> tuple[type[Driver], type[Options]]:
        """The driver's class and its options. Raises ConfigError when there is none or it is broken."""
        if name not in self._drivers:
            self._drivers[name] = self._load(name)
        found = self._drivers[name]
        if isinstance(found, ConfigError):
            raise found
        return found

    def shared(self, options: Options, profile: Profile | None) -> Options:
        """The same options, with what the profile says kept once for all its devices: a register takes 1.3 kB."""
        same = {}
        for key in (profile.options.keys() if profile else set()) & type(options).model_fields.keys():
            value = getattr(options, key)
            first = self._said.setdefault((profile.name if profile else "", key), value)
            if type(first) is type(value) and first == value:
                same[key] = first
        return options.model_copy(update=same)

    def _load(self, name: str) -> tuple[type[Driver], type[Options]] | ConfigError:
        try:
            driver = load_driver(name, self.base)
            return driver, options_model(driver)
        except ConfigError as error:
            if str(error).startswith("no driver ") and not name.endswith(".py"):
                return ConfigError(f"no driver {show(name)}; {or_known(name, driver_names())}")
            return error
        except Exception as error:  # noqa: BLE001 - a foreign module; its annotations may name anything
            return ConfigError(f"driver {show(name)} cannot be used: {type(error).__name__}: {error}")


class _Entry:
    """One device under examination."""

    def __init__(self, name: str | int, raw: Any, doc: Document) -> None:
        self.name, self.raw, self.doc = str(name), raw, doc
        self.way: Way = ("devices", name)
        self.problems: list[Problem] = []

    def check(self, reader: DeviceReader) -> DeviceConfig | None:
        """Look at everything; None where something needed is missing."""
        if not isinstance(self.raw, dict):
            text = group_of_keys(self.name, self.raw)
            self.say(Fault((), text, "write driver: NAME and its options", at_key=self.raw is None))
            return None
        keys = self.common()
        profile_file = self.profile(reader, keys)
        profile = profile_file.profile if profile_file else None
        driver_name = keys.driver or (profile.driver if profile else None)
        if driver_name is None:
            if self.raw.get("driver") is None and self.raw.get("profile") is None:
                self.say(Fault((), "neither driver nor profile", "add driver: NAME or profile: NAME", at_key=True))
            return None
        try:
            driver, model = reader.driver(driver_name)
        except ConfigError as error:
            if keys.driver:
                self.say(Fault(("driver",), *halves(error)))
            elif profile_file:
                self.say(Fault(("driver",), *halves(error)), profile_file.document)
            return None
        self.link(reader.links, driver_name, driver)
        options = self.options(model, driver_name, profile_file, reader.base)
        if options is None:
            return None
        return DeviceConfig(
            name=self.name,
            driver=driver_name,
            driver_class=driver,
            profile=profile.name if profile else None,
            version=profile.version if profile else None,
            options=reader.shared(options, profile),
            link=keys.link,
            every=keys.every or (profile.every if profile else None) or (1.0 if issubclass(driver, Polled) else 0.0),
            silent_after=keys.silent_after or (profile.silent_after if profile else None),
            klass=keys.klass,
            labels=keys.labels,
            max_quantities=keys.max_quantities,
            isolate=keys.isolate,
        )

    def say(self, fault: Fault, other: Document | None = None) -> None:
        """Note what is wrong: in this device, or in another file (a profile)."""
        part = f"devices.{self.name}"
        doc, path = (other, fault.path) if other else (self.doc, (*self.way, *fault.path))
        if path in doc.broken and not fault.at_key and fault.mark is None:
            return  # the YAML reader has told what is wrong there
        self.problems.append(Problem.of(fault, doc.place(fault._replace(path=path)), part))

    def common(self) -> DeviceKeys:
        """The keys all devices have; wrong ones are noted and left out."""
        if "report" in self.raw:
            self.say(Fault(("report",), "report on change comes with a later release", "remove it", at_key=True))
        own = {key: value for key, value in self.raw.items() if key in DEVICE_KEYS}
        keys, found = check_keys(DeviceKeys, own, {})
        for fault in found:
            self.say(fault)
        return keys or DeviceKeys()

    def profile(self, reader: DeviceReader, keys: DeviceKeys) -> ProfileFile | None:
        """The device's profile, with what is wrong in it noted."""
        if keys.profile is None:
            return None
        try:
            found = reader.profile(keys.profile)
        except ConfigError as error:
            self.say(Fault(("profile",), *halves(error)))
            return None
        for fault in found.faults:
            self.say(fault, found.document)
        return found

    def link(self, links: Links, driver_name: str, driver: type[Driver]) -> None:
        """Whether the named link is there and of the shape the driver asks for."""
        name, shape = self.raw.get("link"), link_shape(driver)
        if name is None:
            if shape is not None:
                self.say(Fault((), f"driver {driver_name} needs {_kind(shape)}", "add link: NAME", at_key=True))
        elif shape is None:
            self.say(Fault(("link",), f"driver {driver_name} needs no link", "remove it", at_key=True, warning=True))
        elif isinstance(name, str) and name not in links.spoiled:
            if name not in links.usable:
                instead = or_known(name, sorted({*links.usable, *links.spoiled})) or "add it under links:"
                self.say(Fault(("link",), f"no link {show(name)}", instead))
            elif shape not in (links.usable[name].shape, Link):
                instead = f"driver {driver_name} needs {_kind(shape)}"
                self.say(Fault(("link",), f"{show(name)} is {_kind(links.usable[name].shape)}", instead))

    def options(
        self, model: type[Options], driver_name: str, profile: ProfileFile | None, base: Path
    ) -> Options | None:
        """The driver's options: the profile's, overridden by the device's own."""
        own = {key: value for key, value in self.raw.items() if key not in DEVICE_KEYS and key != "report"}
        given = (profile.profile.options if profile and profile.profile else {}) | own
        options: Options | None = None
        found: list[Fault] = unit_faults(given)
        try:
            options = model.model_validate(given, context={"base": base})
            found += bool_faults(options, given)
            found += [Fault(tuple(path), text, instead, warning=True) for path, text, instead in options.warnings()]
        except ValidationError as error:
            found += faults(error, given, model, lambda key: DEVICE_KEYS if key in own else PROFILE_KEYS)
        except Exception as error:  # noqa: BLE001 - foreign code: a validator with a bug must not stop the check
            told = f"driver {driver_name} failed to check its options: {type(error).__name__}: {error}"
            found.append(Fault((), one_line(told), "tell its author", at_key=True))
        if profile is None and "profile" in self.raw:
            found = [f for f in found if f.path]  # what is missing may stand in the profile that is not there
        for fault in found:
            of_profile = profile is not None and bool(fault.path) and fault.path[0] not in own
            self.say(fault, profile.document if of_profile and profile else None)
        return options


def same_unit(devices: Iterable[DeviceConfig]) -> list[tuple[str, str]]:
    """Pairs (later, earlier) of devices that ask the same unit on the same link."""
    seen: dict[tuple[str | None, Any], str] = {}
    pairs = []
    for device in devices:
        unit_id = getattr(device.options, "unit_id", None)
        if device.link is None or unit_id is None:
            continue
        first = seen.setdefault((device.link, unit_id), device.name)
        if first != device.name:
            pairs.append((device.name, first))
    return pairs


def _kind(shape: type) -> str:
    """`ModbusLink` -> `a modbus link`."""
    name = shape.__name__.removesuffix("Link").lower()
    return f"a {name} link" if name else "a link"
