"""Times without a zone: placed where the zone is known, and left where they cannot be."""

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from drivers.codecs.device_clock import TimeZone, placed
from gateway import Reading

WEIGHT = Reading("weight", 80, "kg", "suspect")


def at(local: str, zone: str | None = "Europe/Stockholm", quality: str = "good") -> set[float | None]:
    readings = [WEIGHT, Reading("timestamp", local, quality=quality)]
    found = placed(readings, zone)
    assert [(r.name, r.value, r.unit, r.quality) for r in found] == [
        (r.name, r.value, r.unit, r.quality) for r in readings
    ]
    return {r.at for r in found}


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2026-01-15T12:00:00", datetime(2026, 1, 15, 11, tzinfo=UTC)),
        ("2026-07-15T12:00:00", datetime(2026, 7, 15, 10, tzinfo=UTC)),  # summer time
        ("2026-10-25T01:59:59", datetime(2026, 10, 24, 23, 59, 59, tzinfo=UTC)),
        ("2026-10-25T03:00:00", datetime(2026, 10, 25, 2, tzinfo=UTC)),
    ],
)
def test_all_of_a_measurement_has_the_time_it_says(local: str, utc: datetime) -> None:
    assert at(local) == {utc.timestamp()}


@pytest.mark.parametrize(
    "local",
    [
        "2026-10-25T02:30:00",  # twice
        "2026-03-29T02:30:00",  # never
        "1978-01-01T00:00:00",  # below 2^28 s a time is relative
        "1582-01-01T00:00:00",
    ],
)
def test_what_is_uncertain_is_not_placed(local: str) -> None:
    assert at(local) == {None}


def test_without_a_zone_or_a_clock_that_is_set_nothing_is_placed() -> None:
    assert at("2026-01-15T12:00:00", zone=None) == {None}
    assert at("2026-01-15T12:00:00", quality="suspect") == {None}
    assert placed([WEIGHT], "Europe/Stockholm") == [WEIGHT]


@pytest.mark.parametrize("name", ["Stockholm", "", "/etc/passwd", "../x", "Europe", "Europe/Stockholm\0"])
def test_a_zone_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="write one like Europe/Stockholm"):
        TypeAdapter(TimeZone).validate_python(name)
    assert TypeAdapter(TimeZone).validate_python("Europe/Stockholm") == "Europe/Stockholm"
