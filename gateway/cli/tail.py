"""Samples as they are taken. Without a running gateway it runs the devices of FILE itself: the dry run.

The dry run publishes, stores and numbers nothing. With --raw, devices that speak by themselves are shown word for word.
Ctrl-C ends it.
"""

import asyncio
import contextlib
import itertools
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway import control
from gateway.cli import show
from gateway.cli.amounts import count

if TYPE_CHECKING:
    from gateway.config import DeviceConfig, Site
    from gateway.device import Device
    from gateway.reading import Sample

EXAMPLE = "labgate tail meter-1 --csv > meter-1.csv"

Row = dict[str, Any]

_END_WITHIN = 2.0  # s


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("device", metavar="DEVICE", nargs="?", help="default: all")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="one line a reading: time,device,seq,name,value,unit")
    what = "the SenML pack, as the hub gets it; of a device that speaks by itself what it said, line by line"
    form.add_argument("--raw", action="store_true", help=what)
    form.add_argument("--json", action="store_true", help="one JSON object a sample")
    parser.add_argument("--count", type=count, metavar="N", help="end after N samples, or frames of --raw")


def run(args: Namespace) -> int:
    """Watch the daemon, or the devices themselves where no daemon runs."""
    raw = partial(_raw, named=args.device is None)
    form: Callable[[Row], None] = _csv if args.csv else raw if args.raw else show.json_line if args.json else _tell
    if args.csv:
        print("time,device,seq,name,value,unit")
    rows = control.ask(control.socket_path(args.socket), "tail", device=args.device, raw=args.raw)
    with contextlib.suppress(control.NoDaemonError):
        for row in itertools.islice(rows, args.count):
            form(row)
        return 0
    from gateway.cli import site

    found = site.usable_site(args.config)
    devices = site.wanted(found, args.device)
    if not devices:
        print("no device is configured: there is nothing to see", file=sys.stderr)
        return 0
    print("no gateway runs; the devices are asked from here, nothing is published or stored", file=sys.stderr)
    asyncio.run(_dry_run(found, devices, args, form))
    return 0


async def _dry_run(found: "Site", configs: "list[DeviceConfig]", args: Namespace, form: Callable[[Row], None]) -> None:
    from gateway.answer_rows import heard_rows, sample_row, senml_row
    from gateway.cli import site
    from gateway.supervisor import end, keep_running

    rows: asyncio.Queue[Row] = asyncio.Queue()
    said: dict[str, tuple[str, str | None]] = {}

    def told(device: "Device") -> None:
        state = (device.state, device.reason)
        if device.state != "starting" and state != said.get(device.name, ("ok", None)):
            said[device.name] = state
            print(f"{device.name} is {device.state}{f': {device.text}' if device.text else ''}", file=sys.stderr)

    def taken(device: "Device", sample: "Sample", _: bytes) -> None:
        if not args.raw:
            rows.put_nowait(sample_row(device.name, sample.stamp.wall, sample.readings))
        elif not device.speaks:
            rows.put_nowait(senml_row(found.gateway.id, sample))

    def overhear(device: "Device", frames: list[Any]) -> None:
        for frame in frames:
            for row in heard_rows(device.name, frame):
                rows.put_nowait(row)

    links = site.links_of(found, configs)
    devices = [site.make(config, links, taken, told) for config in configs]
    if args.raw:
        for device in devices:
            device.overheard.append(overhear)
    try:
        async with asyncio.TaskGroup() as group:
            polls = [
                group.create_task(keep_running(d.name, partial(d.run, place / len(devices)), d.broken))
                for place, d in enumerate(devices)
            ]
            try:
                for _ in range(args.count) if args.count else itertools.count():
                    form(await rows.get())
            finally:
                await end(polls, _END_WITHIN)
    finally:
        for link in links.values():
            await link.close()


def _tell(row: Row) -> None:
    print(f"{show.clock(row['time'])}  {row['device']}  {show.readings(row['readings'])}")


def _raw(row: Row, named: bool) -> None:
    """A pack says whose it is; a frame is shown with its device only where several may be meant."""
    if "senml" in row:
        print(row["senml"])
    else:
        data = bytes.fromhex(row["heard"])
        told = (row["device"] if named else None, row["from"], data.hex(" ") if row["from"] else show.frame(data))
        print("  ".join(part for part in told if part is not None))


def _csv(row: Row) -> None:
    for name, reading in row["readings"].items():
        for value in reading["value"] if isinstance(reading["value"], list) else [reading["value"]]:
            cells = (row["time"], row["device"], row.get("seq"), name, _plain(value), reading["unit"])
            print(",".join("" if c is None else _quoted(str(c)) for c in cells))


def _plain(value: Any) -> Any:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


def _quoted(text: str) -> str:
    """RFC 4180."""
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text
