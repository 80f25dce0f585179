"""A bench multimeter that speaks SCPI: `*IDN?`, `MEAS:VOLT:DC?`, `SYST:ERR?`.

Source: SCPI-99, volume 1, 7.2 (9.91E37 is not a number, 9.9E37 is infinity), 21.8 (SYSTem:ERRor), volume 2 chapter 3
(MEASure); IEEE 488.2, 10.14 (*IDN?): maker, model, serial number or 0, firmware. Lines end with LF. A query that it
does not know has no answer but an error in the queue.
"""

import re
from collections import deque
from collections.abc import Iterable
from random import Random

from simulators.mains import pinned_or, wander
from simulators.settings import Settings, number
from simulators.speaker import Said, Speaker

SETTINGS = ("voltage", "current")
_MEASURE = re.compile(r":?MEAS(?:URE)?(?::SCAL(?:AR)?)?:(VOLT|VOLTAGE|CURR|CURRENT)(?::DC)?\?")
_ERROR = re.compile(r":?SYST(?:EM)?:ERR(?:OR)?(?::NEXT)?\?")
_MOST_ERRORS = 20
_NOT_A_NUMBER, _INFINITY = 9.91e37, 9.9e37


class ScpiMeter(Speaker):
    """A meter on a bench supply."""

    request_end = b"\n"
    can_happen = ("novalue", "overload", "underload")

    def __init__(self, seed: int, settings: Settings) -> None:
        random = Random(seed)
        self._serial = f"MY{random.randrange(10**8):08d}"
        self._volt = pinned_or(number(settings, "voltage", -1000, 1000), wander(random, 5.0, 0.02))
        self._current = pinned_or(number(settings, "current", -10, 10), wander(random, 0.25, 0.05))
        self._errors: deque[str] = deque(maxlen=_MOST_ERRORS)

    def boot(self, t: float) -> Iterable[Said]:
        """Nothing; the error queue is empty."""
        self._errors.clear()
        return ()

    def answer(self, request: bytes, t: float) -> Iterable[Said]:
        """See Speaker."""
        text = request.decode("ascii", "replace").strip().upper()
        if text == "*IDN?":
            return [Said(f"Simulated Instruments,SM34401,{self._serial},1.04\n".encode())]
        if text == "*CLS":
            self._errors.clear()
            return []
        if _ERROR.fullmatch(text):
            error = self._errors.popleft() if self._errors else '0,"No error"'
            return [Said(f"{error}\n".encode())]
        if found := _MEASURE.fullmatch(text):
            return [self._measured(found[1], t)]
        if text:
            self._errors.append('-113,"Undefined header"')
        return []

    def _measured(self, what: str, t: float) -> Said:
        name, unit, source = ("voltage", "V", self._volt) if what.startswith("V") else ("current", "A", self._current)
        special = {"novalue": _NOT_A_NUMBER, "overload": _INFINITY, "underload": -_INFINITY}
        for kind in self.happens:
            return Said(f"{special[kind]:+.8E}\n".encode())
        value = f"{source(t):+.8E}"
        return Said(f"{value}\n".encode(), ((name, unit, repr(float(value))),))


def build(seed: int, settings: Settings) -> ScpiMeter:
    """A meter; `voltage` (V) and `current` (A) can be pinned."""
    return ScpiMeter(seed, settings)
