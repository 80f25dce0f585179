"""NMEA 0183 sentences of receivers and instruments: position, speed, wind, depth, heading (IEC 61162-1 has the same).

Without a fix there is no position, whatever numbers stand in the sentence. Sentences without a checksum are refused.
"""

import re
from collections.abc import Callable, Mapping

from drivers.codecs.nmea_fields import FLOWN, date, moment, place, quantity, speed
from gateway import DecodeError, Reading

_SENTENCE = re.compile(rb"[$]([A-Z0-9]{3,8}(?:,[ -~]*)?)[*]([0-9A-Fa-f]{2})\s*$")

MODES = frozenset("ADEFMPRS")  # of mode indicators, those with a fix; N: data not valid
UNSURE = frozenset("EMS")  # dead reckoning, typed in, simulated
NAVIGABLE = frozenset("SCU")  # of navigational statuses (NMEA 4.1), those of a valid position; V: not valid


def sentence(line: bytes) -> tuple[str, list[str]]:
    """Type (`RMC` of any talker, whole address where proprietary) and fields, the address first. Raises DecodeError.

    What stands before the last `$` is the rest of a sentence that was cut.
    """
    found = _SENTENCE.match(line[max(line.rfind(b"$"), 0) :])
    if found is None:
        raise DecodeError(f"no NMEA sentence with a checksum: {line[:60].decode(errors='replace')!r}")
    body, told = found.groups()
    check = 0
    for byte in body:
        check ^= byte
    if check != int(told, 16):
        raise DecodeError(f"checksum {told.decode()}, of the sentence it is {check:02X}: {body[:40].decode()!r}")
    fields = body.decode("ascii").split(",")
    address = fields[0]
    return (address[2:] if len(address) == 5 and address[0] != "P" else address), fields


def readings(kind: str, fields: list[str]) -> list[Reading]:
    """What a sentence tells; nothing for a type that is not read, or where nothing is valid. Raises DecodeError."""
    read = _READ.get(kind)
    if read is None:
        return []
    try:
        return read(fields + [""] * 20, len(fields))
    except ValueError as error:
        raise DecodeError(f"{fields[0]}: {error}") from None


def time_of(kind: str, fields: list[str]) -> str:
    """The time of day that stands in a sentence, as it stands there; empty where none does."""
    at = {"RMC": 1, "GGA": 1, "GNS": 1, "GST": 1, "ZDA": 1, "GLL": 5}.get(kind, 99)
    return fields[at] if at < len(fields) else ""


def decode_input(data: bytes, _context: Mapping[str, str]) -> list[Reading]:
    """Readings of captured sentences. Raises DecodeError where one is not whole or none is of a type that is read."""
    known, found = "", []
    for line in data.splitlines():
        if line.strip():
            kind, fields = sentence(line)
            known = known or (kind if kind in _READ else "")
            found += readings(kind, fields)
    if not known:
        raise DecodeError(f"no sentence that tells a value; those that are read: {', '.join(_READ)}")
    return found


def _rmc(f: list[str], count: int) -> list[Reading]:
    """Time, status, latitude, N/S, longitude, E/W, knots, course, date, variation, E/W, mode, navigational status."""
    valid = f[2] == "A" and (count <= 12 or f[12] in MODES)
    found = []
    if valid and (count <= 13 or f[13] in NAVIGABLE):
        found = place(f[3:7], f[12] in UNSURE)
        found += speed("speed", f[7], "N") + quantity("course", f[8], "deg")
    if valid and (day := date(f[9])) and (time := moment(f[1])):
        found.append(Reading("timestamp", f"{day}T{time}Z"))
    return found


def _gga(f: list[str], _count: int) -> list[Reading]:
    """Time, latitude, N/S, longitude, E/W, quality, satellites, HDOP, altitude, M, geoid separation, M, age."""
    found = []
    if f[6] not in ("", "0"):
        found = place(f[2:6], f[6] in "678")
        found += quantity("altitude", f[9], "m") if f[10] in ("M", "") else []
        found += quantity("geoid_separation", f[11], "m") if f[12] in ("M", "") else []
        found += quantity("hdop", f[8])
    found += quantity("satellites", f[7], "count") + quantity("fix_quality", f[6])
    if f[6] not in ("", "0") and (time := moment(f[1])):
        found.append(Reading("time_of_day", time))
    return found


