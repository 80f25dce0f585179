"""Checksums against the check values of their catalogues and frames of real devices."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.links.checksums import checksum, holds, size
from gateway.links.framing import Checksum
from tests.examples import examples

CHECK = b"123456789"  # what catalogues of CRC algorithms state the `check` of


@pytest.mark.parametrize(("kind", "number"), [("crc16_arc", 0xBB3D), ("crc16_modbus", 0x4B37), ("crc16_x25", 0x906E)])
def test_check_values(kind: Checksum, number: int) -> None:
    assert checksum(kind, CHECK) == number


def bitwise(polynomial: int, start: int, out: int) -> Callable[[bytes], int]:
    """A CRC with the lowest bit first, bit by bit as standards describe it."""

    def crc(data: bytes) -> int:
        found = start
        for byte in data:
            found ^= byte
            for _ in range(8):
                found = found >> 1 ^ (polynomial if found & 1 else 0)
        return found ^ out

    return crc


@examples(60)
@given(st.binary(max_size=64))
def test_bit_by_bit(data: bytes) -> None:
    assert checksum("crc16_modbus", data) == bitwise(0xA001, 0xFFFF, 0)(data)
    assert checksum("crc16_arc", data) == bitwise(0xA001, 0, 0)(data)
    assert checksum("crc16_x25", data) == bitwise(0x8408, 0xFFFF, 0xFFFF)(data)


REAL: list[tuple[Checksum, str, str]] = [
    ("sum8", "0600060058d9", "3d"),  # SDS011, PyPMS tests/captured_data/SDS01x.hexdump
    ("sum16", "424d001c00000008000800000008000800d20046002d001e000000009700", "02c5"),  # PMS5003, the same collection
    ("twos", "86027c42000000", "ba"),  # MH-Z19B, the same collection
    ("inverted", "00030028", "d4"),  # SPS30 data sheet, section 4: sum of address, command, length and data, inverted
]


@pytest.mark.parametrize(("kind", "data", "told"), REAL)
def test_real_frames(kind: Checksum, data: str, told: str) -> None:
    assert holds(kind, bytes.fromhex(data), bytes.fromhex(told))
    assert not holds(kind, bytes.fromhex(data), bytes.fromhex("00" * size(kind)))


def test_hexadecimal_ones() -> None:
    sentence = b"GPGLL,4916.45,N,12311.12,W,225444,A"  # NMEA 0183, checksum 31
    assert holds("xor_hex", sentence, b"31")
    assert not holds("xor_hex", sentence, b"32")
    assert holds("crc16_arc", CHECK, b"bb3D")
    assert not holds("crc16_arc", CHECK, b"BB3")
    assert not holds("crc16_arc", CHECK, b"+B3D")
    assert not holds("crc16_arc", b"", b"")
    assert holds("crc16_arc", b"", b"0")


def test_a_checksum_that_is_cut_off_does_not_hold() -> None:
    assert not holds("sum16", b"\x01\x02", b"\x00")
    assert not holds("sum8", b"", b"")
