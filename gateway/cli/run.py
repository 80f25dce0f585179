"""The gateway in the foreground, as systemd starts it: devices -> buffer -> hub, until SIGTERM or Ctrl-C."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path

from gateway import control
from gateway.answers import answers
from gateway.app import App
from gateway.cli import FAILED, WRONG, first_of, logs
from gateway.config import Site, load_site
from gateway.errors import ConfigError, LabgateError

EXAMPLE = "labgate -c gateway.yaml run"

log = logging.getLogger("labgate")


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--log", choices=("text", "json"), default="text", help="how to log to standard error")
    parser.add_argument("--debug", action="store_true", help="log every frame on every wire, too: >> sent, << received")


def run(args: Namespace) -> int:
    """Run until told to stop. Returns only when nothing was started."""
    logs.set_up(args.log, args.debug)
    site = load_site(Path(args.config))
    for problem in site.problems:
        log.log(logging.WARNING if problem.severity == "warning" else logging.ERROR, "%s", problem)
    if site.fatal:
        raise ConfigError(f"{args.config} leaves nothing to run; labgate check tells more")
    if not site.devices:
        log.info("no device is configured: nothing to do")
    asyncio.run(_run(site, control.socket_path(args.socket)))
    return 0


async def _run(site: Site, socket: Path) -> None:
    """One life of the gateway. Ends the process: nothing, not even a look-up in a thread, holds it up then."""
    app = App(site)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.stop)
    log.info("%s begins run %s, pid %d", site.gateway.id, app.run_id, os.getpid())
    try:
        await app.run(partial(control.serve, socket, answers(app)))
        log.info("stopped")
        code = 0
    except* LabgateError as group:
        error = first_of(group)
        log.error("%s", error)
        code = WRONG if isinstance(error, ConfigError) else FAILED
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError):  # nobody reads it any more; it was closed from the start
            stream.flush()
    os._exit(code)
