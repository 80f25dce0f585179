"""Units as devices print them (`°C`, `*C`, `m/s^2`, `ug/m³`) to SenML units (RFC 8428, RFC 8798), else UCUM."""

import re
from functools import lru_cache

# As printed, signs already made plain (see _SIGNS) -> unit. Case counts: mm is not MM, and S is not s.
_PRINTED: dict[str, str] = {
    printed: unit
    for unit, spellings in {
        "Cel": "C °C *C 'C ºC ˚C ℃ degC deg_C degreesC degreeC oC Celsius celsius °Celsius °celsius °c Cel",
        "[degF]": "°F *F 'F ºF ˚F ℉ degF deg_F Fahrenheit fahrenheit °Fahrenheit [degF]",
        "K": "K Kelvin kelvin °K", "deg": "° º ˚ deg degs degree degrees Deg",
        "%RH": "%RH %rH %rh RH% %r.H. %R.H. % RH", "%": "% percent pct", "%EL": "%EL",
        "V": "V Volt Volts volt volts VDC Vdc VAC Vrms", "mV": "mV", "kV": "kV", "uV": "uV",
        "A": "A Amp Amps amp amps ampere ADC Adc", "mA": "mA", "uA": "uA", "kA": "kA",
        "W": "W Watt Watts watt watts", "kW": "kW", "mW": "mW", "MW": "MW", "VA": "VA", "kVA": "kVA",
        "var": "var VAr VAR", "kvar": "kvar kVAr kVAR", "kvarh": "kvarh kVArh kVARh",
        "Wh": "Wh", "kWh": "kWh kwh KWh", "Ah": "Ah", "mA.h": "mAh", "J": "J", "kJ": "kJ",
        "Hz": "Hz HZ hz", "kHz": "kHz", "MHz": "MHz", "Ohm": "Ohm ohm Ohms ohms OHM",
        "kOhm": "kOhm kohm kohms KOhm KOhms",
        "MOhm": "MOhm MOhms", "F": "F", "uF": "uF", "nF": "nF", "pF": "pF", "T": "T", "mT": "mT", "uT": "uT",
        "G": "G Gauss gauss", "Pa": "Pa pa", "hPa": "hPa hpa HPa", "kPa": "kPa kpa KPa", "mbar": "mbar mBar",
        "bar": "bar Bar",
        "[psi]": "psi PSI", "mm[Hg]": "mmHg mmhg", "[in_i'Hg]": "inHg", "atm": "atm",
        "lx": "lx lux Lux LUX", "lm": "lm", "cd": "cd", "mW/cm2": "mW/cm2", "W/m2": "W/m2",
        "m": "m meter meters metre metres", "cm": "cm", "mm": "mm", "km": "km", "um": "um",
        "[in_i]": "in inch inches", "[ft_i]": "ft feet", "m2": "m2", "km2": "km2", "m3": "m3",
        "s": "s sec secs seconds", "ms": "ms msec millis", "us": "us usec", "min": "min mins minutes",
        "h": "h hr hrs hours",
        "m/s": "m/s mps", "km/h": "km/h kmh kph kmph", "m/s2": "m/s2 m/s/s ms-2 m/s^2", "[kn_i]": "kn kt knots",
        "[mi_i]/h": "mph", "rad": "rad", "rad/s": "rad/s rads/s", "deg/s": "deg/s dps °/s",
        "kg": "kg Kg KG", "g": "g gram grams", "mg": "mg", "ug": "ug",
        "[lb_av]": "lb lbs", "[oz_av]": "oz", "[gr]": "GN gn gr", "[car_m]": "ct", "[oz_tr]": "ozt", "[pwt_tr]": "dwt",
        "l": "l L liter litre liters litres", "ml": "ml mL", "l/min": "l/min L/min lpm LPM", "l/s": "l/s L/s",
        "l/h": "l/h L/h", "ml/min": "ml/min mL/min", "m3/h": "m3/h", "m3/s": "m3/s", "ml/h": "ml/h mL/h",
        "ppm": "ppm PPM", "ppb": "ppb PPB", "ug/m3": "ug/m3", "mg/m3": "mg/m3", "mg/l": "mg/l mg/L",
        "ug/l": "ug/l ug/L",
        "pH": "pH", "uS/cm": "uS/cm", "mS/cm": "mS/cm", "NTU": "NTU", "S": "S", "mm/h": "mm/h",
        "dB": "dB", "dBm": "dBm DBm dbm", "dB[SPL]": "dBA dB(A)", "1/min": "rpm RPM r/min cpm CPM",
        "beat/min": "bpm BPM",
        "count": "count counts pulses", "1/s": "cps", "B": "B bytes", "bit": "bits", "bit/s": "bit/s bps",
        "N": "N", "kN": "kN", "N.m": "Nm", "uSv/h": "uSv/h", "Bq/m3": "Bq/m3",
    }.items()
    for printed in spellings.split()
}  # fmt: skip

