"""`labgate simulate`: one simulated device, or several of a kind, on one real wire or several."""

import argparse
import asyncio
import ctypes
import json
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from itertools import count
from pathlib import Path
from random import Random
from typing import NoReturn, Protocol, cast

from simulators.faults import KINDS, WHEN, Fault, of_unit, parse_fault
from simulators.line import Line
from simulators.modbus_slave import Slave
from simulators.settings import Settings, closest, whole_number
from simulators.truth import Truth
from simulators.wire import Station, pseudo_terminal, tcp_port

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_MOST_DEVICES = 1000  # wires
_HIGHEST_UNIT = 255  # 248 to 255 are reserved, and some boards are shipped with 255 all the same
_PHASES = ("_l1", "_l2", "_l3")


class Simulator(Protocol):
    """What a file in devices/ gives."""

    SETTINGS: Sequence[str]  # names that --set knows

    def build(self, unit_id: int, seed: int, settings: Settings) -> Slave:
        """One device. Raises ValueError, with one line for people, for a setting that cannot be."""
        ...


def simulators() -> list[str]:
    """The names of all simulators: the files in devices/."""
    return sorted(file.stem for file in (Path(__file__).parent / "devices").glob("[!_]*.py"))


def load(name: str) -> Simulator:
    """The simulator `name`. Raises ValueError where there is none."""
    if name not in simulators():
        raise ValueError(f"there is no simulator {name!r}; {closest(name, simulators())}")
    return cast(Simulator, import_module(f"simulators.devices.{name}"))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)

    def format_help(self) -> str:
        lines = [f"example: {self.prog} xy_md02 --port 5020 --set temperature=21.5", ""]
        lines.append("simulators, and what --set knows of each:")
        for name in simulators():
            simulator = load(name)
            lines += [f"  {name:<19} {(simulator.__doc__ or '').splitlines()[0]}", f"  {'':<19} {_known(simulator)}"]
        lines += ["", f"faults; each also with one or more of: {WHEN}; 'unit 3: mute' is for unit 3 only:"]
        lines += [f"  {kind.usage:<24} {kind.does}" for kind in KINDS.values() if kind.does]
        self.epilog = "\n".join(lines)
        return super().format_help()


def _known(simulator: Simulator) -> str:
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


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=prog,
        description="Puts a simulated device on a real wire: a pseudo-terminal (Modbus RTU), or with --port a TCP\n"
        "port of 127.0.0.1. The first line it prints says how to reach it. It ends with SIGTERM, Ctrl-C or its parent.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("name", metavar="NAME", nargs="?", help="which simulator, see below")
    add("--port", metavar="N", type=lambda text: _number(text, 0, 65535), help="Modbus TCP on this port; 0: a free one")
    add("--rtu", action="store_true", help="with --port: RTU framed over TCP")
    add("--link", metavar="PATH", type=Path, help="a symbolic link to make to the pseudo-terminal")
    add(
        "--unit-id",
        metavar="N",
        type=_units,
        action="extend",
        help="Modbus unit id, default 1; 1-8, or given twice: several on one wire, a seed each",
    )
    add("--baudrate", metavar="N", type=lambda text: _number(text, 50, 4_000_000), help="paces an RTU line")
    add("--parity", choices=("N", "E", "O"), default="N", help="of a paced line, default N")
    add("--stopbits", type=int, choices=(1, 2), default=1, help="of a paced line, default 1")
    add("--seed", metavar="N", type=lambda text: _number(text, 0, 2**63), default=0, help="of what wanders, default 0")
    add(
        "--set",
        metavar="K=V",
        action="append",
        default=[],
        help="pins a quantity; devices=10: ten wires of them",
    )
    add("--fault", metavar="WHAT", action="append", default=[], help="such as 'late 200ms every 3', see below")
    add("--truth", metavar="FILE", type=Path, help="appends every value ever given, as JSON lines")
    ends = "a paced line tells at the end how busy it was"
    add("--json", action="store_true", help=f'first line as {{"ready":true,"url":...,"pid":...}}; {ends}')
    return parser


