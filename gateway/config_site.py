"""A whole configuration: puts a Site together from gateway.yaml and devices.d/, with every problem at its place."""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config_devices import DeviceConfig, DeviceReader, Links, same_unit
from gateway.config_models import BufferConfig, GatewayConfig, HubConfig, ModbusLinkConfig
from gateway.names import check_gateway, check_name
from gateway.problem import Fault, Place, Problem, Way, group_of_keys, halves, or_known, show
from gateway.validation import bool_faults, faults
from gateway.yamltext import Document

_FATAL = ("file", "gateway", "hub", "buffer")
_TOP = ("gateway", "hub", "buffer", "links", "devices", "web")
_LATER = {"serial": "serial links", "ble": "radio links"}

_M = TypeVar("_M", bound=BaseModel)


@dataclass
class Site:
    """A whole configuration: what can be run, and what is wrong with the rest."""

    path: Path
    gateway: GatewayConfig = field(default_factory=lambda: GatewayConfig.model_construct(id="unnamed"))
    hub: HubConfig | None = None
    buffer: BufferConfig = field(default_factory=BufferConfig)
    links: dict[str, ModbusLinkConfig] = field(default_factory=dict)
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
        self.main = docs[0]
        self.unreadable = self.main.value is None and bool(self.main.faults)
        for doc in docs:
            for fault in doc.faults:
                self.say(doc, fault, _part(fault.path))
            self.top(doc)
        if not self.unreadable:
            self.general()
        links = Links()
        for name, (raw, doc) in self.named(docs, "links").items():
            self.link(name, raw, doc, links)
        self.site.links = links.usable
        self.devices(docs, links)
        self.unused(docs)
        unique = {(p.place, p.text): p for p in reversed(self.site.problems)}  # a profile's errors, once
        self.site.problems = sorted(unique.values(), key=lambda p: self.order(docs, p.place))

    @staticmethod
    def order(docs: list[Document], place: Place) -> tuple[int, str, int, int]:
        """Problems are told in the order of the files, profiles last."""
        files = [doc.file for doc in docs]
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
            self.say(
                doc, Fault((), f"{show(doc.value)} is not a configuration", f"write {allowed[0]}: and the like"), "file"
            )
            doc.value = {}
        for key in doc.value:
            if key == "report":
                self.say(
                    doc, Fault((key,), "report on change comes with a later release", "remove it", at_key=True), "file"
                )
            elif key == "web" and doc is self.main:
                text = "the web page comes with a later release, there is none now"
                self.say(doc, Fault((key,), text, "remove it until then", at_key=True, warning=True), "file")
            elif key in _TOP and key not in allowed:
                self.say(
                    doc, Fault((key,), f'"{key}" belongs in {self.main.file}', "move it there", at_key=True), "file"
                )
            elif key not in allowed:
                self.say(doc, Fault((key,), f"unknown key {show(key)}", or_known(key, allowed), at_key=True), "file")

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

    def named(self, docs: list[Document], group: str) -> dict[str, tuple[Any, Document]]:
        """All entries of `links` or `devices`, over all files; a name twice is an error at both places."""
        found: dict[str, tuple[Any, Document]] = {}
        for doc in docs:
            entries = doc.value.get(group)
            if entries is None:
                continue
            if not isinstance(entries, dict):
                text, instead = group_of_keys(group, entries), f"write {group}: {{NAME: …}}"
                self.say(doc, Fault((group,), text, instead), "file")
                continue
            for name, raw in entries.items():
                way = (group, name)
                if not isinstance(name, str):
                    text, instead = f"the name {name} is a number", f'write "{name}", in quotes'
                    self.say(doc, Fault(way, text, instead, at_key=True), _part(way))
                if str(name) in found:
                    first = found[str(name)][1]
                    other = first.place(Fault(way, "", at_key=True))
                    text = f"the name {show(name)} is taken, it also stands at {other}"
                    self.say(doc, Fault(way, text, "rename one of them", at_key=True), _part(way))
                else:
                    found[str(name)] = (raw, doc)
        return found

    def link(self, name: str, raw: Any, doc: Document, links: Links) -> None:
        """One link: usable, or spoiled."""
        way = ("links", name)
        try:
            check_name(name)
        except ValueError as error:
            self.say(doc, Fault(way, *halves(error), at_key=True), _part(way))
        later = [key for key in _LATER if isinstance(raw, dict) and key in raw]
        for key in later:
            text = f"{_LATER[key]} come with a later release, this one speaks Modbus only"
            self.say(doc, Fault((*way, key), text, "remove this link and its devices", at_key=True), _part(way))
        config = None if later else self.checked(ModbusLinkConfig, raw, way, doc)
        wrong = self.first_error(_part(way))
        if config is not None and wrong is None:
            links.usable[name] = config
        elif wrong is not None:
            links.spoiled[name] = wrong

    def first_error(self, part: str) -> Problem | None:
        """The first error that spoils a part."""
        return next((p for p in self.site.problems if p.part == part and p.severity == "error"), None)

    def devices(self, docs: list[Document], links: Links) -> None:
        """All devices: usable, or disabled and why."""
        reader = DeviceReader(self.site.path.parent, links)
        for name, (raw, doc) in self.named(docs, "devices").items():
            config, problems = reader.read(name, raw, doc)
            self.site.problems += problems
            wrong = self.first_error(f"devices.{name}")
            link = raw.get("link") if isinstance(raw, dict) else None
            if wrong is None and isinstance(link, str) and link in links.spoiled:
                fault = Fault(("devices", name, "link"), f'its link "{link}" is disabled', f"see {links.spoiled[link]}")
                wrong = Problem.of(fault, doc.place(fault), f"devices.{name}")
            if wrong is not None:
                self.site.disabled[name] = wrong
            elif config is not None:
                self.site.devices[name] = config
        for later, earlier in same_unit(self.site.devices.values()):
            device = self.site.devices[later]
            unit_id = getattr(device.options, "unit_id", None)
            text = f'unit {unit_id} on "{device.link}" is asked by "{earlier}" too'
            doc = next(doc for doc in docs if later in (doc.value.get("devices") or {}))
            self.say(
                doc,
                Fault(("devices", later, "unit_id"), text, "give each its own unit_id", warning=True),
                f"devices.{later}",
            )

    def unused(self, docs: list[Document]) -> None:
        """Links that no device names."""
        named = {raw["link"] for doc in docs for raw in _entries(doc) if isinstance(raw.get("link"), str)}
        for doc in docs:
            links = doc.value.get("links")
            for name in links if isinstance(links, dict) else ():
                if name in self.site.links and name not in named:
                    fault = Fault(
                        ("links", name),
                        f'no device uses link "{name}"',
                        "remove it, or name it in a device",
                        True,
                        warning=True,
                    )
                    self.say(doc, fault, f"links.{name}")


def _entries(doc: Document) -> list[dict[Any, Any]]:
    devices = doc.value.get("devices")
    return [raw for raw in devices.values() if isinstance(raw, dict)] if isinstance(devices, dict) else []


def _part(way: Way) -> str:
    """The part of the configuration that a path belongs to."""
    if len(way) >= 2 and way[0] in ("links", "devices"):
        return f"{way[0]}.{way[1]}"
    return way[0] if way and way[0] in ("gateway", "hub", "buffer") else "file"
