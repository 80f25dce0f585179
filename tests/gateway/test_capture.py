"""Lines of a capture: as `mosquitto_sub` prints them, and our own, there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.capture import Message, from_line, to_line
from gateway.errors import DecodeError
from tests.examples import examples

# Printed by mosquitto_sub 2.0.11.
PRINTED = [
    (
        rb'{"tst":"2026-11-21T17:52:45.725311Z+0000","topic":"lab/a/status","qos":0,"retain":1,"payloadlen":10,'
        rb'"payload":"{\"x\":\"' + "ü".encode() + rb'\"}"}',
        Message("lab/a/status", '{"x":"ü"}'.encode(), True),
    ),
    (
        b'{"tst":"2026-11-21T17:52:45.671754Z+0000","topic":"lab/b","qos":0,"retain":0,"payloadlen":10,'
        b'"payload":"a\xde\\u001b[31mb\\nc"}',
        Message("lab/b", b"a\xde\x1b[31mb\nc", False),
    ),
    (
        b'{"tst":"2026-11-21T17:52:45.675951Z+0000","topic":"lab/c","qos":0,"retain":0,"payloadlen":0,"payload":null}',
        Message("lab/c", b"", False),
    ),
    ('lab/a/status {"x":"ü"}'.encode(), Message("lab/a/status", '{"x":"ü"}'.encode(), None)),
    (b"lab/c (null)", Message("lab/c", b"", None)),
]


@pytest.mark.parametrize(("line", "message"), PRINTED)
def test_what_mosquitto_sub_prints(line: bytes, message: Message) -> None:
    assert from_line(line + b"\n") == message


@examples(200)
@given(st.text(st.characters(codec="utf-8"), min_size=1), st.binary(), st.booleans())
def test_there_and_back(topic: str, payload: bytes, retained: bool) -> None:
    line = to_line(Message(topic, payload, retained))
    assert line.count("\n") == 1
    assert from_line(line.encode()) == Message(topic, payload, retained)


def test_an_interruption() -> None:
    assert from_line(to_line(None).encode()) is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"lab/a/status",
        b" x",
        b"{",
        b"{}",
        b'{"topic":"a","payload":1}',
        b'{"topic":7,"payload":"x"}',
        b'{"topic":"a","payload":"x","retain":[]}',
        b'{"topic":"a","payload":"\\ud800"}',
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_what_is_no_line_of_a_capture(line: bytes) -> None:
    with pytest.raises(DecodeError):
        from_line(line)


@examples(300)
@given(st.binary())
def test_any_bytes_are_a_message_or_refused(line: bytes) -> None:
    try:
        found = from_line(line)
    except DecodeError:
        return
    assert found is None or found.topic
