"""Hears a device that speaks by itself: frames become samples, silence and nonsense become states."""

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any

from gateway.driver import Listener, link_shape
from gateway.errors import DecodeError, LabgateError, LinkError
from gateway.links.base import RadioLink, SerialLink
from gateway.links.framing import longest_frame
from gateway.problem import one_line
from gateway.reading import Reading

if TYPE_CHECKING:
    from gateway.device import Device

log = logging.getLogger("labgate.listening")

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
        self._hears = driver.hear
        self.thinned = 0  # samples passed over because `every` was not over
        self._nonsense = 0  # frames in a row
        self._newest: list[Reading] | None = None  # waits until `every` is over
        self._due = -math.inf  # loop time from which the next sample may be taken
        self._last = math.nan  # loop time of what was heard last
        self._news = -math.inf  # loop time of the last that was of use, or of what was said about it
        self._worthless = -math.inf  # loop time of the last frame that told no value
        self._unframed = _Unframed(device, driver, link, device.name)
        self._repeats = 0  # of what it has said before: it is there, and has nothing new to say
        self._bugs: set[str] = set()  # kinds of errors the log has told
        self._wanted: list[asyncio.Future[list[Reading]]] = []  # of those who wait for what it says next

    def counts(self) -> dict[str, int]:
        """What was heard and is in no sample: as gateway.links.base counts it, and samples `thinned`."""
        return {**self.link.counts(self.device.name), "thinned": self.thinned}

    async def listen(self) -> None:
        """Take samples for ever. A line that is not there is opened again; nothing is said twice."""
        loop, device = asyncio.get_running_loop(), self.device
        self._news = loop.time()
        while True:
            until = self._news + self._silent_after() if self._newest is None else self._due
            try:
                frames = await self.link.frames(device.name, self._hears, max(until - loop.time(), 0.0))
            except LinkError as error:
                device.failed(error)
                self._tell(error)
                await asyncio.sleep(AGAIN)
                self._news = loop.time()
                continue
            self._unframed.framed += len(frames)
            if frames:
                self._repeats = self.link.counts(device.name).get("repeats", 0)
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
            if not frames or loop.time() >= self._news + self._silent_after():
                self._look(loop.time())

    def _look(self, now: float) -> None:
        """Say what is wrong where bytes come and no frame, frames and no value, or nothing at all."""
        wrong: LabgateError | None = self._unframed.look()
        before, self._repeats = self._repeats, self.link.counts(self.device.name).get("repeats", 0)
        if self._repeats > before:
            self._news = now
        elif wrong is None and now - self._news >= (lasted := self._silent_after()):
            wrong = self._unframed.silence(lasted, now - self._worthless < lasted / 2)
        if wrong is not None:
            self._news = now
            self.device.failed(wrong)
            self._tell(wrong)

    def _hear(self, frame: Any, now: float) -> None:
        try:
            readings = self.driver.decode(frame)
        except Exception as error:  # noqa: BLE001 - a driver of one's own may raise anything
            self._makes_no_sense(error if isinstance(error, LabgateError) else self._bug(error), now)
            return
        if not readings:
            self._nonsense, self._worthless = 0, now
            return
        if self._wanted:
            self._tell(readings)
        if now < self._due:
            self._nonsense, self._news = 0, now
            self.thinned += self._newest is not None
            self._newest = readings
        else:
            self._take(readings, now)

    def _makes_no_sense(self, error: LabgateError, now: float) -> None:
        self._nonsense += 1
        if self._nonsense >= NONSENSE:
            self._news = now
            self.device.failed(error)
            self._tell(error)
        else:
            self.device.lost[error.reason] += 1

    def _bug(self, error: Exception) -> LabgateError:
        """What nobody expected, as an error of one frame: the next ones are heard in time. In the log once a kind."""
        kind = type(error).__name__
        if kind not in self._bugs:
            self._bugs.add(kind)
            log.error("the driver of %s failed with an error nobody expected", self.device.name, exc_info=error)
        return LabgateError(one_line(f"the driver failed: {kind}: {error}; the log has the details"))

    def _take(self, readings: list[Reading], now: float) -> None:
        self._newest = None
        try:
            self.device.got(readings)
        except Exception as error:  # noqa: BLE001 - what a driver gives may be anything
            self._makes_no_sense(error if isinstance(error, LabgateError) else self._bug(error), now)
            return
        self._nonsense, self._news = 0, now
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
            name, interval = self.device.name, self.device.interval
            if self.device.state == "ok" and interval > READ_WITHIN / 2:
                text = f"nothing heard for {READ_WITHIN:g} s: {name} speaks every {interval:.3g} s or so"
                raise LinkError(f"{text}; `labgate tail {name}` waits for it", "silent") from None
            worthless = asyncio.get_running_loop().time() - self._worthless < READ_WITHIN
            raise self._unframed.silence(READ_WITHIN, worthless) from None

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


