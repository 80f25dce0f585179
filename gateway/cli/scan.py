"""What is there: serial ports and the air; what a PORT says by itself; which unit ids answer on a Modbus LINK.

Each line ends with what to paste into the configuration. Ports are only looked at, the air is listened to; a PORT named
is opened and listened to; on a Modbus LINK bytes are sent.
"""

import asyncio
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import AsyncIterator
from typing import Any

from gateway.cli import show
from gateway.cli.amounts import duration
from gateway.errors import ConfigError, LinkError

EXAMPLE = "labgate scan bus-1 --units 1-20 --timeout 200ms"

_ADAPTER = re.compile(r"hci\d{1,2}|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_UNITS = range(1, 248)  # Modbus over Serial Line V1.02, 2.2
_ABSENT = (10, 11)  # exceptions a gateway in between gives where no device is
_FATAL = ("missing", "permission", "busy", "refused", "network", "unplugged")  # no unit will answer then


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "link",
        metavar="LINK",
        nargs="?",
        help="a Modbus or radio link of the configuration, a port (/dev/…), or a Bluetooth adapter (hci0, its address)",
    )
    parser.add_argument("--units", type=_units, metavar="A-B", help="unit ids to ask, default 1-247")
    parser.add_argument(
        "--timeout", type=duration, metavar="TIME", help="per unit, at each speed of a port, or in the air"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a port, device or unit")


def run(args: Namespace) -> int:
    """Look, or ask."""
    if args.link is None:
        if args.units is not None:
            raise ConfigError("--units need a LINK to ask; name one of the configuration")
        from gateway.cli.scan_air import scan_any

        _ports(args.json)
        asyncio.run(scan_any(args.timeout, args.json))
    elif args.link.startswith(("/", "tcp://")):
        _no_units(args)
        from gateway.cli.listen import listen

        asyncio.run(listen(args.link, args.timeout, args.json))
    elif _ADAPTER.fullmatch(args.link):
        _no_units(args)
        from gateway.cli.scan_air import scan_adapter

        asyncio.run(scan_adapter(args.link, args.timeout, args.json))
    else:
        asyncio.run(_scan(args))
    return 0


def _no_units(args: Namespace) -> None:
    if args.units is not None:
        raise ConfigError("--units are asked on a Modbus LINK of the configuration; all else is only listened to")


def _ports(as_json: bool) -> None:
    from gateway.links.ports import serial_ports

    ports = serial_ports()
    rows = []
    for n, port in enumerate(ports, 1):
        stanza = f"bus-{n}: {{{'serial' if port.shared else 'modbus'}: {port.where}, baudrate: 9600}}"
        if as_json:
            show.json_line({**vars(port), "stanza": stanza})
        ids = f"{port.vid}:{port.pid}" if port.vid else None
        rows.append((port.path, port.usb_path, ids, port.serial, port.product, port.holder, stanza))
    if rows and not as_json:
        show.table(("PORT", "USB PATH", "IDS", "SERIAL", "PRODUCT", "HELD BY", "PASTE UNDER links:"), rows)
        for name in dict.fromkeys(port.shared for port in ports if port.shared):
            alike = " and ".join(port.path for port in ports if port.shared == name)
            print(f"{alike} share the name {name}, which leads to one of them; the USB path tells them apart")
    elif not as_json:
        print("no serial port here")


async def _scan(args: Namespace) -> None:
    from gateway.cli import site
    from gateway.config import ModbusLinkConfig
    from gateway.links import open_link
    from gateway.links.base import RadioLink
    from gateway.problem import or_known

    found = site.usable_site(args.config)
    config = found.links.get(args.link)
    if config is None:
        raise ConfigError(f"no link {args.link!r}; {or_known(args.link, found.links) or 'none is configured'}")
    if config.shape is RadioLink:
        _no_units(args)
        from gateway.cli import radio, scan_air

        await scan_air.scan(radio.configured(found, args.link), args.timeout, args.json)
        return
    if not isinstance(config, ModbusLinkConfig):
        raise ConfigError(f"{args.link} is a serial line; `labgate scan PORT` listens to one")
    units = args.units or _UNITS
    within = config.timeout if args.timeout is None else args.timeout
    if not args.json:
        longest = show.age(len(units) * within)
        print(
            f"sending a read of holding register 0 to units {units[0]} to {units[-1]} on {args.link}"
            f" ({config.modbus}), one after the other; takes at most {longest}\n"
            f"lines end with what to paste under devices:"
        )
    link: Any = open_link(args.link, config)
    known = {getattr(d.options, "unit_id", None): d.name for d in found.devices.values() if d.link == args.link}
    count = 0
    try:
        async for unit, said in _answering(link, units, within):
            count += 1
            device = known.get(unit)
            stanza = f"unit-{unit}: {{driver: modbus, link: {args.link}, unit_id: {unit}, {_REGISTERS}}}"
            if args.json:
                show.json_line({"unit_id": unit, "said": said, "device": device, "stanza": None if device else stanza})
            else:
                print(f"unit {unit:3}  {said:28}  {f'is {device}' if device else stanza}")
    finally:
        await link.close()
    if not args.json:
        print(f"{show.plural(count, 'unit')} of {len(units)} answered")
        if count == len(units) > 1:
            print("each one asked: this device seems to answer whatever unit id it is asked for; take one of them")


_REGISTERS = "registers: [{name: r0, table: holding, address: 0, type: uint16}]"


async def _answering(link: Any, units: range, within: float) -> AsyncIterator[tuple[int, str]]:
    """Unit id and what it said, of those that say anything. Raises LinkError when the link itself fails."""
    for unit in units:
        try:
            data = await link.read_block(unit, "holding", 0, 1, within)
        except LinkError as error:
            if error.reason in _FATAL:
                raise
            if error.reason == "exception" and error.code not in _ABSENT:
                yield unit, f"refuses: exception {error.code}"
            elif error.reason == "garbled":
                yield unit, "garbled: two of this id?"
        else:
            yield unit, f"holding 0 is {int.from_bytes(data, 'big')}"


def _units(text: str) -> range:
    first, dash, last = text.partition("-")
    try:
        found = range(int(first), int(last if dash else first) + 1)
    except ValueError:
        found = range(0)
    if not found or found[0] not in _UNITS or found[-1] not in _UNITS:
        raise ArgumentTypeError(f"{text!r} are no unit ids; write like 1-20, within 1-247")
    return found
