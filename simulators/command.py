"""`labgate simulate`: one simulated device, or several of a kind, on one real wire or several, or on a radio."""

import argparse
import asyncio
import ctypes
import json
import math
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from itertools import count
from random import Random

from simulators.arguments import parse, parser, settings
from simulators.catalog import described, kinds, load, load_speaker, speakers
from simulators.faults import Fault, of_unit, parse_fault
from simulators.line import Line
from simulators.radio import ADAPTER, Radio, radio
from simulators.serial_port import serial_server, serial_terminal
from simulators.settings import Settings, closest, whole_number
from simulators.speaker import Speaker
from simulators.truth import Truth
from simulators.voice import Voice
from simulators.wire import Station, Stations, pseudo_terminal, tcp_port

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_MOST_DEVICES = 1000  # wires, or peripherals of a kind

Wired = dict[int, Station] | Voice | Radio
"""What is at the other end of one wire, or of the bus of a radio."""


def _wires(options: argparse.Namespace) -> Sequence[Wired]:
    """The devices that were asked for, wire by wire. Raises ValueError with one line for people."""
    simulator = described(options.name)
    known = settings(simulator, options.name, options.set)
    devices = whole_number(known, "devices", 1, _MOST_DEVICES)
    if kinds(options.name):
        return [radio(options, known, devices)]
    if devices > 1 and options.link:
        raise ValueError("--link can name one wire only; leave --link or devices out")
    if options.port and options.port + devices - 1 > 65535:
        raise ValueError(f"{devices} devices from port {options.port} on need ports above 65535")
    if options.name in speakers():
        return _voices(options, known, devices)
    return _stations(options, known, devices)


def _stations(options: argparse.Namespace, known: Settings, devices: int) -> list[dict[int, Station]]:
    """Wires of Modbus slaves."""
    simulator = load(options.name)
    if options.baudrate and options.port is not None and not options.rtu:
        raise ValueError("--baudrate paces a serial line, and Modbus TCP has none; add --rtu or leave --port out")
    options.unit_id = sorted(set(options.unit_id or [1]))
    seeds = count(options.seed)
    wires = []
    for _ in range(devices):
        faults = _faults(options)
        seeded = zip(options.unit_id, seeds, strict=False)
        stations = {}
        for unit, seed in seeded:
            slave = simulator.build(unit, seed, known)
            if slave.measure:
                slave.measure(0.0)  # finds a value that its register cannot hold
            stations[unit] = Station(slave, faults[unit], random=Random(seed))
        wires.append(stations)
    return wires


def _voices(options: argparse.Namespace, known: Settings, devices: int) -> list[Voice]:
    """Devices that speak, each on a wire of its own."""
    for given, option in ((options.unit_id, "--unit-id"), (options.rtu, "--rtu")):
        if given:
            raise ValueError(f"{option} is for Modbus, and {options.name} speaks otherwise; leave it out")
    simulator = load_speaker(options.name)
    bits = 1 + 8 + (options.parity != "N") + options.stopbits
    voices = []
    for seed in range(options.seed, options.seed + devices):
        speaker = simulator.build(seed, known)
        faults = [_fault_of(options, speaker, text) for text in options.fault]
        voices.append(Voice(speaker, faults, random=Random(seed), character=bits / (options.baudrate or math.inf)))
    return voices


def _fault_of(options: argparse.Namespace, speaker: Speaker, text: str) -> Fault:
    """A fault of a device that speaks. Raises ValueError with one line for people."""
    fault = parse_fault(text)
    needs, name = fault.kind.needs, text.split()[0]
    if needs in ("slave", "connection", "radio"):
        whom = "a radio" if needs == "radio" else "Modbus"
        raise ValueError(f"fault {text!r} is for {whom}, and {options.name} speaks otherwise; try mute, cut or unplug")
    if needs == "rtu" and not speaker.checked:
        raise ValueError(f"fault {text!r} needs a checksum, and {options.name} has none; try cut or noise")
    if needs == "happens" and name not in speaker.can_happen:
        others = (*speaker.can_happen, "mute", "cut", "reset")
        raise ValueError(f"fault {text!r} cannot happen to {options.name}; {closest(name, others)}")
    if name == "unplug" and options.port is None and not options.link:
        raise ValueError(f"fault {text!r}: it comes back under another name; add --link PATH, or --port 0")
    return fault


