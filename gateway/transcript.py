"""Transcripts: what went over a wire, as text; `>> 01 04 …` was sent, `<< 01 04 …` was received. Pure.

What `labgate read --trace` prints is one, and so are the lines of one link in the log of `labgate run --debug`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.errors import ConfigError

_MARK = re.compile(r">>|<<")
_FRAME = re.compile(r".*?(>>|<<)((?:[ \t]+[0-9a-fA-F]{2})+)[ \t]*(#.*)?")
_TIME = re.compile(r"# *([0-9]+(?:\.[0-9]+)?) ms")
_STAMP = re.compile(r"T([0-9]{2}):([0-9]{2}):([0-9]{2}\.[0-9]{3})Z ")
_KEY = re.compile(r"#\s?(source|device|link|values|error):(.*)")
_MORE = re.compile(r"#\s{3,}(\S.*)")
_DAY = 86400  # s; the log's time is that of a day


class Piece(NamedTuple):
    """What was sent or received at once; `at`: s from some moment on, where the transcript says when."""

    line: int
    sent: bool
    data: bytes
    at: float | None


@dataclass
class Exchange:
    """A request and what came after it: (seconds after the request, bytes)."""

    line: int
    request: bytes
    answers: list[tuple[float, bytes]] = field(default_factory=list)


def is_transcript(text: str) -> bool:
    """Whether anything in it is marked as sent or received."""
    return any(_marked(line) and _FRAME.fullmatch(line) for line in text.splitlines())


def header(text: str) -> Iterator[tuple[str, str]]:
    """Keys and values of the header's comments: source, device, link, values, error; tests/transcripts/README.md."""
    key, value = "", ""
    for line in text.splitlines():
        if more := _MORE.fullmatch(line):
            value += " " + more[1]
            continue
        if key:
            yield key, value.strip()
        key, value = (found[1], found[2]) if (found := _KEY.fullmatch(line)) else ("", "")
    if key:
        yield key, value.strip()


def pieces(text: str) -> list[Piece]:
    """What was sent and received, in the order of the wire. Raises ConfigError for a marked line that is no frame."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not _marked(line):
            continue
        frame = _FRAME.fullmatch(line)
        if frame is None:
            raise ConfigError(f"line {number} is no frame: {line[:60]}; write bytes like << 01 04 00 2a")
        moment = _when(line[: frame.start(1)], frame[3] or "")
        found.append(Piece(number, frame[1] == ">>", bytes.fromhex(frame[2]), moment))
    return found


def exchanges(found: Sequence[Piece]) -> list[Exchange]:
    """Requests with their answers. Raises ConfigError for an answer before any request."""
    told: list[Exchange] = []
    asked_at: float | None = None
    for piece in found:
        if piece.sent:
            told.append(Exchange(piece.line, piece.data))
            asked_at = piece.at
        elif not told:
            raise ConfigError(f"line {piece.line}: an answer before any request; begin with what was asked (>>)")
        else:
            late = (piece.at - asked_at) % _DAY if piece.at is not None and asked_at is not None else 0.0
            told[-1].answers.append((late, piece.data))
    return told


def _marked(line: str) -> bool:
    hash_, mark = line.find("#"), _MARK.search(line)
    return mark is not None and not 0 <= hash_ < mark.start()


def _when(before: str, behind: str) -> float | None:
    """Seconds, from some moment on."""
    if time := _TIME.match(behind):
        return float(time[1]) / 1000
    stamp = _STAMP.search(before)
    return int(stamp[1]) * 3600 + int(stamp[2]) * 60 + float(stamp[3]) if stamp else None
