"""The pure half of reading YAML: what a plain scalar means (YAML 1.2 core), what a syntax error means."""

import re
from decimal import Decimal
from typing import Any

from gateway.problem import show

MAX_DIGITS = 60
MAX_EXPONENT = 300  # beyond it a float is infinite, and an int made of a Decimal may fill the memory

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
NUMBER = re.compile(
    r"(?P<int>[-+]?[0-9]+)|0o(?P<oct>[0-7]+)|0x(?P<hex>[0-9a-fA-F]+)"
    r"|(?P<dec>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE](?P<exp>[-+]?[0-9]+))?)"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)

# A part of what libyaml says -> what is wrong, what to do
_QUOTE = ("the quote that begins here is never closed", "close it")
_COLUMN = ("the indentation does not fit, or a colon or comma is missing", "align keys of one group in one column")
_COLON = ('a ":" too many in this line, or a line indented too far', 'put text that holds ": " in quotes')
_ESCAPE = ("a backslash in double quotes must be doubled", "use single quotes")
_SYNTAX = {
    "mapping values are not allowed": _COLON,
    "could not find expected ':'": ("a key without a colon", "write KEY: VALUE"),
    "did not find expected key": _COLUMN,
    "block sequence entries are not allowed": ('a "-" cannot stand here', "begin a line with it"),
    "did not find expected '-' indicator": ("the list above ends here", 'begin each item with "-" in the same column'),
    "expected ',' or ']'": ('a comma or a "]" is missing', "write [A, B]"),
    "expected ',' or '}'": ('a comma or a "}" is missing', "write {KEY: VALUE, KEY: VALUE}"),
    "unexpected end of stream": _QUOTE,
    "unexpected document indicator": _QUOTE,
    "did not find expected node content": ("a value is missing here", "write it, or remove the comma before it"),
    "Unicode character escape": _ESCAPE,
    "unknown escape character": _ESCAPE,
    "did not find expected hexdecimal number": _ESCAPE,
    "expected alphabetic or numeric character": ('text cannot begin with "*", "&" or "!"', "put it in quotes"),
    "did not find expected <document start>": ("text stands where the file should end", "write KEY: VALUE"),
    "directive": ("a line cannot begin with %", "remove it"),
    "incompatible YAML document": ("this is not YAML 1.2", "remove the line that begins with %"),
}


def resolve(text: str) -> Any:
    """A plain scalar by the core rules of YAML 1.2. Raises ValueError for numbers nobody can work with."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text[0] not in "+-.0123456789" or not (number := NUMBER.fullmatch(text)):
        return text
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} characters is too long")
    if digits := number["int"]:
        return int(digits)
    if digits := number["oct"]:
        return int(digits, 8)
    if digits := number["hex"]:
        return int(digits, 16)
    if number["dec"] is None:
        raise ValueError(f"{text} cannot be worked with")
    if number["exp"] and (len(number["exp"]) > 5 or abs(int(number["exp"])) > MAX_EXPONENT):
        raise ValueError(f"{text} is too large or too small a number")
    return Decimal(text)


def explain(error: Any, text: str) -> tuple[tuple[int, int], str, str]:
    """A parser's error (`problem`, `problem_mark`, `context_mark`) in our words: (mark, what is wrong, what to do)."""
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read")
    context = getattr(error, "context_mark", None)
    at = getattr(error, "problem_mark", None) or context
    if context is not None and "could not find expected ':'" in problem:
        at = context  # where the key begins, not where a colon would have been the last chance
    line, col = (at.line, at.column) if at is not None else (0, 0)
    lines = text.split("\n")
    if line >= len(lines):  # libyaml ends every file with a line end
        line, col = len(lines) - 1, len(lines[-1])
    mark = (line + 1, col + 1)
    before, rest = lines[line][:col], "\n".join(lines[line:])[col:].strip(" \n")
    if rest.startswith("\t") or ("\t" in before and not before.strip()):
        return mark, "a tab cannot indent", "use spaces"
    if "cannot start any token" in problem:
        return mark, f"text cannot begin with {show(rest[:1])}", "put it in quotes"
    if "expected key" in problem and before.rstrip().endswith(("'", '"')):
        return mark, "text stands behind a closing quote", "put all of it in quotes, and double the quotes in it"
    if "expected node content" in problem and not rest.strip():
        return mark, "the file ends inside a bracket", "close it"
    for part, (wrong, instead) in _SYNTAX.items():
        if part in problem:
            if context is not None and not rest.strip() and ("expected ','" in problem or instead == "close it"):
                mark = (context.line + 1, context.column + 1)
                wrong = f"the {lines[context.line][context.column]} that begins here is never closed"
                instead = "close it"
            return mark, wrong, instead
    return mark, f"this is not YAML: {problem}", "put text with special characters in quotes"
