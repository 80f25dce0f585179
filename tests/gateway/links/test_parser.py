"""The parser of frames: what is a frame, what is noise, and that pieces, noise and floods change nothing."""

import time
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.links.framing import Between, Fixed, Framing, Headed, Lines, Quiet
from gateway.links.parser import Parser
from tests.examples import examples

SDS011 = Fixed(b"\xaa\xc0", 10, b"\xab", "sum8", 2, -2)
PMS = Fixed(b"\x42\x4d\x00\x1c", 32, checksum="sum16", checked_to=-2)
HDLC = Headed(b"\x7e", 1, 2, 0x07FF, 0xA000, 2, b"\x7e", "crc16_x25", 1, -3)
TELEGRAM = Between(b"/", b"!", to_line_end=True, text=True)
FLAGS = Between(b"\x7e", b"\x7e", longest=64)
BRACKETS = Between(b"<", b">", longest=32)
GOOD_SDS011 = bytes.fromhex("aac00600060058d93dab")
GOOD_PMS = bytes.fromhex("424d001c00000008000800000008000800d20046002d001e00000000970002c5")
GOOD_HDLC = bytes.fromhex("7ea00a41088313") + b"\x00" + bytes.fromhex("bbcc7e")


def hdlc(content: bytes) -> bytes:
    """An HDLC frame of format type 3 (ISO/IEC 13239) around `content`; the CRC bit by bit."""
    inside = (0xA000 | len(content) + 4).to_bytes(2, "big") + content
    crc = 0xFFFF
    for byte in inside:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return b"\x7e" + inside + (crc ^ 0xFFFF).to_bytes(2, "little") + b"\x7e"


def heard(framings: Sequence[Framing], *pieces: bytes) -> list[bytes]:
    parser = Parser(framings)
    return [frame for piece in pieces for frame in parser.feed(piece)]


# Lines


def test_lines_end_in_lf_cr_or_both_and_empty_ones_are_none() -> None:
    assert heard([Lines()], b"a\nb\rc\r\n\n\r\nd", b"e\r", b"\nf\n") == [b"a", b"b", b"c", b"de", b"f"]


def test_other_line_ends_of_unicode_are_part_of_the_line() -> None:
    assert heard([Lines()], "1\x0b2\x0c3\x1c4\u2028\x85\n".encode()) == ["1\x0b2\x0c3\x1c4\u2028\x85".encode()]


def test_the_first_line_after_opening_is_dropped() -> None:
    parser = Parser([Lines()])
    parser.reset()
    assert parser.feed(b"57.9") == []
    assert parser.feed(b"0 %\r\nHumidity") == []
    assert parser.feed(b": 58.00 %\r\n") == [b"Humidity: 58.00 %"]
    assert parser.skipped == 7
    parser.feed(b"Humid")
    parser.reset()
    assert parser.feed(b"ity\nnext\n") == [b"next"]


def test_a_line_too_long_is_dropped_whole_and_counted_once() -> None:
    parser = Parser([Lines(longest=8)])
    assert parser.feed(b"12345678\n123456789\nab") == [b"12345678"]
    assert parser.feed(b"cdefgh") == []
    assert parser.feed(b"i") == []
    assert parser.feed(b"jkl\nok\n") == [b"ok"]
    assert parser.overlong == 2
    assert parser.skipped == 9 + 12


# Frames with a header


def test_frames_among_noise() -> None:
    parser = Parser([SDS011])
    stream = b"\xaa" + GOOD_SDS011 + b"\xc0\xab\xaa\xc0" + GOOD_SDS011 + GOOD_SDS011[:9] + GOOD_SDS011
    assert parser.feed(stream) == [GOOD_SDS011] * 3
    assert parser.skipped == 1 + 4 + 9


def test_a_wrong_checksum_is_no_frame_and_counted() -> None:
    parser = Parser([SDS011])
    bad = bytes.fromhex("aac0d4043a0aa16000ab")  # PyPMS tests/sensors/test_message.py
    assert parser.feed(bad + GOOD_SDS011) == [GOOD_SDS011]
    assert (parser.wrong, parser.skipped) == (1, 10)


def test_the_length_is_what_the_frame_says() -> None:
    frames = [hdlc(bytes(range(n))) for n in (3, 40, 200)]
    assert heard([HDLC], b"".join(frames)) == frames


