"""Everything about the configuration that can be known without hardware or hub, all problems at once.

When good: the durability promise, how long the buffer lasts, and how busy each serial bus will be.
"""

import math
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from gateway.cli import FAILED, WRONG, plan, show
from gateway.config import Problem, Site, load_site

EXAMPLE = "labgate -c gateway.yaml check --strict"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--strict", action="store_true", help="fail on warnings too")
    parser.add_argument("--json", action="store_true", help="one JSON object a problem, and one about the plan")


def run(args: Namespace) -> int:
    """Check. Returns 2 for errors, with --strict 1 for warnings."""
    site = load_site(Path(args.config))
    loads = plan.bus_loads(site)
    problems = site.problems + [p for load in loads if (p := plan.overload(site, load)) is not None]
    wrong = any(p.severity == "error" for p in problems)
    for problem in problems:
        if args.json:
            show.json_line(_row(problem))
        else:
            print(problem)
    if not wrong:
        if args.json:
            show.json_line(_plan(site, loads))
        else:
            _tell(args.config, site, loads)
    return WRONG if wrong else FAILED if problems and args.strict else 0


def _row(p: Problem) -> dict[str, Any]:
    place = {"file": p.place.file, "line": p.place.line, "col": p.place.col}
    return {**place, "severity": p.severity, "part": p.part, "text": p.text, "instead": p.instead}


def _plan(site: Site, loads: list[plan.Load]) -> dict[str, Any]:
    readings, stored = plan.traffic(site)
    return {
        "devices": len(site.devices),
        "commit_every": site.buffer.commit_every,
        "readings_per_second": readings,
        "stored_bytes_per_second": stored,
        "buffer_lasts": site.buffer.max_bytes / stored if stored else None,
        "buses": [{"link": load.link, "cycle": load.cycle, "load": load.share} for load in loads],
    }


def _tell(config: str, site: Site, loads: list[plan.Load]) -> None:
    print(f"{config} is good: {show.plural(len(site.devices), 'device')} on {show.plural(len(site.links), 'link')}")
    commit = f"{site.buffer.commit_every:g} s"
    print(
        f"""
durability: a commit is begun early enough to be finished before any sample is {commit} old without being confirmed
by the hub. A kill or a power cut can lose only unconfirmed samples younger than {commit}, and the next start says so.
Nothing committed is deleted before the hub has confirmed it, unless the size limit forces it, and then the ledger
names what was dropped."""
    )
    if site.hub is None:
        print("\nhub: none is configured; samples stay in the buffer")
    readings, stored = plan.traffic(site)
    if stored:
        lasts = show.age(site.buffer.max_bytes / stored)
        limit = show.size(site.buffer.max_bytes)
        print(f"\nbuffer: {readings:.4g} readings/s; without the hub {limit} last about {lasts} ({site.buffer.path})")
    for load in loads:
        turns = show.plural(load.turns, "turn")
        print(
            f"\nbus {load.link} ({load.line}): asking all its devices once takes {_seconds(load.cycle)}"
            f" ({turns}, {_seconds(plan.ANSWER_TIME)} assumed for a device to begin its answer);"
            f"\n  asked: {', '.join(load.asked)}: {math.ceil(100 * load.share)} % of the bus"
        )


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
