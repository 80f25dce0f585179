"""Frames in any stream of bytes: whole ones are found among noise, in any pieces; all else is nothing."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.links.modbus_wire import Frame, Question, other_questions, rtu_frames, tcp_frames
from tests.examples import LONG, examples
from tests.gateway.links.modbus_peers import framed, mbap

QUESTION = Question(1, "holding", 0, 2)


def crc_ok(data: bytes, checksum: int) -> bool:
    return framed(data.hex())[-2:] == checksum.to_bytes(2)


answers = st.builds(
    lambda unit, function, data: bytes((unit, function, len(data))) + data,
    st.integers(0, 255),
    st.integers(1, 4),
    st.binary(min_size=1, max_size=250),
) | st.builds(
    lambda unit, function, code: bytes((unit, function | 0x80, code)),
    st.integers(0, 255),
    st.integers(1, 4),
    st.integers(0, 255),
)


def in_pieces(stream: bytes, cuts: list[int], question: Question | None) -> list[Frame]:
    """What is found when the stream comes piece by piece, and what is not done with is given again."""
    found: list[Frame] = []
    rest = b""
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        rest += stream[start:end]
        frames, done = rtu_frames(rest, question, crc_ok)
        assert 0 <= done <= len(rest)
        found += frames
        rest = rest[done:]
    return found


@examples(100)
@given(st.lists(st.tuples(st.binary(max_size=8), answers), min_size=1, max_size=4), st.lists(st.integers(0, 2000)))
def test_whole_answers_are_found_among_noise_in_any_pieces(parts: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    stream = b"".join(noise + framed(body.hex()) for noise, body in parts)
    expected = [Frame(body[0], 0, body[1:]) for _, body in parts]
    assert in_pieces(stream, [], None) == expected
    assert in_pieces(stream, cuts, None) == expected


def test_what_stands_inside_the_answer_that_is_waited_for_is_no_frame() -> None:
    inside = framed("0203020102")
    answer = framed("010308" + inside.hex() + "00")
    question = Question(1, "holding", 0, 4)
    assert in_pieces(answer, [11], question) == [Frame(1, 0, answer[1:-2])]
    assert in_pieces(answer, [11], None)[0] == Frame(2, 0, inside[1:-2])  # nobody waits: it cannot be known


@pytest.mark.parametrize("change", range(len(framed("0103041122334455"[:14]))))
def test_no_bit_of_an_answer_may_change(change: int) -> None:
    frame = framed("01030411223344")
    for bit in range(8):
        turned = frame[:change] + bytes((frame[change] ^ 1 << bit,)) + frame[change + 1 :]
        assert rtu_frames(turned, QUESTION, crc_ok)[0] == []
    for size in range(len(frame)):
        assert rtu_frames(frame[:size], QUESTION, crc_ok)[0] == []


def test_random_bytes_are_frames_or_nothing() -> None:
    random = Random(3)
    for _ in range(100_000 if LONG else 3_000):
        stream = random.randbytes(random.randrange(40))
        if random.random() < 0.5:  # more like one
            stream = bytes((1, random.choice((1, 2, 3, 4, 0x83)), random.randrange(8))) + stream
        frames, done = rtu_frames(stream, QUESTION, crc_ok)
        assert 0 <= done <= len(stream)
        for frame in frames:
            whole = bytes((frame.unit,)) + frame.pdu
            assert framed(whole.hex()) in stream
        try:
            for frame in tcp_frames(stream)[0]:
                assert mbap(frame.transaction, bytes((frame.unit,)).hex() + frame.pdu.hex()) in stream
        except ValueError:  # no Modbus TCP at all
            assert stream[2:4] != b"\0\0" or not 1 < int.from_bytes(stream[4:6]) <= 254


@given(st.integers(1, 247), st.sampled_from(["coil", "discrete", "holding", "input"]), st.integers(1, 125))
def test_there_is_always_a_question_of_another_shape(unit: int, table: str, quantity: int) -> None:
    question = Question(unit, table, 10, quantity)  # one of the four names
    others = other_questions(question)
    assert len({other.shape for other in others}) >= 1
    for other in others:
        assert other.shape != question.shape
        assert (other.unit, other.address) == (unit, 10)
        assert 1 <= other.quantity <= quantity