def test_a_length_out_of_bounds_is_no_frame() -> None:
    parser = Parser([Headed(b"\x55", 1, longest=16)])
    assert parser.feed(b"\x55\xff\x55\x04ab") == [b"\x55\x04ab"]
    assert parser.overlong == 1
    assert parser.feed(b"\x55\x00\x55\x03a") == [b"\x55\x03a"]


def test_a_header_in_two_pieces() -> None:
    assert heard([PMS], b"noise\x42", GOOD_PMS[1:3], GOOD_PMS[3:]) == [GOOD_PMS]


# Delimiters


def test_between_delimiters() -> None:
    assert heard([BRACKETS], b"x<1>, <2><><lost<3>") == [b"<1>", b"<2>", b"<>", b"<3>"]


def test_one_byte_as_both_delimiters() -> None:
    stream = b"part\x7e\x7eone\x7e\x7etwo\x7e"
    assert heard([FLAGS], stream) == [b"\x7eone\x7e", b"\x7etwo\x7e"]


def test_up_to_the_line_end() -> None:
    telegram = b"/KAM5\r\n\r\n1-0:1.7.0(0001.453*kW)\r\n!1D66"
    parser = Parser([TELEGRAM])
    assert parser.feed(b"8.0(1)\r\n!ABCD\r\n" + telegram) == []
    assert parser.feed(b"\r\n") == [telegram]
    assert parser.feed(telegram + b"\r\n") == [telegram]
    assert parser.skipped == len(b"8.0(1)!ABCD")


def test_a_cut_telegram_does_not_cost_the_next() -> None:
    telegram = b"/KAM5\r\n\r\n1-0:1.7.0(0001.453*kW)\r\n!1D66"
    assert heard([TELEGRAM], telegram[:20] + telegram + b"\r\n") == [telegram]
    assert heard([TELEGRAM], telegram[:-2] + telegram + b"\r\n") == [telegram]


def test_text_holds_no_control_characters() -> None:
    assert heard([TELEGRAM], b"\x16/\x2f\x00\x21\x0a/A\n!\n") == [b"/A\n!"]
    assert heard([Between(b"\x02", b"\x03", text=True)], b"\x02a\x00b\x03\x02ab\t\xe5\x03") == [b"\x02ab\t\xe5\x03"]


# Silence


def test_what_came_before_the_silence() -> None:
    parser = Parser([Quiet(0.05, longest=6)])
    assert parser.feed(b"ab") + parser.feed(b"cd") == []
    assert parser.quiet() == [b"abcd"]
    assert parser.quiet() == []
    parser.feed(b"too long")
    assert parser.quiet() == []
    assert parser.overlong == 1
    parser.reset()
    parser.feed(b"end")
    assert parser.quiet() == []
    parser.feed(b"next")
    assert parser.quiet() == [b"next"]


def test_lines_with_a_last_one_that_has_no_end() -> None:
    parser = Parser([Lines(), Quiet(0.05)])
    assert parser.feed(b"a\nb") == [b"a"]
    assert parser.quiet() == [b"b"]
    assert Parser([Lines()]).quiet() == []


def test_who_wants_to_hear_nothing_hears_nothing() -> None:
    parser = Parser([])
    assert parser.feed(b"a\nb") + parser.quiet() == []
    assert parser.skipped == 3


# Several framings


def test_of_several_the_one_at_the_earliest_position() -> None:
    frame = hdlc(b"\x2f1!\r\n\x00")
    telegram = b"/KAM5\r\n!"
    stream = frame[5:] + frame + telegram + b"\r\n" + frame
    assert heard([TELEGRAM, HDLC], stream) == [frame, telegram, frame]
    assert heard([HDLC, TELEGRAM], stream) == [frame, telegram, frame]


def test_lines_beside_binary_frames() -> None:
    framings = [SDS011, Lines(longest=12)]
    assert heard(framings, b"a line\r\n" + GOOD_SDS011 + b"next\n\n") == [b"a line", GOOD_SDS011, b"next"]
    assert heard(framings, b"much too long a line\nb\n") == [b"b"]
    parser = Parser(framings)
    parser.reset()
    assert parser.feed(b"of a line" + GOOD_SDS011[:4]) == []
    assert parser.feed(GOOD_SDS011[4:] + b"next\n") == [GOOD_SDS011, b"next"]