def _gns(f: list[str], count: int) -> list[Reading]:
    """As GGA, with a mode letter for each system in place of the quality, and a navigational status at the end."""
    found = []
    if f[6].strip("N") and (count <= 13 or f[13] in NAVIGABLE):
        found = place(f[2:6], not set(f[6]) - UNSURE - {"N"})
        found += quantity("altitude", f[9], "m") + quantity("geoid_separation", f[10], "m") + quantity("hdop", f[8])
        if time := moment(f[1]):
            found.append(Reading("time_of_day", time))
    return found + quantity("satellites", f[7], "count")


def _gll(f: list[str], count: int) -> list[Reading]:
    """Latitude, N/S, longitude, E/W, time, status, mode."""
    if f[6] != "A" or (count > 7 and f[7] and f[7] not in MODES):
        return []
    found = place(f[1:5], f[7] in UNSURE)
    if time := moment(f[5]):
        found.append(Reading("time_of_day", time))
    return found


def _vtg(f: list[str], count: int) -> list[Reading]:
    """Course, T, magnetic course, M, knots, N, km/h, K, mode."""
    if f[2] not in ("T", "") or (count > 9 and f[9] == "N"):
        return []
    return quantity("course", f[1], "deg") + (speed("speed", f[5], f[6]) or speed("speed", f[7], f[8]))


def _gst(f: list[str], _count: int) -> list[Reading]:
    """Time, RMS of the residuals, then standard deviations: major and minor axis, its direction, of each coordinate."""
    found = []
    for at, name in enumerate(("rms", "std_dev_major", "std_dev_minor"), 2):
        found += quantity(name, f[at], "m")
    found += quantity("orientation", f[5], "deg")
    for at, name in enumerate(("std_dev_latitude", "std_dev_longitude", "std_dev_altitude"), 6):
        found += quantity(name, f[at], "m")
    return found


def _gsa(f: list[str], _count: int) -> list[Reading]:
    """Manual or automatic, 1 no fix, 2 two or 3 three dimensions, twelve satellites, PDOP, HDOP, VDOP."""
    found = quantity("fix_type", f[2])
    if f[2] in ("2", "3"):
        found += quantity("pdop", f[15]) + quantity("hdop", f[16]) + quantity("vdop", f[17])
    return found


def _zda(f: list[str], _count: int) -> list[Reading]:
    """Time, day, month, year: UTC."""
    time, day = moment(f[1]), date(f[2] + f[3], f[4]) if f[4] else ""
    return [Reading("timestamp", f"{day}T{time}Z")] if time and day else []


def _mwv(f: list[str], _count: int) -> list[Reading]:
    """Wind angle, R relative to the bow or T true, speed, its unit, status."""
    if f[5] != "A":
        return []
    kind = [Reading("wind_reference", {"R": "relative", "T": "true"}[f[2]])] if f[2] in ("R", "T") else []
    found = quantity("wind_angle", f[1], "deg") + speed("wind_speed", f[3], f[4])
    return found + kind if found else []


def _mwd(f: list[str], _count: int) -> list[Reading]:
    """Wind direction, T, magnetic, M, knots, N, m/s, M."""
    found = quantity("wind_direction", f[1], "deg") if f[2] == "T" else []
    return found + (speed("wind_speed", f[7], f[8]) or speed("wind_speed", f[5], f[6]))


def _xdr(f: list[str], count: int) -> list[Reading]:
    """Transducers: type, value, unit and name, four fields each."""
    found = []
    for at in range(1, count - 3, 4):
        kind, value, unit, name = f[at : at + 4]
        if name or kind:
            found += quantity(name or kind, value, FLOWN.get((kind, unit)))
    return found


def _plain(name: str, unit: str, letter: str = "") -> Callable[[list[str], int], list[Reading]]:
    return lambda f, _count: quantity(name, f[1], unit) if letter in ("", f[2]) else []


def _dbt(f: list[str], _count: int) -> list[Reading]:
    """Depth below the transducer: feet, f, metres, M, fathoms, F."""
    return quantity("depth", f[3], "m") if f[4] == "M" else []


_READ: dict[str, Callable[[list[str], int], list[Reading]]] = {
    "RMC": _rmc, "GGA": _gga, "GNS": _gns, "GLL": _gll, "VTG": _vtg, "GST": _gst, "GSA": _gsa, "ZDA": _zda,
    "MWV": _mwv, "MWD": _mwd, "XDR": _xdr, "DBT": _dbt, "DPT": _plain("depth", "m"),
    "HDT": _plain("heading", "deg", "T"), "HDM": _plain("heading_magnetic", "deg", "M"),
    "MTW": _plain("water_temperature", "Cel", "C"), "ROT": _plain("rate_of_turn", "deg/min"),
}  # fmt: skip