def _faults(options: argparse.Namespace) -> dict[int, list[Fault]]:
    """New faults for each unit of a wire. Raises ValueError with one line for people."""
    faults: dict[int, list[Fault]] = {unit: [] for unit in options.unit_id}
    for text in options.fault:
        only, what = of_unit(text)
        kind = parse_fault(what).kind
        if kind.needs in ("speaker", "happens", "radio"):
            raise ValueError(f"fault {what!r} is not for Modbus, which {options.name} speaks; try mute or drop")
        if kind.needs == "connection" and options.port is None:
            raise ValueError(f"fault {what!r} closes a TCP connection, and a pseudo-terminal has none; add --port 0")
        if kind.needs == "rtu" and options.port is not None and not options.rtu:
            raise ValueError(f"fault {what!r} needs a checksum, and Modbus TCP has none; add --rtu or leave --port out")
        if only not in (None, *faults):
            raise ValueError(f"fault {text!r}: there is no unit {only} here; add --unit-id {only}")
        for unit in faults if only is None else (only,):
            faults[unit].append(parse_fault(what))
    return faults


def _wire(
    options: argparse.Namespace, place: int, devices: Stations | Voice | Radio, line: Line | None
) -> AbstractAsyncContextManager[str]:
    port = options.port + place if options.port else options.port
    if isinstance(devices, Radio):
        return devices.on_the_air()
    if isinstance(devices, Voice):
        return serial_terminal(devices, options.link) if port is None else serial_server(devices, port)
    if port is None:
        return pseudo_terminal(devices, options.link, line)
    return tcp_port(devices, port, options.rtu, line=line)


async def _serve(options: argparse.Namespace, wires: Sequence[Wired]) -> None:
    """Serves until told to end. Raises OSError where a wire cannot be had."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        urls, lines = [], []
        for place, devices in enumerate(wires):
            paced = options.baudrate and isinstance(devices, dict)
            line = Line(options.baudrate, options.parity, options.stopbits) if paced else None
            urls.append(await stack.enter_async_context(_wire(options, place, devices, line)))
            lines.append(line)
        if options.json:
            several = {"urls": urls} if len(urls) > 1 else {}
            _say({"ready": True, "url": urls[0], **several, **_on_air(wires[0]), "pid": os.getpid()})
        elif isinstance(wires[0], Radio):
            print(wires[0].introduction(urls[0]), flush=True)
        else:
            units = f", unit id {', '.join(map(str, options.unit_id))}" if options.unit_id else ""
            print("\n".join(f"{url}  {options.name}{units}" for url in urls), flush=True)
        await stop.wait()
        for url, line, devices in zip(urls, lines, wires, strict=True):
            if options.json and line and isinstance(devices, dict):
                _say({"url": url, **line.report(), "asked": {unit: s.asked for unit, s in devices.items()}})


def _on_air(devices: Wired) -> dict[str, object]:
    """What else the first line says of a radio."""
    if not isinstance(devices, Radio):
        return {}
    several = {"addresses": devices.addresses} if len(devices.addresses) > 1 else {}
    return {"adapter": ADAPTER, "address": devices.addresses[0], **several}


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
        options = parse(parser(prog), argv)
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
    for devices in wires:
        for one in devices.values() if isinstance(devices, dict) else [devices]:
            one.truth = truth
    try:
        if _end_with_parent():
            asyncio.run(_serve(options, wires))
    except OSError as error:
        where = options.link if options.port is None else f"port {options.port} of 127.0.0.1"
        wire = "a bus of its own" if isinstance(wires[0], Radio) else "a pseudo-terminal"
        print(f"{prog}: cannot open {where or wire}: {_reason(error)}", file=sys.stderr)
        return 1
    finally:
        if truth:
            truth.close()
    return 0


def _reason(error: OSError) -> str:
    # asyncio puts a long text in place of the system's for a port that is taken; ours have no number
    return os.strerror(error.errno) if error.errno else str(error)