class _Unframed:
    """Bytes that a line gives and that are in no frame: another speed, or a device that never ends a line."""

    def __init__(self, device: "Device", driver: Listener, link: SerialLink | RadioLink, ear: str) -> None:
        self.framed = 0  # frames since the last look
        self._device, self._link, self._ear = device, link, ear
        self._radio = link_shape(type(driver)) is RadioLink
        framings = driver.hear if isinstance(driver.hear, tuple) else getattr(driver.hear, "framings", ())
        self._limit = longest_frame(framings) if framings else math.inf  # adverts and values are whole as they come
        self._from = 0  # as counted by the link

    def look(self) -> DecodeError | None:
        """What is wrong if so much came that a frame must have been in it."""
        skipped = self._skipped()
        if self.framed:
            self.framed, self._from = 0, skipped
        came = skipped - self._from
        if came <= self._limit:
            return None
        self._from = skipped
        return DecodeError(f"{came} bytes came and no frame is in them: {self._advice}")

    def silence(self, lasted: float, worthless: bool) -> LinkError:
        """What is wrong where nothing of use came for so long (s); `worthless`: frames did, that told no value."""
        before, self._from = self._from, self._skipped()
        if worthless:
            name = self._device.name
            text = f"nothing that tells a value for {lasted:.3g} s: `labgate tail {name} --raw` shows what comes"
        elif (came := self._from - before) > 0:
            text = f"{came} bytes came in {lasted:.3g} s and no frame is in them: {self._advice}"
        else:
            check = "range and battery" if self._radio else "cable, speed"
            text = f"nothing heard for {lasted:.3g} s: {self._where}; check {check}, and that it is on"
        return LinkError(text, "silent")

    def _skipped(self) -> int:
        return self._link.counts(self._ear).get("skipped", 0)

    @property
    def _where(self) -> str:
        return f"link {self._device.config.link}"

    @property
    def _advice(self) -> str:
        return f"{self._where}; check {'driver and profile' if self._radio else 'baudrate, parity and driver'}"


async def next_readings(device: "Device", driver: Listener, link: SerialLink | RadioLink) -> list[Reading]:
    """What the device says next, where nobody listens. Raises LinkError, and DecodeError for nothing but nonsense."""
    loop, ear = asyncio.get_running_loop(), f"{device.name} read"
    until = loop.time() + READ_WITHIN
    unframed = _Unframed(device, driver, link, ear)
    wrong: DecodeError | None = None
    heard, nonsense = 0, 0  # frames; those in a row that make no sense
    try:
        while nonsense < NONSENSE and (wait := until - loop.time()) > 0:
            frames = await link.frames(ear, driver.hear, wait)
            heard += len(frames)
            for frame in frames:
                try:
                    if readings := driver.decode(frame):
                        return readings
                    nonsense = 0
                except DecodeError as error:
                    wrong = error
                    nonsense += 1
            if not heard and (wrong := unframed.look()):
                break
        raise wrong or unframed.silence(READ_WITHIN, heard > 0)
    finally:
        await link.forget(ear)
