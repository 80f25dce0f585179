"""YAML 1.2 core rules, places, refusals; expected values from the YAML 1.2.2 specification (chapter 10.3)."""

from decimal import Decimal

import pytest

from gateway.errors import ConfigError
from gateway.yamltext import MAX_DEPTH, MAX_VALUES, parse_yaml, read_yaml


def value(text: str):
    doc = parse_yaml(text.encode(), "f")
    assert doc.faults == []
    return doc.value


def told(text: str | bytes) -> list[str]:
    doc = parse_yaml(text if isinstance(text, bytes) else text.encode(), "f")
    return [f"{doc.place(f).line}:{doc.place(f).col}: {f.text}; {f.instead}" for f in doc.faults]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # null, bool (10.3.2)
        ("", None), ("~", None), ("null", None), ("Null", None), ("NULL", None), ("nULL", "nULL"),
        ("true", True), ("True", True), ("TRUE", True), ("false", False), ("tRUE", "tRUE"),
        # what YAML 1.1 took for something else
        ("no", "no"), ("on", "on"), ("off", "off"), ("yes", "yes"), ("y", "y"), ("N", "N"), ("12:30", "12:30"),
        ("11:22:33:44:55:66", "11:22:33:44:55:66"), ("190:20:30", "190:20:30"), ("1_000", "1_000"), ("0b11", "0b11"),
        ("2026-11-20", "2026-11-20"), ("=", "="), ("1.2.3", "1.2.3"), ("1e", "1e"), (".", "."), ("+", "+"),
        ("+0x10", "+0x10"), ("0x", "0x"), ("0o8", "0o8"), ("1.5.", "1.5."), ("- 1", [1]), ("e5", "e5"),
        # integers
        ("0", 0), ("-19", -19), ("+12", 12), ("017", 17), ("0o14", 12), ("0x3A", 58), ("0xdeadBEEF", 0xDEADBEEF),
        ("18446744073709551615", 2**64 - 1),
        # floats stay exactly what is written
        ("0.1", Decimal("0.1")), ("-.5", Decimal("-0.5")), ("1e3", Decimal(1000)), ("+12e03", Decimal(12000)),
        ("-2E-05", Decimal("-0.00002")), ("12.", Decimal(12)), ("6.0221e23", Decimal("6.0221e23")),
        # quoted is text
        ('"1"', "1"), ("'true'", "true"), ('"\\u00b0C"', "°C"), ("'it''s'", "it's"), ('"null"', "null"),
    ],
)  # fmt: skip
def test_plain_scalars(text, expected):
    found = value(f"k: {text}" if not text.startswith("- ") else f"k:\n  {text}")["k"]
    assert found == expected
    assert type(found) is type(expected)


def test_a_decimal_keeps_its_digits():
    assert str(value("k: 2.50")["k"]) == "2.50"


def test_keys_are_text_or_whole_numbers():
    doc = value("{1: a, 0x10: b, '2': c, true: d, 1.5: e, null: f, 12:30: g, off: h}")
    assert doc == {1: "a", 16: "b", "2": "c", "true": "d", "1.5": "e", "null": "f", "12:30": "g", "off": "h"}


def test_block_and_flow_and_comments():
    assert value("# c\na:\n  - b: 1 # c\n    c: |\n      x\n      y\n  - [d, {e: f}]\n") == {
        "a": [{"b": 1, "c": "x\ny\n"}, ["d", {"e": "f"}]]
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "---\n...\n", "\n\n", "\ufeff"])
def test_an_empty_file_is_nothing(text):
    assert value(text) is None


def test_bom_and_windows_line_ends():
    assert value("\ufeffa: 1\r\nb: [x,\r\n  y]\r\n") == {"a": 1, "b": ["x", "y"]}


