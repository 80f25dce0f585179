"""What the daemon answers over its control socket: devices, ledger, read, tail, status."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from gateway import payload, status
from gateway.app import App
from gateway.control import Answer
from gateway.device import Device
from gateway.errors import ConfigError
from gateway.ledger import Book
from gateway.reading import Reading, Sample
from gateway.version import VERSION

_WATCHED = 1000  # samples a slow watcher may lag behind; then the oldest are passed over


def answers(app: App) -> dict[str, Answer]:
    """Name of a question -> what answers it, for `control.serve`."""

    async def devices(_: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        for device in app.devices.values():
            yield device_row(device)
        for name, problem in app.site.disabled.items():
            yield {"device": name, "state": "disabled", "reason": "configuration", "text": str(problem)}

    async def ledger(_: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        await app.writer.look_up_oldest()
        for book in app.buffer.all_books():
            yield book_row(book, app.writer.state_of(book.run))
        samples, size = app.buffer.held()
        oldest = app.writer.oldest if app.buffer.on_disk else app.buffer.oldest()
        yield held_row(samples, size, oldest, await app.writer.lasts())

    async def read(question: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        device = app.devices.get(str(question.get("device")))
        if device is None:
            raise ConfigError(unknown_device(str(question.get("device")), [*app.devices, *app.site.disabled]))
        readings = await device.read()
        yield sample_row(device.name, app.clock.stamp().wall, readings)

    async def tail(question: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        wanted = question.get("device")
        if wanted is not None and wanted not in app.devices:
            raise ConfigError(unknown_device(str(wanted), [*app.devices, *app.site.disabled]))
        seen: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_WATCHED)

        def watch(device: Device, sample: Sample, seq: int) -> None:
            if wanted in (None, device.name):
                if seen.full():
                    seen.get_nowait()
                seen.put_nowait(sample_row(device.name, sample.stamp.wall, sample.readings) | {"seq": seq})

        app.watchers.append(watch)
        try:
            while True:
                yield await seen.get()
        finally:
            app.watchers.remove(watch)

    async def state(_: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        found: dict[str, Any] = {"version": VERSION, "run": app.run_id, "gateway": app.site.gateway.id}
        if app.uplink is not None:
            a = app
            found = status.online(VERSION, a.since, a.site, a.buffer, a.writer, app.uplink, a.clock) | found
            if app.uplink.problem is not None:
                found["hub"] = str(app.uplink.problem)
        yield found

    return {"devices": devices, "ledger": ledger, "read": read, "tail": tail, "status": state}


def device_row(device: Device) -> dict[str, Any]:
    """State, reason, age of the last sample (s), asked and achieved rate (Hz)."""
    c = device.config
    now = time.time()
    return {
        "device": device.name,
        "state": device.state,
        "reason": device.reason,
        "text": device.text,
        "link": c.link,
        "age": None if device.last is None else max(now - device.last.wall / 1e9, 0.0),
        "asked": 1 / c.every,
        "achieved": device.rate(),
    }


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
    """A sample for people and programs: {"device", "time", "readings": {name: {"value", "unit"}}}."""
    values = {r.name: {"value": r.value, "unit": r.unit} for r in readings}
    return {"device": device, "time": payload.iso_time(wall_ns), "readings": values}


def unknown_device(name: str, known: list[str]) -> str:
    """One line about a device that is not configured."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"there is {', '.join(sorted(known)) or 'none configured'}"
    return f"no device {name!r}; {hint}"
