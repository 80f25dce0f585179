"""Sample -> bytes: SenML packs (RFC 8428) and the plain state view. Pure.

The readings of a sample are encoded once, when it is taken (the body: a JSON array of records). What is only known
when it is sent (run, seq, done, late, clock) is put in front as bytes (the head), without decoding the body again.
"""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter

import msgspec

from gateway.errors import DecodeError
from gateway.reading import Reading, Sample, Value
from gateway.units import is_secondary, is_senml

_NUMBERS = (int, float)  # whose readings are records as they are, where SenML has their unit
BVER = 26  # RFC 9100: version 10 plus the secondary units of RFC 8798

_encode = msgspec.json.Encoder(decimal_format="number").encode
_name = attrgetter("name")
_value = attrgetter("value")
_unit = attrgetter("unit")
_odd_value = re.compile(rb'"v":(?!-?[0-9])').search  # msgspec writes NaN as null, truth as true, a list as […


class _Record(msgspec.Struct, omit_defaults=True, gc=False):
    """A SenML record that is not just a number with a SenML unit."""

    n: str
    u: str | None = None
    ucum: str | None = None
    v: float | int | Decimal | None = None
    vb: bool | None = None
    vs: str | None = None
    q: str = "good"
    t: float | None = None


class Shape:
    """The names and units of one device's polls: checked when they change, not at every poll."""

    __slots__ = ("_names", "_plain", "_prefix", "_units")

    def __init__(self) -> None:
        self._names: list[str] = []
        self._units: list[str | None] = []
        self._plain = False
        self._prefix = b""

    def matches(self, readings: Sequence[Reading]) -> bool:
        """Whether these readings have the names and units that were learned last."""
        return list(map(_name, readings)) == self._names and list(map(_unit, readings)) == self._units

    def learn(self, readings: Sequence[Reading]) -> None:
        """Remember names and units, and what they mean for the encoding."""
        self._names = list(map(_name, readings))
        self._units = list(map(_unit, readings))
        self._plain = all(unit is None or is_senml(unit) for unit in self._units)
        # Base version holds for the whole pack, so it stands in its first record.
        self._prefix = b'[{"bver":%d,' % BVER if any(u and is_secondary(u) for u in self._units) else b"[{"

    def encode(self, readings: Sequence[Reading]) -> bytes:
        """The body of a pack. The readings are known to match; values that are not available are left out.

        Returns b"" when no value is left: then it is no sample. Raises DecodeError for what is no value.
        """
        if self._plain and readings:
            try:
                body = _encode(readings)
            except (TypeError, ValueError):
                pass  # below it is said which reading it was
            else:
                if not _odd_value(body):
                    return self._prefix + body[2:]
        records = [
            r if type(r.value) in _NUMBERS and (r.unit is None or is_senml(r.unit)) else _record(r)
            for r in readings
            if _available(r.value)
        ]
        return self._prefix + _encode(records)[2:] if records else b""


def _available(value: Value | Decimal) -> bool:
    return math.isfinite(value) if isinstance(value, float | Decimal) else True


def _record(r: Reading) -> _Record:
    # Decimal is what a driver gets that multiplies with a scale of the configuration.
    if not isinstance(r.value, int | float | Decimal | str):
        raise DecodeError(f"{r.name}: {type(r.value).__name__} is no value; a driver gives numbers, truth or text")
    if isinstance(r.value, str) and not _is_unicode(r.value):
        raise DecodeError(f"{r.name}: {r.value!r} is not Unicode text; decode it, or leave it out")
    senml = r.unit is None or is_senml(r.unit)
    record = _Record(r.name, r.unit if senml else None, None if senml else r.unit, q=r.quality, t=r.at)
    if isinstance(r.value, bool):
        record.vb = r.value
    elif isinstance(r.value, str):
        record.vs = r.value
    else:
        record.v = r.value
    return record


def _is_unicode(text: str) -> bool:
    """Whether text can be written as UTF-8: Python's may hold surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def body(sample: Sample) -> bytes:
    """The body of a sample, by itself. Of a stated time it says so, and when it came where that is known for sure."""
    shape = Shape()
    shape.learn(sample.readings)
    found = shape.encode(sample.readings)
    if sample.received is None:
        return found
    us = sample.received.wall // 1000
    said = '"clock":"device",' + (f'"rt":{us // 1000000}.{us % 1000000:06d},' if sample.received.synced else "")
    return found.replace(b'"n":', said.encode() + b'"n":', 1)


def inner(
    gateway: str,
    device: str,
    wall_ns: int,
    trusted: bool,
    run: str,
    seq: int,
    done: int | None,
    late: bool,
    body: bytes,
) -> bytes:
    """The records of one sample, base fields in the first, without the brackets around the pack."""
    us = wall_ns // 1000
    head = f'{{"bn":"{gateway}/{device}/","bt":{us // 1000000}.{us % 1000000:06d},"run":"{run}","seq":{seq},'
    if done is not None:
        head += f'"done":{done},'
    if late:
        head += '"late":true,'
    if not trusted:
        head += '"clock":"unsynced",'
    return head.encode() + body[2:-1]


def pack(inners: Iterable[bytes]) -> bytes:
    """One or several samples of a device as one SenML pack."""
    return b"[" + b",".join(inners) + b"]"


def same_version(first: bytes, other: bytes) -> bool:
    """Whether two bodies may share a pack: one pack has one base version (RFC 8428, section 4.4)."""
    return (first[:8] == b'[{"bver"') == (other[:8] == b'[{"bver"')


def state_view(wall_ns: int, readings: Sequence[Reading]) -> bytes:
    """The plain-JSON view of a sample for dashboards: {"time": …, name: value, …}."""
    view: dict[str, Value] = {"time": iso_time(wall_ns)}
    view.update(zip(map(_name, readings), map(_value, readings), strict=True))
    content = _encode(view)
    if b":null" in content:  # NaN is written so
        content = _encode({name: value for name, value in view.items() if _available(value)})
    return content


def iso_time(wall_ns: int) -> str:
    """2026-11-20T10:33:20.123Z."""
    seconds, rest = divmod(wall_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{rest // 10**6:03d}Z"


def to_json(value: object) -> bytes:
    """Any of our status, meta and ledger objects as JSON."""
    return _encode(value)
