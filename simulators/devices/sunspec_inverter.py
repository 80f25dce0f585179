"""SunSpec inverter: common model, and model 103, 101, 102, 113, 111 or 112, at 40000, 50000 or 0.

Source: SunSpec models 101 to 103 (integers and scale factors) and 111 to 113 (float32), github.com/sunspec/models;
function 3; not implemented are the temperatures TmpTrns and TmpOt, and what is of phases that are not there.
"""

from random import Random

from simulators.devices import _sunspec
from simulators.devices._sunspec import Point, points, scale_factor
from simulators.mains import pinned_or, wander
from simulators.modbus_slave import Slave
from simulators.settings import Settings, number
from simulators.tables import Value
from simulators.three_phase import PAIRS, PHASES, Supply
from simulators.three_phase import SETTINGS as SUPPLY_SETTINGS

MODELS = ("103", "101", "102", "113", "111", "112")
SETTINGS = (*SUPPLY_SETTINGS, "temperature", "model", *_sunspec.SETTINGS)
_MPPT = 4  # operating state: tracking the maximum power point
_DC_VOLTAGE, _LOSSES = 620, 1.02

_EVENTS = [*points("St StVnd", "H"), *points("Evt1 Evt2 EvtVnd1 EvtVnd2 EvtVnd3 EvtVnd4", "B")]
INTEGERS: list[Point] = [
    *points("A AphA AphB AphC", "H", "A", -2),
    *scale_factor("A_SF", -2),
    *points("PPVphAB PPVphBC PPVphCA PhVphA PhVphB PhVphC", "H", "V", -1),
    *scale_factor("V_SF", -1),
    *points("W", "h", "W"),
    *scale_factor("W_SF", 0),
    *points("Hz", "H", "Hz", -2),
    *scale_factor("Hz_SF", -2),
    *points("VA", "h", "VA"),
    *scale_factor("VA_SF", 0),
    *points("VAr", "h", "var"),
    *scale_factor("VAr_SF", 0),
    *points("PF", "h", "%", -2),
    *scale_factor("PF_SF", -2),
    *points("WH", "I", "Wh"),
    *scale_factor("WH_SF", 0),
    *points("DCA", "H", "A", -2),
    *scale_factor("DCA_SF", -2),
    *points("DCV", "H", "V", -1),
    *scale_factor("DCV_SF", -1),
    *points("DCW", "h", "W"),
    *scale_factor("DCW_SF", 0),
    *points("TmpCab TmpSnk TmpTrns TmpOt", "h", "Cel", -1),
    *scale_factor("Tmp_SF", -1),
    *_EVENTS,
]
FLOATS: list[Point] = [(name, unit, "f", 0) for name, unit, code, _ in INTEGERS if code in ("H", "h", "I") and unit]
FLOATS += _EVENTS
_OF_ALL = {
    "A": ("current_sum", 1),
    "W": ("power", 1),
    "Hz": ("frequency", 1),
    "VA": ("apparent_power", 1),
    "VAr": ("reactive_power", 1),
    "PF": ("power_factor", 100),
    "WH": ("energy_import", 1000),
}


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """An inverter in the sun; settings as of eastron_sdm630. Imported is what it gives to the grid, as it counts it."""
    random = Random(seed)
    model = _sunspec.chosen(settings, MODELS)
    phases = PHASES[: model % 10]
    supply = Supply(random, {name: text for name, text in settings.items() if name in SUPPLY_SETTINGS}, phases)
    voltage = wander(random, _DC_VOLTAGE, 40)
    temperature = pinned_or(number(settings, "temperature", -273, 1000), wander(random, 41, 6))
    t = 0.0

    def measure(seconds: float) -> dict[str, Value]:
        nonlocal t
        t += seconds
        now = supply.advance(seconds)
        values: dict[str, Value] = {point: factor * now[name] for point, (name, factor) in _OF_ALL.items()}
        for letter, phase in zip("ABC", phases, strict=False):
            values |= {f"Aph{letter}": now[f"current_{phase}"], f"PhVph{letter}": now[f"voltage_{phase}"]}
        values |= {f"PPVph{ab}": now.get(f"voltage_{pair}") for ab, pair in zip(("AB", "BC", "CA"), PAIRS, strict=True)}
        dc = now["power"] * _LOSSES
        values |= {"DCV": voltage(t), "DCW": dc, "DCA": dc / voltage(t)}
        values |= {"TmpCab": temperature(t), "TmpSnk": temperature(t) + 9, "St": _MPPT, "Evt1": 0, "Evt2": 0}
        return values

    serial = f"{random.randrange(10**8, 10**9)}"
    identity = {"Mn": "Labgate Simulators", "Md": f"Inverter {model}", "Vr": "1.0.0", "SN": serial}
    return _sunspec.device(unit_id, settings, identity, model, FLOATS if model > 110 else INTEGERS, measure)
