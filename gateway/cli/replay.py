"""What a driver makes of a recording: a transcript (>> sent, << received), or bytes or lines just as they came.

With no hardware. Where the command names no driver, the header of a transcript does: # device: {profile: xy_md02}.
Each sample is a line, and so is all that is refused. A driver that asks is asked until the recording is over, and gets
the answers that were recorded to just its questions.
"""

import asyncio
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from gateway import payload
from gateway.cli import FAILED, show, unconfigured
from gateway.cli.decode import named
from gateway.driver import Driver, Listener, Polled, link_shape
from gateway.errors import ConfigError, LabgateError, LinkError
from gateway.links.base import ModbusLink, SerialLink
from gateway.links.framing import Quiet
from gateway.links.parser import Parser
from gateway.links.recorded import Recorded
from gateway.reading import Reading
from gateway.transcript import Piece, exchanges, header, is_transcript, pieces

EXAMPLE = "labgate replay balance.txt --driver mt_sics"

Row = dict[str, Any]

_TEXT = bytes({*range(0x20, 0x100), *b"\t\r\n"} - {0x7F})
_LARGEST = 100_000_000  # bytes of a recording
_COUNTED = {
    "empty": "without a value",
    "skipped": "bytes in no frame",
    "overlong": "too long",
    "wrong_checksum": "wrong checksum",
    "of_others": "asked by others",
}


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("file", metavar="FILE", help="the recording")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--driver", metavar="NAME", help="a driver that need not be told anything, by name or path")
    which.add_argument("--profile", metavar="NAME", help="a profile; default: what a transcript's header names")
    parser.add_argument("--json", action="store_true", help="one JSON object a sample or refusal, the counts last")


def run(args: Namespace) -> int:
    """Replay and tell. Returns 1 when no sample came of it, unless all that came was good and had no value."""
    base, file = Path(args.config).parent, Path(args.file)
    found = _named(args, base)
    with file.open("rb") as recording:
        data = recording.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ConfigError(f"{file} is larger than {show.size(_LARGEST)}; cut out what is of interest")
    found = found or _of_header(args.file, data, base)
    counts = Counter[str]()

    def tell(row: Row) -> None:
        counts["refused" if "refused" in row else "samples" if row["readings"] else "empty"] += 1
        if args.json:
            show.json_line(row)
        else:
            place = f"line {row['line']}" if "line" in row else f"frame {row['frame']}"
            said = f"refused: {row['refused']}" if "refused" in row else show.readings(row["readings"])
            print(f"{place}: {show.printable(said) or 'no value is available'}")

    try:
        asyncio.run(_replay(*found, file.name, data, tell, counts))
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    if args.json:
        show.json_line({"counts": {key: counts[key] for key in ("samples", "refused", *_COUNTED, "cut_off")}})
    else:
        more = [f"{counts[key]} {text}" for key, text in _COUNTED.items() if counts[key]]
        if counts["cut_off"]:
            more.append(f"the last {show.plural(counts['cut_off'], 'byte')} are cut off")
        print(", ".join([show.plural(counts["samples"], "sample"), f"{counts['refused']} refused", *more]))
    return 0 if counts["samples"] or (counts["empty"] and not counts["refused"]) else FAILED


def _named(args: Namespace, base: Path) -> unconfigured.Found | None:
    if args.profile:
        return unconfigured.of_profile(args.profile, base)
    return unconfigured.of_driver(args.driver, base) if args.driver else None


def _of_header(file: str, data: bytes, base: Path) -> unconfigured.Found:
    text = data.decode("utf-8-sig", errors="replace")
    device = dict(header(text)).get("device") if is_transcript(text) else None
    if device is None:
        text = "nothing says what it was recorded of; name it with --driver or --profile"
        raise ConfigError(f"{file}: {text}, or in a header: # device: {{driver: NAME}}")
    try:
        return unconfigured.of_header(device, base)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


