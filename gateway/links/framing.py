"""How frames lie in a stream of bytes, as data: what a Listener wants to hear, and what an answer looks like."""

from typing import Literal

import msgspec

Checksum = Literal[
    "sum8",  # low byte of the sum
    "sum16",  # low two bytes of the sum, high byte first
    "twos",  # two's complement of sum8
    "inverted",  # one's complement of sum8
    "xor_hex",  # exclusive or, as two hexadecimal digits
    "crc16_modbus",  # low byte first
    "crc16_arc",  # as up to four hexadecimal digits
    "crc16_x25",  # low byte first
]

LONGEST = 4096  # bytes of a frame, unless said


class Lines(msgspec.Struct, frozen=True, tag=True):
    """Text up to LF, CR or CRLF; the frame is the line without its end. Empty lines are none."""

    longest: int = LONGEST


class Between(msgspec.Struct, frozen=True, tag=True):
    """From `start` to `end`, both part of the frame; with `to_line_end` up to the line end after `end`, without it.

    Another `start` before the end begins the frame anew. With `text` no control characters are in between but TAB,
    CR and LF.
    """

    start: bytes
    end: bytes
    to_line_end: bool = False
    text: bool = False
    longest: int = LONGEST


class Headed(msgspec.Struct, frozen=True, tag=True):
    """`header`, and the frame's own word of its length: (number & `length_mask`) + `length_adds` bytes in all.

    The number has `length_size` bytes, high byte first, `length_at` bytes after the frame's begin; its bits outside
    the mask are `length_rest`. `tail` are the last bytes of the frame.
    """

    header: bytes
    length_at: int
    length_size: Literal[1, 2] = 1
    length_mask: int = 0xFFFF
    length_rest: int = 0
    length_adds: int = 0
    tail: bytes = b""
    checksum: Checksum | None = None
    checked_from: int = 0  # the bytes the checksum is of: from here …
    checked_to: int = -1  # … to here (negative: from the end); the checksum stands there
    longest: int = LONGEST


class Fixed(msgspec.Struct, frozen=True, tag=True):
    """`header` and `size` bytes in all, with `tail` as the last ones."""

    header: bytes
    size: int
    tail: bytes = b""
    checksum: Checksum | None = None
    checked_from: int = 0
    checked_to: int = -1


class Quiet(msgspec.Struct, frozen=True, tag=True):
    """Whatever came before nothing came for `silence` seconds; beside other framings, what they still wait for."""

    silence: float
    longest: int = LONGEST


Framing = Lines | Between | Headed | Fixed | Quiet

NOISE = 64  # bytes in no frame say nothing of a device, however short its frames are


def longest_frame(framings: tuple[Framing, ...]) -> int:
    """Bytes in which a frame must be, if there are any."""
    return max(*(f.size if isinstance(f, Fixed) else f.longest for f in framings), NOISE)
