"""XY-MD02 temperature and humidity transmitter (SHT20), and its look-alikes: `--set first_register=0 --set digits=2`.

Source: XY-MD02 product manual, sections "MODBUS protocol" and "register" (also printed on the maker's sales page):
function 4 from 0x0001, function 3 from 0x0101; signed tenths; 9600 8N1, unit id 1. Look-alikes count from 0x0000, or
give hundredths (stackoverflow.com question 74286017).
"""

from random import Random

from simulators.mains import pinned_or, wander
from simulators.modbus_slave import READ_HOLDING_REGISTERS, READ_INPUT_REGISTERS, Slave
from simulators.settings import Settings, number, whole_number
from simulators.tables import Quantity, RegisterTable

SETTINGS = ("temperature", "humidity", "first_register", "digits")
HOLDING = (
    Quantity(0x0101, "unit_id", "", "H"),
    Quantity(0x0102, "baud_rate", "", "H"),
    Quantity(0x0103, "temperature_correction", "Cel", "h", 10),
    Quantity(0x0104, "humidity_correction", "%RH", "h", 10),
)


def build(unit_id: int, seed: int, settings: Settings) -> Slave:
    """A transmitter in a room; `temperature` (Cel) and `humidity` (%RH) can be pinned.

    A look-alike has its first register at `first_register` (0 or 1), and `digits` (1 or 2) after the point.
    """
    random = Random(seed)
    first = number(settings, "first_register", 0, 1)
    start, scale = 0x0001 if first is None else int(first), 10 ** whole_number(settings, "digits", 1, 2)
    temperature = pinned_or(number(settings, "temperature", -3276.8, 3276.7), wander(random, 21.5, 1.5))
    humidity = pinned_or(number(settings, "humidity", 0, 100), wander(random, 45, 8))
    quantities = Quantity(start, "temperature", "Cel", "h", scale), Quantity(start + 1, "humidity", "%RH", "H", scale)
    measured, kept = RegisterTable(quantities), RegisterTable(HOLDING)
    kept.set({"unit_id": unit_id, "baud_rate": 9600, "temperature_correction": 0, "humidity_correction": 0})
    t = 0.0

    def measure(seconds: float) -> None:
        nonlocal t
        t += seconds
        measured.set({"temperature": temperature(t), "humidity": humidity(t)})

    return Slave(unit_id, {READ_INPUT_REGISTERS: measured, READ_HOLDING_REGISTERS: kept}, measure=measure)
