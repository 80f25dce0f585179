"""What arrives at the hub: SenML packs taken apart again, and counted."""

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Arrival:
    """One sample as a subscriber gets it. `time` (s since 1970) is when the device answered."""

    device: str
    run: str
    seq: int
    time: float
    readings: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> {"value", "unit"}


def samples(payload: bytes) -> Iterator[Arrival]:
    """The samples of one pack: each restates its base fields in its first record (RFC 8428, section 4.1)."""
    sample: Arrival | None = None
    for record in json.loads(payload):
        if "seq" in record:
            if sample is not None:
                yield sample
            sample = Arrival(record["bn"].split("/")[-2], record["run"], record["seq"], record["bt"])
        if sample is not None and "n" in record:
            value = next((record[key] for key in ("v", "vb", "vs") if key in record), None)
            sample.readings[record["n"]] = {"value": value, "unit": record.get("u", record.get("ucum"))}
    if sample is not None:
        yield sample


class Tally:
    """Counts samples by their name (run, seq): the first copy counts."""

    def __init__(self) -> None:
        self.seen: dict[str, set[tuple[str, int]]] = {}
        self.readings = 0
        self.duplicates = 0
        self._latencies: list[float] = []

    def count(self, sample: Arrival, now: float) -> float:
        """One that arrived at `now`. Returns its latency (s): from the device's answer to us."""
        seen = self.seen.setdefault(sample.device, set())
        latency = now - sample.time
        if (sample.run, sample.seq) in seen:
            self.duplicates += 1
        else:
            seen.add((sample.run, sample.seq))
            self.readings += len(sample.readings)
            self._latencies.append(latency)
        return latency

    def samples(self) -> int:
        """Different samples that arrived."""
        return sum(map(len, self.seen.values()))

    def missing(self, device: str, run: str, taken: int) -> list[int]:
        """Of the numbers 1 to `taken`, those that did not arrive."""
        seen = self.seen.get(device, set())
        return [seq for seq in range(1, taken + 1) if (run, seq) not in seen]

    def latency(self) -> tuple[float, float]:
        """Median and worst latency (s); something must have arrived."""
        return statistics.median(self._latencies), max(self._latencies)
