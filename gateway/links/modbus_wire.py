"""Modbus frames in a stream of bytes, and which answers may still come. Pure: no wire, no clock, no library.

Sources: MODBUS over Serial Line V1.02, 2.5.1; MODBUS Messaging on TCP/IP V1.0b, 3.1.3.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

from gateway.links.base import Table

FUNCTIONS: dict[Table, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
READS = tuple(FUNCTIONS.values())
_BITS = ("coil", "discrete")
_TWINS: dict[Table, Table] = {"coil": "discrete", "discrete": "coil", "holding": "input", "input": "holding"}
_MBAP = 6  # bytes before those that its length counts
_AROUND = 5  # bytes of an RTU answer around its data: unit, function, byte count, checksum
_REMEMBERED = 16  # answers of one unit
_BOX = 0  # in place of a unit: whatever comes from behind a box

Shape = tuple[int, int]  # function and data bytes: all that tells one RTU answer of a unit from another


class Question(NamedTuple):
    """A read of `quantity` registers or bits."""

    unit: int
    table: Table
    address: int
    quantity: int

    @property
    def function(self) -> int:
        """Its function code."""
        return FUNCTIONS[self.table]

    @property
    def size(self) -> int:
        """Data bytes of its answer."""
        return (self.quantity + 7) // 8 if self.table in _BITS else 2 * self.quantity

    @property
    def shape(self) -> Shape:
        """What its answer looks like."""
        return self.function, self.size

    @property
    def pdu(self) -> bytes:
        """It, as it is sent (Modbus Application Protocol V1.1b3, 6.1 to 6.4)."""
        return struct.pack(">BHH", self.function, self.address, self.quantity)


def other_questions(question: Question) -> list[Question]:
    """Questions to the same unit whose answers look different, the likeliest to be answered first.

    A device that answers a read answers a shorter one; of pairs (float32) some give no half. A table it does not
    have it refuses with a function code of its own, which tells the answers apart as well.
    """
    unit, table, address, quantity = question
    twin, least = _TWINS[table], min(quantity, 8 if table in _BITS else 2)
    shapes: list[tuple[Table, int]] = [(table, quantity - 2), (table, least), (twin, least), (table, 1), (twin, 1)]
    others = [Question(unit, of, address, n) for of, n in shapes if n > 0]
    return [other for other in others if other.shape != question.shape]


class Frame(NamedTuple):
    """An answer: from whom, to which transaction (RTU: 0), and its bytes from the function code on."""

    unit: int
    transaction: int
    pdu: bytes


def rtu_frames(data: bytes, question: Question | None, crc_ok: Callable[[bytes, int], bool]) -> tuple[list[Frame], int]:
    """The whole answers in `data`, with noise around them passed over, and how many bytes are done with.

    Once the first bytes of the answer to `question` are there, nothing inside it is taken for a frame of its own.
    `crc_ok(bytes, checksum)`.
    """
    frames: list[Frame] = []
    awaited = (question.unit, question.function, question.size) if question else None
    at, end, kept = 0, len(data), -1
    while at + 3 <= end:
        function = data[at + 1]
        if function & 0x80 and function & 0x7F in READS:
            size = _AROUND
        elif function in READS:
            size = _AROUND + data[at + 2]
        else:
            at += 1
            continue
        if at + size > end:
            if kept < 0:
                kept = at  # perhaps a frame that has only begun; perhaps noise before one that is whole
            if (data[at], function, data[at + 2]) == awaited:
                break
            at += 1
        elif crc_ok(data[at : at + size - 2], int.from_bytes(data[at + size - 2 : at + size])):
            frames.append(Frame(data[at], 0, data[at + 1 : at + size - 2]))
            at += size
            kept = -1
        else:
            at += 1
    return frames, kept if kept >= 0 else at


def tcp_frames(data: bytes) -> tuple[list[Frame], int]:
    """The whole answers in `data`, and how many bytes are done with.

    Raises ValueError where the stream is no Modbus TCP: there is no telling where the next frame begins.
    """
    frames: list[Frame] = []
    at, end = 0, len(data)
    while end - at > _MBAP:
        size = int.from_bytes(data[at + 4 : at + 6])
        if data[at + 2] or data[at + 3] or not 1 < size <= 254:
            raise ValueError(data[at : at + 8].hex(" "))
        if end - at < _MBAP + size:
            break
        pdu = data[at + _MBAP + 1 : at + _MBAP + size]
        frames.append(Frame(data[at + _MBAP], int.from_bytes(data[at : at + 2]), pdu))
        at += _MBAP + size
    return frames, at


class Owed:
    """Answers that may still come, of each unit, in the order they were asked for.

    A device answers in order. So an answer of a shape that no older question has proves that the older ones are past;
    and a question whose answer would look like an older one must not be asked before that. A box between TCP and a
    serial line (`mixing`) may give any unit's answer as any other's; what has passed there is over for all units.
    """

    def __init__(self, mixing: bool) -> None:
        self._shapes: dict[int, list[Shape]] = {}
        self._box = (_BOX,) if mixing else ()

    def by(self, unit: int) -> list[Shape]:
        """What may come as an answer of `unit`."""
        if not self._shapes:
            return []
        return [shape for ower in (unit, *self._box) for shape in self._shapes.get(ower, ())]

    def lost(self, unit: int, shape: Shape) -> None:
        """A question of this shape had no answer."""
        for ower in (unit, *self._box):
            shapes = self._shapes.setdefault(ower, [])
            if len(shapes) < _REMEMBERED or shape not in shapes:
                shapes.append(shape)

    def came(self, unit: int, shape: Shape) -> None:
        """An answer of this shape: the oldest such question is past, and all before it."""
        for ower in (unit, *self._box):
            shapes = self._shapes.get(ower, [])
            if shape in shapes:
                del shapes[: shapes.index(shape) + 1]
                if not shapes:
                    del self._shapes[ower]

    def settled(self, unit: int) -> None:
        """An answer that could be to nothing but the last question: all older ones are past."""
        for ower in (unit, *self._box):
            self._shapes.pop(ower, None)
