"""Units: the SenML names (RFC 8428, RFC 8798), plausible UCUM, and what people write instead. Pure data."""

import difflib
import re

# RFC 8428 section 12.1, RFC 8798 section 2, and NTU (IANA registry "SenML Units").
_PRIMARY = (
    "m kg g s A K cd mol Hz rad sr N Pa J W C V F Ohm S Wb T H Cel lm lx Bq Gy Sv kat m2 m3 l m/s m/s2 m3/s l/s W/m2"
    " cd/m2 bit bit/s lat lon pH dB dBW Bspl count / % %RH %EL EL 1/s 1/min beat/min beats S/m"
    " B VA VAs var vars J/m kg/m3 deg NTU"
)
# RFC 8798 section 3 and the later rows of IANA's "Secondary Units"; they need base version 26 (RFC 9100).
_SECONDARY = (
    "ms min h MHz kW kVA kvar Ah Wh kWh varh kvarh kVAh Wh/km KiB GB Mbit/s B/s MB/s mV mA dBm ug/m3 mm/h m/h ppm /100"
    " /1000 hPa mm cm km km/h ppb ppt VAh mg/l ug/l g/l"
)
PRIMARY = frozenset(_PRIMARY.split())
SECONDARY = frozenset(_SECONDARY.split())

# UCUM, case-sensitive codes: units that take a prefix, units that do not, and the prefixes instruments use.
# `L` is left out, so that what SenML calls `l` has one name.
_METRIC = (
    "m|s|g|rad|K|C|cd|mol|sr|Hz|N|Pa|J|W|A|V|F|Ohm|S|Wb|T|H|Cel|lm|lx|Bq|Gy|Sv|kat|l|bar|eV|cal|G|P|St|t|bit|By|Np|B"
    "|eq|osm|u"
)
_PLAIN = r"min|h|d|wk|mo|a|deg|gon|atm|%|1|ar|U|10\*"
_BRACKET = r"[A-Za-z]{0,3}\[[0-9A-Za-z_'./%+-]+\]"
_TERM = rf"(?:(?:[GMkhdcmunp]?(?:{_METRIC})|{_PLAIN}|{_BRACKET})(?:[+-]?[1-9])?(?:\{{\w+\}})?|\{{\w+\}})"
_UCUM = rf"/?{_TERM}(?:[./]{_TERM})*"  # compiled when first used: most files hold SenML units only

# What people and data sheets write; first as it stands, then in lower case without spaces.
_EXACT = {"MWh": "MW.h", "mWh": "mW.h", "GWh": "GW.h", "Nm": "N.m", "Nm3/h": "m3/h"}
_ALIASES: dict[str, str] = {
    alias: unit
    for unit, aliases in {
        "Cel": "c °c degc deg_c ℃ celsius degreescelsius degreecelsius", "[degF]": "°f degf ℉ fahrenheit",
        "K": "kelvin °k", "deg": "° degree degrees", "%RH": "rh %r.h. rel%", "%": "percent pct", "/1000": "‰ permille",
        "V": "volt volts", "A": "amp amps ampere amperes", "W": "watt watts", "kW": "kilowatt", "Hz": "hertz",
        "Ohm": "ohms ω", "lx": "lux", "s": "sec secs second seconds", "ms": "msec millisecond milliseconds",
        "min": "mins minute minutes", "h": "hr hrs hour hours", "d": "day days", "1/min": "rpm r/min u/min cpm",
        "beat/min": "bpm beats/min", "1/s": "cps", "l": "liter liters litre litres ltr", "l/min": "lpm slpm",
        "g": "gram grams gr", "kg": "kilogram kilograms kgs", "[lb_av]": "lb lbs pound pounds", "[oz_av]": "oz ounce",
        "m": "meter meters metre metres", "[in_i]": "in inch inches", "[ft_i]": "ft foot feet", "[mi_i]": "mi mile",
        "[mi_i]/h": "mph", "km/h": "kmh kph", "[psi]": "psi", "mm[Hg]": "mmhg torr", "[in_i'Hg]": "inhg",
        "[gal_us]": "gal gallon", "[gal_us]/min": "gpm", "[cft_i]/min": "cfm", "m3": "cbm", "m2": "qm sqm",
        "count": "pcs counts pulses imp", "dB[SPL]": "dba db(a)", "B": "byte bytes", "bit": "bits", "Mbit/s": "mbps",
    }.items()
    for alias in aliases.split()
}  # fmt: skip
_SIGNS = str.maketrans(
    {"²": "2", "³": "3", "µ": "u", "μ": "u", "·": ".", "Ω": "Ohm", "\u2126": "Ohm", "^": "", " ": ""}
)
_COMMON = "kPa mbar uS/cm l/min l/h ml m3/h kOhm uV uA kHz kV kA"
_BY_LOWER = {unit.lower(): unit for unit in (*sorted(PRIMARY | SECONDARY), *_COMMON.split())}


def is_secondary(unit: str) -> bool:
    """Whether SenML has the unit only as a secondary one: a pack that holds it needs `"bver":26`."""
    return unit in SECONDARY


def is_senml(unit: str) -> bool:
    """Whether the unit may stand in the `u` of a SenML record."""
    return unit in PRIMARY or unit in SECONDARY


def is_ucum(unit: str) -> bool:
    """Whether the text reads as a UCUM unit: `m3/h`, `mm[Hg]`, `[lb_av]`. Names in brackets are not looked up."""
    return len(unit) <= 40 and re.fullmatch(_UCUM, unit, re.ASCII) is not None


def suggest_unit(unit: str) -> str | None:
    """What a person who wrote `unit` most probably means (`°C` -> `Cel`, `kwh` -> `kWh`), or None."""
    if len(unit) > 40:
        return None
    plain = unit.translate(_SIGNS)
    lower = plain.lower()
    for guess in (_EXACT.get(plain), _ALIASES.get(unit.replace(" ", "").lower()), _ALIASES.get(lower), plain):
        if guess and guess != unit and (is_senml(guess) or is_ucum(guess)):
            return guess
    if lower in _BY_LOWER:
        return _BY_LOWER[lower]
    close = difflib.get_close_matches(lower, _BY_LOWER, n=1, cutoff=0.75)
    return _BY_LOWER[close[0]] if close else None
