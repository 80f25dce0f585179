"""A driver with a name: asks on a fixed grid or listens, stamps, checks, hands samples over; knows its own state."""

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from gateway import payload
from gateway.clock import Clock
from gateway.config import DeviceConfig
from gateway.driver import Driver, Listener, Polled
from gateway.errors import DecodeError, LabgateError, LinkError, Reason
from gateway.links.arbiter import URGENT
from gateway.links.base import Link
from gateway.listening import Ear, next_readings
from gateway.pace import Pace
from gateway.reading import Quantity, Reading, Sample, Stamp
from gateway.stated import StatedTimes

State = Literal["starting", "ok", "degraded", "silent", "unreachable", "quarantined", "disabled"]
STATES: tuple[State, ...] = get_args(State)

_UNREACHABLE_AFTER = 3  # failures in a row
_TIMES = b'"t":'  # in a body: readings that state when they were measured
_ILLEGAL = re.compile(r"[^A-Za-z0-9_.:-]")


class Device:
    """One configured device and its driver.

    `taken(device, sample, body)` gets every sample with its encoded body; `told(device)` is called when state, reason
    or the known quantities change.
    """

    def __init__(
        self,
        config: DeviceConfig,
        driver: Driver,
        clock: Clock,
        taken: Callable[["Device", Sample, bytes], None],
        told: Callable[["Device"], None],
        alone: bool = True,
    ) -> None:
        self.config, self.driver, self.clock, self.alone = config, driver, clock, alone
        self.name = config.name
        self.speaks = isinstance(driver, Listener)  # when it likes; else it is asked
        self.state: State = "starting"
        self.reason: Reason | None = None
        self.text = ""
        self.since = clock.stamp().wall
        self.last: Stamp | None = None  # of the last sample
        self.failures = 0  # in a row
        self.lost = Counter[Reason]()  # polls that gave nothing, by reason
        self._unanswered = 0  # failures in a row with no answer at all
        self._pace = Pace(config.every or 1.0, alone, time.monotonic())
        self._woken = asyncio.Event()
        self.ear: Ear | None = None  # of a device that speaks by itself
        self.overheard: list[Callable[[Device, list[Any]], None]] = []  # told each frame it hears, before it is decoded
        self.interval = 0.0  # s between samples of a device that speaks by itself, as seen of late
        self.quantities: dict[str, Quantity] = driver.quantities()
        self.identity = driver.identity()
        self.renamed: dict[str, str] = {}  # legal name -> the device's own
        self._shape = payload.Shape()
        self._stated = StatedTimes()
        self._taken, self._told = taken, told

    async def run(self, phase: float) -> None:
        """Listen for ever, or ask, `phase` (0 … 1) into the period."""
        if isinstance(self.driver, Listener):
            self.ear = self.ear or Ear(self, self.driver, self.driver.link)
            await self.ear.listen()
        else:
            await self.poll(phase)

    async def poll(self, phase: float) -> None:
        """Ask for ever. The first time at once, then on a grid of `every` (s) that begins `phase` (0 … 1) into it."""
        now = time.monotonic  # what the loop's clock is made of
        pace = self._pace = Pace(self.config.every, self.alone, now(), phase)
        while True:
            began = now()
            await self.ask()
            due = pace.next(began, now(), self._unanswered) - now()
            if self._unanswered:
                self._woken.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(due):
                        await self._woken.wait()
            else:
                await asyncio.sleep(due)

    async def ask(self) -> None:
        """One turn: read, and hand over what came, or note why nothing came."""
        try:
            self.got(await self._read())
        except (LinkError, DecodeError) as error:
            self.failed(error)

    async def read(self) -> list[Reading]:
        """What the device says now, checked and named as in a sample, but never numbered. Raises LabgateError."""
        token = URGENT.set(True)  # somebody waits for it: before the polls of others
        try:
            readings = self._named(await self._read())
            self._woken.set()  # it answers: whatever the polls have found
            shape = payload.Shape()
            shape.learn(readings)
            shape.encode(readings)  # refuses what is no value
            return readings
        except LabgateError:
            raise
        except Exception as error:
            raise LinkError(f"the driver failed: {type(error).__name__}: {error}", "bug") from error
        finally:
            URGENT.reset(token)

    async def _read(self) -> list[Reading]:
        driver = self.driver
        if self.ear is not None:
            return await self.ear.next()
        if isinstance(driver, Listener):
            return await next_readings(self, driver, driver.link)
        assert isinstance(driver, Polled), "the configuration admits no other drivers"
        return await driver.read()

    def got(self, readings: list[Reading]) -> None:
        """A good answer: stamp it, hand the sample over. Raises DecodeError for what is no value."""
        stamp = self.clock.stamp()
        if not self._shape.matches(readings):
            readings = self._named(readings)
            if not self._shape.matches(readings):
                self._learn(readings)
        body = self._shape.encode(readings)
        trouble = self.driver.trouble()
        if trouble is not None or self._pace.full or self.failures or self.state != "ok":
            self.failures = self._unanswered = 0
            self._answered(trouble, stamp)
        if not body:
            return
        self.last = stamp
        if _TIMES in body:
            for sample in self._stated.samples(self.name, readings, stamp):
                self._taken(self, sample, payload.body(sample))
        else:
            self._taken(self, Sample(self.name, stamp, readings), body)

    def failed(self, error: LabgateError) -> None:
        """No answer, or one that makes no sense. One change of state, not one line an occurrence."""
        self.failures += 1
        self.lost[error.reason] += 1
        answered = isinstance(error, DecodeError) or (isinstance(error, LinkError) and (error.answered or error.gone))
        self._unanswered = 0 if answered else self._unanswered + 1
        state: State = "degraded"
        if error.reason == "silent":
            state = "silent"
        elif isinstance(error, LinkError) and (self.failures >= _UNREACHABLE_AFTER or self.last is None or error.gone):
            state = "unreachable"
        if (state, error.reason) != (self.state, self.reason):
            self._become(state, error.reason, str(error))
        else:
            self.text = str(error)

    def broken(self, error: Exception) -> None:
        """The driver raised what nobody expected."""
        self.failures += 1
        text = f"the driver failed: {type(error).__name__}: {error}; the log has the details"
        if (self.state, self.reason, self.text) != ("degraded", "bug", text):
            self._become("degraded", "bug", text)

    def status(self) -> dict[str, object]:
        """As published (contract: PREFIX/GATEWAY/DEVICE/status)."""
        found: dict[str, object] = {"state": self.state}
        if self.reason is not None:
            times = f", {self.failures} times" if self.failures > 1 else ""
            found |= {"reason": self.reason, "text": self.text + times}
        found["since"] = payload.iso_time(self.since)
        if self.last is not None:
            found["last"] = payload.iso_time(self.last.wall)
        return found

    def rate(self) -> float:
        """Achieved reads, or samples heard, a second, of late."""
        if self.speaks:
            return 1 / self.interval if self.interval else 0.0
        return self._pace.achieved()

    def meta(self) -> dict[str, object]:
        """As published (contract: PREFIX/GATEWAY/DEVICE/meta)."""
        c = self.config
        found: dict[str, object] = {"driver": c.driver}
        if c.profile is not None:
            found |= {"profile": c.profile, "version": c.version}
        found |= {"link": c.link, "labels": c.labels}
        if self.identity:
            found["identity"] = {key: self.identity.get(key) for key in ("model", "serial", "firmware")}
        found["quantities"] = {
            name: {"unit": q.unit, "kind": q.kind} | ({"name": self.renamed[name]} if name in self.renamed else {})
            for name, q in self.quantities.items()
        }
        if c.every:
            found["every"] = c.every
        if c.silent_after is not None:
            found["silent_after"] = c.silent_after
        return found

    def _answered(self, trouble: LabgateError | None, stamp: Stamp) -> None:
        """It answers; perhaps not all that is asked, or not as often."""
        if trouble is not None:
            if (self.reason, self.text) != (trouble.reason, str(trouble)):
                self._become("degraded", trouble.reason, str(trouble), stamp)
        elif self._pace.full:
            every, achieved = self.config.every, 1 / max(self.rate(), 1e-9)
            text = (
                f"asked every {every:g} s, achieved every {achieved:.3g} s: link {self.config.link} carries no more; "
            )
            text += "read less (only), less often (every), or at a higher baudrate"
            if self.reason != "bus_full":
                self._become("degraded", "bus_full", text, stamp)
            self.text = text
        elif self.state != "ok":
            self._become("ok", None, "", stamp)

    def _become(self, state: State, reason: Reason | None, text: str, stamp: Stamp | None = None) -> None:
        self.state, self.reason, self.text = state, reason, text
        self.since = (stamp or self.clock.stamp()).wall
        self._told(self)

    def _learn(self, readings: list[Reading]) -> None:
        """Names or units that were not there before; a device that says who it is says so in readings of its own."""
        self._shape.learn(readings)
        old = self.driver.quantities() | self.quantities  # some drivers know only after the first read
        known = {r.name: Quantity(r.unit, old[r.name].kind) if r.name in old else Quantity(r.unit) for r in readings}
        identity = self.driver.identity()
        if not known.items() <= self.quantities.items() or identity != self.identity:
            self.quantities, self.identity = self.quantities | known, identity
            self._told(self)

    def _named(self, readings: list[Reading]) -> list[Reading]:
        """Names made legal and different from each other, at most `max_quantities`."""
        named: list[Reading] = []
        seen: set[str] = set()
        for r in readings:
            name = _ILLEGAL.sub("_", r.name).lstrip("_.:-")[:64] or "value"
            base, n = name, 1
            while name in seen and r.at is None:  # at another time it is the same quantity
                n += 1
                name = f"{base[:60]}.{n}"
            if name in self.quantities or len(self.quantities.keys() | seen) < self.config.max_quantities:
                seen.add(name)
                if name != r.name:
                    self.renamed[name] = r.name
                    r = Reading(name, r.value, r.unit, r.quality, r.at)
                named.append(r)
        return named


def make_device(
    config: DeviceConfig,
    links: Mapping[str, Link],
    clock: Clock,
    taken: Callable[[Device, Sample, bytes], None],
    told: Callable[[Device], None],
    alone: bool = True,
) -> Device:
    """A device with its driver on its link; `alone`: no other device is on that."""
    driver = config.driver_class(config.options, links[config.link] if config.link else None)
    return Device(config, driver, clock, taken, told, alone)
