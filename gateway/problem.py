"""What is wrong in a configuration, and where: Place, Fault, Problem, and how their texts are made."""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Way = tuple[Any, ...]
"""The way to a value inside a document: keys and list indices, outermost first."""


@dataclass(frozen=True)
class Place:
    """A character in a file. Line and column count from 1."""

    file: str
    line: int
    col: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}"


class Fault(NamedTuple):
    """Something wrong at `path` of a document: at its value, at its key (`at_key`), or at `mark` (line, column)."""

    path: Way
    text: str
    instead: str = ""
    at_key: bool = False
    mark: tuple[int, int] | None = None
    warning: bool = False


@dataclass(frozen=True)
class Problem:
    """One line for a person. `part` says what it spoils: file, gateway, hub, buffer, links.NAME or devices.NAME."""

    place: Place
    text: str
    instead: str = ""
    severity: Literal["error", "warning"] = "error"
    part: str = "file"

    @classmethod
    def of(cls, fault: Fault, place: Place, part: str) -> "Problem":
        """A fault as a problem. Its texts may hold names from the file: whatever these are, it is one line."""
        severity: Literal["error", "warning"] = "warning" if fault.warning else "error"
        return cls(place, one_line(fault.text), one_line(fault.instead), severity, part)

    def __str__(self) -> str:
        warning = "warning: " if self.severity == "warning" else ""
        return f"{self.place}: {warning}{self.text}" + (f"; {self.instead}" if self.instead else "")


def show(value: Any) -> str:
    """A value from a file as it may stand in a line of text: short, in one line, printable."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a group of keys"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    text = one_line(text)
    return text if len(text) <= 60 else text[:57] + "…" + ('"' if isinstance(value, str) else "")


def one_line(text: str) -> str:
    """Foreign text as part of a line: printable, without line ends, not endless."""
    text = " ".join(text.split()) if "\n" in text else text
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:400]) + ("…" if text[400:] else "")


def halves(error: object) -> tuple[str, str]:
    """An error with the text `what is wrong; what to write instead`, taken apart."""
    text, _, instead = one_line(str(error)).partition("; ")
    return text, instead


def group_of_keys(name: Any, value: Any) -> str:
    """What is wrong where something else stands in place of a group of keys."""
    return f"{name} is empty" if value is None else f"{name} is a group of keys, not {show(value)}"


def did_you_mean(word: Any, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, or None. Case, `-` and `_` hardly count."""
    if not isinstance(word, str) or len(word) > 80:
        return None
    plain = {_plain(k): k for k in known}
    close = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=0.6)
    return plain[close[0]] if close else None


def or_known(word: Any, known: Iterable[str], *, quoted: bool = True) -> str:
    """What to write instead of an unknown word: the nearest known one, else the known ones."""
    names = list(known)
    mark = '"' if quoted else ""
    if close := did_you_mean(word, names):
        return f"did you mean {mark}{close}{mark}?"
    if not names:
        return ""
    return f"known here: {', '.join(names[:20])}" + (", …" if len(names) > 20 else "")


def _plain(word: str) -> str:
    return word.lower().replace("_", "-")
