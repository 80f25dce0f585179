"""Nordic UART board: prints lines as line_board does, in pieces of 20 bytes; microbit=1: as a micro:bit does.

Source: Nordic UART Service (nRF Connect SDK, libraries/bluetooth/services/nus): what is received notifies on 6E400003,
what is sent is written to 6E400002. micro:bit: MicroBitUARTService of its runtime, which has the two the other way
round, and indicates.
"""

from random import Random

from simulators.bluez.model import Characteristic, Service
from simulators.peripherals._sensor import COMMON, Sensor, address, address_type, name
from simulators.settings import Settings, choice, period
from simulators.speaker import Said
from simulators.speakers import line_board

SETTINGS = (*line_board.SETTINGS, "microbit", *(setting for setting in COMMON if setting not in line_board.SETTINGS))

SERVICE = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"
_NUMBER_2, _NUMBER_3 = (SERVICE.replace("6e400001", number) for number in ("6e400002", "6e400003"))
_PIECE = 20  # bytes: what a notification takes where nobody has asked for more


class Board(Sensor):
    """Goes on printing whoever connects: it does not start anew, and repeats no banner and no header."""

    def __init__(self, seed: int, settings: Settings) -> None:
        where = address(settings, "ble_uart", seed)
        self.every = period(settings, 1.0)
        microbit = choice(settings, "microbit", ("0", "1")) == "1"
        sends, hears = (_NUMBER_2, _NUMBER_3) if microbit else (_NUMBER_3, _NUMBER_2)
        self._board = line_board.build(seed, settings)
        self._output = Characteristic(sends, ["indicate" if microbit else "notify"])
        entry = Characteristic(hears, ["write", "write-without-response"])
        own = "".join(Random(seed).choice(letters) for letters in ("zvgpt", "uoiea", "zvgpt", "uoiea", "zvgpt"))
        super().__init__(
            where,
            name(settings, f"BBC micro:bit [{own}]" if microbit else f"UART {where[-5:].replace(':', '')}"),
            address_type=address_type(where),
            uuids=() if microbit else [SERVICE],
            interval=0.2,
            services=[Service(SERVICE, sorted((entry, self._output), key=lambda one: one.uuid))],
        )

    def measure(self, t: float) -> None:
        """See Sensor."""
        for line in self._board.speak(t):
            self._print(line)

    def _print(self, line: Said) -> None:
        pieces = [line.frame[begin : begin + _PIECE] for begin in range(0, len(line.frame), _PIECE)]
        if all(self.tell(self._output, piece, ()) for piece in pieces[:-1]):
            self.tell(self._output, pieces[-1], line.given)


def build(seed: int, settings: Settings) -> Board:
    """A board; what can be set is as for line_board, and `microbit` is 0 or 1."""
    return Board(seed, settings)
