"""Hears a device that speaks by itself: frames become samples, silence and nonsense become states."""

import asyncio
import math
from typing import TYPE_CHECKING, Any

from gateway.driver import Listener, link_shape
from gateway.errors import DecodeError, LabgateError, LinkError
from gateway.links.base import RadioLink, SerialLink
from gateway.reading import Reading

if TYPE_CHECKING:
    from gateway.device import Device

AGAIN = 0.5  # s until a line that is not there is opened again
TOGETHER = 50  # frames before others have their turn
NONSENSE = 3  # frames in a row that make no sense, after which that is the device's state
SILENT_AFTER = 30.0  # s, at least, unless said
INTERVALS = 10  # of the interval seen, unless said
READ_WITHIN = 15.0  # s that `labgate read` waits for a device that speaks when it likes


class Ear:
    """What one device says, heard for ever."""

    def __init__(self, device: "Device", driver: Listener, link: SerialLink | RadioLink) -> None:
        self.device, self.driver, self.link = device, driver, link
        self.thinned = 0  # samples passed over because `every` was not over
        self._nonsense = 0  # frames in a row
        self._newest: list[Reading] | None = None  # waits until `every` is over
        self._due = -math.inf  # loop time from which the next sample may be taken
        self._last = math.nan  # loop time of what was heard last
        self._wanted: list[asyncio.Future[list[Reading]]] = []  # of those who wait for what it says next

    def counts(self) -> dict[str, int]:
        """What was heard and is in no sample: as gateway.links.base counts it, and samples `thinned`."""
        return {**self.link.counts(self.device.name), "thinned": self.thinned}

    async def listen(self) -> None:
        """Take samples for ever. A line that is not there is opened again; nothing is said twice."""
        loop, device = asyncio.get_running_loop(), self.device
        repeats = 0  # of what it has said before: it is there, and has nothing new to say
        while True:
            wait = self._silent_after() if self._newest is None else self._due - loop.time()
            try:
                frames = await self.link.frames(device.name, self.driver.hear, max(wait, 0.0))
            except LinkError as error:
                device.failed(error)
                self._tell(error)
                await asyncio.sleep(AGAIN)
                continue
            if not frames and self._newest is None:
                before, repeats = repeats, self.link.counts(device.name).get("repeats", 0)
                if repeats == before:
                    device.failed(_silence(wait, device))
            for start in range(0, len(frames), TOGETHER):
                some = frames[start : start + TOGETHER]
                for tell in device.overheard:
                    tell(device, some)
                for frame in some:
                    self._hear(frame, loop.time())
                if start + TOGETHER < len(frames):
                    await asyncio.sleep(0)
            if self._newest is not None and loop.time() >= self._due:
                self._take(self._newest, loop.time())

    def _hear(self, frame: Any, now: float) -> None:
        try:
            readings = self.driver.decode(frame)
        except DecodeError as error:
            self._nonsense += 1
            if self._nonsense >= NONSENSE:
                self.device.failed(error)
                self._tell(error)
            else:
                self.device.lost[error.reason] += 1
            return
        self._nonsense = 0
        if not readings:
            return
        if self._wanted:
            self._tell(readings)
        if now < self._due:
            self.thinned += self._newest is not None
            self._newest = readings
        else:
            self._take(readings, now)

    def _take(self, readings: list[Reading], now: float) -> None:
        self._newest = None
        try:
            self.device.got(readings)
        except LabgateError as error:
            self.device.failed(error)
            return
        every = self.device.config.every
        self._due = max(self._due + every, now) if every else -math.inf
        if not math.isnan(self._last):
            seen = now - self._last
            self.device.interval += (seen - self.device.interval) / 8 if self.device.interval else seen
        self._last = now

    async def next(self) -> list[Reading]:
        """What is heard next. With an ear of its own the driver, which remembers, would hear everything twice."""
        wanted: asyncio.Future[list[Reading]] = asyncio.get_running_loop().create_future()
        self._wanted.append(wanted)
        try:
            async with asyncio.timeout(READ_WITHIN):
                return await wanted
        except TimeoutError:
            raise _silence(READ_WITHIN, self.device) from None

    def _tell(self, heard: list[Reading] | LabgateError) -> None:
        wanted, self._wanted = self._wanted, []
        for future in wanted:
            if future.done():  # nobody waits any more
                continue
            if isinstance(heard, LabgateError):
                future.set_exception(heard)
            else:
                future.set_result(heard)

    def _silent_after(self) -> float:
        return self.device.config.silent_after or max(SILENT_AFTER, INTERVALS * self.device.interval)


async def next_readings(device: "Device", driver: Listener, link: SerialLink | RadioLink) -> list[Reading]:
    """What the device says next, where nobody listens. Raises LinkError, and DecodeError for nothing but nonsense."""
    loop, ear = asyncio.get_running_loop(), f"{device.name} read"
    until = loop.time() + READ_WITHIN
    wrong: DecodeError | None = None
    nonsense = 0  # frames in a row
    try:
        while nonsense < NONSENSE and (wait := until - loop.time()) > 0:
            for frame in await link.frames(ear, driver.hear, wait):
                try:
                    if readings := driver.decode(frame):
                        return readings
                    nonsense = 0
                except DecodeError as error:
                    wrong = error
                    nonsense += 1
    finally:
        await link.forget(ear)
    if wrong is not None:
        raise wrong
    raise _silence(READ_WITHIN, device)


def _silence(lasted: float, device: "Device") -> LinkError:
    radio = link_shape(type(device.driver)) is RadioLink
    check = "range and battery" if radio else "cable, speed"
    text = f"nothing heard for {lasted:.3g} s: link {device.config.link}; check {check}, and that it is on"
    return LinkError(text, "silent")
