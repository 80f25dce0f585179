"""Measures the daemon: `python tests/bench [NAME …]`. See README.md beside this file."""

import argparse
import compileall
import json
import os
import sys

from cases import CASES
from figure import Figure
from rig import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench", description="Measures the daemon.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(CASES)} (all)")
    parser.add_argument("--long", action="store_true", help="as long as the figures ask for, ten minutes of disk")
    parser.add_argument("--runs", type=int, default=1, help="so many runs; the median counts, the spread is shown")
    parser.add_argument("--json", action="store_true", help="one object a figure")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in CASES]:
        parser.error(f"no case {', '.join(unknown)}; there is {', '.join(CASES)}")
    for package in ("gateway", "drivers"):  # else the first daemon compiles, and writes 0.8 MB
        compileall.compile_dir(ROOT / package, quiet=1)
    if not given.json:
        print(f"load {os.getloadavg()[0]:.2f} before the start", flush=True)
    for name in given.names or CASES:
        found: dict[str, Figure] = {}
        for _ in range(given.runs):
            for figure in CASES[name](given.long):
                if figure.name in found:
                    found[figure.name].add(figure)
                else:
                    found[figure.name] = figure
        for figure in found.values():
            print(json.dumps(figure.json()) if given.json else figure.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
