"""SunSpec meter: common model, and model 203, 201, 202 or 204, at 40000, 50000 or 0.

Source: SunSpec models 201 to 204 (integers and scale factors), github.com/sunspec/models; function 3; reactive energies
are not implemented.
"""

from random import Random

from simulators.devices import _sunspec
from simulators.devices._sunspec import Point, points, scale_factor
from simulators.modbus_slave import Slave
from simulators.settings import Settings
from simulators.tables import Value
from simulators.three_phase import PAIRS, PHASES, Supply
from simulators.three_phase import SETTINGS as SUPPLY_SETTINGS

MODELS = ("203", "201", "202", "204")
SETTINGS = (*SUPPLY_SETTINGS, "model", *_sunspec.SETTINGS)
_PHASES_OF = {201: 1, 202: 2, 203: 3, 204: 3}


def _phased(stem: str, tails: str = " phA phB phC") -> str:
    return " ".join(stem + tail for tail in tails.split(" "))


_ENERGY_TAILS = " PhA PhB PhC"
METER: list[Point] = [
    *points(_phased("A"), "h", "A", -2),
    *scale_factor("A_SF", -2),
    *points("PhV PhVphA PhVphB PhVphC PPV PhVphAB PhVphBC PhVphCA", "h", "V", -1),
    *scale_factor("V_SF", -1),
    *points("Hz", "h", "Hz", -2),
    *scale_factor("Hz_SF", -2),
    *points(_phased("W"), "h", "W"),
    *scale_factor("W_SF", 0),
    *points(_phased("VA"), "h", "VA"),
    *scale_factor("VA_SF", 0),
    *points(_phased("VAR"), "h", "var"),
    *scale_factor("VAR_SF", 0),
    *points(_phased("PF"), "h", "%", -2),
    *scale_factor("PF_SF", -2),
    *points(_phased("TotWhExp", _ENERGY_TAILS), "I", "Wh"),
    *points(_phased("TotWhImp", _ENERGY_TAILS), "I", "Wh"),
    *scale_factor("TotWh_SF", 0),
    *points(_phased("TotVAhExp", _ENERGY_TAILS), "I", "VAh"),
    *points(_phased("TotVAhImp", _ENERGY_TAILS), "I", "VAh"),
    *scale_factor("TotVAh_SF", 0),
    *points(_phased("TotVArhImpQ1", _ENERGY_TAILS), "I", "varh"),
    *points(_phased("TotVArhImpQ2", _ENERGY_TAILS), "I", "varh"),
    *points(_phased("TotVArhExpQ3", _ENERGY_TAILS), "I", "varh"),
    *points(_phased("TotVArhExpQ4", _ENERGY_TAILS), "I", "varh"),
    *scale_factor("TotVArh_SF", -0x8000),
    *points("Evt", "B"),
]
_OF_PHASE = {
    "Aph": ("current", 1),
    "PhVph": ("voltage", 1),
    "Wph": ("power", 1),
    "VAph": ("apparent_power", 1),
    "VARph": ("reactive_power", 1),
    "PFph": ("power_factor", 100),
    "TotWhExpPh": ("energy_export", 1000),
    "TotWhImpPh": ("energy_import", 1000),
}
_OF_ALL = {
    "PhV": ("voltage_average", 1),
    "Hz": ("frequency", 1),
    "W": ("power", 1),
    "VA": ("apparent_power", 1),
    "VAR": ("reactive_power", 1),
    "PF": ("power_factor", 100),
    "TotWhExp": ("energy_export", 1000),
    "TotWhImp": ("energy_import", 1000),
    "TotVAhImp": ("apparent_energy", 1000),
}


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """A meter in front of a small workshop; settings as of eastron_sdm630."""
    random = Random(seed)
    model = _sunspec.chosen(settings, MODELS)
    phases = PHASES[: _PHASES_OF[model]]
    supply = Supply(random, {name: text for name, text in settings.items() if name in SUPPLY_SETTINGS}, phases)

    def measure(seconds: float) -> dict[str, Value]:
        now = supply.advance(seconds)
        values: dict[str, Value] = {point: factor * now[name] for point, (name, factor) in _OF_ALL.items()}
        values |= {"A": now["current_sum"], "PPV": now["voltage_line_to_line_average"] or None, "Evt": 0}
        for letter, phase in zip("ABC", phases, strict=False):
            values |= {
                f"{point}{letter}": factor * now[f"{name}_{phase}"] for point, (name, factor) in _OF_PHASE.items()
            }
        values |= {f"PhVph{ab}": now.get(f"voltage_{pair}") for ab, pair in zip(("AB", "BC", "CA"), PAIRS, strict=True)}
        return values

    serial = f"{random.randrange(10**8, 10**9)}"
    identity = {"Mn": "Labgate Simulators", "Md": f"Meter {model}", "Vr": "1.0.0", "SN": serial}
    return _sunspec.device(unit_id, settings, identity, model, METER, measure)
