"""Swedish electricity meter with an ASCII P1 port: a telegram every ten seconds.

Sources: Energiforetagen's recommendation for the customer interface, which is DSMR 5.0.2 P1 section 6: `/` and an
identification, an empty line, OBIS lines, `!` and CRC-16/ARC of all from `/` to `!`; telegrams of Kamstrup Omnia,
Landis+Gyr E360 and Sagemcom T211 in public collections, for their order, case and digits. Real meters stay on normal
time (W) all year.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from simulators.settings import Settings, choice, period
from simulators.speaker import Said, Speaker
from simulators.speakers import _house

SETTINGS = (*_house.SETTINGS, "brand", "units", "letter", "every")

_ENERGIES = ("1.8.0", "2.8.0", "3.8.0", "4.8.0")
_POWERS = ("1.7.0", "2.7.0", "3.7.0", "4.7.0")
_BY_KIND = tuple(f"{phase + kind}.7.0" for kind in (1, 2, 3, 4) for phase in (20, 40, 60))
_BY_PAIRS = tuple(f"{phase + kind}.7.0" for kinds in ((1, 2), (3, 4)) for phase in (20, 40, 60) for kind in kinds)
_LINES = ("32.7.0", "52.7.0", "72.7.0", "31.7.0", "51.7.0", "71.7.0")
_BRANDS = {  # identification, order of the powers of each phase, unit of reactive power and energy
    "kamstrup": ("/KAM5", _BY_KIND, "VAr", "VArh"),
    "landis": ("/LGF5E360", _BY_PAIRS, "VAr", "VArh"),
    "sagemcom": ("/ELL5\\253833635_A", _BY_KIND, "var", "varh"),
}
_UNITS = {"energy": "Wh", "reactive_energy": "varh", "power": "W", "reactive_power": "var"}


class P1Meter(Speaker):
    """A meter in a house."""

    checked = True

    def __init__(self, seed: int, settings: Settings) -> None:
        self.period = period(settings, 10.0)
        self._house = _house.House(seed, settings)
        self._name, order, self._reactive, self._reactive_energy = _BRANDS[choice(settings, "brand", _BRANDS)]
        self._codes = (*_ENERGIES, *_POWERS, *order, *_LINES)
        self._whole = choice(settings, "units", ("kW", "W")) == "W"
        self._letter = choice(settings, "letter", ("W", "S"))

    def speak(self, t: float) -> Iterable[Said]:
        """See Speaker."""
        zone = timedelta(hours=1 if self._letter == "W" else 2)
        clock = datetime.fromtimestamp(self.started + t, UTC) + zone
        values = self._house.at(t)
        lines = [self._name, "", f"0-0:1.0.0({clock:%y%m%d%H%M%S}{self._letter})"]
        given = [("0-0:1.0.0", "", f'"{clock - zone:%Y-%m-%dT%H:%M:%SZ}"')]
        for code in self._codes:
            kind, value = _house.kind(code), values[code]
            if kind in ("current", "voltage"):
                unit = senml = "A" if kind == "current" else "V"
                digits, printed = f"{value:.1f}", f"{value:05.1f}"
            else:
                senml = _UNITS[kind]
                unit = {"reactive_power": self._reactive, "reactive_energy": self._reactive_energy}.get(kind, senml)
                long = 11 if "energy" in kind else 7
                digits, printed = f"{value:.0f}", f"{value:0{long}.0f}"
                if not self._whole:
                    digits, printed = f"{value / 1000:.3f}", f"{value / 1000:0{long + 1}.3f}"
                    unit, senml = f"k{unit}", f"k{senml}"
            lines.append(f"1-0:{code}({printed}*{unit})")
            given.append((f"1-0:{code}", senml, digits))
        telegram = "".join(f"{line}\r\n" for line in lines).encode() + b"!"
        frame = telegram + f"{crc16(telegram):04X}\r\n".encode()
        return [Said(frame, tuple(given), checked=(0, len(telegram)))]


def crc16(data: bytes) -> int:
    """CRC-16/ARC: polynomial 8005h, lowest bit first, from 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def build(seed: int, settings: Settings) -> P1Meter:
    """A meter; phases are set as those of a three-phase meter. `brand` kamstrup, landis or sagemcom; `units` kW or W;
    `letter` of its clock W (UTC+1) or S (UTC+2)."""
    return P1Meter(seed, settings)
