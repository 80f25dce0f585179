"""Puts the parts together in one TaskGroup: devices -> buffer -> uplink, and answers for them."""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from gateway import payload, status
from gateway.buffer import Buffer
from gateway.clock import Clock
from gateway.config import Site
from gateway.device import Device, make_device
from gateway.links import open_link
from gateway.pace import phases
from gateway.reading import Sample
from gateway.supervisor import end, keep_running
from gateway.uplink import Uplink
from gateway.version import VERSION
from gateway.writer import Writer

log = logging.getLogger("labgate")

Watcher = Callable[[Device, Sample, int], None]

_STATUS_EVERY = 60.0  # s, for what changes all the time (how much is held)
_STOP_WITHIN = 3.0  # s


class App:
    """One life of the gateway: a run."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.clock = Clock()
        self.since = self.clock.stamp().wall
        self.run_id = secrets.token_hex(6)
        self.topics = status.Topics(site.hub.prefix if site.hub else "lab", site.gateway.id)
        self.buffer = Buffer(site.gateway.id, self.run_id, self.clock)
        b = site.buffer
        self.writer = Writer(self.buffer, b.path, b.commit_every, b.max_bytes, b.keep_free)
        self.links = {name: open_link(name, config) for name, config in site.links.items()}
        crowd = Counter(config.link for config in site.devices.values())
        self.devices = {
            name: make_device(config, self.links, self.clock, self._taken, self._told, crowd[config.link] == 1)
            for name, config in site.devices.items()
        }
        self.watchers: list[Watcher] = []
        self.uplink: Uplink | None = None
        self._show: Callable[[str, Sample], None] | None = None
        self._states: dict[str, tuple[str, str | None]] = {}  # as logged last
        self._said: dict[str, Any] = {}  # the last status, without what changes all the time
        self._stop = asyncio.Event()
        if site.hub is not None:
            client_id = site.hub.client_id or f"labgate-{site.gateway.id}"
            will = status.will(self.topics.status, self.run_id)
            self.uplink = Uplink(site.hub, client_id, self.buffer, self.clock, will)
            self.uplink.connected = self._introduce
            self.uplink.changed = self._say_status
            self.uplink.drained = self._clear_foreign
            self.writer.changed = self._say_status
            if site.hub.state is not None:
                from gateway.views import Views

                self._show = Views(site.hub.state, self.uplink.view).show

    def stop(self) -> None:
        """End the run: commit, say goodbye, and `run` returns."""
        self._stop.set()

    async def run(self, *services: Callable[[], Any]) -> None:
        """Run until `stop`; `services` are coroutine functions that run beside (the control socket).

        Raises ConfigError when another daemon holds the buffer.
        """
        owned = {t: d for d in [*self.devices, *self.site.disabled] for t in self.topics.retained(d)}
        await self.writer.open(owned | {self.topics.status: ""} if self.site.hub else {})
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self.writer.run())
                parts = [group.create_task(service()) for service in services]
                spread = phases([(device.config.link, device.config.every) for device in self.devices.values()])
                for phase, device in zip(spread, self.devices.values(), strict=True):
                    poll = partial(device.run, phase)
                    parts.append(group.create_task(keep_running(device.name, poll, device.broken)))
                uplink = self.uplink and group.create_task(keep_running("uplink", self.uplink.run, lambda _: None))
                if self.uplink:
                    parts.append(group.create_task(self._status_now_and_then()))
                await self._stop.wait()
                await end(parts, _STOP_WITHIN)
                if self.uplink and uplink:
                    await self.uplink.stop(self.topics.status, status.offline("stopped", self.run_id))
                    await asyncio.wait([uplink], timeout=_STOP_WITHIN)
                    uplink.cancel()
                self.writer.stop()
                await asyncio.wait([writer], timeout=_STOP_WITHIN)
        finally:
            await self.writer.finish()
            for link in self.links.values():
                await link.close()

    # -- what happens -------------------------------------------------------------------------------------------

    def _taken(self, device: Device, sample: Sample, body: bytes) -> None:
        seq = self.buffer.take(device.name, sample.stamp, device.config.klass, body, device.speaks)
        if self._show is not None:
            self._show(self.topics.of(device.name, "state"), sample)
        for watcher in self.watchers:
            watcher(device, sample, seq)

    def _told(self, device: Device) -> None:
        state = (device.state, device.reason)
        if state != self._states.get(device.name, ("starting", None)):  # told, too, when its quantities are known
            self._states[device.name] = state
            level = logging.INFO if device.state == "ok" else logging.WARNING
            log.log(level, "%s is %s%s", device.name, device.state, f": {device.text}" if device.text else "")
        self._describe(device)

    def _describe(self, device: Device) -> None:
        if self.uplink is not None and self.uplink.protocol is not None:
            self.uplink.retain(self.topics.of(device.name, "meta"), payload.to_json(device.meta()))
            self.uplink.retain(self.topics.of(device.name, "status"), payload.to_json(device.status()))

    def _introduce(self) -> None:
        """A new connection: say everything that is retained again."""
        assert self.uplink is not None
        self._said = {}
        self._say_status()
        for device in self.devices.values():
            self._describe(device)
        for name, problem in self.site.disabled.items():
            self.uplink.retain(self.topics.of(name, "status"), status.disabled_status(problem, self.since))
        self._clear_foreign()

    def _say_status(self) -> None:
        if self.uplink is None or self.uplink.protocol is None:
            return
        found = status.online(VERSION, self.since, self.site, self.buffer, self.writer, self.uplink, self.clock)
        lasting = {k: v for k, v in found.items() if k != "held"}
        if lasting != self._said:
            self._said = lasting
            self.uplink.retain(self.topics.status, payload.to_json(found))

    async def _status_now_and_then(self) -> None:
        held = None
        while True:
            await asyncio.sleep(_STATUS_EVERY)
            await self.writer.look_up_oldest()
            if held != self.buffer.held():
                held = self.buffer.held()
                self._said = {}
            self._say_status()

    def _clear_foreign(self) -> None:
        """Retained topics of devices that are not configured any more, once nothing of them is held."""
        assert self.uplink is not None
        known, prefix = {"", *self.devices, *self.site.disabled}, self.uplink.hub.prefix
        held = [book for book in self.buffer.all_books() if book.held]
        holding = {f"{prefix}/{b.gateway}" for b in held} | {f"{prefix}/{b.gateway}/{b.device}" for b in held}
        for topic, device in self.buffer.topics.items():
            ours = device in known and topic.startswith(f"{self.topics.root}/")
            if not ours and topic.rpartition("/")[0] not in holding:
                self.uplink.retain(topic, b"")
