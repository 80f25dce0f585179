"""Checksums of serial frames: what a device computes over its bytes, and whether what stands there is that."""

from binascii import crc_hqx
from collections.abc import Callable

from gateway.links.framing import Checksum


def _table(polynomial: int) -> tuple[int, ...]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (polynomial if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_A001 = _table(0xA001)  # 0x8005, lowest bit first
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _crc_a001(data: bytes, crc: int) -> int:
    table = _A001
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


def _crc_x25(data: bytes) -> int:
    """CRC-16/X-25 (ITU-T V.42, 8.1.1.6.1) by way of the one of the standard library, whose bits run the other way."""
    crc = crc_hqx(data.translate(_MIRRORED), 0xFFFF)
    return (_MIRRORED[crc & 0xFF] << 8 | _MIRRORED[crc >> 8]) ^ 0xFFFF


def _xor(data: bytes) -> int:
    found = 0
    for byte in data:
        found ^= byte
    return found


_NUMBER: dict[Checksum, Callable[[bytes], int]] = {
    "sum8": lambda data: sum(data) & 0xFF,
    "sum16": lambda data: sum(data) & 0xFFFF,
    "twos": lambda data: -sum(data) & 0xFF,
    "inverted": lambda data: ~sum(data) & 0xFF,
    "xor_hex": _xor,
    "crc16_modbus": lambda data: _crc_a001(data, 0xFFFF),
    "crc16_arc": lambda data: _crc_a001(data, 0),
    "crc16_x25": _crc_x25,
}
_SIZE: dict[Checksum, int] = {"sum16": 2, "xor_hex": 2, "crc16_modbus": 2, "crc16_arc": 4, "crc16_x25": 2}  # else 1
_HIGH_FIRST = ("sum16",)
_DIGITS = ("xor_hex", "crc16_arc")


def checksum(kind: Checksum, data: bytes) -> int:
    """The checksum of `data` as a number."""
    return _NUMBER[kind](data)


def size(kind: Checksum) -> int:
    """Bytes (of the hexadecimal ones: digits at most) the checksum takes on the wire."""
    return _SIZE.get(kind, 1)


def holds(kind: Checksum, data: bytes, told: bytes) -> bool:
    """Whether `told`, the bytes where the checksum stands, is the checksum of `data`.

    Hexadecimal ones may have small letters, and may lack leading zeros where fewer bytes than `size` are told.
    """
    if kind in _DIGITS:
        return told.isalnum() and told.isascii() and _hexadecimal(told) == checksum(kind, data)
    return told == checksum(kind, data).to_bytes(size(kind), "big" if kind in _HIGH_FIRST else "little")


def _hexadecimal(digits: bytes) -> int | None:
    try:
        return int(digits, 16)
    except ValueError:
        return None
