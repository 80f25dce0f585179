"""Lines that name their values: `label:value`, `name=value`, sentences (`Humidity: 57.90 %`), Zephyr's samples."""

import re
from functools import lru_cache

from drivers.codecs.lines_noise import is_remark
from drivers.codecs.printed_numbers import Numbers, is_none
from drivers.codecs.printed_units import in_brackets, unit_of
from gateway import DecodeError, Reading

_ONE_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+,[0-9]+)(?![0-9,]|\.[0-9])|[+-]?[0-9]{1,3}(?:,[0-9]{3})+\."
)
_LABEL = re.compile(r"[^\W\d][^:=<>{}\"\\|;,\t]*")
_UNIT = re.compile(r"\s*((?:deg(?:rees?)?|[°º˚\ufffd])\s+(?:[CF]\b|[Cc]elsius|[Ff]ahrenheit)|[^\s,;|]+)")
_SEPARATOR = re.compile(r"[,;|\t]+")
_AROUND = " \t,;|-/&"

LONGEST = 48  # characters of a label; what is longer is a sentence
MOST_WORDS = 7
LONGEST_BEHIND = 120  # characters between a number and the next separator: units, further numbers, a label


def is_label(text: str) -> bool:
    """Whether a text may name a quantity: it begins with a letter and is no sentence."""
    return len(text) <= LONGEST and _is_label(text)


@lru_cache(maxsize=512)
def _is_label(text: str) -> bool:
    return _LABEL.fullmatch(text) is not None and len(text.split()) <= MOST_WORDS


def readings(line: str, numbers: Numbers) -> list[Reading] | None:
    """What a line tells; None where it is no line of this kind.

    The whole line has to be labels, numbers and units: a sentence with a number in it is none. A label whose value is
    no number (a word, a time, 0x1F, nan) is left out; several numbers by one label have its name. A text before the
    first label names their group (`hs300x@44: temp is 25.31 °C`) and is not told. Raises DecodeError where a comma
    may be a decimal mark.
    """
    parted = line.replace("=", ":")
    if " is" in line:
        parted = parted.replace(" is:", ":").replace(" is ", ":")
    pieces = [piece.strip() for piece in parted.split(":")]
    label, last = pieces[0], len(pieces) - 1
    if not last or not is_label(label):
        return None
    found: list[Reading] = []
    known = False  # something stood where a value stands
    for i in range(1, last + 1):
        piece = pieces[i]
        match = numbers.pattern.match(piece)
        end = match.end() if match else is_none(piece)
        if not end:
            if i < last:
                label = _SEPARATOR.split(piece)[-1].strip(_AROUND)
            continue
        texts = [match.group()] if match else []
        while match and (more := numbers.next.match(piece, end)):
            texts.append(more.group(1))
            end = more.end()
        if len(texts) > 1 and not numbers.decimal_comma and _ONE_NUMBER.match(piece):
            shown = f"{label[:40]!r} has the value {piece.split()[0][:20]!r}"
            raise DecodeError(f"{shown}: with a decimal comma write decimal_comma: true, else print it without a comma")
        rest = piece[end:]
        named = is_label(label)
        explained = _behind(rest, label if named else "", i == last, numbers) if len(rest) <= LONGEST_BEHIND else None
        if explained is None:
            return None
        unit, good, others, following = explained
        known = True
        if named and (following or i == last) and good:
            for text in texts:
                if (value := numbers.value(text)) is not None:
                    found.append(Reading(label, value, unit or in_brackets(label)))
            for text, its_unit in others:
                if (value := numbers.value(text)) is not None:
                    found.append(Reading(label, value, its_unit))
        label = following
    if len(found) == 1 and found[0].unit is None and is_remark(found[0].name, isinstance(found[0].value, int)):
        return None
    return found if known else None


_Behind = tuple[str | None, bool, tuple[tuple[str, str], ...], str]


@lru_cache(maxsize=1024)
def _behind(rest: str, label: str, last: bool, numbers: Numbers) -> _Behind | None:
    """What stands behind a number: its unit, whether it is a number, further numbers with units, the next label.

    A word that is glued to a number and no unit makes it none (0x1F, 3rd). An empty label where more follows: a colon
    inside a value, as in a time. None: the line is a sentence. The same for line after line, hence remembered.
    """
    good, unit, at, glued = True, None, 0, rest[:1] not in ("", " ", "\t", ",", ";", "|")
    word = _UNIT.match(rest)
    if word is not None and (unit := _unit(word.group(1), label)):
        at = word.end()
    elif word is not None and glued:
        good, at = False, word.end()
    more: list[tuple[str, str]] = []  # 22.40 *C 72.32 *F
    while at:
        begin = len(rest) - len(rest[at:].lstrip(" /("))
        number = numbers.pattern.match(rest, begin)
        following = _UNIT.match(rest, number.end() if number else is_none(rest, begin) or len(rest))
        its_unit = _unit(following.group(1), label) if following else None
        if not (following and its_unit):
            break
        if number:
            more.append((number.group(), its_unit))
        at = following.end()
    tail = rest[at:]
    if last:
        words = tail.strip(_AROUND + ".!)")
        if words and (unit or not good or not words.isalpha()):
            return None
        return unit, good, tuple(more), ""
    before, separator, after = _parted(tail)
    if separator and before and (unit or not before.isalpha()):
        return None
    name = after.strip(_AROUND).removeprefix("and ")
    if not name and unit and word is not None and not glued and not more:
        unit, name = None, word.group(1).strip()  # `t:20 h:40`: no unit, the next label
    return unit, good, tuple(more), name


def _parted(tail: str) -> tuple[str, bool, str]:
    """What stands before the first separator, whether there is one, and what stands behind it."""
    text = tail.strip(" -/&")
    found = _SEPARATOR.search(text)
    return (text[: found.start()].strip(), True, text[found.end() :]) if found else ("", False, text)


def _unit(word: str, label: str) -> str | None:
    return unit_of(word, label) or unit_of(word.strip("()[].!"), label)