def _parse(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """The options. Raises ValueError with one line for people."""
    options, unknown = parser.parse_known_args(argv)
    if unknown:
        names = re.findall("--[a-z-]+", parser.format_usage())
        advice = closest(unknown[0], names) if unknown[0].startswith("-") else "one simulator at a time"
        raise ValueError(f"what is {unknown[0]!r}? {advice}")
    if not options.name:
        raise ValueError(f"name a simulator: {', '.join(simulators())}")
    if options.link and options.port is not None:
        raise ValueError("--link names a pseudo-terminal, --port asks for TCP; use one of them")
    if options.baudrate and options.port is not None and not options.rtu:
        raise ValueError("--baudrate paces a serial line, and Modbus TCP has none; add --rtu or leave --port out")
    options.unit_id = sorted(set(options.unit_id or [1]))
    return options


def _settings(simulator: Simulator, name: str, texts: Sequence[str]) -> dict[str, str]:
    settings = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set {text}: write NAME=VALUE")
        if key not in (*simulator.SETTINGS, "devices"):
            near = closest(key, (*simulator.SETTINGS, "devices"))
            advice = near if near.startswith("did") else f"--set knows {_known(simulator)}"
            raise ValueError(f"{name} has nothing to set that is called {key!r}; {advice}")
        settings[key] = value
    return settings


def _faults(options: argparse.Namespace) -> dict[int, list[Fault]]:
    """New faults for each unit of a wire. Raises ValueError with one line for people."""
    faults: dict[int, list[Fault]] = {unit: [] for unit in options.unit_id}
    for text in options.fault:
        only, what = of_unit(text)
        kind = parse_fault(what).kind
        if kind.needs == "connection" and options.port is None:
            raise ValueError(f"fault {what!r} closes a TCP connection, and a pseudo-terminal has none; add --port 0")
        if kind.needs == "rtu" and options.port is not None and not options.rtu:
            raise ValueError(f"fault {what!r} needs a checksum, and Modbus TCP has none; add --rtu or leave --port out")
        if only not in (None, *faults):
            raise ValueError(f"fault {text!r}: there is no unit {only} here; add --unit-id {only}")
        for unit in faults if only is None else (only,):
            faults[unit].append(parse_fault(what))
    return faults


def _wires(options: argparse.Namespace) -> list[dict[int, Station]]:
    """The devices that were asked for, wire by wire. Raises ValueError with one line for people."""
    simulator = load(options.name)
    settings = _settings(simulator, options.name, options.set)
    devices = whole_number(settings, "devices", 1, _MOST_DEVICES)
    if devices > 1 and options.link:
        raise ValueError("--link can name one wire only; leave --link or devices out")
    if options.port and options.port + devices - 1 > 65535:
        raise ValueError(f"{devices} devices from port {options.port} on need ports above 65535")
    seeds = count(options.seed)
    wires = []
    for _ in range(devices):
        faults = _faults(options)
        seeded = zip(options.unit_id, seeds, strict=False)
        stations = {}
        for unit, seed in seeded:
            slave = simulator.build(unit, seed, settings)
            if slave.measure:
                slave.measure(0.0)  # finds a value that its register cannot hold
            stations[unit] = Station(slave, faults[unit], random=Random(seed))
        wires.append(stations)
    return wires


async def _serve(options: argparse.Namespace, wires: Sequence[dict[int, Station]]) -> None:
    """Serves until told to end. Raises OSError where a wire cannot be had."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        urls, lines = [], []
        for place, stations in enumerate(wires):
            line = Line(options.baudrate, options.parity, options.stopbits) if options.baudrate else None
            if options.port is None:
                wire = pseudo_terminal(stations, options.link, line)
            else:
                wire = tcp_port(stations, options.port + place if options.port else 0, options.rtu, line=line)
            urls.append(await stack.enter_async_context(wire))
            lines.append(line)
        if options.json:
            several = {"urls": urls} if len(urls) > 1 else {}
            _say({"ready": True, "url": urls[0], **several, "pid": os.getpid()})
        else:
            units = ", ".join(map(str, options.unit_id))
            print("\n".join(f"{url}  {options.name}, unit id {units}" for url in urls), flush=True)
        await stop.wait()
        for url, line, stations in zip(urls, lines, wires, strict=True):
            if options.json and line:
                _say({"url": url, **line.report(), "asked": {unit: s.asked for unit, s in stations.items()}})


def _say(what: Mapping[str, object]) -> None:
    print(json.dumps(what, separators=(",", ":")), flush=True)


def _end_with_parent() -> bool:
    """Asks the kernel for SIGTERM when the parent ends; False where it has ended meanwhile.

    The parent is the thread that started this process: one that ends early takes its simulators with it.
    """
    parent = os.getppid()
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    return os.getppid() == parent


def main(argv: Sequence[str], prog: str = "python -m simulators") -> int:
    """Runs the command, `argv` without the program's name. The exit code: 0 ended, 1 no wire, 2 wrong arguments."""
    try:
        options = _parse(_parser(prog), argv)
        wires = _wires(options)
        truth = Truth(options.truth) if options.truth else None
    except SystemExit:  # --help has been printed
        return 0
    except ValueError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{prog}: cannot write {options.truth}: {error.strerror}", file=sys.stderr)
        return 2
    for stations in wires:
        for station in stations.values():
            station.truth = truth
    try:
        if _end_with_parent():
            asyncio.run(_serve(options, wires))
    except OSError as error:
        where = options.link if options.port is None else f"port {options.port} of 127.0.0.1"
        print(f"{prog}: cannot open {where or 'a pseudo-terminal'}: {_reason(error)}", file=sys.stderr)
        return 1
    finally:
        if truth:
            truth.close()
    return 0


def _reason(error: OSError) -> str:
    # asyncio puts a long text in place of the system's for a port that is taken; ours have no number
    return os.strerror(error.errno) if error.errno else str(error)
