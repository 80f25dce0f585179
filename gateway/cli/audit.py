"""What became of every sample, seen at the hub: is anything missing that nobody declared (UNEXPLAINED)?

Needs no gateway file. It listens until Ctrl-C (or --seconds), or reads what was recorded, and judges each gateway, run
and device. What passed before it listened is not judged. The exit code is 1 only where something is UNEXPLAINED.
"""

import contextlib
import queue
import signal
import sys
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from gateway.audit import Audit
from gateway.capture import LONGEST, Message, from_line, to_line
from gateway.cli import FAILED, hub
from gateway.cli.amounts import duration
from gateway.cli.audit_live import EVERY, Live
from gateway.cli.audit_report import json_rows, sums, tell
from gateway.cli.show import json_line
from gateway.errors import ConfigError, DecodeError

EXAMPLE = "labgate audit --url mqtt://hub:1883 --seconds 60"

TOPICS = ("+/status", "+/ledger", "+/+/data")  # below the prefix
_END = Message("", b"", None)  # nobody can publish it: a topic has a character at least


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--url", metavar="URL", help="listen at the hub: mqtt://HOST:1883 or mqtts://HOST:8883")
    source.add_argument(
        "--file", metavar="FILE", help="judge what --record wrote, or `mosquitto_sub -F %%j` or `-v` printed"
    )
    hub.arguments(parser)
    parser.add_argument("--seconds", type=duration, metavar="N", help="end by itself after N seconds")
    parser.add_argument("--record", metavar="FILE", help="write down what is heard, to be judged again later")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--live", action="store_true", help="show values and rates as they arrive")
    form.add_argument("--json", action="store_true", help="one JSON object a gateway, run and device, and one of sums")
    parser.add_argument(
        "--all", action="store_true", help="a line for every device, not only where something is to say"
    )


def run(args: Namespace) -> int:
    """Listen or read, then judge."""
    audit = Audit(args.prefix)
    if args.file is not None:
        _read(args, audit)
    else:
        _listen(args, audit)
    if args.json:
        for row in json_rows(audit):
            json_line(row)
    else:
        tell(audit, args.all)
    return FAILED if sums(audit)["unexplained"] else 0


def _read(args: Namespace, audit: Audit) -> None:
    for option in ("seconds", "record", "live", *hub.OPTIONS):
        if getattr(args, option):
            raise ConfigError(f"--{option.replace('_', '-')} goes with --url, not with --file")
    with Path(args.file).open("rb") as file:
        for line in iter(partial(file.readline, LONGEST), b""):
            try:
                _feed(audit, from_line(line))
            except DecodeError as error:
                audit.count_odd(args.file, f"a line that is {error}")


def _feed(audit: Audit, message: Message | None) -> None:
    if message is None:
        audit.interrupted()
    else:
        audit.feed(*message)


def _listen(args: Namespace, audit: Audit) -> None:
    from gateway.mqtt import listen  # with its library only where it is used

    where = hub.config(args)
    if args.record and Path(args.record).exists():
        raise ConfigError(f"--record: {args.record} is there already; choose another name")
    heard = queue.SimpleQueue[Message | None]()  # None: messages may be missing here
    live = Live(audit) if args.live else None
    with contextlib.ExitStack() as stack:
        with hub.said_as_options():
            subscription = listen(
                where,
                [f"{where.prefix}/{topic}" for topic in TOPICS],
                lambda topic, payload, retained: heard.put(Message(topic, payload, retained)),
                lambda: heard.put(None),
            )
        stack.enter_context(contextlib.closing(subscription))
        record = (
            stack.enter_context(Path(args.record).open("x", buffering=1, encoding="utf-8")) if args.record else None
        )
        stack.enter_context(_ends(heard, args.seconds))
        if not args.json:
            print(f"listening at {where.url} below {where.prefix}/; Ctrl-C ends it and judges")
        while (message := _next(heard, live)) is not _END:
            if record is not None:
                record.write(to_line(message))
            if message is None:
                print("labgate: cut off from the hub; what passed meanwhile is not judged", file=sys.stderr)
                audit.interrupted()
            elif (came := audit.feed(*message)) is not None and live is not None:
                live.took(*came, message.payload)


def _next(heard: "queue.SimpleQueue[Message | None]", live: Live | None) -> Message | None:
    """The next message; meanwhile what came is shown, now and then."""
    while live is not None:
        if (wait := live.due - time.monotonic()) <= 0:
            for line in live.lines():
                print(line)
            wait = EVERY
        with contextlib.suppress(queue.Empty):
            return heard.get(timeout=wait)
    return heard.get()


@contextlib.contextmanager
def _ends(heard: "queue.SimpleQueue[Message | None]", seconds: float | None) -> Iterator[None]:
    """Ctrl-C, SIGTERM and the end of the time come after what was heard until then: nothing is lost half-way."""
    timer = threading.Timer(seconds or 0.0, heard.put, [_END])
    timer.daemon = True
    before = {number: signal.signal(number, lambda *_: heard.put(_END)) for number in _SIGNALS}
    if seconds is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
