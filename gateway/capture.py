"""What was heard at the hub, as lines of a file and back. Pure.

A line is what `mosquitto_sub -F %j` prints: a JSON object with `topic`, `retain` (0 or 1) and `payload` (text); others
of its keys are passed over. `{"interrupted": true}` stands where messages may be missing. A line that does not begin
with a brace is what `mosquitto_sub -v` prints: topic, a space, payload; of it is not known what was retained.
"""

import json
from typing import NamedTuple

from gateway.errors import DecodeError

LONGEST = 16_000_000  # bytes of a line


class Message(NamedTuple):
    """One message as it was heard; `retained` is None where that is not known."""

    topic: str
    payload: bytes
    retained: bool | None


def to_line(message: Message | None) -> str:
    """A message as a line; None is an interruption. Bytes that are no UTF-8 survive."""
    if message is None:
        return '{"interrupted": true}\n'
    payload = message.payload.decode("utf-8", "surrogateescape")
    return json.dumps({"topic": message.topic, "retain": int(bool(message.retained)), "payload": payload}) + "\n"


def from_line(line: bytes) -> Message | None:
    """The message of a line, or None for an interruption. Raises DecodeError."""
    text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
    if text.startswith("{"):
        return _from_json(text)
    topic, space, payload = text.partition(" ")
    if not topic or not space:
        raise DecodeError("neither JSON with topic and payload nor TOPIC PAYLOAD")
    return Message(topic, _bytes("" if payload == "(null)" else payload), None)


def _from_json(text: str) -> Message | None:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise DecodeError("is not JSON") from None
    if said.get("interrupted") is True:
        return None
    topic, payload, retain = said.get("topic"), said.get("payload", ""), said.get("retain", 0)
    if not (isinstance(topic, str) and topic and isinstance(payload, str | None) and retain in (0, 1)):
        raise DecodeError("JSON without topic and payload as text")
    return Message(topic, _bytes(payload or ""), bool(retain))


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise DecodeError("text that is not Unicode") from None
