"""Warnings of names that do not tell one serial port of this host from another."""

from collections.abc import Sequence

from gateway.cli.advice import place
from gateway.config import Problem, Site
from gateway.config_serial import SerialLinkConfig
from gateway.links.ports import sharing
from gateway.problem import Way
from gateway.yamltext import Document


def warnings(site: Site, docs: Sequence[Document]) -> list[Problem]:
    """Links whose port is named by what two adapters are called; none on a host without such ports."""
    found = []
    for name, config in site.links.items():
        key = "serial" if isinstance(config, SerialLinkConfig) else "modbus"
        path = str(getattr(config, key, ""))
        ports = sharing(path)
        if not ports:
            continue
        told = " and ".join(f"{port.path} at {port.usb_path}" for port in ports)
        text = f"{path} names {told}, which only their USB paths tell apart"
        which = (port.where if key == "serial" else port.by_path or "/dev/serial/by-path/…" for port in ports)
        way: Way = ("links", name, key)
        instead = f"write {key}: {' or '.join(dict.fromkeys(which))}"
        found.append(Problem(place(docs, way), text, instead, "warning", f"links.{name}"))
    return found