async def _replay(
    kind: type[Driver], options: Any, name: str, data: bytes, tell: Callable[[Row], None], counts: Counter[str]
) -> None:
    text = data.decode(errors="replace")
    marked = pieces(text) if is_transcript(text) else []
    shape = link_shape(kind)
    if issubclass(kind, Listener) and shape is SerialLink:
        came = [piece for piece in marked if not piece.sent] if marked else _plain(data)
        for row in _heard(kind(options, None), came, counts):
            tell(row)
    elif issubclass(kind, Polled) and shape in (SerialLink, ModbusLink):
        if not any(piece.sent for piece in marked):
            text = "this driver asks its device, and nothing in there was asked"
            raise ConfigError(f"{text}; record with `labgate read DEVICE --trace` (>> sent, << received)")
        link = Recorded(name, exchanges(marked))
        async for row in _asked(kind(options, link), link, alone=shape is SerialLink):
            tell(row)
        counts["of_others"] = link.passed_over + link.left
    else:
        raise ConfigError("nothing but what goes over a serial line or a Modbus bus is replayed; use labgate decode")


def _plain(data: bytes) -> list[Piece]:
    """A capture just as it came: by lines where it is text, so that places can be told."""
    if not data.translate(None, _TEXT):
        return [Piece(n, False, line, None) for n, line in enumerate(data.splitlines(keepends=True), 1)]
    return [Piece(0, False, data, None)]


def _heard(driver: Listener, came: list[Piece], counts: Counter[str]) -> Iterator[Row]:
    """Of a device that speaks by itself; without a line where the capture has none."""
    parser, number = Parser(driver.hear), 0
    silence = max((f.silence for f in driver.hear if isinstance(f, Quiet)), default=None)
    for i, piece in enumerate(came):
        wrong, overlong = parser.wrong, parser.overlong
        frames = parser.feed(piece.data)
        if silence is not None:
            behind = came[i + 1].at if i + 1 < len(came) else None
            if piece.at is None or behind is None or behind - piece.at >= silence:
                frames += parser.quiet()
        for frame in frames:
            number += 1
            place: Row = {"line": piece.line} if piece.line else {"frame": number}
            try:
                if readings := driver.decode(frame):
                    yield place | _sample(readings)
                else:
                    counts["empty"] += 1
            except Exception as error:  # noqa: BLE001 - a driver of one's own may raise anything
                yield place | _refusal(error)
        if piece.line and parser.wrong > wrong:
            yield {"line": piece.line, "refused": "no frame: the checksum is wrong", "reason": "garbled"}
        if piece.line and parser.overlong > overlong:
            yield {"line": piece.line, "refused": "no frame: it is too long", "reason": "garbled"}
    counts.update(skipped=parser.skipped, overlong=parser.overlong, wrong_checksum=parser.wrong, cut_off=parser.held)


async def _asked(driver: Polled, link: Recorded, alone: bool) -> AsyncIterator[Row]:
    """Of a device that is asked: a row for each read, until nothing recorded is left.

    Raises LinkError where the recording is of something else; on a bus (not `alone`) the rest may be of others.
    """
    asked = False
    while link.left:
        left, link.asked_at = link.left, 0
        try:
            row = _sample(await driver.read())
        except Exception as error:  # as above
            if link.left == left and asked and not alone:
                return
            if link.left == left and isinstance(error, LabgateError):
                raise  # nothing of what was recorded was asked, and nothing more would be now
            row = _refusal(error)
        if link.left == left:
            raise LinkError(f"line {link.line}: {row.get('refused', 'the driver never asks this')}", "timeout")
        asked = True
        yield {"line": link.asked_at} | row


def _sample(readings: list[Reading]) -> Row:
    shape = payload.Shape()
    shape.learn(readings)
    shape.encode(readings)  # refuses what is no value
    return {"readings": named(readings)}


def _refusal(error: Exception) -> Row:
    if isinstance(error, LabgateError):
        return {"refused": str(error), "reason": error.reason}
    return {"refused": f"the driver failed: {type(error).__name__}: {error}", "reason": "bug"}
