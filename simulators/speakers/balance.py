"""Laboratory balance: MT-SICS, or with `--set print=free` a free-running one; loads come and go, and come to rest.

Sources: MT-SICS Reference Manual (Mettler-Toledo 11780711): commands S, SI, SIR, I2, I4, @ and answers of level 0; KERN
DE operating instructions DE-BA-e-1255, 8.3.3 "AU PC": 12 characters of sign and number, a blank, three of unit, blank
while the value is not stable; "Error" at the right. Both 9600 8N1 with CR LF.
"""

import math
from collections.abc import Iterable
from random import Random

from simulators.modbus_slave import Given
from simulators.settings import Settings, choice, number, period, seconds
from simulators.speaker import Said, Speaker

SETTINGS = ("weight", "unit", "print", "every", "settle")
_CAPACITY = 210.0
_LOAD = 20.0  # s that a load stays
_UNITS = {"g": "g", "kg": "kg", "mg": "mg", "GN": "[gr]"}  # as printed: SenML, or UCUM where SenML has none
_COMMANDS = ("S", "SI", "SIR", "I2", "I4", "@")


class Balance(Speaker):
    """A balance. Of a command that it does not know it says ES, of one with a parameter too many EL, of bytes that are
    no ASCII ET. S waits until the weight is stable."""

    can_happen = ("overload", "underload", "novalue")

    def __init__(self, seed: int, settings: Settings) -> None:
        self._seed = seed
        self._pinned = number(settings, "weight", -_CAPACITY, _CAPACITY)
        self._unit = choice(settings, "unit", _UNITS)
        self._settle = seconds(settings, "settle", 2.0, 0, 10)
        self._free = choice(settings, "print", ("sics", "free")) == "free"
        self._every = period(settings, 0.2)
        self._serial = f"B{Random(seed).randrange(10**9):09d}"
        self._on = 0.0
        self.request_end = b"" if self._free else b"\r\n"

    def boot(self, t: float) -> Iterable[Said]:
        """See Speaker; a balance says its serial number when it is switched on."""
        self._on = t
        self.period = self._every if self._free else math.inf
        return [] if self._free else [self._identity()]

    def speak(self, t: float) -> Iterable[Said]:
        """See Speaker."""
        return [self._printed(t) if self._free else self._weight(t)]

    def answer(self, request: bytes, t: float) -> Iterable[Said]:
        """See Speaker."""
        if not request.isascii():
            return [Said(b"ET\r\n")]
        command, *parameters = request.decode().split(" ")
        if command not in _COMMANDS:
            return [Said(b"ES\r\n")]
        if parameters:
            return [Said(b"EL\r\n")]
        if command == "I4":
            return [self._identity()]
        if command == "I2":
            return [Said(f'I2 A "SIM204 Standard {_CAPACITY:.4f} g"\r\n'.encode())]
        self.period = self._every if command == "SIR" else math.inf
        if command == "@":
            return [self._identity()]
        if command != "S" or self.happens:
            return [self._weight(t)]
        wait = self._load(t)[1]
        return [self._weight(t + wait)._replace(delay=wait)]

    def _identity(self) -> Said:
        return Said(f'I4 A "{self._serial}"\r\n'.encode())

    def _load(self, t: float) -> tuple[float, float]:
        """The weight, and the seconds until it is stable."""
        since, load = t - self._on, 0
        if self._pinned is None:
            load, since = int(since // _LOAD), since % _LOAD
        target, before = self._target(load), self._target(load - 1) if load else 0.0
        wait = max(0.0, self._settle - since)
        return target + (before - target) * math.exp(-5 * since / self._settle) if wait else target, wait

    def _target(self, load: int) -> float:
        return Random(f"{self._seed} {load}").uniform(0, _CAPACITY) if self._pinned is None else self._pinned

    def _weight(self, t: float) -> Said:
        signs = {"overload": "+", "underload": "-", "novalue": "I"}
        for kind in self.happens:
            return Said(f"S {signs[kind]}\r\n".encode())
        weight, wait = self._load(t)
        stable: Given = ("stable", "", "false" if wait else "true")
        frame = f"S {'D' if wait else 'S'} {weight:10.2f} {self._unit}\r\n".encode()
        return Said(frame, (("weight", _UNITS[self._unit], f"{weight:.2f}"), stable))

    def _printed(self, t: float) -> Said:
        if self.happens:
            return Said(b"           Error\r\n")
        weight, wait = self._load(t)
        if wait:
            return Said(f"{weight:12.2f}    \r\n".encode())  # without a unit nobody may take it for a weight
        return Said(f"{weight:12.2f} {self._unit:<3}\r\n".encode(), (("weight", _UNITS[self._unit], f"{weight:.2f}"),))


def build(seed: int, settings: Settings) -> Balance:
    """A balance; `weight` can be pinned, in `unit` g, kg, mg or GN (grain). It is stable `settle` (2s) after each load;
    repeats, or prints, each `every` (200ms)."""
    return Balance(seed, settings)
