"""A Modbus slave: request in, answer out, and the two ways to frame them. Pure bytes, no wire, no clock.

Source: MODBUS Application Protocol V1.1b3, MODBUS over Serial Line V1.02, MODBUS Messaging on TCP/IP V1.0b.
Addresses count from 0, as on the wire.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple, Protocol

READ_COILS, READ_DISCRETE_INPUTS, READ_HOLDING_REGISTERS, READ_INPUT_REGISTERS = 1, 2, 3, 4
ILLEGAL_FUNCTION, ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE, TARGET_FAILED_TO_RESPOND = 1, 2, 3, 0x0B
MAX_REGISTERS = 125
MAX_BITS = 2000

_READ = Struct(">BHH")
_MBAP = Struct(">HHHB")
_MBAP_SIZE = 7
_MIN_LENGTH, _MAX_LENGTH = 2, 254  # of the MBAP length field: unit id and a PDU of 1 to 253 bytes

# Whole RTU requests by function code, in bytes. Any other request is all there is up to the next silence.
_RTU_LENGTH = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 7: 4, 8: 8, 0x0B: 4, 0x0C: 4, 0x11: 4, 0x16: 10, 0x18: 6}
_RTU_COUNTED = {0x0F: 6, 0x10: 6, 0x17: 10}  # where the byte stands that counts the data bytes after it

Given = tuple[str, str, str]
"""A value as it was given on the wire: quantity name, unit, and the value as JSON text."""


class Table(Protocol):
    """One of the four tables of a device."""

    def read(self, address: int, count: int) -> bytes | None:
        """Data bytes of `count` registers or bits, or None where the device does not define every one of them."""
        ...

    def given(self, address: int, count: int, data: bytes) -> Iterable[Given]:
        """What `data`, the answer to that read, says."""
        ...


@dataclass
class Slave:
    """A device that answers reads.

    `tables` by function code (1 to 4); any other function is answered with exception 1.
    `measure(seconds)` brings the tables up to date, given the time since the call before (0 at the first). It is called
    before an answer, at most every `period` seconds, so that a poll of several blocks mostly sees one instant.
    """

    unit_id: int
    tables: Mapping[int, Table]
    max_registers: int = MAX_REGISTERS
    measure: Callable[[float], None] | None = None
    period: float = 0.1
    _measured: float | None = None

    def answer(self, pdu: bytes, now: float) -> bytes:
        """The answer to a request PDU (function code first): data or an exception. `now` is any steady clock (s).

        The order of the checks is the specification's: function, quantity, address.
        """
        function = pdu[0]
        table = self.tables.get(function)
        if table is None:
            return exception(function, ILLEGAL_FUNCTION)
        if len(pdu) != _READ.size:
            return exception(function, ILLEGAL_DATA_VALUE)
        _, address, count = _READ.unpack(pdu)
        if not 0 < count <= (MAX_BITS if function <= READ_DISCRETE_INPUTS else self.max_registers):
            return exception(function, ILLEGAL_DATA_VALUE)
        if self.measure and (self._measured is None or now - self._measured >= self.period):
            self.measure(0.0 if self._measured is None else now - self._measured)
            self._measured = now
        data = table.read(address, count)
        if data is None:
            return exception(function, ILLEGAL_DATA_ADDRESS)
        return bytes((function, len(data))) + data

    def given(self, request: bytes, answer: bytes) -> Iterable[Given]:
        """The values that `answer` to `request` tells; none for an exception."""
        if answer[0] != request[0]:
            return ()
        function, address, count = _READ.unpack(request)
        return self.tables[function].given(address, count, answer[2:])


def exception(function: int, code: int) -> bytes:
    """The PDU that refuses `function`."""
    return bytes((function | 0x80, code))


class Request(NamedTuple):
    """One framed request: to whom, what, and the transaction id its answer repeats (0 in RTU)."""

    unit_id: int
    pdu: bytes
    transaction: int = 0


class FramingError(Exception):
    """The stream cannot be MBAP, and there is no telling where the next frame begins."""


class Framing(Protocol):
    """How requests and answers lie in a stream of bytes."""

    patience: float  # seconds of silence after which half a request is forgotten

    def split(self, stream: bytes) -> tuple[list[Request], bytes]:
        """The whole requests in `stream`, and the bytes of one that has only begun."""
        ...

    def join(self, request: Request, pdu: bytes) -> bytes:
        """The frame that answers `request` with `pdu`."""
        ...

    def stranger(self, request: Request) -> bytes | None:
        """The PDU for a request to a unit that is not here; None is silence."""
        ...


class Mbap:
    """Modbus TCP: a header with transaction id, length and unit id. A unit that is not here is answered with 0x0B,
    as a gateway does for a device that does not respond."""

    patience = float("inf")

    def split(self, stream: bytes) -> tuple[list[Request], bytes]:
        """See Framing. Raises FramingError for a protocol id other than 0 or an impossible length."""
        requests: list[Request] = []
        start, end = 0, len(stream)
        while end - start > _MBAP_SIZE:
            transaction, protocol, length, unit_id = _MBAP.unpack_from(stream, start)
            if protocol or not _MIN_LENGTH <= length <= _MAX_LENGTH:
                raise FramingError
            stop = start + 6 + length
            if stop > end:
                break
            requests.append(Request(unit_id, stream[start + _MBAP_SIZE : stop], transaction))
            start = stop
        return requests, stream[start:]

    def join(self, request: Request, pdu: bytes) -> bytes:
        """See Framing."""
        return _MBAP.pack(request.transaction, 0, len(pdu) + 1, request.unit_id) + pdu

    def stranger(self, request: Request) -> bytes | None:
        """See Framing."""
        return exception(request.pdu[0], TARGET_FAILED_TO_RESPOND)


class Rtu:
    """Modbus RTU: unit id, PDU, CRC. Only the addressed unit ever answers, and nobody answers a bad CRC."""

    # 3.5 characters are 4 ms at 9600 baud; a pseudo-terminal or TCP between two busy processes needs more.
    patience = 0.1

    def split(self, stream: bytes) -> tuple[list[Request], bytes]:
        """See Framing. What cannot be a request is dropped with all that came with it, up to the next silence."""
        requests: list[Request] = []
        start, end = 0, len(stream)
        while end - start > 1:
            function = stream[start + 1]
            size = _RTU_LENGTH.get(function, end - start)
            if function in _RTU_COUNTED:
                counter = start + _RTU_COUNTED[function]
                size = (counter - start + 3 + stream[counter]) if counter < end else end - start + 1
            if size > end - start:
                break
            frame = stream[start : start + size]
            if size < 4 or crc16(frame[:-2]) != frame[-2:]:
                return requests, b""
            requests.append(Request(frame[0], frame[1:-2]))
            start += size
        return requests, stream[start:]

    def join(self, request: Request, pdu: bytes) -> bytes:
        """See Framing."""
        frame = bytes((request.unit_id,)) + pdu
        return frame + crc16(frame)

    def stranger(self, request: Request) -> bytes | None:
        """See Framing."""
        return None


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return table


_CRC_TABLE = _crc_table()


def crc16(data: bytes) -> bytes:
    """CRC-16/MODBUS of `data` as it stands in a frame, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")
