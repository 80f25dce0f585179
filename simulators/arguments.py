"""The command line of `labgate simulate`: what it takes, and what it says to what it does not take."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from simulators.catalog import Described, described, simulators
from simulators.faults import KINDS, WHEN
from simulators.settings import closest

_HIGHEST_UNIT = 255  # 248 to 255 are reserved, and some boards are shipped with 255 all the same
_PHASES = ("_l1", "_l2", "_l3")
_WHOSE = {
    "slave": " (Modbus)",
    "connection": " (Modbus, radio)",
    "speaker": " (not Modbus)",
    "happens": " (some)",
    "radio": " (radio)",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)

    def format_help(self) -> str:
        lines = [f"example: {self.prog} xy_md02 --port 5020 --set temperature=21.5", ""]
        lines.append("simulators, and what --set knows of each:")
        for name in simulators():
            simulator = described(name)
            lines += [f"  {name:<19} {(simulator.__doc__ or '').splitlines()[0]}", f"  {'':<19} {_known(simulator)}"]
        lines += ["", f"faults; each also with one or more of: {WHEN}; 'unit 3: mute' is for unit 3 only:"]
        lines += [f"  {kind.usage:<24} {kind.does}{_WHOSE.get(kind.needs, '')}" for kind in KINDS.values() if kind.does]
        self.epilog = "\n".join(lines)
        return super().format_help()


def _known(simulator: Described) -> str:
    """The names that --set knows; those of single phases are told together."""
    names = [name for name in simulator.SETTINGS if not name.endswith(_PHASES)]
    phases = f" ({names[0]}{_PHASES[0]} and so on for one phase)" if len(names) < len(simulator.SETTINGS) else ""
    return ", ".join([*names, "devices"]) + phases


def _number(name: str, low: int, high: int) -> int:
    value = int(name) if name.isascii() and name.isdecimal() else -1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"must be a number from {low} to {high}, not {name!r}")
    return value


def _units(text: str) -> list[int]:
    first, dash, last = text.partition("-")
    units = range(_number(first, 1, _HIGHEST_UNIT), _number(last if dash else first, 1, _HIGHEST_UNIT) + 1)
    if not units:
        raise argparse.ArgumentTypeError(f"must be a range that goes up, not {text}")
    return list(units)


def parser(prog: str) -> argparse.ArgumentParser:
    """The options there are."""
    parser = _Parser(
        prog=prog,
        description="Puts a simulated device on a real wire: a pseudo-terminal, or with --port a TCP\n"
        "port of 127.0.0.1; one with a radio (ble_...) behind a bluetoothd on a D-Bus of its own, several as\n"
        "ble_tag+ble_strap. The first line it prints says how to reach it. It ends with SIGTERM, Ctrl-C or its parent.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("name", metavar="NAME", nargs="?", help="which simulator, see below")
    add("--port", metavar="N", type=lambda text: _number(text, 0, 65535), help="TCP on this port; 0: a free one")
    add("--rtu", action="store_true", help="with --port: RTU framed over TCP")
    add("--link", metavar="PATH", type=Path, help="a symbolic link to make to the pseudo-terminal")
    add(
        "--unit-id",
        metavar="N",
        type=_units,
        action="extend",
        help="Modbus unit id, default 1; 1-8, or given twice: several on one wire, a seed each",
    )
    add("--baudrate", metavar="N", type=lambda text: _number(text, 50, 4_000_000), help="paces a serial line")
    add("--parity", choices=("N", "E", "O"), default="N", help="of a paced line, default N")
    add("--stopbits", type=int, choices=(1, 2), default=1, help="of a paced line, default 1")
    add("--seed", metavar="N", type=lambda text: _number(text, 0, 2**63), default=0, help="of what wanders, default 0")
    add(
        "--set",
        metavar="K=V",
        action="append",
        default=[],
        help="pins a quantity, or what else is named below; devices=10: ten of them, on ten wires or one radio",
    )
    add("--fault", metavar="WHAT", action="append", default=[], help="such as 'late 200ms every 3', see below")
    add("--truth", metavar="FILE", type=Path, help="appends every value ever given, as JSON lines")
    ends = "a paced line tells at the end how busy it was"
    add("--json", action="store_true", help=f'first line as {{"ready":true,"url":...,"pid":...}}; {ends}')
    return parser


def parse(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """The options. Raises ValueError with one line for people."""
    options, unknown = parser.parse_known_args(argv)
    if unknown:
        names = re.findall("--[a-z-]+", parser.format_usage())
        advice = closest(unknown[0], names) if unknown[0].startswith("-") else "one simulator at a time"
        raise ValueError(f"what is {unknown[0]!r}? {advice}")
    if not options.name:
        raise ValueError(f"name a simulator: {', '.join(simulators())}")
    options.name = options.name.replace("-", "_")
    if options.link and options.port is not None:
        raise ValueError("--link names a pseudo-terminal, --port asks for TCP; use one of them")
    return options


def settings(simulator: Described, name: str, texts: Sequence[str]) -> dict[str, str]:
    """What --set says. Raises ValueError with one line for people."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set {text}: write NAME=VALUE")
        if key not in (*simulator.SETTINGS, "devices"):
            near = closest(key, (*simulator.SETTINGS, "devices"))
            advice = near if near.startswith("did") else f"--set knows {_known(simulator)}"
            raise ValueError(f"{name} has nothing to set that is called {key!r}; {advice}")
        found[key] = value
    return found
