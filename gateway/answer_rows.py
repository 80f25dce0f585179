"""Rows that the daemon answers with, and that commands without a daemon make alike. Plain values only."""

import math
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gateway import payload
from gateway.ledger import Book
from gateway.links.air import Advert, Value
from gateway.problem import or_known
from gateway.reading import Reading, Sample

if TYPE_CHECKING:
    from gateway.device import Device


def device_row(device: "Device") -> dict[str, Any]:
    """State, reason, age of the last sample (s), asked and achieved rate (Hz), polls lost since the start by reason.

    `unused`, of a device that speaks by itself: what was heard and is in no sample (gateway.listening.Ear).
    """
    c = device.config
    now = time.time()
    row = {
        "device": device.name,
        "state": device.state,
        "reason": device.reason,
        "text": device.text,
        "link": c.link,
        "age": None if device.last is None else max(now - device.last.wall / 1e9, 0.0),
        "asked": 1 / c.every if c.every else None,
        "achieved": device.rate() if c.every or device.interval else None,
        "lost": dict(device.lost),
    }
    return row | {"unused": device.ear.counts()} if device.ear is not None else row


def book_row(book: Book, state: str) -> dict[str, Any]:
    """One account: of a killed run `taken` and `confirmed` are not known, `kept` is the least that was taken."""
    row: dict[str, Any] = {"gateway": book.gateway, "run": book.run, "device": book.device, "state": state}
    if state in ("open", "clean") or book.taken:
        row |= {"taken": book.taken, "confirmed": book.confirmed}
    else:
        row["kept"] = book.kept
    return row | {"held": book.held, "dropped": book.dropped}


def held_row(samples: int, size: int, oldest: int | None, lasts: float | None) -> dict[str, Any]:
    """What is held: samples, bytes, wall time (ns) of the oldest, seconds the buffer will last at the present rate."""
    return {
        "held": {
            "samples": samples,
            "bytes": size,
            "oldest": None if oldest is None else payload.iso_time(oldest),
            "age": None if oldest is None else max(time.time() - oldest / 1e9, 0.0),
            "lasts": lasts,
        }
    }


def sample_row(device: str, wall_ns: int, readings: list[Reading]) -> dict[str, Any]:
    """A sample for people and programs: {"device", "time", "readings": {name: {"value", "unit"}}}.

    A series, of which each value has a time of its own, is a list.
    """
    values: dict[str, dict[str, Any]] = {}
    for r in readings:
        if isinstance(r.value, float) and not math.isfinite(r.value):
            continue  # what is not available is left out
        if r.is_offset:
            values.setdefault(r.name, {"value": [], "unit": r.unit})["value"].append(r.value)
        else:
            values[r.name] = {"value": r.value, "unit": r.unit}
    return {"device": device, "time": payload.iso_time(wall_ns), "readings": values}


def senml_row(gateway: str, sample: Sample, run: str | None = None, seq: int | None = None) -> dict[str, Any]:
    """A sample as the hub gets it, {"senml": pack}; without `run` and `seq` where nobody numbered it."""
    body = payload.body(sample)
    wall, synced = sample.stamp.wall, sample.stamp.synced
    if run is None or seq is None:
        numbered = payload.inner(gateway, sample.device, wall, synced, "", 0, None, False, body)
        pack = payload.pack([numbered.replace(b'"run":"","seq":0,', b"", 1)])
    else:
        pack = payload.pack([payload.inner(gateway, sample.device, wall, synced, run, seq, None, False, body)])
    return {"senml": pack.decode()}


def heard_rows(device: str, frame: Any) -> list[dict[str, Any]]:
    """A frame as it came: {"device", "from", "heard": hexadecimal}; of an advert a row for each of its payloads.

    `from` is who sent it and where in the advert or device it was; None of what came over a line.
    """
    if isinstance(frame, Value):
        found = [(f"{frame.address} {frame.characteristic}", frame.data)]
    elif isinstance(frame, Advert):
        found = [(f"{frame.address} company {company:04x}", data) for company, data in frame.company.items()]
        found += [(f"{frame.address} service {uuid}", data) for uuid, data in frame.service.items()]
        found = found or [(frame.address, b"")]
    else:
        return [{"device": device, "from": None, "heard": frame.hex()}]
    return [{"device": device, "from": origin, "heard": data.hex()} for origin, data in found]


def unknown_device(name: str, known: Iterable[str]) -> str:
    """One line about a device that is not configured."""
    return f"no device {name!r}; {or_known(name, known) or 'none is configured'}"
