"""Victron Instant Readout: the fields of each kind of record, bit by bit. Pure data.

Source: Victron Energy, Extra Manufacturer Data, 2022-12-14 (extra-manufacturer-data-2022-12-14.pdf). A field is packed
behind the one before it, lowest bit first; its code for "not available" is all ones, of signed fields without the sign.
"""

from typing import Literal, NamedTuple

Kind = Literal["measurement", "counter", "state"]

STATES = {
    0: "off",
    1: "low_power",
    2: "fault",
    3: "bulk",
    4: "absorption",
    5: "float",
    6: "storage",
    7: "equalize_manual",
    9: "inverting",
    11: "power_supply",
    245: "starting_up",
    246: "repeated_absorption",
    247: "recondition",
    248: "battery_safe",
    249: "active",
    252: "external_control",
}
AC_INPUTS = {0: "ac_in_1", 1: "ac_in_2", 2: "not_connected"}
ALARMS = {0: "none", 1: "warning", 2: "alarm"}
OUTPUTS = {1: "on", 4: "off"}


class Field(NamedTuple):
    """value = (raw + offset) * factor / divisor."""

    name: str
    bits: int
    unit: str | None = None
    divisor: int = 1
    factor: int = 1
    offset: int = 0
    signed: bool = False
    missing: int | None = None  # raw code, where it is not all ones
    values: dict[int, str] | None = None
    kind: Kind = "measurement"


STATE = Field("state", 8, values=STATES, kind="state")
ERROR = Field("error", 8, kind="state")
OFF_REASON = Field("off_reason", 32, kind="state")


def _flags(name: str, bits: int = 16) -> Field:
    return Field(name, bits, kind="state", missing=-1)


def _volts(name: str, bits: int = 16, signed: bool = True) -> Field:
    return Field(name, bits, "V", 100, signed=signed)


def _temperature(name: str) -> Field:
    return Field(name, 7, "Cel", offset=-40)


_AUX = 16  # bits of the auxiliary input; its mode follows in two more
AUXILIARY = {
    0: Field("starter_voltage", _AUX, "V", 100, signed=True),
    1: Field("midpoint_voltage", _AUX, "V", 100),
    2: Field("temperature", _AUX, "Cel", 100, offset=-27315),
}
AUX = Field("aux", _AUX, missing=-1)
AUX_MODE = Field("aux_mode", 2, missing=-1)
BATTERY_CURRENT = Field("current", 22, "A", 1000, signed=True, missing=0x3FFFFF)
CONSUMED = Field("consumed_charge", 20, "Ah", 10, factor=-1)
SOC = Field("state_of_charge", 10, "%EL", 10)
REMAINING = Field("time_to_go", 16, "min")

RECORDS: dict[int, tuple[Field, ...]] = {
    0x01: (  # solar charger
        STATE,
        ERROR,
        _volts("voltage"),
        Field("current", 16, "A", 10, signed=True),
        Field("yield_today", 16, "Wh", factor=10, kind="counter"),
        Field("pv_power", 16, "W"),
        Field("load_current", 9, "A", 10),
    ),
    0x02: (  # battery monitor
        REMAINING,
        _volts("voltage"),
        _flags("alarm"),
        AUX,
        AUX_MODE,
        BATTERY_CURRENT,
        CONSUMED,
        SOC,
    ),
    0x03: (  # inverter
        STATE,
        _flags("alarm"),
        _volts("voltage"),
        Field("ac_apparent_power", 16, "VA"),
        Field("ac_voltage", 15, "V", 100),
        Field("ac_current", 11, "A", 10),
    ),
    0x04: (  # DC/DC converter
        STATE,
        ERROR,
        _volts("input_voltage", signed=False),
        _volts("output_voltage"),
        OFF_REASON,
    ),
    0x08: (  # AC charger
        STATE,
        ERROR,
        _volts("voltage_1", 13, signed=False),
        Field("current_1", 11, "A", 10),
        _volts("voltage_2", 13, signed=False),
        Field("current_2", 11, "A", 10),
        _volts("voltage_3", 13, signed=False),
        Field("current_3", 11, "A", 10),
        _temperature("temperature"),
        Field("ac_current", 9, "A", 10),
    ),
    0x09: (  # Smart BatteryProtect
        STATE,
        Field("output", 8, values=OUTPUTS, kind="state"),
        ERROR,
        _flags("alarm"),
        _flags("warning"),
        _volts("input_voltage"),
        _volts("output_voltage", signed=False),
        OFF_REASON,
    ),
    0x0A: (  # Lynx Smart BMS
        _flags("error", 8),
        REMAINING,
        _volts("voltage"),
        Field("current", 16, "A", 10, signed=True),
        _flags("io_status"),
        _flags("alarm", 18),
        SOC,
        CONSUMED,
        _temperature("temperature"),
    ),
    0x0C: (  # VE.Bus
        STATE,
        ERROR,
        Field("current", 16, "A", 10, signed=True),
        _volts("voltage", 14, signed=False),
        Field("ac_input", 2, values=AC_INPUTS, kind="state"),
        Field("ac_input_power", 19, "W", signed=True),
        Field("ac_output_power", 19, "W", signed=True),
        Field("alarm", 2, values=ALARMS, kind="state"),
        _temperature("temperature"),
        Field("state_of_charge", 7, "%EL"),
    ),
    0x0D: (  # DC energy meter
        Field("monitor_mode", 16, signed=True, kind="state"),
        _volts("voltage"),
        _flags("alarm"),
        AUX,
        AUX_MODE,
        BATTERY_CURRENT,
    ),
}
