"""A Modbus RTU answer checked: unit, function, byte count, checksum (Modbus over Serial Line V1.02, section 2.5)."""

from dataclasses import dataclass

from gateway import MODBUS_EXCEPTIONS, DecodeError, Table

READS: dict[int, Table] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}  # function code -> table


def _checksum_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CHECKSUMS = _checksum_table()


def checksum(data: bytes) -> int:
    """CRC-16/MODBUS of `data`; it stands behind them with its low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CHECKSUMS[(crc ^ byte) & 0xFF]
    return crc


def has_checksum(data: bytes) -> bool:
    """Whether the last two bytes are the checksum of those before: the mark of a whole RTU frame."""
    return len(data) > 2 and checksum(data[:-2]) == int.from_bytes(data[-2:], "little")


@dataclass(frozen=True)
class Answer:
    """The answer to a read: `data` are the bytes of the registers or bits, high byte first as on the wire."""

    unit_id: int
    function: int
    data: bytes

    @property
    def table(self) -> Table:
        """What was read."""
        return READS[self.function]


def parse_answer(frame: bytes) -> Answer:
    """The answer to a read (functions 1 to 4). Raises DecodeError for every other frame and for broken ones."""
    if len(frame) < 5:
        raise DecodeError(f"{len(frame)} bytes are no Modbus RTU answer; the shortest has 5")
    if not has_checksum(frame):
        right = checksum(frame[:-2]).to_bytes(2, "little").hex()
        raise DecodeError(f"checksum {frame[-2:].hex()} is wrong, of these bytes it is {right}")
    unit_id, function, size = frame[:3]
    if function & 0x80:
        code = frame[2]
        name = MODBUS_EXCEPTIONS.get(code, "unknown")
        raise DecodeError(f"the device refuses function {function & 0x7F}: Modbus exception {code} ({name})")
    if function not in READS:
        raise DecodeError(f"function {function} is not a read; reads are 1 to 4")
    if size != len(frame) - 5:
        raise DecodeError(f"byte count {size}, but {len(frame) - 5} data bytes")
    return Answer(unit_id, function, frame[3:-2])
