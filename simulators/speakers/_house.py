"""What a Swedish electricity meter counts in a house: the quantities of its customer port, by OBIS code.

Source: the customer-port documents of Swedish grid companies (branch recommendation of Energiforetagen): import and
export are two positive numbers, of all phases together the net of them.
"""

from random import Random

from simulators.mains import PHASE_SETTINGS
from simulators.settings import Settings
from simulators.three_phase import PHASES, Supply

SETTINGS = (*PHASE_SETTINGS, *(f"{name}_{phase}" for name in PHASE_SETTINGS for phase in PHASES))


class House:
    """Three phases; what is set is as of a three-phase meter, power below zero goes to the grid."""

    def __init__(self, seed: int, settings: Settings) -> None:
        self._supply = Supply(Random(seed), {name: settings[name] for name in settings if name in SETTINGS})
        self._t = 0.0

    def at(self, t: float) -> dict[str, float]:
        """By OBIS code without its medium, such as 1.7.0: W, var, V, A, Wh and varh. `t` (s) never goes back."""
        values = self._supply.advance(t - self._t)
        self._t = t
        found = {
            "1.8.0": 1000 * values["energy_import"],
            "2.8.0": 1000 * values["energy_export"],
            "3.8.0": 1000 * values["reactive_energy_import"],
            "4.8.0": 1000 * values["reactive_energy_export"],
        }
        for start, suffix in ((0, ""), (20, "_l1"), (40, "_l2"), (60, "_l3")):
            power, reactive = values[f"power{suffix}"], values[f"reactive_power{suffix}"]
            found[f"{start + 1}.7.0"], found[f"{start + 2}.7.0"] = max(power, 0.0), max(-power, 0.0)
            found[f"{start + 3}.7.0"], found[f"{start + 4}.7.0"] = max(reactive, 0.0), max(-reactive, 0.0)
            if suffix:
                found[f"{start + 11}.7.0"] = values[f"current{suffix}"]
                found[f"{start + 12}.7.0"] = values[f"voltage{suffix}"]
        return found


def kind(code: str) -> str:
    """What a code counts: "energy", "reactive_energy", "power", "reactive_power", "current" or "voltage"."""
    number, measure = (int(part) for part in code.split(".")[:2])
    if number % 20 in (11, 12):
        return "current" if number % 20 == 11 else "voltage"
    what = "energy" if measure == 8 else "power"
    return what if number % 20 in (1, 2) else f"reactive_{what}"
