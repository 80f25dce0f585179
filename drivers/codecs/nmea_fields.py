"""Fields of NMEA 0183 sentences: numbers, places, times and speeds. All are text; an empty one is not available."""

import re
from typing import Literal

from drivers.codecs.printed_numbers import number
from gateway import Reading

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})")
_ANGLE = re.compile(r"([0-9]{1,3})([0-5][0-9])(?:\.([0-9]{0,12}))?")
_TIME = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9])([0-5][0-9]|60)(?:\.([0-9]{0,9}))?")

# Metres a second: 1852 m an hour, 1 km an hour, 1609.344 m an hour, as a fraction.
_SPEEDS = {"N": (1852, 3600), "K": (1000, 3600), "M": (1, 1), "S": (1609344, 3600000)}

# Type and unit of a transducer -> unit (NMEA 0183, XDR).
FLOWN = {
    ("A", "D"): "deg", ("C", "C"): "Cel", ("D", "M"): "m", ("F", "H"): "Hz", ("H", "P"): "%RH", ("I", "A"): "A",
    ("N", "N"): "N", ("P", "B"): "bar", ("P", "P"): "Pa", ("T", "R"): "1/min", ("U", "V"): "V", ("V", "M"): "m3",
}  # fmt: skip


def quantity(name: str, field: str, unit: str | None = None) -> list[Reading]:
    """One number; none where the field is empty. Raises ValueError for a field that is no number."""
    value = _number(field, name)
    return [] if value is None else [Reading(name, value, unit)]


def speed(name: str, field: str, unit: str) -> list[Reading]:
    """A speed in m/s from knots (N), km/h (K), m/s (M) or statute miles an hour (S), rounded once."""
    if _number(field, name) is None or unit not in _SPEEDS:
        return []
    whole, tens = _fraction(field)
    times, parts = _SPEEDS[unit]
    return [Reading(name, whole * times / (tens * parts), "m/s")]


def place(fields: list[str], unsure: bool) -> list[Reading]:
    """Latitude and longitude in degrees from ddmm.mmm, N or S, dddmm.mmm, E or W; nothing where one is missing.

    `unsure`: dead reckoning, typed in or simulated. Raises ValueError where there is no such place.
    """
    latitude, north, longitude, east = fields
    if not (latitude and longitude and north and east):
        return []
    if north not in "NS" or east not in "EW":
        raise ValueError(f"no hemispheres {north!r} and {east!r}")
    lat = _degrees(latitude, 90) * (-1 if north == "S" else 1)
    lon = _degrees(longitude, 180) * (-1 if east == "W" else 1)
    quality: Literal["good", "suspect"] = "suspect" if unsure else "good"
    return [Reading("latitude", lat, "lat", quality), Reading("longitude", lon, "lon", quality)]


def moment(field: str) -> str:
    """hhmmss.sss as hh:mm:ss, with milliseconds where there are any; empty where the field is none."""
    found = _TIME.fullmatch(field)
    if found is None:
        return ""
    thousandths = ((found[4] or "") + "000")[:3]
    return f"{found[1]}:{found[2]}:{found[3]}" + (f".{thousandths}" if thousandths != "000" else "")


def date(field: str, year: str = "") -> str:
    """ddmmyy as yyyy-mm-dd; years from 80 are of the last century. With `year` the field is ddmm."""
    if not (field + year).isdecimal() or len(field) != (4 if year else 6) or (year and len(year) != 4):
        return ""
    day, month = field[:2], field[2:4]
    year = year or ("19" if field[4:] >= "80" else "20") + field[4:]
    return f"{year}-{month}-{day}" if "01" <= day <= "31" and "01" <= month <= "12" else ""


def _number(field: str, name: str) -> float | int | None:
    if not field:
        return None
    if _NUMBER.fullmatch(field) is None:
        raise ValueError(f"{name} is no number: {field[:20]!r}")
    return number(field)


def _fraction(field: str) -> tuple[int, int]:
    """A number as its digits and the power of ten below them."""
    whole, _, part = field.partition(".")
    return int(whole + part), 10 ** len(part)


def _degrees(field: str, most: int) -> float:
    found = _ANGLE.fullmatch(field)
    if found is None:
        raise ValueError(f"no degrees and minutes: {field[:20]!r}")
    minutes, tens = _fraction(f"{found[2]}.{found[3] or ''}")
    value = (int(found[1]) * 60 * tens + minutes) / (60 * tens)
    if value > most:
        raise ValueError(f"no place at {field}: more than {most} degrees")
    return value
