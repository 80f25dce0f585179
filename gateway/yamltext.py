"""YAML text -> plain values with the place of each key and value. The only user of PyYAML (its C parser).

YAML 1.2 core rules, taken from the text: `no`, `12:30` and `11:22:33:44:55:66` are text, numbers are int or Decimal.
Built from the parser's events in a loop, because PyYAML's composer recurses in C and overflows the stack on some
ten thousand brackets. Anchors, aliases, tags, merge keys and duplicate keys are refused, all at once.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gateway.errors import ConfigError
from gateway.problem import Fault, Place, Way, show
from gateway.yamlsyntax import MAX_DIGITS, NUMBER, explain, resolve

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_VALUES = 100_000  # an ordinary file of 1 MB has some 60,000; `[a,a,a,…` has half a million, which costs 150 MB

# What YAML does not allow in a file, and line ends that libyaml counts and editors do not (U+0085, U+2028, U+2029).
# As alternatives, because one class of all of them takes 8 ms to compile.
_FOREIGN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\u2028|\u2029|\ufeff|\ufffe|\uffff")

_Mark = tuple[int, int]


@dataclass
class Document:
    """A parsed file. `value` is made of dict, list, str, int, Decimal, bool and None; keys are str or int."""

    file: str
    value: Any = None
    faults: list[Fault] = field(default_factory=list)
    keys: dict[Way, _Mark] = field(default_factory=dict)
    values: dict[Way, _Mark] = field(default_factory=dict)
    broken: set[Way] = field(default_factory=set)  # values that a fault replaced by None

    def place(self, fault: Fault) -> Place:
        """Where a fault of this document is shown."""
        return Place(self.file, *(fault.mark or (self.key if fault.at_key else self.at)(fault.path)))

    def key(self, path: Way) -> _Mark:
        """Line and column of the key at `path`; of the value where there is no key (in a list)."""
        return self.keys.get(path) or self.at(path)

    def at(self, path: Way) -> _Mark:
        """Line and column of the value at `path`; of its nearest parent's key where there is no such value."""
        mark = self.values.get(path)
        while mark is None and path:
            path = path[:-1]
            mark = self.keys.get(path) or self.values.get(path)
        return mark or (1, 1)

    def refuse(self, mark: _Mark, text: str, instead: str) -> "Document":
        """Nothing of the file can be used, for a reason shown at `mark`."""
        self.value = None
        self.faults.append(Fault((), text, instead, mark=mark))
        return self


def read_yaml(path: Path) -> Document:
    """Read and parse a file. Raises ConfigError only when there is no readable file; all else is in `faults`."""
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: {'is not a file' if path.exists() else 'no such file'}")
        with path.open("rb") as f:
            data = f.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"{show(str(path))[1:-1]}: cannot be read: {reason}") from error
    return parse_yaml(data, str(path))