def test_places_of_keys_and_values():
    doc = parse_yaml("a: 1\nb:\n  - x\n  - {c: ü, d: 2}\nlong: # ü\n  'q'\n".encode(), "f")
    assert doc.keys == {
        ("a",): (1, 1),
        ("b",): (2, 1),
        ("b", 1, "c"): (4, 6),
        ("b", 1, "d"): (4, 12),
        ("long",): (5, 1),
    }
    assert doc.values[("a",)] == (1, 4)
    assert doc.values[("b",)] == (3, 3)
    assert doc.values[("b", 0)] == (3, 5)
    assert doc.values[("b", 1)] == (4, 5)
    assert doc.values[("b", 1, "d")] == (4, 15)
    assert doc.values[("long",)] == (6, 3)
    # what is not there is shown at its nearest parent
    assert doc.at(("b", 1, "missing", "deeper")) == (4, 5)
    assert doc.at(("a", "x")) == (1, 1)
    assert doc.at(("nowhere",)) == (1, 1)
    assert doc.key(("b", 0)) == (3, 5)


def test_all_duplicates_at_once_and_the_first_counts():
    text = "a: 1\nb: {x: 1, y: 2, x: 3}\na: 2\nc:\n  - {z: 1, 'z': 2}\na: {a: 1, a: 2}\n"
    assert parse_yaml(text.encode(), "f").value == {"a": 1, "b": {"x": 1, "y": 2}, "c": [{"z": 1}]}
    assert told(text) == [
        '2:17: duplicate key "x", first in line 2; remove one of them',
        '3:1: duplicate key "a", first in line 1; remove one of them',
        '5:12: duplicate key "z", first in line 5; remove one of them',
        '6:1: duplicate key "a", first in line 1; remove one of them',
    ]
    assert told("{16: a, 0x10: b}") == ["1:9: duplicate key 16, first in line 1; remove one of them"]


def test_anchors_aliases_tags_and_merge_keys_all_at_once():
    text = "a: &x {b: 1}\nc: *x\nd: {<<: *x}\ne: !!str 1\nf: ! g\n*x : 1\n&k l: 1\n? [m]\n: 1\n"
    assert told(text) == [
        "1:4: anchors (&x) are not allowed; remove it, or put text in quotes",
        "2:4: aliases (*x) are not allowed; write the value out, or put text in quotes",
        "3:5: merge keys (<<) are not allowed; write the keys out",
        "3:9: aliases (*x) are not allowed; write the value out, or put text in quotes",
        "4:4: tags (tag:yaml.org,2002:str) are not allowed; remove it, or put text in quotes",
        "5:4: tags (!) are not allowed; remove it, or put text in quotes",
        "6:1: aliases (*x) are not allowed; write the value out, or put text in quotes",
        "7:1: anchors (&k) are not allowed; remove it, or put text in quotes",
        "8:3: a key must be a single word; put it in quotes if it is text",
    ]


def test_depth():
    def nested(n: int) -> str:
        return "[" * n + "]" * n

    assert told(nested(MAX_DEPTH)) == []
    assert told(nested(MAX_DEPTH + 1)) == ["1:21: nested more than 20 deep; close some brackets, or indent less"]


@pytest.mark.parametrize(
    "unit", ["[", "{", "- ", "? ", "[{", "{a: ", "a:\n", '"', "!", "&", "*", "%\n", "---\n", "|", ","]
)
@pytest.mark.parametrize("count", [1_000, 100_000])
def test_a_flood_is_refused_and_does_no_harm(unit, count):
    text = (unit * count)[:900_000]
    doc = parse_yaml(text.encode(), "f")
    assert doc.faults


