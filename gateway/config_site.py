"""A whole configuration: puts a Site together from gateway.yaml and devices.d/, with every problem at its place."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config_devices import DeviceConfig, DeviceReader, Links, same_unit
from gateway.config_models import BufferConfig, GatewayConfig, HubConfig, ModbusLinkConfig
from gateway.names import check_gateway, check_name
from gateway.problem import Fault, Place, Problem, Way, group_of_keys, halves, or_known, show
from gateway.validation import bool_faults, faults
from gateway.yamltext import Document

_FATAL = ("file", "gateway", "hub", "buffer")
_WIRES = {"modbus": "WHERE", "serial": "PORT", "ble": "ADAPTER"}  # the key that names the wire, and what it names
_TOP = ("gateway", "hub", "buffer", "links", "devices", "web")

_M = TypeVar("_M", bound=BaseModel)

if TYPE_CHECKING:
    from gateway.config_devices import LinkConfig


def _link_model(raw: Any) -> "type[LinkConfig]":
    """The kind of a link is the key that names its wire; each is loaded when it is used."""
    kinds = _WIRES.keys() & raw.keys() if isinstance(raw, dict) else set()
    if kinds == {"serial"}:
        from gateway.config_serial import SerialLinkConfig

        return SerialLinkConfig
    if kinds == {"ble"}:
        from gateway.config_ble import BleLinkConfig

        return BleLinkConfig
    return ModbusLinkConfig


@dataclass
class Site:
    """A whole configuration: what can be run, and what is wrong with the rest."""

    path: Path
    gateway: GatewayConfig = field(default_factory=lambda: GatewayConfig.model_construct(id="unnamed"))
    hub: HubConfig | None = None
    buffer: BufferConfig = field(default_factory=BufferConfig)
    links: "dict[str, LinkConfig]" = field(default_factory=dict)
    devices: dict[str, DeviceConfig] = field(default_factory=dict)
    disabled: dict[str, Problem] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def fatal(self) -> list[Problem]:
        """Errors that leave nothing to run: in the file or its general parts, or in each single device."""
        errors = [p for p in self.problems if p.severity == "error"]
        if self.disabled and not self.devices:
            return errors or list(self.disabled.values())
        return [p for p in errors if p.part in _FATAL]


class SiteReader:
    """Puts a Site together from its documents: the main file first, then devices.d/ in name order."""

    def __init__(self, path: Path, docs: list[Document]) -> None:
        self.site = Site(path)
        self.base = path.parent.absolute()
        self.docs, self.main = docs, docs[0]

    def read(self) -> Site:
        """The site, with every problem. Of a site with a file that is no YAML, only what is wrong with its YAML."""
        site = self.site
        for doc in self.docs:
            for fault in doc.faults:
                self.say(doc, fault, _part(fault.path))
        if all(doc.value is not None or all(f.warning for f in doc.faults) for doc in self.docs):
            for doc in self.docs:
                self.top(doc)
            self.general()
            links = self.links()
            self.devices(links)
            self.unused_links()
        unique = {(p.place, p.text): p for p in reversed(site.problems)}  # a profile's errors, once
        site.problems = sorted(unique.values(), key=lambda p: self.order(p.place))
        return site

    def order(self, place: Place) -> tuple[int, str, int, int]:
        """Problems are told in the order of the files, profiles last."""
        files = [doc.file for doc in self.docs]
        at = files.index(place.file) if place.file in files else len(files)
        return at, place.file, place.line, place.col

    def say(self, doc: Document, fault: Fault, part: str) -> None:
        """Note a problem."""
        if fault.path in doc.broken and not fault.at_key and fault.mark is None:
            return  # the YAML reader has told what is wrong there
        self.site.problems.append(Problem.of(fault, doc.place(fault), part))

    def top(self, doc: Document) -> None:
        """The outermost keys of a file."""
        allowed = _TOP if doc is self.main else ("links", "devices")
        if doc.value is None:
            doc.value = {}
        elif not isinstance(doc.value, dict):
            text, instead = f"{show(doc.value)} is not a configuration", f"write {allowed[0]}: and the like"
            self.say(doc, Fault((), text, instead), "file")
            doc.value = {}
        for key in doc.value:
            if key == "web" and doc is self.main:
                text, instead = "the web page comes with a later release, there is none now", "remove it until then"
            elif key in allowed:
                continue
            elif key == "report":
                text, instead = "report on change comes with a later release", "remove it"
            elif key in _TOP:
                text, instead = f'"{key}" belongs in {self.main.file}', "move it there"
            else:
                text, instead = f"unknown key {show(key)}", or_known(key, allowed)
            self.say(doc, Fault((key,), text, instead, at_key=True, warning=key == "web" and doc is self.main), "file")

    def general(self) -> None:
        """gateway, hub and buffer."""
        top, site = self.main.value, self.site
        raw = top.get("gateway")
        raw = {} if raw is None else raw
        if isinstance(raw, dict) and "id" not in raw:
            try:
                raw = {**raw, "id": check_gateway(socket.gethostname())}
            except ValueError as error:
                text, _ = halves(error)
                at = ("gateway",) if "gateway" in top else ()
                wrong = f"no gateway id, and the host name will not do: {text}"
                self.say(self.main, Fault(at, wrong, "write gateway: {id: NAME}", at_key=True), "gateway")
                raw = {**raw, "id": "unnamed"}
        site.gateway = self.checked(GatewayConfig, raw, ("gateway",), self.main) or site.gateway
        if "hub" in top:
            site.hub = self.checked(HubConfig, top["hub"], ("hub",), self.main)
        if top.get("buffer") is not None:
            site.buffer = self.checked(BufferConfig, top["buffer"], ("buffer",), self.main) or site.buffer

    def checked(self, model: type[_M], raw: Any, way: Way, doc: Document) -> _M | None:
        """`raw` as the model, or None and problems."""
        part = _part(way)
        if not isinstance(raw, dict):
            text, instead = group_of_keys(way[-1], raw), f"write {way[-1]}: {{KEY: VALUE}}"
            self.say(doc, Fault(way, text, instead, at_key=raw is None), part)
            return None
        value: _M | None = None
        try:
            value = model.model_validate(raw, context={"base": self.base})
            found = bool_faults(value, raw)
        except ValidationError as error:
            found = faults(error, raw, model)
        for fault in found:
            self.say(doc, fault._replace(path=(*way, *fault.path)), part)
        return None if found else value

    def named(self, group: str) -> Iterator[tuple[Any, Any, Document]]:
        """Name, entry and file of all `links` or `devices`; a name twice is an error that tells both places."""
        found: dict[str, Place] = {}
        for doc in self.docs:
            entries = doc.value.get(group)
            if entries is None:
                continue
            if not isinstance(entries, dict):
                text, instead = group_of_keys(group, entries), f"write {group}: {{NAME: …}}"
                self.say(doc, Fault((group,), text, instead), "file")
                continue
            for name, raw in entries.items():
                here = Fault((group, name), "", at_key=True)
                first = found.setdefault(str(name), doc.place(here))
                if first != doc.place(here):
                    text = f"the name {show(name)} is taken, it also stands at {first}"
                    self.say(doc, here._replace(text=text, instead="rename one of them"), _part(here.path))
                    continue
                try:
                    check_name(name)
                except ValueError as error:
                    text, instead = halves(error)
                    self.say(doc, here._replace(text=text, instead=instead), _part(here.path))
                yield name, raw, doc

    def links(self) -> Links:
        """All links: usable, or spoiled by an error."""
        links = Links(self.site.links)
        radios: dict[str, str] = {}  # adapter -> its link
        for name, raw, doc in self.named("links"):
            way = ("links", name)
            if isinstance(raw, dict) and not _WIRES.keys() & raw.keys():
                instead = f"add {' or '.join(f'{key}: {where}' for key, where in _WIRES.items())}"
                self.say(doc, Fault(way, "no wire is named", instead, at_key=True), _part(way))
                continue
            config = self.checked(_link_model(raw), raw, way, doc)
            if config is not None and isinstance(name, str):
                links.usable[name] = config
                adapter = getattr(config, "ble", name)
                if (first := radios.setdefault(adapter, name)) != name:
                    text, instead = f"{adapter} is link {show(first)} already", f"name {first} in its devices"
                    self.say(doc, Fault((*way, "ble"), text, f"remove this one and {instead}"), _part(way))
                if (index := getattr(config, "index", None)) is not None:
                    text = f"{index} may be another adapter after the next start"
                    instead = "write its address; `labgate scan` tells it"
                    self.say(doc, Fault((*way, "ble"), text, instead, warning=True), _part(way))
        for name in {p.part.removeprefix("links."): None for p in self.site.problems if p.part.startswith("links.")}:
            if (wrong := self.first_error(f"links.{name}")) is not None:
                links.usable.pop(name, None)
                links.spoiled[name] = wrong
        return links

    def first_error(self, part: str) -> Problem | None:
        """The first error that spoils a part."""
        return next((p for p in self.site.problems if p.part == part and p.severity == "error"), None)

    def devices(self, links: Links) -> None:
        """All devices: usable, or disabled and why."""
        site, reader = self.site, DeviceReader(self.site.path.parent, links)
        found: dict[str, tuple[DeviceConfig | None, Document]] = {}
        for name, raw, doc in self.named("devices"):
            config, problems = reader.read(name, raw, doc)
            site.problems += problems
            found[str(name)] = config, doc
        for name, (config, doc) in found.items():
            wrong = self.first_error(f"devices.{name}")
            if wrong is None and config is not None and config.link in links.spoiled:
                text, instead = f'its link "{config.link}" is disabled', f"see {links.spoiled[config.link]}"
                fault = Fault(("devices", name, "link"), text, instead)
                wrong = Problem.of(fault, doc.place(fault), f"devices.{name}")
            if wrong is not None:
                site.disabled[name] = wrong
            elif config is not None:
                site.devices[name] = config
        for later, earlier in same_unit(site.devices.values()):
            text = f'it asks the same unit on "{site.devices[later].link}" as "{earlier}"'
            fault = Fault(("devices", later, "unit_id"), text, "give each its own unit_id", warning=True)
            self.say(found[later][1], fault, f"devices.{later}")

    def unused_links(self) -> None:
        """Links that no device names."""
        named = {raw["link"] for doc in self.docs for raw in _entries(doc) if isinstance(raw.get("link"), str)}
        for doc in self.docs:
            links = doc.value.get("links")
            for name in links if isinstance(links, dict) else ():
                if name in self.site.links and name not in named:
                    text, instead = f'no device uses link "{name}"', "remove it, or name it in a device"
                    self.say(doc, Fault(("links", name), text, instead, at_key=True, warning=True), f"links.{name}")


def _entries(doc: Document) -> list[dict[Any, Any]]:
    devices = doc.value.get("devices")
    return [raw for raw in devices.values() if isinstance(raw, dict)] if isinstance(devices, dict) else []


def _part(way: Way) -> str:
    """The part of the configuration that a path belongs to."""
    if len(way) >= 2 and way[0] in ("links", "devices"):
        return f"{way[0]}.{way[1]}"
    return way[0] if way and way[0] in ("gateway", "hub", "buffer") else "file"