def parse_yaml(data: bytes, file: str) -> Document:
    """Parse the bytes of a file. Never raises for what is in them."""
    doc = Document(file)
    if len(data) > MAX_BYTES:
        return doc.refuse((1, 1), "the file is larger than 1 MB", "move parts of it to devices.d/")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return doc.refuse((1, 1), "the file is UTF-16", "save it as UTF-8")
    if b"\0" in data:
        return doc.refuse((1, 1), "the file is binary, not text", "write it as UTF-8 text")
    try:
        text = _lines(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        before = _lines(data[: error.start].decode("utf-8-sig"))
        return doc.refuse(_mark_after(before), f"byte 0x{data[error.start]:02x} is not UTF-8", "save the file as UTF-8")
    if foreign := _FOREIGN.search(text):
        wrong = f"the character U+{ord(foreign[0]):04X} does not belong in a text file"
        return doc.refuse(_mark_after(text[: foreign.start()]), wrong, "remove it")
    try:
        _Builder(doc).run(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except _StopError as stop:
        return doc.refuse(*stop.args)
    except yaml.YAMLError as error:
        return doc.refuse(*explain(error, text))
    return doc


def _lines(text: str) -> str:
    """With the line ends of Unix."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _mark_after(text: str) -> _Mark:
    return text.count("\n") + 1, len(text) - text.rfind("\n")


class _StopError(Exception):
    """The rest of the file is not worth reading: (mark, text, instead)."""


class _Frame:
    """A list or mapping under construction. Not `live`: it is read and forgotten (below a duplicate or refused key)."""

    __slots__ = ("key", "live", "path", "value")

    def __init__(self, value: dict[Any, Any] | list[Any], path: Way, live: bool) -> None:
        self.value = value
        self.path = path
        self.live = live
        self.key: Any = _EXPECTED


_EXPECTED: Any = object()  # the next node of a mapping is a key
_REFUSED: Any = object()  # the key was refused: its value is read and forgotten


class _Builder:
    """Turns parser events into a document."""

    def __init__(self, doc: Document) -> None:
        self.doc = doc
        self.stack: list[_Frame] = []
        self.seen = 0
        self.documents = 0

    def run(self, events: Iterator[Any]) -> None:
        """Consume all events. Raises _StopError and yaml.YAMLError."""
        for event in events:
            match type(event):
                case yaml.ScalarEvent:
                    self.scalar(event)
                case yaml.MappingStartEvent:
                    self.open({}, event)
                case yaml.SequenceStartEvent:
                    self.open([], event)
                case yaml.MappingEndEvent | yaml.SequenceEndEvent:
                    self.stack.pop()
                case yaml.AliasEvent:
                    self.alias(event)
                case yaml.DocumentStartEvent:
                    self.documents += 1
                    if self.documents > 1:
                        raise _StopError(_mark(event), "a second document begins here", 'remove the line "---"')

    def scalar(self, event: Any) -> None:
        """A key, or a value."""
        top = self.stack[-1] if self.stack else None
        if top is not None and top.key is _EXPECTED and isinstance(top.value, dict):
            self.key(top, event)
            return
        path, live = self.claim(event)
        if event.implicit[0]:  # plain: not quoted, no block, no tag
            try:
                value = resolve(event.value)
            except ValueError as error:
                value = None
                self.broken(path, str(error), "put it in quotes if it is text", event)
        else:
            value = event.value
        if "\0" in event.value:
            value = None
            self.broken(path, "text holds the character NUL", "remove it", event)
        self.put(value, path, live, event)

    def key(self, top: _Frame, event: Any) -> None:
        """The key of the next value of a mapping: int, or text as it stands."""
        text: str = event.value
        key: str | int = text
        if "\0" in text:
            return self.refuse_key(top, event, "a key holds the character NUL", "remove it")
        if event.implicit[0]:
            if text == "<<":
                return self.refuse_key(top, event, "merge keys (<<) are not allowed", "write the keys out")
            if not text:
                return self.refuse_key(top, event, "there is no key before this colon", "write KEY: VALUE")
            if text[-1].isdigit() or text[0].isdigit():
                number = NUMBER.fullmatch(text)
                if number and number.lastgroup in ("int", "oct", "hex") and len(text) <= MAX_DIGITS:
                    key = resolve(text)
        self.decorations(event, (*top.path, key))
        path = (*top.path, key)
        if top.live and path in self.doc.keys:
            first = self.doc.keys[path][0]
            wrong = f"duplicate key {show(key) if isinstance(key, str) else key}, first in line {first}"
            return self.refuse_key(top, event, wrong, "remove one of them", path)
        if top.live:
            self.doc.keys[path] = _mark(event)
        top.key = key
        return None

    def refuse_key(self, top: _Frame, event: Any, text: str, instead: str, path: Way | None = None) -> None:
        """A key that is not taken; its value is read and forgotten."""
        self.doc.faults.append(Fault(path or top.path, text, instead, mark=_mark(event)))
        top.key = _REFUSED

    def alias(self, event: Any) -> None:
        """`*name`: never allowed."""
        path, live = self.claim(event)
        text, instead = f"aliases (*{event.anchor}) are not allowed", "write the value out, or put text in quotes"
        self.broken(path, text, instead, event)
        self.put(None, path, live, event)

    def broken(self, path: Way, text: str, instead: str, event: Any) -> None:
        """A value nobody can use; it becomes None."""
        self.doc.faults.append(Fault(path, text, instead, mark=_mark(event)))
        self.doc.broken.add(path)

    def open(self, value: dict[Any, Any] | list[Any], event: Any) -> None:
        """A list or a mapping begins."""
        if len(self.stack) >= MAX_DEPTH:
            raise _StopError(_mark(event), f"nested more than {MAX_DEPTH} deep", "close some brackets, or indent less")
        path, live = self.claim(event)
        self.put(value, path, live, event)
        self.stack.append(_Frame(value, path, live))

    def claim(self, event: Any) -> tuple[Way, bool]:
        """The path of the node that begins here and whether it counts. A list or alias as a key is refused here."""
        self.seen += 1
        if self.seen > MAX_VALUES:
            raise _StopError(
                _mark(event), f"the file holds more than {MAX_VALUES:,} values", "move parts to devices.d/"
            )
        if not self.stack:
            path, live = (), True
        else:
            top = self.stack[-1]
            if isinstance(top.value, list):
                path, live = (*top.path, len(top.value)), top.live
            elif top.key is _EXPECTED:
                if type(event) is not yaml.AliasEvent:
                    self.refuse_key(top, event, "a key must be a single word", "put it in quotes if it is text")
                top.key = _EXPECTED  # what begins here still is the key; put() moves on to its value
                path, live = top.path, False
            else:
                path, live = (*top.path, top.key), top.live and top.key is not _REFUSED
        self.decorations(event, path)
        return path, live

    def decorations(self, event: Any, path: Way) -> None:
        """Refuse `&anchor` and `!tag`."""
        if type(event) is yaml.AliasEvent:
            return
        if event.anchor is not None:
            text, instead = f"anchors (&{event.anchor}) are not allowed", "remove it, or put text in quotes"
            self.doc.faults.append(Fault(path, text, instead, mark=_mark(event)))
        if event.tag is not None:
            text, instead = f"tags ({show(event.tag)[1:-1]}) are not allowed", "remove it, or put text in quotes"
            self.doc.faults.append(Fault(path, text, instead, mark=_mark(event)))

    def put(self, value: Any, path: Way, live: bool, event: Any) -> None:
        """Store a value where it belongs."""
        if live:
            self.doc.values[path] = _mark(event)
        if not self.stack:
            self.doc.value = value
            return
        top = self.stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.key is _EXPECTED:  # a list, mapping or alias stands where a key should
            top.key = _REFUSED
        else:
            if top.key is not _REFUSED:
                top.value[top.key] = value
            top.key = _EXPECTED


def _mark(event: Any) -> _Mark:
    mark = event.start_mark
    return mark.line + 1, mark.column + 1
