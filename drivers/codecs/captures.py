"""A frame out of what was captured, for `labgate decode`: found as on the wire, or told why there is none."""

from collections.abc import Sequence

from gateway import DecodeError, Framing, Parser


def captured_frame(framings: Sequence[Framing], data: bytes) -> bytes:
    """The first whole frame in a capture. Raises DecodeError where there is none."""
    parser = Parser(framings)
    frames = parser.feed(data)
    if frames:
        return frames[0]
    if parser.wrong:
        raise DecodeError("no frame: the checksum is wrong; take another capture")
    raise DecodeError(f"no whole frame in these {len(data)} bytes: cut off, or of another device; capture more")
