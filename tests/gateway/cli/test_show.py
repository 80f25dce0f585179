"""How commands show ages, sizes, rates, moments, values and tables."""

import json

import pytest

from gateway.cli import show


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, None),
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (12.4, "12 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (172_799, "48 h"),
        (172_800, "2 d"),
        (86_400 * 5000, "14 years"),
    ],
)
def test_age(seconds: float | None, text: str | None) -> None:
    assert show.age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1234, "1.2 kB"),
        (12_345, "12 kB"),
        (10**9, "1.0 GB"),
        (10**13, "10000 GB"),
    ],
)
def test_size(count: float, text: str) -> None:
    assert show.size(count) == text


@pytest.mark.parametrize(
    ("hertz", "text"),
    [(10, "10/s"), (1, "1/s"), (0.999, "0.999/s"), (0.5, "30/min"), (1 / 60, "1/min"), (1 / 3600, "1/h"), (0, "0/h")],
)
def test_rate(hertz: float, text: str) -> None:
    assert show.rate(hertz) == text


def test_a_moment_of_another_day_has_its_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")  # +05:45
    import time

    time.tzset()
    try:
        assert show.clock("2020-01-01T20:00:00.120Z") == "2020-01-02 01:45:00.120"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("reading", "text"),
    [
        ({"value": 230.2, "unit": "V"}, "230.2 V"),
        ({"value": 0.9, "unit": "/"}, "0.9"),
        ({"value": True, "unit": None}, "true"),
        ({"value": "heating"}, "heating"),
        ({"value": "a\x1b[31mb\n", "unit": None}, "a\\x1b[31mb\\n"),  # what a device says does nothing to a terminal
        ({"value": 2**63, "unit": "count"}, "9223372036854775808 count"),
    ],
)
def test_value(reading: dict[str, object], text: str) -> None:
    assert show.value(reading) == text


def test_readings_in_a_line() -> None:
    found = {f"r{n}": {"value": n, "unit": None} for n in range(4)}
    assert show.readings(found) == "r0 0, r1 1, r2 2, r3 3"
    assert show.readings(found, 2) == "r0 0, r1 1 … 2 more"


def test_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(("NAME", "N", "TEXT"), [("a", 1, None), ("long-name", 22, "\x07")], right=("N",))
    assert capsys.readouterr().out.splitlines() == ["NAME        N  TEXT", "a           1  -", "long-name  22  \\x07"]


def test_json_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show.json_line({"a": "x\ny", "n": 0.1})
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert json.loads(said) == {"a": "x\ny", "n": 0.1}
