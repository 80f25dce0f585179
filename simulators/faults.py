"""What can go wrong on purpose: `--fault 'late 200ms every 3'`, or `station.faults.append(parse_fault("mute"))`.

A new fault is a line in KINDS, and a field of Outcome where what it does to an answer is new."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from simulators.settings import TIMES, closest, duration

_FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
WHEN = "every 3, every 5s, 5%, after 10s, after 20, for 10s, for 20"


@dataclass
class Outcome:
    """What becomes of one answer. Where several faults strike: `drop` before `silent` before all others."""

    delay: float = 0.0  # seconds
    exception: int | None = None
    silent: bool = False
    drop: bool = False
    hold: bool = False  # sent when the next request comes, beside its own answer
    stale: bool = False  # sent when the next request comes, as its answer
    short: bool = False  # a register, or eight bits, less than asked
    crc: bool = False  # one bit of the frame is turned
    cut: bool = False  # the frame ends too early
    hang_up: bool = False  # and the connection with it
    foreign: str = ""  # "instead" or "first": a frame of another unit, instead of the own one or before it
    noise: bool = False  # a few bytes before or after the frame
    unplug: float | None = None  # seconds until the port is back, under another name, or the adapter
    mid: bool = False  # it goes in the middle of a frame
    reset: bool = False  # the device starts anew, and says so
    away: float | None = None  # seconds that it is out of reach of the radio
    off: float | None = None  # seconds that the adapter is switched off
    kill: float | None = None  # seconds that bluetoothd does not run
    deaf: bool = False  # the adapter hears nothing
    happens: set[str] = field(default_factory=set)  # to the device itself
    illegal: list[tuple[int, int, int]] = field(default_factory=list)  # function (0: any), first and last address


Strike = Callable[[Outcome], None]


def _set(**values: object) -> Strike:
    def strike(outcome: Outcome) -> None:
        for name, value in values.items():
            setattr(outcome, name, value)

    return strike


def _plain(**values: object) -> Callable[[Sequence[str]], Strike]:
    def read(words: Sequence[str]) -> Strike:
        if words:
            raise ValueError("says too much")
        return _set(**values)

    return read


def _number(text: str, low: int, high: int, what: str) -> int:
    """Decimal, or hexadecimal after 0x."""
    match = re.fullmatch(r"(?:\d+|0x([0-9a-f]+))", text, re.ASCII | re.IGNORECASE)
    number = int(match[1] or text, 16 if match[1] else 10) if match else low - 1
    if not low <= number <= high:
        raise ValueError(f"wants {what} from {low} to {high}, not {text!r}")
    return number


def _late(words: Sequence[str]) -> Strike:
    if list(words) == ["one"]:
        return _set(hold=True)
    if len(words) != 1:
        raise ValueError("wants a time, or 'one'")
    seconds = duration(words[0])

    def strike(outcome: Outcome) -> None:
        outcome.delay += seconds

    return strike


def _exception(words: Sequence[str]) -> Strike:
    if len(words) != 1:
        raise ValueError("wants one exception code")
    return _set(exception=_number(words[0], 1, 255, "an exception code"))


def _illegal(words: Sequence[str]) -> Strike:
    function = 0
    if words and words[0] in _FUNCTIONS:
        function, words = _FUNCTIONS[words[0]], words[1:]
    if len(words) != 1:
        raise ValueError(f"wants an address or a range of them, after {', '.join(_FUNCTIONS)} or nothing")
    ends = [_number(end, 0, 65535, "an address") for end in words[0].split("-", 1)]
    if ends[0] > ends[-1]:
        raise ValueError(f"wants a range that goes up, not {words[0]}")
    return lambda outcome: outcome.illegal.append((function, ends[0], ends[-1]))


def _drop(words: Sequence[str]) -> Strike:
    return _set(cut=True, hang_up=True) if list(words) == ["mid"] else _plain(drop=True)(words)


def _foreign(words: Sequence[str]) -> Strike:
    return _set(foreign="first") if list(words) == ["first"] else _plain(foreign="instead")(words)


def _unplug(words: Sequence[str]) -> Strike:
    if not words or list(words[1:]) not in ([], ["mid"]):
        raise ValueError("wants a time, and 'mid' or nothing")
    return _set(unplug=duration(words[0]), mid=len(words) > 1)


def _lasting(name: str) -> Callable[[Sequence[str]], Strike]:
    def read(words: Sequence[str]) -> Strike:
        if len(words) != 1:
            raise ValueError("wants a time")
        return _set(**{name: duration(words[0])})

    return read


def _happens(name: str) -> Callable[[Sequence[str]], Strike]:
    def read(words: Sequence[str]) -> Strike:
        if words:
            raise ValueError("says too much")
        return lambda outcome: outcome.happens.add(name)

    return read


class Kind(NamedTuple):
    """A kind of fault: how it is written, what it does in a few words, how its arguments are read (ValueError where
    they cannot be), and what it needs: "rtu" a checksum, "connection" something to close, "slave" a Modbus slave,
    "speaker" a device that is none, "happens" one to which this can happen, "radio" a radio."""

    usage: str
    does: str
    read: Callable[[Sequence[str]], Strike]
    needs: str = ""


KINDS = {
    "mute": Kind("mute", "no answer; also: silent", _plain(silent=True)),
    "silent": Kind("silent", "", _plain(silent=True)),
    "late": Kind("late 200ms|one", "later, or only when the next request comes", _late),
    "stale": Kind("stale", "given as the answer to the next request, by a confused box", _plain(stale=True), "slave"),
    "exception": Kind("exception 2", "refused", _exception, "slave"),
    "illegal": Kind("illegal [input] 12[-15]", "reads that touch these get exception 2", _illegal, "slave"),
    "short": Kind("short", "one register less than asked, in a frame that is right", _plain(short=True), "slave"),
    "crc": Kind("crc", "one bit of the frame turned", _plain(crc=True), "rtu"),
    "cut": Kind("cut", "the frame ends too early", _plain(cut=True)),
    "foreign": Kind("foreign [first]", "the answer of another unit instead, or first", _foreign, "slave"),
    "noise": Kind("noise", "random bytes before or after the answer", _plain(noise=True)),
    "drop": Kind("drop [mid]", "the connection is closed, in mid-answer with mid", _drop, "connection"),
    "unplug": Kind("unplug 2s [mid]", "pulled out, in mid-frame with mid; back under another name", _unplug, "speaker"),
    "away": Kind("away 10s", "a peripheral is out of reach for so long", _lasting("away"), "radio"),
    "off": Kind("off 5s", "the adapter is switched off", _lasting("off"), "radio"),
    "kill": Kind("kill 5s", "bluetoothd is killed, and starts again", _lasting("kill"), "radio"),
    "deaf": Kind("deaf", "the adapter hears nothing, and no error says so", _plain(deaf=True), "radio"),
    "reset": Kind("reset", "starts anew, with its banner", _plain(reset=True), "speaker"),
    "novalue": Kind("novalue", "says that it has none: no fix, 9.91E37, failed", _happens("novalue"), "happens"),
    "overload": Kind("overload", "has more on it than it can measure", _happens("overload"), "happens"),
    "underload": Kind("underload", "has less on it than it can measure", _happens("underload"), "happens"),
}  # fmt: skip


class Limit(NamedTuple):
    """So many requests, or seconds."""

    amount: float
    timed: bool

    def reached(self, requests: int, seconds: float) -> bool:
        """Whether so many requests, or seconds, have gone by."""
        return (seconds if self.timed else requests) >= self.amount


@dataclass
class Fault:
    """A fault that strikes each `every`-th request, or the first one after each `pause`, with probability `share`, when
    `after` is over and while `lasts`.

    All count from the first request that it sees. `seen` and `struck` are requests so far. Where a device speaks by
    itself, what it says at a time stands for a request.
    """

    kind: Kind
    strike: Strike
    every: int = 1
    pause: float = 0.0  # seconds from one strike to the next
    share: float = 1.0
    after: Limit | None = None
    lasts: Limit | None = None
    seen: int = 0
    struck: int = 0
    _first: float | None = None
    _begun: tuple[int, float] | None = None
    _last: float = 0.0

    def apply(self, outcome: Outcome, now: float, random: Random) -> None:
        """Counts one request at `now` (s), and changes its outcome when it is its turn."""
        self._first = now if self._first is None else self._first
        before, self.seen = self.seen, self.seen + 1
        if self._begun is None:
            if self.after and not self.after.reached(before, now - self._first):
                return
            self._begun, self._last = (before, now), now
        if self.lasts and self.lasts.reached(before - self._begun[0], now - self._begun[1]):
            return
        if now - self._last < self.pause:
            return
        self._last = now
        if (self.seen - self._begun[0]) % self.every == 0 and (self.share == 1.0 or random.random() < self.share):
            self.struck += 1
            self.strike(outcome)


def _limit(text: str) -> Limit:
    return Limit(int(text), False) if text.isascii() and text.isdecimal() else Limit(duration(text), True)


def _share(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%", text, re.ASCII)
    if not match or not 0 < float(match[1]) <= 100:
        raise ValueError(f"wants a share such as 5%, not {text!r}")
    return float(match[1]) / 100


def parse_fault(text: str) -> Fault:
    """The fault a person wrote. Raises ValueError with one line that says what is wrong."""
    name, *rest = text.split() or [""]
    kind = KINDS.get(name)
    if kind is None:
        raise ValueError(f"there is no fault {name!r}; {closest(name, KINDS)}")
    place = next((at for at, word in enumerate(rest) if word in ("every", "after", "for") or word.endswith("%")), None)
    words, when = (rest, []) if place is None else (rest[:place], rest[place:])
    fault = Fault(kind, _set())
    word = name
    try:
        fault.strike = kind.read(words)
        while when:
            word = when.pop(0)
            if word.endswith("%"):
                fault.share = _share(word)
            elif word not in ("every", "after", "for"):
                raise ValueError(f"is not one of {WHEN}")
            elif not when:
                raise ValueError("wants something after it")
            elif word == "every" and when[0].endswith(tuple(TIMES)):
                fault.pause = duration(when.pop(0))
            elif word == "every":
                fault.every = _number(when.pop(0), 1, 10**9, "a whole number")
            elif word == "after":
                fault.after = _limit(when.pop(0))
            else:
                fault.lasts = _limit(when.pop(0))
    except ValueError as error:
        raise ValueError(f"fault {text!r}: {word} {error}; write '{kind.usage}'") from None
    return fault


def of_unit(text: str) -> tuple[int | None, str]:
    """The unit that 'unit 3: mute' is for, None where it says no unit, and the fault without it."""
    match = re.fullmatch(r"\s*unit\s+(\d{1,3})\s*:(.*)", text, re.ASCII)
    return (int(match[1]), match[2].strip()) if match else (None, text)