def test_a_file_of_too_many_values():
    assert "more than 100,000 values" in told("[" + "a," * MAX_VALUES + "a]")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1e999", "1:4: 1e999 is too large or too small a number; put it in quotes if it is text"),
        ("a: 1e-99999999", "1:4: 1e-99999999 is too large or too small a number; put it in quotes if it is text"),
        ("a: " + "9" * 5000, "1:4: a number of 5000 characters is too long; put it in quotes if it is text"),
        ("a: .inf", "1:4: .inf cannot be worked with; put it in quotes if it is text"),
        ("a: -.INF", "1:4: -.INF cannot be worked with; put it in quotes if it is text"),
        ("a: .nan", "1:4: .nan cannot be worked with; put it in quotes if it is text"),
        ('a: "x\\0"', "1:4: text holds the character NUL; remove it"),
        ('"a\\0": 1', "1:1: a key holds the character NUL; remove it"),
        ("?\n: 1", "1:2: there is no key before this colon; write KEY: VALUE"),
    ],
)  # fmt: skip
def test_values_nobody_can_use(text, expected):
    assert told(text) == [expected]


COLON = 'a ":" too many in this line, or a line indented too far; put text that holds ": " in quotes'
COLUMN = "the indentation does not fit, or a colon or comma is missing; align keys of one group in one column"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: c: d", f"2:5: {COLON}"),
        ("a: b\n  c: d", f"2:4: {COLON}"),
        ("a: 1\nfoo\nb: 2", "2:1: a key without a colon; write KEY: VALUE"),
        ("a:\n\tb: 1", "2:1: a tab cannot indent; use spaces"),
        ("a:\n  b: 1\n c: 1", f"3:2: {COLUMN}"),
        ("a: {b: 1", "1:4: the { that begins here is never closed; close it"),
        ("a: [b, c\n", "1:4: the [ that begins here is never closed; close it"),
        ("a: 'b\nc: 1", "1:4: the ' that begins here is never closed; close it"),
        ("a: {b: 1 c: 2}", '1:11: a comma or a "}" is missing; write {KEY: VALUE, KEY: VALUE}'),
        ("a: [b\nc: d]", '2:2: a comma or a "]" is missing; write [A, B]'),
        ("a: @b", '1:4: text cannot begin with "@"; put it in quotes'),
        ("a: `b`", '1:4: text cannot begin with "`"; put it in quotes'),
        ("a: %b", '1:4: text cannot begin with "%"; put it in quotes'),
        ("a: 'b' c", "1:8: text stands behind a closing quote; put all of it in quotes, and double the quotes in it"),
        ('a: "C:\\dev"', "1:7: a backslash in double quotes must be doubled; use single quotes"),
        ("a: - b", '1:4: a "-" cannot stand here; begin a line with it'),
        ("a: [b,, c]", "1:7: a value is missing here; write it, or remove the comma before it"),
        ("a: 1\n---\nb: 1", '2:1: a second document begins here; remove the line "---"'),
        ("%YAML 2.0\n---\na: 1", "1:1: this is not YAML 1.2; remove the line that begins with %"),
        ("%x\na: 1", "1:3: a line cannot begin with %; remove it"),
    ],
)  # fmt: skip
def test_syntax_in_our_words(text, expected):
    assert told(text) == [expected]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: 1\n\0", "1:1: the file is binary, not text; write it as UTF-8 text"),
        ("a: 1".encode("utf-16"), "1:1: the file is UTF-16; save it as UTF-8"),
        ("a: 1\nb: °C".encode("latin-1"), "2:4: byte 0xb0 is not UTF-8; save the file as UTF-8"),
        ("ü: \x07".encode(), "1:4: the character U+0007 does not belong in a text file; remove it"),
        ("a: 1\n\ufeffb: 1".encode(), "2:1: the character U+FEFF does not belong in a text file; remove it"),
        (b"#" * 1_000_001, "1:1: the file is larger than 1 MB; move parts of it to devices.d/"),
    ],
)
def test_what_is_no_text(data, expected):
    assert told(data) == [expected]


def test_a_file_of_exactly_1_mb_is_read(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"a: 1\n" + b"#" * 999_995)
    assert read_yaml(path).value == {"a": 1}


def test_no_readable_file(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is not a file"):
        read_yaml(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / ("x" * 300))
