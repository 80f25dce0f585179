"""How commands show things: ages, local time, sizes, values, aligned tables, JSON lines."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


def json_line(value: Any) -> None:
    """One JSON object on a line of its own, for programs."""
    print(_encode(value).decode())


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], right: Iterable[str] = ()) -> None:
    """Print rows under their heads, columns aligned; those named in `right` to the right. None is shown as "-"."""
    cells = [list(head), *([("-" if c is None else printable(str(c))) for c in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    flush = set(right)
    for row in cells:
        shown = [c.rjust(w) if h in flush else c.ljust(w) for h, c, w in zip(head, row, widths, strict=True)]
        print("  ".join(shown).rstrip())


def age(seconds: float | None) -> str | None:
    """How long ago: 0.4 s, 12 s, 5 min, 3 h, 12 d."""
    if seconds is None:
        return None
    for size, unit, limit in ((1, "s", 120), (60, "min", 7200), (3600, "h", 172_800)):
        if seconds < limit:
            return f"{seconds:.1f} {unit}" if seconds < 10 else f"{seconds / size:.0f} {unit}"
    days = seconds / 86400
    return f"{days:.0f} d" if days < 1000 else f"{days / 365.25:.0f} years"


def seconds(span: float) -> str:
    """How long something takes: 40 ms, 1.3 s."""
    return f"{span:.2g} s" if span >= 1 else f"{1000 * span:.0f} ms"


def size(count: float) -> str:
    """Bytes: 940 B, 1.2 kB, 13 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"


def rate(hertz: float) -> str:
    """How often: 10/s, 1/s, 6/min, 1/h."""
    for per, unit in ((1, "s"), (60, "min"), (3600, "h")):
        if hertz * per >= 0.995 or unit == "h":
            break
    return f"{hertz * per:.3g}/{unit}"


def clock(iso: str) -> str:
    """A moment as told to people, in local time; with its date where that is not today's."""
    moment = datetime.fromisoformat(iso).astimezone()
    text = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
    return text if moment.date() == datetime.now().astimezone().date() else f"{moment:%Y-%m-%d} {text}"


def value(reading: Mapping[str, Any]) -> str:
    """230.2 V, on, heating."""
    v, unit = reading["value"], reading.get("unit")
    if isinstance(v, list):
        return " ".join(value({"value": one}) for one in v) + (f" {unit}" if unit else "")
    text = {True: "true", False: "false"}[v] if isinstance(v, bool) else printable(str(v))
    return text if unit is None or unit == "/" else f"{text} {unit}"


def readings(found: Mapping[str, Mapping[str, Any]], most: int | None = None) -> str:
    """The readings of a sample in a line; `most` of them, and how many more there are."""
    shown = [f"{name} {value(r)}" for name, r in list(found.items())[:most]]
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" … {more} more" if more else "")


def printable(text: str) -> str:
    """Text that came from a device, harmless in a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def frame(data: bytes) -> str:
    """Bytes that came from a device, harmless in a terminal: text with what is none escaped, or hexadecimal."""
    text = data.decode(errors="replace")
    if 4 * sum(c.isprintable() and c != "\ufffd" for c in text) < 3 * len(text):
        return data.hex(" ")
    return printable(data.decode(errors="backslashreplace"))


def plural(count: int, word: str) -> str:
    """1 sample, 2 samples."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
