"""Boards that print lines, each on a pseudo-terminal of its own, with nothing configured beyond the port."""

import json
import time
from pathlib import Path

from rig import SECOND, TRUTH_WITHIN, Rig, now

EVERY = "10ms"  # 100 lines a second and board


class Boards(Rig):
    """Boards that print JSON."""

    dialect = "json"

    def _simulated(self) -> list[str]:
        return ["line_board", "--set", f"every={EVERY}", "--set", f"dialect={self.dialect}"]

    def _write_site(self) -> Path:
        site = {
            "gateway": {"id": "bench"},
            "hub": {"url": f"mqtt://127.0.0.1:{self.broker.port}", "state": "off", "unheard": "hold"},
            "buffer": {"path": str(self.folder / "buffer.db")},
            "links": {f"l{i}": {"serial": url} for i, url in enumerate(self.urls)},
            "devices": {f"d{i}": {"link": f"l{i}", "driver": "lines"} for i in range(len(self.urls))},
        }
        file = self.folder / "gateway.yaml"
        file.write_text(json.dumps(site))
        return file

    def given_and_wrong(self) -> tuple[int, int]:
        """Lines the boards gave up to now, and those of them that did not come, or came with other values."""
        assert self.hub
        until = now()
        time.sleep(0.5)  # what is not read when a terminal is closed is gone
        self.devices.end()
        time.sleep(TRUTH_WITHIN)
        given: dict[str, list[float]] = {url: [] for url in self.urls}
        with self._truth.open() as lines:
            for line in map(json.loads, lines):
                if line["name"].lower() == "temperature" and line["boot"] * SECOND <= until:
                    given[line["device"]].append(line["value"])
        end = time.monotonic() + 10
        while self.report()["samples"] < sum(map(len, given.values())) and time.monotonic() < end:
            time.sleep(0.1)
        came: dict[str, list[tuple[int, float]]] = {f"bench/d{i}/": [] for i in range(len(self.urls))}
        for device, _, seq, value, *_ in self.hub.ask("samples"):
            came[device].append((seq, value))
        wrong = 0
        for said, numbered in zip(given.values(), came.values(), strict=True):
            heard = [value for _, value in sorted(numbered)]
            wrong += max(len(said) - len(heard), 0) + sum(a != b for a, b in zip(said, heard, strict=False))
        return sum(map(len, given.values())), wrong


class LabelledBoards(Boards):
    """Boards that print `Temperature:22.40`."""

    dialect = "label"
