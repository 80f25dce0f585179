"""Lines that a board prints: which dialect it speaks is seen from them, and kept; logs and boot messages are none."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

from drivers.codecs import lines_columns, lines_json, lines_labels, lines_teleplot
from drivers.codecs.lines_noise import is_log, plain, unreadable
from drivers.codecs.printed_numbers import Numbers
from drivers.codecs.printed_units import stated
from gateway import DecodeError, Reading

Dialect = Literal["json", "senml", "teleplot", "label-value", "csv"]
MARKED = ("json", "senml", "teleplot")  # nothing else looks like these

MOST = 512  # values of a line
PATIENCE = 5  # lines of another dialect in a row before it is believed that the board speaks that now


class LineDecoder:
    """What one board prints, line by line.

    `names` are those of the columns of a CSV without header; `units` those of quantities printed without.
    """

    def __init__(
        self,
        dialect: Dialect | None = None,
        decimal_comma: bool = False,
        missing: Iterable[float] = (),
        names: Sequence[str] = (),
        units: Mapping[str, str] | None = None,
    ) -> None:
        self.dialect: Dialect | None = dialect
        self._fixed = dialect is not None
        self._numbers = Numbers(decimal_comma)
        self._missing = frozenset(missing)
        self._told_names = list(names)
        self._units = {name: stated(unit, name) for name, unit in (units or {}).items()}
        self._names: list[str] = self._told_names
        self._named = bool(names)  # by a header or the configuration, not by position
        self._header: list[str] | None = None  # seen, but no row with as many cells yet
        self._odd_width = 0  # cells of the last row that had another number of them
        self._strange = 0

    def decode(self, frame: bytes) -> list[Reading]:
        """Readings of one line; none of a log line, a header, or a line of another dialect than the board's.

        Raises DecodeError for what is no text, a JSON line that is not whole, and a comma that may be a decimal mark.
        """
        text = plain(frame)
        if odd := unreadable(text):
            raise DecodeError(f"{odd} of {len(text)} characters are no text; check baudrate, parity and the driver")
        if not text:
            return []
        dialect, found = self._read(text)
        if dialect is None or not self._believed(dialect):
            return []
        if len(found) > MOST:
            raise DecodeError(f"{len(found)} values in one line; print at most {MOST} a line")
        if self._missing:
            found = [r for r in found if isinstance(r.value, bool) or r.value not in self._missing]
        if self._units:
            found = [Reading(r.name, r.value, r.unit or self._units.get(r.name)) for r in found]
        return found

    def _believed(self, dialect: Dialect) -> bool:
        if dialect != self.dialect:
            if self._fixed:
                return False
            self._strange += 1
            if self.dialect is not None and dialect not in MARKED and self._strange < PATIENCE:
                return False
            self.dialect = dialect
        self._strange = 0
        return True

    def _read(self, text: str) -> tuple[Dialect | None, list[Reading]]:
        first = text[0]
        if first == "{":
            return ("json", lines_json.readings(lines_json.load(text))) if self._wants("json") else (None, [])
        if text.startswith("[{") or (first == "[" and text[-1] == "]" and "," in text):
            return self._list(text)
        if first == ">" and self._wants("teleplot"):
            found = lines_teleplot.readings(text, self._numbers)
            return ("teleplot" if found else None), found
        if is_log(text):
            return None, []
        if (first in "+-.0123456789nNiIoO?" or self._named) and self._wants("csv"):
            rows = self._row(text)
            if rows is not None:
                return "csv", rows
        if self._wants("label-value"):
            named = lines_labels.readings(text, self._numbers)
            if named is not None:
                return "label-value", named
        if self._wants("csv") and (names := lines_columns.header(text, self._numbers.decimal_comma)):
            self._header = names
        return None, []

    def _wants(self, dialect: Dialect) -> bool:
        return not self._fixed or self.dialect == dialect

    def _list(self, text: str) -> tuple[Dialect | None, list[Reading]]:
        """A list of records is SenML; one of numbers is told by position; else it is a log line in brackets."""
        try:
            value = lines_json.load(text)
        except DecodeError:
            if text.startswith("[{") and (self._wants("senml") or self._wants("json")):
                raise
            return None, []
        if lines_json.is_senml(value) and self._wants("senml"):
            return "senml", lines_json.senml(value)
        return ("json", lines_json.readings(value)) if self._wants("json") else (None, [])

    def _row(self, text: str) -> list[Reading] | None:
        """A row; None where the line is none. A row that was cut has fewer cells than those before it: no readings."""
        row, parted = lines_columns.cells(text, self._numbers.decimal_comma)
        width = len(row)
        if self._told_names and width != len(self._told_names):
            return None
        names, named = self._names, self._named
        if self._header is not None and len(self._header) == width and not self._told_names:
            names, named = self._header, True
        elif width != len(names):
            names, named = lines_columns.by_position(width), False
        found = lines_columns.readings(row, names, parted, parted and named, self._numbers)
        if found is None:
            return None
        if self._names and width != len(self._names) and width != self._odd_width and names is not self._header:
            self._odd_width = width
            return []
        if names is self._header:
            self._header = None
        self._names, self._named, self._odd_width = names, named, 0
        return found


def decode_lines(decoder: LineDecoder, data: bytes, context: Mapping[str, str]) -> list[Reading]:
    """Readings of a captured text, line by line.

    A first line that may be a fragment is dropped: where `context` says so (`stream_start`: unknown …), or where it is
    a row and the next line another kind of line. Raises DecodeError where no line tells anything, for the last reason.
    """
    lines = [line for line in re.split(rb"[\r\n]+", data) if line.strip()]
    if context.get("stream_start", "").startswith("unknown") or _begins_with_fragment(lines):
        del lines[:1]
    found: list[Reading] = []
    spoken, reason = None, "no line tells a value; log lines, boot messages and headers are none"
    for line in lines:
        try:
            found += decoder.decode(line)
            spoken = decoder.dialect
        except DecodeError as error:
            reason = str(error)
    if not found and spoken is None:
        raise DecodeError(reason)
    return found


def _begins_with_fragment(lines: list[bytes]) -> bool:
    """Whether the first of several lines is a row of numbers, and the second no row of as many."""
    rows = [
        re.fullmatch(rb"[-+.\deE,;\s]+", line.strip()) and re.split(rb"[,;\s]+", line.strip(b",; \t"))
        for line in lines[:3]
    ]
    return len(rows) > 2 and bool(rows[0]) and len(rows[0] or ()) != len(rows[1] or ())


def named_dialect(context: Mapping[str, str]) -> Dialect | None:
    """The dialect that came with a capture, where it is one that can be mistaken for no other."""
    return next((known for known in get_args(Dialect) if known == context.get("dialect") and known in MARKED), None)


def decode_input(data: bytes, context: Mapping[str, str]) -> list[Reading]:
    """One captured text; `context` may name the `dialect`."""
    return decode_lines(LineDecoder(named_dialect(context)), data, context)
