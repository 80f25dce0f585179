"""Frames out of whatever pieces a serial line gives: fed, without I/O; noise is skipped and counted."""

import re
from collections.abc import Sequence

from gateway.links.checksums import holds, size
from gateway.links.framing import Between, Checksum, Fixed, Framing, Headed, Lines, Quiet

_LINE_END = re.compile(rb"[\r\n]")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_NOT = -1  # no frame begins there
_MORE = 0  # one may, more bytes will tell


class Parser:
    """Finds frames in a stream of bytes: of several framings the first that fits, at the earliest position.

    The frames depend on the bytes only, not on the pieces they come in. What is held is never longer than the
    longest frame, and what a byte costs does not grow with what came before.
    """

    skipped: int  # bytes that are in no frame, line ends aside
    overlong: int  # frames that grew too long
    wrong: int  # frames whose checksum did not hold

    def __init__(self, framings: Sequence[Framing]) -> None:
        self.skipped = self.overlong = self.wrong = 0
        self._framings = [framing for framing in framings if not isinstance(framing, Quiet)]
        self._quiet = next((framing for framing in framings if isinstance(framing, Quiet)), None)
        lines = [framing for framing in framings if isinstance(framing, Lines)]
        self._only_lines = lines[0].longest if lines and len(framings) == 1 else 0
        self._held = b""
        self._line_lost = False  # the begin of this line was not seen, or it is too long: no line before the next
        self._quiet_lost = False  # likewise: nothing before the next silence

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are whole with `data`, oldest first."""
        return self._feed_lines(data, self._only_lines) if self._only_lines else self._feed_any(data)

    def quiet(self) -> list[bytes]:
        """The frame of a `Quiet` framing, after nothing came for its `silence`."""
        held, self._held = self._held, b""
        if self._quiet is None:
            self._held = held
            return []
        lost, self._quiet_lost = self._quiet_lost, False
        if held and not lost and len(held) <= self._quiet.longest:
            return [held]
        self.overlong += bool(held) and not lost
        self.skipped += len(held)
        return []

    def reset(self) -> None:
        """The line was opened: what is held is forgotten, and what comes first may be the end of a frame."""
        self._held = b""
        self._line_lost = self._quiet_lost = True

    def _feed_lines(self, data: bytes, longest: int) -> list[bytes]:
        """As `_feed_any` for lines alone, by whole pieces."""
        if b"\n" not in data and b"\r" not in data:
            held = self._held + data
            if self._line_lost:
                self.skipped += len(data)
            elif len(held) > longest:
                self._lose_line(held)
            else:
                self._held = held
            return []
        found = (self._held + data).splitlines()
        self._held = b""
        if self._line_lost:
            self.skipped += len(found.pop(0))
            self._line_lost = False
        rest = b"" if data.endswith((b"\n", b"\r")) else found.pop()
        lines = [line for line in found if 0 < len(line) <= longest]
        if max(map(len, found), default=0) > longest:
            too_long = [line for line in found if len(line) > longest]
            self.overlong += len(too_long)
            self.skipped += sum(map(len, too_long))
        if len(rest) > longest:
            self._lose_line(rest)
        else:
            self._held = rest
        return lines

    def _lose_line(self, begun: bytes) -> None:
        self.overlong += 1
        self.skipped += len(begun)
        self._held, self._line_lost = b"", True

    def _feed_any(self, data: bytes) -> list[bytes]:
        held, frames = self._held + data, []
        begin = 0  # of what no frame and no noise has claimed
        seen = [-1] * len(self._framings)  # where the next frame of each may begin; sought when begin has passed it
        while begin < len(held):
            for i, framing in enumerate(self._framings):
                if seen[i] < begin:
                    seen[i] = self._seek(framing, held, begin)
            at = min(seen, default=len(held))
            if at > begin:
                if self._quiet is not None and not self._quiet_lost:
                    if len(held) - begin <= self._quiet.longest:
                        break
                    self.overlong += 1
                    self._quiet_lost = True
                self._skip(held[begin:at])
                begin = at
                continue
            for i, framing in enumerate(self._framings):
                if seen[i] != at:
                    continue
                end = self._fit(framing, held, at)
                if end == _MORE:
                    self._held = held[at:]
                    return frames
                if end > at:
                    if held[at:end] and not (isinstance(framing, Lines) and _LINE_END.match(held, at)):
                        frames.append(held[at : end - isinstance(framing, Lines)])
                    begin = end
                    self._line_lost = False
                    break
                seen[i] = self._seek(framing, held, at + 1)
        self._held = held[begin:]
        return frames

    def _skip(self, noise: bytes) -> None:
        self.skipped += len(noise) - noise.count(b"\r") - noise.count(b"\n")

    def _seek(self, framing: Framing, held: bytes, start: int) -> int:
        """Where a frame may begin, at `start` or behind it; the end of `held` where none does."""
        if isinstance(framing, Lines):
            if not self._line_lost:
                return start
            end = _LINE_END.search(held, start)
            return end.end() if end else len(held)
        header = (
            framing.start if isinstance(framing, Between) else b"" if isinstance(framing, Quiet) else framing.header
        )
        at = held.find(header, start)
        if at >= 0:
            return at
        for n in range(min(len(header) - 1, len(held) - start), 0, -1):
            if held.endswith(header[:n]):
                return len(held) - n
        return len(held)

    def _fit(self, framing: Framing, held: bytes, at: int) -> int:
        """Behind the last byte of the frame that begins at `at`, or _MORE, or _NOT."""
        if isinstance(framing, Lines):
            return self._fit_line(framing, held, at)
        if isinstance(framing, Between):
            return self._fit_between(framing, held, at)
        if isinstance(framing, Headed):
            return self._fit_headed(framing, held, at)
        assert isinstance(framing, Fixed)
        if len(held) - at < framing.size:
            return _MORE
        frame = held[at : at + framing.size]
        return at + framing.size if frame.endswith(framing.tail) and self._checked(framing, frame) else _NOT
