"""Times that a device's own clock tells without a zone: placed in the world, where its zone is known."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

from gateway import Reading

TIME = "timestamp"  # the reading that holds the device's own time, `2012-12-05T11:50:27`
FIRST = 2**28  # s of Unix time; below it a time is relative (RFC 8428, section 4.5.3)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone that is known here; write one like Europe/Stockholm") from None
    return name


TimeZone = Annotated[str, AfterValidator(_zone)]
"""A field of options that is a time zone of the tz database."""


def placed(readings: list[Reading], zone: str | None) -> list[Reading]:
    """The readings with the Unix time at which the device says it measured, where that is certain.

    It is not without a zone, where the device says its clock is not set (a suspect time), and in the hour that comes
    twice in a year or never.
    """
    stated = next((r.value for r in readings if r.name == TIME and r.quality == "good"), None)
    if zone is None or not isinstance(stated, str):
        return readings
    at = _unix_time(stated, ZoneInfo(zone))
    return readings if at is None else [Reading(r.name, r.value, r.unit, r.quality, at) for r in readings]


def _unix_time(local: str, zone: ZoneInfo) -> float | None:
    both: Sequence[datetime] = [datetime.fromisoformat(local).replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    if both[0].utcoffset() != both[1].utcoffset():
        return None
    found = both[0].timestamp()
    return found if found >= FIRST else None
