"""What one listener has heard on a line that others hear too."""

import asyncio

from gateway.errors import LinkError
from gateway.links.framing import Framing, Quiet, longest_frame
from gateway.links.parser import Parser

WAITING = 256 * 1024  # bytes of frames that wait for who listens; of more the oldest are passed over


class Ear:
    """What one listener has heard and not yet fetched."""

    def __init__(self, framings: tuple[Framing, ...]) -> None:
        self.parser = Parser(framings)
        self._limit = longest_frame(framings)
        self._clean = 0  # bytes skipped up to the last frame
        self._fragments = 0  # bytes that came after the line was opened and before the first frame: no fault
        self.opened()
        self.quiet = max((f.silence for f in framings if isinstance(f, Quiet)), default=None)
        self.passed_over = 0  # frames nobody fetched in time
        self.waiter: asyncio.Future[None] | None = None
        self._frames: list[bytes] = []
        self._size = 0  # bytes
        self._timer: asyncio.TimerHandle | None = None

    def opened(self) -> None:
        """Whoever begins to listen begins in the midst of something."""
        self.parser.reset()
        self._since: int | None = self.parser.skipped  # until the first frame

    def hear(self, data: bytes) -> bool:
        """Bytes that came. Returns whether they end a frame, and nothing depends on when the next ones come."""
        frames = self.parser.feed(data)
        if frames and self._since is not None:
            self._fragments += self.parser.skipped - self._since
            self._since = None
        if frames:
            self._clean = self.parser.skipped
        elif self.parser.skipped - self._clean > self._limit:
            self._clean = self.parser.skipped
            self.wake()  # with no frames: who listens can see from the counts what came instead
        self._take(frames)
        if self.quiet is not None:
            if self._timer is not None:
                self._timer.cancel()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.quiet, lambda: self._take(self.parser.quiet()))
        return bool(frames) and self.quiet is None

    def fetch(self) -> list[bytes]:
        """All frames, oldest first."""
        frames, self._frames, self._size = self._frames, [], 0
        return frames

    def counts(self) -> dict[str, int]:
        """As gateway.links.base.SerialLink says."""
        p = self.parser
        return {
            "skipped": p.skipped - self._fragments,
            "overlong": p.overlong,
            "wrong_checksum": p.wrong,
            "passed_over": self.passed_over,
        }

    def wake(self, error: LinkError | None = None) -> None:
        """Tell who waits, if anybody does."""
        if self.waiter is not None and not self.waiter.done():
            if error is None:
                self.waiter.set_result(None)
            else:
                self.waiter.set_exception(error)

    def _take(self, frames: list[bytes]) -> None:
        if frames:
            self._frames += frames
            self._size += sum(map(len, frames))
            if self._size > WAITING:
                many = len(self._frames) // 2
                self._size -= sum(map(len, self._frames[:many]))
                del self._frames[:many]
                self.passed_over += many
            self.wake()
