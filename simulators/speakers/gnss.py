"""GNSS receiver, NMEA 0183: RMC, VTG, GGA and GLL once a second; `--set fix=no`, or the fault novalue, has no fix.

Source: NMEA 0183 2.3 as in u-blox 8 / M8 Receiver description (UBX-13003221), chapter 31: fields, what is left empty
without a fix, the checksum (exclusive or of all between $ and *). Its clock goes on without a fix.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import reduce
from operator import xor
from random import Random

from simulators.mains import pinned_or, wander
from simulators.modbus_slave import Given
from simulators.settings import Settings, choice, number, period
from simulators.speaker import Said, Speaker

SETTINGS = ("latitude", "longitude", "altitude", "speed", "fix", "talker", "every")
_KNOT = 1852 / 3600  # m/s


class Gnss(Speaker):
    """A receiver on something that moves about Linkoping."""

    checked = True
    can_happen = ("novalue",)

    def __init__(self, seed: int, settings: Settings) -> None:
        random = Random(seed)
        self.period = period(settings, 1.0)
        self._latitude = pinned_or(number(settings, "latitude", -90, 90), wander(random, 58.4108, 0.002))
        self._longitude = pinned_or(number(settings, "longitude", -180, 180), wander(random, 15.6214, 0.004))
        self._altitude = pinned_or(number(settings, "altitude", -500, 9000), wander(random, 55, 8))
        self._speed = pinned_or(number(settings, "speed", 0, 500), wander(random, 2, 1.5))
        self._course = wander(random, 180, 170)
        self._fix = choice(settings, "fix", ("yes", "no")) == "yes"
        self._talker = choice(settings, "talker", ("GN", "GP", "GL", "GA", "BD"))

    def boot(self, t: float) -> Iterable[Said]:
        """See Speaker."""
        return [
            self._sentence("TXT", "01,01,02,u-blox AG - www.u-blox.com"),
            self._sentence("TXT", "01,01,02,ANTSTATUS=OK"),
        ]

    def speak(self, t: float) -> Iterable[Said]:
        """See Speaker."""
        now = datetime.fromtimestamp(self.started + t, UTC)
        time, date = f"{now:%H%M%S}.{now.microsecond // 10_000:02d}", f"{now:%d%m%y}"
        if not self._fix or self.happens:
            return [
                self._sentence("RMC", f"{time},V,,,,,,,{date},,,N"),
                self._sentence("VTG", ",,,,,,,,N"),
                self._sentence(
                    "GGA", f"{time},,,,,0,00,99.99,,,,,,", ("fix_quality", "", "0"), ("satellites", "count", "0")
                ),
                self._sentence("GLL", f",,,,{time},V,N"),
            ]
        latitude, north = _angle(self._latitude(t), 2, "NS")
        longitude, east = _angle(self._longitude(t), 3, "EW")
        place = f"{latitude},{north},{longitude},{east}"
        where = ("latitude", "lat", _degrees(latitude, 2, north)), ("longitude", "lon", _degrees(longitude, 3, east))
        knots, course = f"{self._speed(t) / _KNOT:.3f}", f"{self._course(t):.2f}"
        stamp = ("timestamp", "", f'"{now:%Y-%m-%dT%H:%M:%S}.{time[-2:]}0Z"')
        clock = ("time_of_day", "", f'"{now:%H:%M:%S}.{time[-2:]}0"')
        motion = ("speed", "m/s", repr(round(float(knots) * _KNOT, 9))), ("course", "deg", repr(float(course)))
        altitude = f"{self._altitude(t):.1f}"
        fix: tuple[Given, ...] = (
            ("fix_quality", "", "1"),
            ("satellites", "count", "8"),
            ("hdop", "", "1.01"),
            ("altitude", "m", altitude),
            ("geoid_separation", "m", "28.5"),
        )
        kilometres = f"{float(knots) * 1.852:.3f}"
        return [
            self._sentence("RMC", f"{time},A,{place},{knots},{course},{date},,,A", stamp, *where, *motion),
            self._sentence("VTG", f"{course},T,,M,{knots},N,{kilometres},K,A", *motion),
            self._sentence("GGA", f"{time},{place},1,08,1.01,{altitude},M,28.5,M,,", clock, *where, *fix),
            self._sentence("GLL", f"{place},{time},A,A", clock, *where),
        ]

    def _sentence(self, kind: str, fields: str, *given: Given) -> Said:
        text = f"{self._talker}{kind},{fields}".encode()
        return Said(b"$%s*%02X\r\n" % (text, reduce(xor, text)), given, checked=(1, 1 + len(text)))


def _angle(degrees: float, digits: int, halves: str) -> tuple[str, str]:
    """Degrees and minutes as NMEA writes them, and the half of the globe."""
    units = round(abs(degrees) * 60 * 100_000)  # hundred-thousandths of a minute
    whole, minutes = divmod(units, 60 * 100_000)
    return f"{whole:0{digits}d}{minutes / 100_000:08.5f}", halves[degrees < 0]


def _degrees(printed: str, digits: int, half: str) -> str:
    """What was printed, in degrees."""
    degrees = int(printed[:digits]) + float(printed[digits:]) / 60
    return repr(round(-degrees if half in "SW" else degrees, 9))


def build(seed: int, settings: Settings) -> Gnss:
    """A receiver; `latitude`, `longitude` (deg), `altitude` (m) and `speed` (m/s) can be pinned."""
    return Gnss(seed, settings)