# Whatever comes

ALL: list[list[Framing]] = [
    [Lines(longest=12)],
    [SDS011],
    [PMS],
    [HDLC],
    [TELEGRAM],
    [FLAGS],
    [BRACKETS],
    [Between(b"<<", b">>", longest=20)],
    [Headed(b"\xaa", 1, longest=40, checksum="twos")],
    [Fixed(b"", 4)],
    [HDLC, TELEGRAM],
    [BRACKETS, SDS011, Lines(longest=12)],
    [Lines(longest=12), FLAGS],
]
CHUNKS = st.sampled_from(
    [GOOD_SDS011, GOOD_PMS, hdlc(b"abc"), b"/A\r\n!0\r\n", b"<", b">", b"\r\n", b"\n", b"\xaa\xc0", b"\x7e", b"line\n"]
)
STREAM = st.lists(CHUNKS | st.binary(max_size=12), max_size=24).map(b"".join)


@pytest.mark.parametrize("framings", ALL, ids=str)
@examples(60)
@given(stream=STREAM, cuts=st.lists(st.integers(0, 300), max_size=12), opened=st.booleans())
def test_any_pieces_give_the_same_frames(framings: list[Framing], stream: bytes, cuts: list[int], opened: bool) -> None:
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    told = []
    for bounds in ([0, len(stream)], edges, list(range(len(stream) + 1))):
        parser = Parser(framings)
        if opened:
            parser.reset()
        frames = [f for a, b in pairwise(bounds) for f in parser.feed(stream[a:b])]
        told.append((frames, parser.skipped, parser.overlong, parser.wrong, parser.quiet()))
    assert told[0] == told[1] == told[2]


@pytest.mark.parametrize(
    ("framing", "frame"),
    [(SDS011, GOOD_SDS011), (PMS, GOOD_PMS), (HDLC, hdlc(bytes(20)))],
    ids=["sds011", "pms", "hdlc"],
)
@examples(60)
@given(noise=st.lists(st.binary(max_size=40), min_size=1, max_size=6))
def test_frames_among_noise_are_found(framing: Framing, frame: bytes, noise: list[bytes]) -> None:
    """Noise may begin something that is decided only when its length has come, not more: then all are found."""
    parser = Parser([framing])
    found = parser.feed(frame.join([b"", *noise]))
    found += parser.feed(bytes(2100))
    assert found.count(frame) == len(noise)


@pytest.mark.parametrize("framings", ALL, ids=str)
@examples(20)
@given(stream=st.binary(max_size=2000))
def test_random_bytes_end_in_frames_counts_or_little_memory(framings: list[Framing], stream: bytes) -> None:
    parser = Parser(framings)
    frames = parser.feed(stream)
    ends = stream.count(b"\r") + stream.count(b"\n")
    assert sum(map(len, frames)) + parser.skipped <= len(stream)
    assert len(stream) - sum(map(len, frames)) - parser.skipped - ends <= 4097


# Floods


@pytest.mark.parametrize("framings", [*ALL, [Lines()], [Lines(), HDLC]], ids=str)
@pytest.mark.parametrize(
    "pattern", [b"x", b"/", b"<", b"\xaa", b"\x7e", b"\xaa\xc0", b"\x7e\xa7\xff", b"\x00"], ids=repr
)
def test_many_bytes_without_an_end_cost_little(framings: list[Framing], pattern: bytes) -> None:
    data = (pattern * 100_000)[:100_000]
    parser = Parser(framings)
    began = time.process_time()
    for i in range(0, len(data), 4096):
        parser.feed(data[i : i + 4096])
    assert time.process_time() - began < 2  # 20 us a byte; measured at most 3
    tracemalloc.start()
    parser.feed(data[:16384])
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 20_000


def test_a_hundred_thousand_lines() -> None:
    line = b'{"temperature":22.41,"humidity":45}\n'
    parser, data, found = Parser([Lines()]), line * 100_000, 0
    began = time.process_time()
    for i in range(0, len(data), 4096):
        found += len(parser.feed(data[i : i + 4096]))
    assert found == 100_000
    assert time.process_time() - began < 1  # 10 us a line; measured 0.15 us
