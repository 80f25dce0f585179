"""Devices of the running gateway: state, reason, age of the last sample, asked and achieved rate."""

from argparse import ArgumentParser, Namespace

from gateway import control
from gateway.cli import show

EXAMPLE = "labgate devices --json"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--json", action="store_true", help="one JSON object a device")


def run(args: Namespace) -> int:
    """Ask the daemon."""
    rows = list(control.ask(control.socket_path(args.socket), "devices"))
    if args.json:
        for row in rows:
            show.json_line(row)
    elif not rows:
        print("no device is configured")
    else:
        show.table(
            ("DEVICE", "STATE", "LINK", "LAST", "ASKED", "ACHIEVED", ""),
            [
                (
                    row["device"],
                    row["state"],
                    row.get("link"),
                    show.age(row.get("age")),
                    show.rate(row["asked"]) if row.get("asked") else None,
                    show.rate(row["achieved"]) if row.get("achieved") is not None else None,
                    row["text"] or _lost(row.get("lost", {}), row.get("unused", {})),
                )
                for row in rows
            ],
            right=("LAST", "ASKED", "ACHIEVED"),
        )
    return 0


_UNUSED = {
    "skipped": "bytes in no frame",
    "overlong": "too long",
    "wrong_checksum": "wrong checksum",
    "passed_over": "passed over",
    "thinned": "thinned",
}


def _lost(lost: dict[str, int], unused: dict[str, int]) -> str:
    """Of a device that is well now: what gave nothing, "lost: 3 timeout, 1 garbled"; what it said that is no sample."""
    told = ["lost: " + ", ".join(f"{times} {reason}" for reason, times in lost.items())] if lost else []
    if found := [f"{unused[key]} {text}" for key, text in _UNUSED.items() if unused.get(key)]:
        told.append("unused: " + ", ".join(found))
    return "; ".join(told)