# One spelling of each sign. \ufffd is a byte that is no UTF-8: in a unit the degree sign of an older character set.
_SIGNS = str.maketrans({"µ": "u", "μ": "u", "²": "2", "³": "3", "⁻": "-", "¹": "1", "Ω": "Ohm", "\u2126": "Ohm"})
_DEGREE = re.compile(r"^(?:\ufffd|Â°|deg(?:rees?)?\s+|[°º˚]\s+)(?=[CFcf]?$|[CF]elsius|[Cc]elsius|Fahrenheit)")
_TEMPERATURE = re.compile(r"temp|heat|dew|therm|^t\d*$|_t$", re.IGNORECASE)
_HUMIDITY = re.compile(r"hum|(?:^|[^a-z])rh(?:$|[^a-z])|^h\d*$", re.IGNORECASE)
_BATTERY = re.compile(r"batt|(?:^|[^a-z])soc(?:$|[^a-z])", re.IGNORECASE)
_ACCELERATION = re.compile(r"acc|(?:^|[^a-z])[agx-z]?[xyz](?:$|[^a-z])", re.IGNORECASE)

LONGEST = 24  # characters of a unit


def unit_of(printed: str, name: str = "") -> str | None:
    """The unit a device means that prints `printed` after the value of quantity `name`; None where it is no unit.

    What one sign stands for depends on the quantity: `C` is always Celsius and never coulomb; `F` is Fahrenheit of a
    temperature, else farad; `%` is relative humidity of a humidity, charge of a battery; `g` is standard gravity of
    an acceleration, else gram.
    """
    text = printed.strip()
    return _unit_of(text, name[:64]) if 0 < len(text) <= LONGEST else None


@lru_cache(maxsize=512)
def _unit_of(text: str, name: str) -> str | None:
    if text[0] == "\ufffd" and text[1:] in ("g/m3", "g/m\ufffd", "g/m³", "S/cm", "m", "s", "A", "V", "T", "Sv/h"):
        text = "u" + text[1:].replace("\ufffd", "3")  # the micro sign of an older character set
    text = _DEGREE.sub("°", text).translate(_SIGNS).replace("^", "").replace("**", "")
    unit = _PRINTED.get(text)
    if unit == "F" and _TEMPERATURE.search(name):
        return "[degF]"
    if unit == "%":
        return "%RH" if _HUMIDITY.search(name) else "%EL" if _BATTERY.search(name) else "%"
    if text in ("g", "G") and _ACCELERATION.search(name):
        return "[g]"
    return unit


def stated(printed: str, name: str = "") -> str | None:
    """As `unit_of` where the device says that this is a unit: one with no known symbol is kept as its text."""
    text = printed.strip()
    return unit_of(text, name) or text.translate(_SIGNS).replace("^", "")[:40] or None


@lru_cache(maxsize=512)
def in_brackets(name: str) -> str | None:
    """The unit that stands in a name itself: `Temperature (°C)`, `Pressure [hPa]`; or None."""
    text = name.rstrip()
    if text[-1:] not in (")", "]"):
        return None
    at = max(text.rfind("("), text.rfind("["))
    return unit_of(text[at + 1 : -1], text[:at]) if at > 0 else None
