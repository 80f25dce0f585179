"""What a gateway says at the hub, read as strictly as strangers may write there: packs, ledger notes, status. Pure.

Topics and payloads are those of the contract. What does not keep to it raises DecodeError, whatever it is.
"""

import re
from typing import Annotated, Any, NamedTuple

import msgspec

from gateway.errors import DecodeError
from gateway.ledger import NoteBody

MOST = 2**53  # a sample's number is no larger: beyond that JSON readers lose digits
LATEST = 250_000_000_000  # s since 1970; the year 9892
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SAID_OF_DEVICES = ("meta", "status", "state", "set", "set/reply")  # beside `data`; none of it is audited


class Place(NamedTuple):
    """What a topic is about: `kind` is data, ledger, status (of the gateway), or "" for what is not audited."""

    gateway: str
    device: str
    kind: str


class Record(msgspec.Struct, gc=False):
    """A SenML record, as far as an audit looks at it; a sample's first one has `bn`, `bt`, `run` and `seq`."""

    bn: str | None = None
    bt: Annotated[float, msgspec.Meta(ge=2**28, le=LATEST)] | None = None
    run: str | None = None
    seq: Annotated[int, msgspec.Meta(ge=1, le=MOST)] | None = None
    done: Annotated[int, msgspec.Meta(ge=0, le=MOST)] = 0
    late: bool = False
    clock: str = ""
    n: str | None = None
    u: str | None = None
    ucum: str | None = None
    v: int | float | None = None
    vb: bool | None = None
    vs: str | None = None


class Previous(msgspec.Struct):
    """The run before, as the retained status names it."""

    run: str
    clean: bool


class HeldBody(msgspec.Struct):
    """How much a gateway holds."""

    samples: Annotated[int, msgspec.Meta(ge=0)] = 0


class StatusBody(msgspec.Struct):
    """The retained status of a gateway, as far as an audit looks at it."""

    state: str
    run: str
    reason: str = ""
    clock: str = ""
    durable: bool = True
    held: HeldBody | None = None
    previous: Previous | None = None


_packs = msgspec.json.Decoder(list[Record])
_notes = msgspec.json.Decoder(NoteBody)
_statuses = msgspec.json.Decoder(StatusBody)


def place(prefix: str, topic: str) -> Place | None:
    """What a topic is about, or None where it is not below `prefix`."""
    if not topic.startswith(f"{prefix}/"):
        return None
    gateway, _, rest = topic[len(prefix) + 1 :].partition("/")
    if rest in ("status", "ledger"):
        return Place(_name("gateway", gateway), "", rest)
    device, _, kind = rest.partition("/")
    if kind == "data":
        return Place(_name("gateway", gateway), _name("device", device), kind)
    if kind in _SAID_OF_DEVICES:
        return Place(gateway, device, "")
    raise DecodeError("labgate has no such topic")


def read_pack(where: Place, payload: bytes) -> list[Record]:
    """The first records of the samples in a pack."""
    records: list[Record] = _decoded(_packs, payload)
    heads = [r for r in records if r.seq is not None or r.bn is not None or r.run is not None]
    if not records or not heads or heads[0] is not records[0]:
        raise DecodeError("does not begin with a sample's first record")
    for head in heads:
        if head.seq is None or head.run is None or head.bt is None:
            raise DecodeError("a sample without run, seq or bt")
        if head.bn != f"{where.gateway}/{where.device}/":
            raise DecodeError("bn names another device than the topic")
        _name("run", head.run)
    if any(r.n is None or (r.v is None and r.vb is None and r.vs is None) for r in records):
        raise DecodeError("a record without name or value")
    return heads


def read_note(payload: bytes) -> NoteBody:
    """A ledger note."""
    note: NoteBody = _decoded(_notes, payload)
    _name("run", note.run)
    if note.ended not in (None, "clean", "unclean"):
        raise DecodeError("a run ends clean or unclean")
    for entry in note.dropped:
        _name("device", entry.device)
        if not 1 <= entry.first <= entry.through <= MOST:
            raise DecodeError("a dropped range that cannot be")
    for device, number in [*note.kept.items(), *note.last.items()]:
        _name("device", device)
        if not 0 <= number <= MOST:
            raise DecodeError("kept or last that cannot be")
    return note


def read_status(payload: bytes) -> StatusBody:
    """The status of a gateway."""
    status: StatusBody = _decoded(_statuses, payload)
    _name("run", status.run)
    if status.previous is not None:
        _name("run", status.previous.run)
    return status


def _decoded(decoder: msgspec.json.Decoder[Any], payload: bytes) -> Any:
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise DecodeError(str(error).replace("`", "")) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DecodeError("is not JSON") from None
    except RecursionError:
        raise DecodeError("is nested too deep") from None


def _name(what: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise DecodeError(f"cannot be the name of a {what}")
    return name
