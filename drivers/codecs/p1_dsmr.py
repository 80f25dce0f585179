"""P1 telegrams of electricity meters: text lines of OBIS codes and values, with a checksum.

Sources: Energiföretagen Sverige, "Branschrekommendation för lokalt kundgränssnitt för elmätare" (registers, units,
time); DSMR 5.0.2 P1 companion standard, 6.2 (telegram, CRC); IEC 62056-21, 6 (data lines).
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from drivers.codecs.captures import captured_frame
from gateway import Between, DecodeError, Reading, checksum

TELEGRAM = Between(b"/", b"!", to_line_end=True, text=True)
CLOCK = "0-0:1.0.0"

_LINE = re.compile(r"(\d{1,3}-\d{1,3}:\d{1,3}\.\d{1,3}\.\d{1,3})(?:\*255)?((?:\([^()]*\))+)")
_AMOUNT = re.compile(
    r"(?:\(\d{12}[SW]\))?\(([+-]?\d{1,15}(?:\.\d{1,9})?)\*([A-Za-z0-9]+)\)"
)  # time of a sub-meter first
_TIME = re.compile(r"\((\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)([SW]?)\)")
_HOURS = {"S": 2, "W": 1}  # ahead of UTC; meters send W in summer too, and mean it
_UNITS = {  # as printed, in small letters: meters do not agree on capitals
    "wh": "Wh", "kwh": "kWh", "mwh": "MW.h", "varh": "varh", "kvarh": "kvarh", "vah": "VAh", "kvah": "kVAh",
    "w": "W", "kw": "kW", "var": "var", "kvar": "kvar", "va": "VA", "kva": "kVA", "v": "V", "a": "A", "hz": "Hz",
    "m3": "m3", "gj": "GJ", "mj": "MJ",  # of gas, water and heat meters that hang on it
}  # fmt: skip


def readings(telegram: bytes, checked: bool = True) -> list[Reading]:
    """What has a unit, under its OBIS code, and the meter's clock in UTC.

    `telegram` is all from `/` to behind the checksum. With `checked` false one without a checksum will do, if it has
    nothing odd in it; a wrong one never does. Raises DecodeError. Nothing of the telegram stands in its text: it is
    personal data.
    """
    body, _, told = telegram.partition(b"!")
    told = told.strip()
    if told or checked:
        _check(body + b"!", told)
    found = []
    lines = body.decode("ascii", "replace").splitlines()
    for line in lines[1:]:  # the first says which meter it is
        match = _LINE.fullmatch(line)
        if match is None:
            if line and not told:
                raise DecodeError("telegram: a line makes no sense, and no checksum says how it was meant")
            continue
        name, groups = match.groups()
        if name == CLOCK:
            if (time := clock(groups)) is not None:
                found.append(Reading(name, time))
        elif (amount := _AMOUNT.fullmatch(groups)) is not None:
            number, unit = amount.groups()
            if (known := _UNITS.get(unit.lower())) is not None:
                found.append(Reading(name, float(number) if "." in number else int(number), known))
        elif "*" in groups and not told and groups.count("(") == 1:
            raise DecodeError("telegram: a value is not a number, and no checksum says how it was meant")
    if not found:
        raise DecodeError("telegram without a value: not that of an electricity meter")
    return found


def clock(groups: str) -> str | None:
    """The meter's time, (YYMMDDhhmmssX), in ISO 8601: in UTC where X tells the zone; None where it is no time."""
    match = _TIME.fullmatch(groups)
    if match is None:
        return None
    zone = match[7]
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    try:
        time = datetime(2000 + year, month, day, hour, minute, second)
    except ValueError:
        return None
    return f"{(time - timedelta(hours=_HOURS[zone])).isoformat()}Z" if zone else time.isoformat()


def _check(body: bytes, told: bytes) -> None:
    if not told:
        raise DecodeError("telegram without a checksum; if this meter never sends one, write `checksum: false`")
    number = checksum("crc16_arc", body)
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,4}", told) or int(told, 16) != number:
        raise DecodeError(f"telegram: the checksum is {number:04X}, not the one it states; dropped")


def decode_input(data: bytes, context: Mapping[str, str]) -> list[Reading]:
    """One captured telegram. Copying often loses the CR of CRLF: it is put back where all are missing.

    `context`: `checksum=none` for a meter that sends no checksum.
    """
    if b"\r" not in data:
        data = data.replace(b"\n", b"\r\n")
    telegram = captured_frame([TELEGRAM], data + b"\r\n")
    return readings(telegram, not context.get("checksum", "").startswith("none"))
