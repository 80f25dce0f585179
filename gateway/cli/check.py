"""Everything about the configuration that can be known without hardware or hub, all problems at once.

Profiles of the user's own are tried with their vectors. When good: the durability promise, how long the buffer lasts,
and how busy each serial bus will be.
"""

import contextlib
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from gateway.cli import FAILED, WRONG, advice, plan, port_names, proof, show
from gateway.config import DEVICES_FOLDER, Problem, Site, load_site
from gateway.errors import ConfigError
from gateway.yamltext import Document, read_yaml

EXAMPLE = "labgate -c gateway.yaml check --strict"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--strict", action="store_true", help="fail on warnings too")
    parser.add_argument("--json", action="store_true", help="one JSON object a problem, and one about the plan")


def run(args: Namespace) -> int:
    """Check. Returns 2 for errors, with --strict 1 for warnings."""
    site = load_site(Path(args.config))
    docs = _documents(site)
    loads = plan.bus_loads(site)
    problems = site.problems + proof.wrong_vectors(site, docs) + port_names.warnings(site, docs)
    problems += advice.warnings(site, docs, loads)
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


def _documents(site: Site) -> list[Document]:
    """The files of the configuration, for places in them; what cannot be read has been told."""
    more = sorted(f for f in (site.path.parent / DEVICES_FOLDER).glob("*.yaml") if not f.name.startswith("."))
    docs = []
    for file in (site.path, *more):
        with contextlib.suppress(ConfigError):
            docs.append(read_yaml(file))
    return [doc for doc in docs if isinstance(doc.value, dict)]


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
        "buses": [_bus(load) for load in loads],
    }


def _bus(load: plan.Load) -> dict[str, Any]:
    worst = load.worst_dead
    return {
        "link": load.link,
        "cycle": load.cycle,
        "load": load.share,
        "answer_time": plan.ANSWER_TIME,
        "devices": {d.name: {"every": d.every, "turns": len(d.turns), "time": d.time} for d in load.devices},
        "dead": {"time": worst.dead, "every": worst.dead_every} if worst else None,
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
        _tell_bus(load)


def _tell_bus(load: plan.Load) -> None:
    turns = show.plural(load.turns, "turn")
    print(
        f"\nbus {load.link} ({load.line}): asking all its devices once takes {show.seconds(load.cycle)}"
        f" ({turns}, {show.seconds(plan.ANSWER_TIME)} assumed for a device to begin its answer);"
        f"\n  {_percent(load.share)} of its time is asked:"
    )
    for d in sorted(load.devices, key=lambda d: -d.share):
        turns = show.plural(len(d.turns), "turn")
        print(f"  {d.name} every {d.every:g} s: {show.seconds(d.time)} in {turns}, {_percent(d.share)}")
    if worst := load.worst_dead:
        print(
            f"  a device that does not answer takes {show.seconds(worst.dead)} from the others,"
            f" in the end every {worst.dead_every:.0f} s"
        )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.2g} %"
