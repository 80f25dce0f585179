"""Numbers as devices print them: decimal point or comma, Zephyr's two whole numbers, and what stands for no value."""

import math
import re

# A number ends where neither a digit nor a further decimal mark follows: 192.168.1.17 and 22.5.1 are none.
_POINT = r"[+-]?(?:[0-9]+(?:\.-?[0-9]+|\.(?![0-9]))?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![0-9]|[.:/-][0-9])"
_COMMA = r"[+-]?(?:[0-9]+(?:[.,][0-9]+|[.,](?![0-9]))?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?(?![0-9]|[.,:/-][0-9])"
_NONE = re.compile(r"[-+]?(?:nan|inf(?:inity)?|ovf|null|none|n/?a|-+|\?+)(?![\w.])", re.IGNORECASE)

LARGEST = 2**63  # whole numbers up to here keep every digit


def _two_numbers(text: str) -> float | None:
    """Zephyr's `struct sensor_value` printed as `%d.%06d`: below zero both parts have a sign, or the second alone.

    The second part counts millionths; where a sample prints fewer digits it is hundredths and so on. One digit is
    no value: `-5` is what both `%01d` and `%02d` print.
    """
    whole, _, part = text.partition(".-")
    if not part.isdigit() or not 2 <= len(part) <= 6:
        return None
    tens: int = 10 ** (6 if len(part) > 4 else len(part))
    return -(abs(int(whole)) * tens + int(part)) / tens


def number(text: str) -> float | int | None:
    """The value of a number with a decimal point, already known to be written as one; None where it is not finite."""
    try:
        if "." not in text and "e" not in text and "E" not in text:
            whole = int(text)
            return whole if -LARGEST <= whole < LARGEST else float(whole)
        value = float(text)
    except (ValueError, OverflowError):
        return _two_numbers(text) if ".-" in text and len(text) < 40 else None
    return value if math.isfinite(value) else None


class Numbers:
    """How a device writes numbers: with a decimal point, or with a decimal comma."""

    def __init__(self, decimal_comma: bool = False) -> None:
        self.decimal_comma = decimal_comma
        number, between = (_COMMA, r"(?:;\s*|,\s+|\s+)") if decimal_comma else (_POINT, r"(?:\s*,\s*|\s+)")
        self.pattern = re.compile(number)
        self.next = re.compile(rf"{between}({number})(?=[\s,;|]|$)")  # another number of a list, behind one

    def value(self, text: str) -> float | int | None:
        """The value of what `pattern` has matched; None where it is not finite."""
        return number(text.replace(",", ".") if self.decimal_comma else text)


def is_none(text: str, at: int = 0) -> int:
    """Where a word for no value (nan, inf, ovf, --) that begins at `at` ends; 0: there is none."""
    found = _NONE.match(text, at)
    return found.end() if found else 0
