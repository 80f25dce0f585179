"""ABB B23 (and B21, B24), energy meter; `--set phases=1` is wired as a B21.

Source: ABB, B23/B24 user manual 2CMC485003M0201, chapter "Communication with Modbus": function 3, high word first; what
is not available reads 7FFF... where signed and FFFF... where unsigned; as shipped 9600 8E1 in newer meters, unit id 1.
"""

from random import Random

from simulators.modbus_slave import READ_HOLDING_REGISTERS, Slave
from simulators.settings import Settings, whole_number
from simulators.tables import Quantity, RegisterTable, Value
from simulators.three_phase import PAIRS, PHASES, Supply, three
from simulators.three_phase import SETTINGS as SUPPLY_SETTINGS

SETTINGS = (*SUPPLY_SETTINGS, "phases")

_HIGHEST = {"h": 0x7FFF, "i": 0x7FFFFFFF, "q": 2**63 - 1, "H": 0xFFFF, "I": 0xFFFFFFFF, "Q": 2**64 - 1}


def _one(address: int, name: str, unit: str, code: str, scale: int = 100) -> Quantity:
    return Quantity(address, name, unit, code, scale, _HIGHEST[code])


def _three(
    address: int, name: str, unit: str, code: str, scale: int = 100, of: tuple[str, ...] = PHASES
) -> list[Quantity]:
    return three(address, name, unit, code, scale, _HIGHEST[code], of)


HOLDING = (
    _one(0x5000, "energy_import", "kWh", "Q"),
    _one(0x5004, "energy_export", "kWh", "Q"),
    _one(0x5008, "energy_net", "kWh", "q"),
    _one(0x500C, "reactive_energy_import", "kvarh", "Q"),
    _one(0x5010, "reactive_energy_export", "kvarh", "Q"),
    _one(0x5014, "reactive_energy_net", "kvarh", "q"),
    _one(0x5018, "apparent_energy", "kVAh", "Q"),
    _one(0x501C, "apparent_energy_export", "kVAh", "Q"),
    *_three(0x5460, "energy_import", "kWh", "Q"),
    *_three(0x546C, "energy_export", "kWh", "Q"),
    *_three(0x5478, "energy_net", "kWh", "q"),
    *_three(0x5484, "reactive_energy_import", "kvarh", "Q"),
    *_three(0x5490, "reactive_energy_export", "kvarh", "Q"),
    *_three(0x5B00, "voltage", "V", "I", 10),
    *_three(0x5B06, "voltage", "V", "I", 10, PAIRS),
    *_three(0x5B0C, "current", "A", "I"),
    _one(0x5B12, "current_neutral", "A", "I"),
    _one(0x5B14, "power", "W", "i"),
    *_three(0x5B16, "power", "W", "i"),
    _one(0x5B1C, "reactive_power", "var", "i"),
    *_three(0x5B1E, "reactive_power", "var", "i"),
    _one(0x5B24, "apparent_power", "VA", "i"),
    *_three(0x5B26, "apparent_power", "VA", "i"),
    _one(0x5B2C, "frequency", "Hz", "H"),
    _one(0x5B2D, "phase_angle", "deg", "h", 10),
    *_three(0x5B2E, "phase_angle", "deg", "h", 10),
    *_three(0x5B31, "voltage_angle", "deg", "h", 10),
    *_three(0x5B37, "current_angle", "deg", "h", 10),
    _one(0x5B3A, "power_factor", "/", "h", 1000),
    *_three(0x5B3B, "power_factor", "/", "h", 1000),
    Quantity(0x8900, "serial_number", "", "I"),
    Quantity(0x8908, "firmware", "", "16s"),
    Quantity(0x8960, "type", "", "12s"),
)


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """A meter in front of a small workshop; settings as of eastron_sdm630. With `phases=1` only L1 is connected, and
    what is of other phases is not available; the neutral current and the exported apparent energy never are."""
    random = Random(seed)
    phases = PHASES[: whole_number(settings, "phases", 3, 3)]
    if len(phases) == 2:
        raise ValueError("phases must be 1 or 3, not 2")
    supply = Supply(random, {name: text for name, text in settings.items() if name != "phases"}, phases)
    table = RegisterTable(HOLDING)
    kind = "B21 312-100" if len(phases) == 1 else "B23 312-100"
    fixed: dict[str, Value] = {
        "serial_number": random.randrange(1_000_000, 9_999_999),
        "firmware": "B1.18.0",
        "type": kind,
    }

    def measure(seconds: float) -> None:
        known = supply.advance(seconds)
        for place, name in enumerate(phases):
            known[f"voltage_angle_{name}"] = (0, -120, 120)[place]
            known[f"current_angle_{name}"] = known[f"voltage_angle_{name}"] - known[f"phase_angle_{name}"]
        for name in [name for name in known if "energy_import" in name]:
            known[name.replace("import", "net")] = known[name] - known[name.replace("import", "export")]
        known.pop("current_neutral")
        table.set({q.name: known.get(q.name) for q in HOLDING} | fixed)

    return Slave(unit_id, {READ_HOLDING_REGISTERS: table}, measure=measure)
