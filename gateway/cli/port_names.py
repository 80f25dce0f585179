"""Warnings of names that do not tell one serial port of this host from another, and of ports that two links name."""

import os
from collections.abc import Sequence

from gateway.cli.advice import place
from gateway.config import Problem, Site
from gateway.config_serial import SerialLinkConfig, UsbPort
from gateway.errors import LinkError
from gateway.links.ports import find_port, sharing
from gateway.problem import Way, halves
from gateway.yamltext import Document


def warnings(site: Site, docs: Sequence[Document]) -> list[Problem]:
    """Links whose port two adapters could be, or is another link's; on a host without such ports only the latter."""
    found = []
    first: dict[str, str] = {}  # port -> the link that names it first
    for name, config in site.links.items():
        key = "serial" if isinstance(config, SerialLinkConfig) else "modbus"
        where: str | UsbPort = getattr(config, key, "")
        port: str | None
        wrong: tuple[str, str] | None
        if isinstance(where, UsbPort):
            port, wrong = _plugged_in(where, name)
        elif where.startswith("/"):
            port, wrong = os.path.realpath(where), _ambiguous(where, key)
        else:
            continue  # no port of this host
        if wrong is None and port is not None and (other := first.setdefault(port, name)) != name:
            as_of = "" if str(where) == port else f" is {port},"
            wrong = f"{where}{as_of} the port of link {other}, and opened once only", f"put its devices on {other}"
        if wrong is not None:
            way: Way = ("links", name, key)
            found.append(Problem(place(docs, way), *wrong, "warning", f"links.{name}"))
    return found


def _ambiguous(path: str, key: str) -> tuple[str, str] | None:
    """What is wrong with a name that several adapters have, and what to write instead."""
    ports = sharing(path)
    if not ports:
        return None
    told = " and ".join(f"{port.path} at {port.usb_path}" for port in ports)
    which = (port.where if key == "serial" else port.by_path or "/dev/serial/by-path/…" for port in ports)
    text = f"{path} names {told}, which only their USB paths tell apart"
    return text, f"write {key}: {' or '.join(dict.fromkeys(which))}"


def _plugged_in(usb: UsbPort, link: str) -> tuple[str | None, tuple[str, str] | None]:
    """The port that is meant, if it is there; and what is wrong where several are."""
    try:
        return find_port(usb, link), None
    except LinkError as error:
        return None, halves(error) if error.reason == "configuration" else None
