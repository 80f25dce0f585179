"""Nordic UART board: prints lines as line_board does, in pieces of 20 bytes; microbit=1: as a micro:bit does.

Source: Nordic UART Service (nRF Connect SDK, libraries/bluetooth/services/nus): what is received notifies on 6E400003,
what is sent is written to 6E400002. micro:bit: MicroBitUARTService of its runtime, which has the two the other way
round, and indicates.
"""

import asyncio
from collections import deque
from random import Random
from typing import NamedTuple

from simulators.bluez.model import Characteristic, Service
from simulators.modbus_slave import Given
from simulators.peripherals._sensor import COMMON, Sensor, address, address_type, name
from simulators.settings import Settings, choice, period
from simulators.speakers import line_board

SETTINGS = (*line_board.SETTINGS, "microbit", *(setting for setting in COMMON if setting not in line_board.SETTINGS))

SERVICE = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"
_NUMBER_2, _NUMBER_3 = (SERVICE.replace("6e400001", number) for number in ("6e400002", "6e400003"))
_PIECE = 20  # bytes: what a notification takes where nobody has asked for more
_PACE = 0.002  # s from one piece to the next, so that a link may end in the middle of a line
_BUFFER = 200  # pieces; a line that does not fit is lost


class _Piece(NamedTuple):
    """Of a line; the last one has its values."""

    data: bytes
    last: bool
    given: tuple[Given, ...] = ()


class Board(Sensor):
    """Goes on printing whoever connects: it does not start anew, and repeats no banner and no header."""

    def __init__(self, seed: int, settings: Settings) -> None:
        where = address(settings, "ble_uart", seed)
        self.every = period(settings, 1.0)
        microbit = choice(settings, "microbit", ("0", "1")) == "1"
        sends, hears = (_NUMBER_2, _NUMBER_3) if microbit else (_NUMBER_3, _NUMBER_2)
        self._board = line_board.build(seed, settings)
        self._pieces: deque[_Piece] = deque()
        self._sending: asyncio.TimerHandle | None = None
        self._whole = True  # all of this line so far was heard
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

    def stop(self) -> None:
        """See Sensor."""
        super().stop()
        self._pieces.clear()

    def measure(self, t: float) -> None:
        """See Sensor."""
        for line in self._board.speak(t):
            if len(self._pieces) < _BUFFER:
                *body, end = [line.frame[begin : begin + _PIECE] for begin in range(0, len(line.frame), _PIECE)]
                self._pieces += [*(_Piece(data, False) for data in body), _Piece(end, True, line.given)]
        if self._sending is None:
            self._send()

    def _send(self) -> None:
        """Sends the next piece, to whoever is there now. The last of a line gives its values, if all was heard."""
        self._sending = None
        if self._pieces:
            self._sending = asyncio.get_running_loop().call_later(_PACE, self._send)
            piece = self._pieces.popleft()
            heard = self.tell(self._output, piece.data, piece.given if self._whole else ())
            self._whole = piece.last or (heard and self._whole)


def build(seed: int, settings: Settings) -> Board:
    """A board; what can be set is as for line_board, and `microbit` is 0 or 1."""
    return Board(seed, settings)
