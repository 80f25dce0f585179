"""One sample from one device, now. With the gateway running it takes its turn there; nothing is published."""

import asyncio
import contextlib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any

from gateway import control
from gateway.cli import show

EXAMPLE = "labgate read meter-1 --trace"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("device", metavar="DEVICE")
    parser.add_argument("--trace", action="store_true", help="show the wire: >> sent, << received, # time")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: Namespace) -> int:
    """Ask the daemon, or the device itself where no daemon runs."""

    def tell(row: dict[str, Any]) -> None:
        if args.json:
            show.json_line(row)
        elif "trace" in row:
            print(f"{row['trace']}  # {row['ms']:.1f} ms")
        else:
            _tell(row)

    with contextlib.suppress(control.NoDaemonError):
        for row in control.ask(control.socket_path(args.socket), "read", device=args.device, trace=args.trace):
            tell(row)
        return 0
    asyncio.run(_ask(args.config, args.device, args.trace, tell))
    return 0


async def _ask(config: str, name: str, trace: bool, tell: Callable[[dict[str, Any]], None]) -> None:
    from gateway.answer_rows import sample_row
    from gateway.cli import site
    from gateway.trace import Trace

    found = site.usable_site(config)
    (device_config,) = site.wanted(found, name)
    links = site.links_of(found, [device_config])
    device = site.make(device_config, links, lambda *_: None, lambda _: None)
    rows: list[dict[str, Any]] = []  # told when the wire is free: whoever reads them may go away
    try:
        with contextlib.ExitStack() as stack:
            for link in links.values() if trace else ():
                rows = stack.enter_context(Trace(link))
            readings = await device.read()
        rows.append(sample_row(name, device.clock.stamp().wall, readings))
    finally:
        for link in links.values():
            await link.close()
        for row in rows:  # also of a read that failed, before it is told why
            tell(row)


def _tell(row: dict[str, Any]) -> None:
    print(f"{row['device']} at {show.clock(row['time'])}")
    if not row["readings"]:
        print("no value is available")
        return
    width = max(map(len, row["readings"]))
    for name, reading in row["readings"].items():
        print(f"  {name:{width}}  {show.value(reading)}")
