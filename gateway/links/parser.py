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

    skipped: int  # bytes that are in no frame; not the line ends where lines are heard
    overlong: int  # frames that grew too long
    wrong: int  # frames whose checksum did not hold

    def __init__(self, framings: Sequence[Framing]) -> None:
        self.skipped = self.overlong = self.wrong = 0
        self._framings = [framing for framing in framings if not isinstance(framing, Quiet)]
        self._quiet = next((framing for framing in framings if isinstance(framing, Quiet)), None)
        self._alone = framings[0] if len(framings) == 1 else None
        self._line_ends = any(getattr(framing, "to_line_end", isinstance(framing, Lines)) for framing in framings)
        self._held = b""
        self._lost = False  # the begin of this line was not seen or is forgotten: nothing before the next

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are whole with `data`, oldest first."""
        if isinstance(self._alone, Lines):
            return self._feed_lines(data, self._alone.longest)
        if isinstance(self._alone, Quiet):
            self._hold(data, self._alone.longest)
            return []
        return self._feed_any(data)

    def quiet(self) -> list[bytes]:
        """The frame of a `Quiet`, when nothing came for its `silence`; beside others, what they still waited for."""
        if self._quiet is None:
            return []
        held, self._held, self._lost = self._held, b"", False
        if len(held) > self._quiet.longest:
            self.overlong += 1
            self.skipped += len(held)
            return []
        return [held] if held else []

    def reset(self) -> None:
        """The line was opened: what is held is forgotten, and what comes first may be the end of something."""
        self._held = b""
        self._lost = any(isinstance(framing, Lines) for framing in self._framings) or self._quiet is not None

    def _hold(self, data: bytes, longest: int) -> None:
        """Keep what may become a frame, unless the begin is lost or it becomes too long."""
        if self._lost:
            self.skipped += len(data)
            return
        self._held += data
        if len(self._held) > longest:
            self.overlong += 1
            self.skipped += len(self._held)
            self._held, self._lost = b"", True

    def _feed_lines(self, data: bytes, longest: int) -> list[bytes]:
        """As `_feed_any` for lines alone, all lines of a piece at once."""
        if b"\n" not in data and b"\r" not in data:
            self._hold(data, longest)
            return []
        found = (self._held + data).splitlines()
        rest = b"" if data.endswith((b"\n", b"\r")) else found.pop()
        if self._lost:
            self.skipped += len(found.pop(0))
        self._held, self._lost = b"", False
        lines = [line for line in found if 0 < len(line) <= longest]
        if len(lines) != len(found):
            too_long = [len(line) for line in found if len(line) > longest]
            self.overlong += len(too_long)
            self.skipped += sum(too_long)
        self._hold(rest, longest)
        return lines

    def _feed_any(self, data: bytes) -> list[bytes]:
        held, begin = self._held + data, 0  # before `begin` all is claimed by a frame or by noise
        frames: list[bytes] = []
        seen = [-1] * len(self._framings)  # where the next frame of each may begin; sought when that is passed
        while begin < len(held):
            for i, framing in enumerate(self._framings):
                if seen[i] < begin:
                    seen[i] = self._seek(framing, held, begin)
            at = min(seen, default=len(held))
            if at > begin:
                noise = held[begin:at]
                self.skipped += len(noise.translate(None, b"\r\n")) if self._line_ends else len(noise)
                begin = at
                continue
            for i, framing in enumerate(self._framings):
                if seen[i] > begin:
                    continue
                if isinstance(framing, Lines):
                    self._lost = False
                end = self._fit(framing, held, begin)
                if end == _MORE:
                    self._held = held[begin:]
                    return frames
                if end != _NOT:
                    frame = held[begin : end - 1] if isinstance(framing, Lines) else held[begin:end]
                    if frame:
                        frames.append(frame)
                    begin = end
                    if self._lost:
                        self._lost = False
                        seen = [-1] * len(seen)
                    break
                seen[i] = self._seek(framing, held, begin + 1)
        self._held = b""
        return frames

    def _seek(self, framing: Lines | Between | Headed | Fixed, held: bytes, start: int) -> int:
        """Where a frame may begin, at `start` or behind it; the end of `held` where none does."""
        if isinstance(framing, Lines):
            if not self._lost:
                return start
            end = _LINE_END.search(held, start)
            return end.start() if end else len(held)
        header = framing.start if isinstance(framing, Between) else framing.header
        at = held.find(header, start)
        if at >= 0:
            return at
        part = min(len(header) - 1, len(held) - start)
        return next((len(held) - n for n in range(part, 0, -1) if held.endswith(header[:n])), len(held))

    def _fit(self, framing: Lines | Between | Headed | Fixed, held: bytes, at: int) -> int:
        """Behind the last byte of the frame that begins at `at`, its line end included; or _MORE, or _NOT."""
        if isinstance(framing, Lines):
            end = _LINE_END.search(held, at, at + framing.longest + 1)
            if end is not None:
                return end.end()
            if len(held) - at <= framing.longest:
                return _MORE
            self.overlong += 1
            self._lost = True
            return _NOT
        if isinstance(framing, Between):
            return self._fit_between(framing, held, at)
        length = framing.size if isinstance(framing, Fixed) else self._length(framing, held, at)
        if length <= 0:
            return length
        if len(held) - at < length:
            return _MORE
        frame = held[at : at + length]
        if not frame.endswith(framing.tail):
            return _NOT
        if framing.checksum is not None and not _sound(
            frame, framing.checksum, framing.checked_from, framing.checked_to
        ):
            self.wrong += 1
            return _NOT
        return at + length

    def _length(self, framing: Headed, held: bytes, at: int) -> int:
        """What the frame that begins at `at` says of its own length, or _MORE, or _NOT."""
        if len(held) < (first := at + framing.length_at) + framing.length_size:
            return _MORE
        number = int.from_bytes(held[first : first + framing.length_size], "big")
        if number & ~framing.length_mask != framing.length_rest:
            return _NOT
        length = (number & framing.length_mask) + framing.length_adds
        if length > framing.longest:
            self.overlong += 1
            return _NOT
        return length if length >= framing.length_at + framing.length_size else _NOT

    def _fit_between(self, framing: Between, held: bytes, at: int) -> int:
        inside, limit = at + len(framing.start), at + framing.longest
        if len(held) < inside:
            return _MORE
        again = held.find(framing.start, at + 1, limit) if framing.start != framing.end else _NOT
        limit = again if again >= 0 else limit
        stop = held.find(framing.end, inside, limit)
        end = stop + len(framing.end) if stop >= 0 else _NOT
        if stop >= 0 and framing.to_line_end:
            line_end = _LINE_END.search(held, end, limit + 1)
            end = line_end.start() if line_end else _NOT
        if again >= 0 and end == _NOT:
            return _NOT
        if framing.start == framing.end and stop == inside:
            return _NOT  # the end of one frame and the begin of the next
        if framing.text and _CONTROL.search(held, inside, stop if stop >= 0 else limit):
            return _NOT
        if end != _NOT:
            return end
        if len(held) - at <= framing.longest:
            return _MORE
        self.overlong += 1
        return _NOT


def _sound(frame: bytes, kind: Checksum, checked_from: int, checked_to: int) -> bool:
    """Whether the checksum that stands at `checked_to` is that of the bytes from `checked_from` to there."""
    to = checked_to if checked_to >= 0 else len(frame) + checked_to
    return to >= checked_from and holds(kind, frame[checked_from:to], frame[to : to + size(kind)])
