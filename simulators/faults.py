"""What can go wrong on purpose: `--fault 'late 200ms every 3'`. A new fault is a line in KINDS, and a field of Outcome
where what it does to an answer is new."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from simulators.settings import closest


@dataclass
class Outcome:
    """What becomes of one answer."""

    delay: float = 0.0  # seconds
    exception: int | None = None
    silent: bool = False
    drop: bool = False


def _late(outcome: Outcome, seconds: float) -> None:
    outcome.delay += seconds


def _exception(outcome: Outcome, code: float) -> None:
    outcome.exception = int(code)


def _silent(outcome: Outcome, _: float) -> None:
    outcome.silent = True


def _drop(outcome: Outcome, _: float) -> None:
    outcome.drop = True


def _duration(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|min)", text)
    if not match:
        raise ValueError(f"wants a time such as 200ms or 1.5s, not {text!r}")
    return float(match[1]) * {"ms": 0.001, "s": 1.0, "min": 60.0}[match[2]]


def _code(text: str) -> float:
    if not text.isdecimal() or not 1 <= int(text) <= 255:
        raise ValueError(f"wants an exception code from 1 to 255, not {text!r}")
    return int(text)


class Kind(NamedTuple):
    """A kind of fault: how its argument is written and read (None: it takes none), and what it does."""

    usage: str
    read: Callable[[str], float] | None
    strike: Callable[[Outcome, float], None]


KINDS = {
    "late": Kind("late 200ms", _duration, _late),
    "silent": Kind("silent", None, _silent),
    "exception": Kind("exception 2", _code, _exception),
    "drop": Kind("drop", None, _drop),
}


@dataclass
class Fault:
    """A fault that strikes each `every`-th answer."""

    kind: Kind
    argument: float = 0.0
    every: int = 1
    _seen: int = 0

    def apply(self, outcome: Outcome) -> None:
        """Counts one answer, and changes its outcome when it is its turn."""
        self._seen += 1
        if self._seen % self.every == 0:
            self.kind.strike(outcome, self.argument)


def parse_fault(text: str) -> Fault:
    """The fault a person wrote. Raises ValueError with one line that says what is wrong."""
    name, *rest = text.split() or [""]
    kind = KINDS.get(name)
    if kind is None:
        raise ValueError(f"there is no fault {name!r}; {closest(name, KINDS)}")
    every = 1
    if len(rest) >= 2 and rest[-2] == "every":
        if not rest[-1].isdecimal() or int(rest[-1]) < 1:
            raise ValueError(f"fault {text!r}: every wants a whole number from 1, not {rest[-1]!r}")
        every = int(rest[-1])
        rest = rest[:-2]
    if len(rest) != (kind.read is not None):
        raise ValueError(
            f"fault {text!r} is not complete or says too much; write '{kind.usage}', or with 'every 3' after it"
        )
    try:
        argument = kind.read(rest[0]) if kind.read else 0.0
    except ValueError as error:
        raise ValueError(f"fault {text!r}: {name} {error}") from None
    return Fault(kind, argument, every)
