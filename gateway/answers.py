"""What the daemon answers over its control socket: devices, ledger, read, tail, status."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from gateway import status
from gateway.answer_rows import book_row, device_row, heard_rows, held_row, sample_row, senml_row, unknown_device
from gateway.app import App
from gateway.control import Answer
from gateway.device import Device
from gateway.errors import ConfigError, LabgateError
from gateway.reading import Sample
from gateway.trace import Trace
from gateway.version import VERSION

_WATCHED = 1000  # samples or frames a slow watcher may lag behind; then the oldest are passed over


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

    def find(question: dict[str, Any]) -> Device:
        name = str(question.get("device"))
        if name in app.site.disabled:
            raise ConfigError(str(app.site.disabled[name]))
        if name not in app.devices:
            raise ConfigError(unknown_device(name, app.devices))
        return app.devices[name]

    async def read(question: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        device = find(question)
        link = app.links.get(device.config.link or "") if question.get("trace") else None
        failure: LabgateError | None = None
        with contextlib.nullcontext([]) if link is None else Trace(link) as rows:
            try:
                readings = await device.read()
                rows.append(sample_row(device.name, app.clock.stamp().wall, readings))
            except LabgateError as error:
                failure = error
        for row in rows:  # the frames of a read that failed are told before why
            yield row
        if failure is not None:
            raise failure

    async def tail(question: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        wanted = [find(question)] if question.get("device") is not None else list(app.devices.values())
        speaking = [device for device in wanted if question.get("raw") and device.speaks]
        seen: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_WATCHED)

        def show(row: dict[str, Any]) -> None:
            if seen.full():
                seen.get_nowait()
            seen.put_nowait(row)

        def watch(device: Device, sample: Sample, seq: int) -> None:
            if device in speaking or device not in wanted:
                return
            if question.get("raw"):
                show(senml_row(app.site.gateway.id, sample, app.run_id, seq))
            else:
                show(sample_row(device.name, sample.stamp.wall, sample.readings) | {"seq": seq})

        def overhear(device: Device, frames: list[Any]) -> None:
            for frame in frames[-_WATCHED:]:
                for row in heard_rows(device.name, frame):
                    show(row)

        app.watchers.append(watch)
        for device in speaking:
            device.overheard.append(overhear)
        try:
            while True:
                yield await seen.get()
        finally:
            app.watchers.remove(watch)
            for device in speaking:
                device.overheard.remove(overhear)

    async def state(_: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        found: dict[str, Any] = {"version": VERSION, "run": app.run_id, "gateway": app.site.gateway.id}
        if app.uplink is not None:
            a = app
            found = status.online(VERSION, a.since, a.site, a.buffer, a.writer, app.uplink, a.clock) | found
            if app.uplink.problem is not None:
                found["hub"] = str(app.uplink.problem)
        yield found

    return {"devices": devices, "ledger": ledger, "read": read, "tail": tail, "status": state}
