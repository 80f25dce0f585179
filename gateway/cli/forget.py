"""Clear what the hub retains of a gateway or device that is gone. Shows it and asks first.

A gateway clears by itself what its configuration no longer names. This is for those that do not come back.
"""

import asyncio
import contextlib
import queue
import secrets
import sys
import time
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from gateway.audit import Audit, Gateway
from gateway.audit_messages import place
from gateway.cli import FAILED, hub
from gateway.cli.audit_report import state
from gateway.cli.show import plural, printable
from gateway.errors import ConfigError, DecodeError, LinkError

if TYPE_CHECKING:
    from gateway.config_models import HubConfig

EXAMPLE = "labgate forget pi-7/meter-1 --url mqtt://hub:1883"

QUIET = 0.5  # s without another retained message: that was all
_KINDS = ("meta", "status", "state")


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("what", metavar="GATEWAY[/DEVICE]", help="what is gone")
    parser.add_argument("--url", metavar="URL", required=True, help="the hub: mqtt://HOST:1883 or mqtts://HOST:8883")
    hub.arguments(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: Namespace) -> int:
    """Show, ask, clear, and look whether it is gone."""
    where = hub.config(args)
    gateway, _, device = args.what.partition("/")
    root = f"{where.prefix}/{gateway}"
    try:
        place(where.prefix, f"{root}/{device}/data" if "/" in args.what else f"{root}/status")
    except DecodeError as error:
        raise ConfigError(f"{args.what!r} {error}; write GATEWAY or GATEWAY/DEVICE") from None
    if not args.yes and not sys.stdin.isatty():
        raise ConfigError("nobody is there to be asked; add --yes")
    with hub.said_as_options():
        said, topics = _retained(where, root, device)
        if not topics:
            raise LinkError(f"the hub retains nothing of {args.what} below {where.prefix}/; check --prefix", "missing")
        if said is not None and said.status is not None:
            print(f"{gateway} is {state(said)}")
            if not device and said.status.state == "online":
                raise LinkError(f"{gateway} is online and would say it all again; stop it first", "busy")
        for topic in topics:
            print(printable(topic))
        if not args.yes and not _agreed(len(topics)):
            print("nothing was cleared")
            return FAILED
        asyncio.run(_clear(where, topics))
        _, left = _retained(where, root, device)
    if left:
        why = f"this user may not write there, or {gateway} is alive and says it again"
        raise LinkError(f"the hub retains {plural(len(left), 'topic')} of {args.what} still: {why}", "refused")
    print(f"cleared {plural(len(topics), 'topic')}")
    return 0


def _retained(where: "HubConfig", root: str, device: str) -> tuple[Gateway | None, list[str]]:
    """What the gateway says of itself, and the topics of it (of a device of it) that the hub retains."""
    from gateway.mqtt import listen  # with its library only where it is used

    found, audit = set[str](), Audit(where.prefix)
    heard = queue.SimpleQueue[tuple[str, bytes, bool]]()
    listening = listen(where, [f"{root}/status", f"{root}/+/+"], lambda *message: heard.put(message), lambda: None)
    with contextlib.closing(listening), contextlib.suppress(queue.Empty):
        end = time.monotonic() + QUIET
        while (left := end - time.monotonic()) > 0:
            topic, payload, retained = heard.get(timeout=left)
            if retained:
                end = time.monotonic() + QUIET
                audit.feed(topic, payload, retained)
                found.add(topic)
    of = f"{root}/{device}/" if device else f"{root}/"
    ours = {t for t in found if t.startswith(of) and t.removeprefix(of).rpartition("/")[2] in _KINDS}
    return next(iter(audit.gateways.values()), None), sorted(ours)


def _agreed(count: int) -> bool:
    print(f"clear {plural(count, 'topic')} for good? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _clear(where: "HubConfig", topics: list[str]) -> None:
    """Empty retained messages, each confirmed before the next."""
    from gateway.mqtt import connect

    async with connect(where, f"labgate-{secrets.token_hex(6)}", None) as session:
        for topic in topics:
            verdict: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
            session.publish(topic, b"", retain=True, verdict=verdict.set_result)
            code = await verdict
            if code is None:
                raise LinkError(session.ended or "the hub closed the connection")
            if code >= 0x80:
                raise LinkError(f"the hub does not let this user clear {printable(topic)}", "refused", code)
