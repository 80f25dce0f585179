"""RTU frames of answers: the specification's checksum, and every way a frame can be wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs.modbus_frame import checksum, has_checksum, parse_answer
from gateway import DecodeError


def checksum_by_the_book(data: bytes) -> int:
    """Modbus over Serial Line V1.02, 6.2.2: the bitwise procedure."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            lowest = register & 1
            register >>= 1
            if lowest:
                register ^= 0xA001
    return register


def framed(body: str) -> bytes:
    data = bytes.fromhex(body)
    return data + checksum_by_the_book(data).to_bytes(2, "little")


@given(st.binary(max_size=256))
def test_checksum(data: bytes) -> None:
    assert checksum(data) == checksum_by_the_book(data)
    assert has_checksum(data + checksum_by_the_book(data).to_bytes(2, "little")) == bool(data)


def test_published_frames() -> None:
    assert checksum(bytes.fromhex("0207")) == 0x1241  # Modbus over Serial Line V1.02, 6.2.2: the example
    answer = parse_answer(bytes.fromhex("010404436633341b38"))  # Eastron SDM630 document V1.8
    assert (answer.unit_id, answer.function, answer.table, answer.data.hex()) == (1, 4, "input", "43663334")


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (b"\x01\x04\x00", "3 bytes are no Modbus RTU answer; the shortest has 5"),
        (bytes.fromhex("010404436633341b39"), "checksum 1b39 is wrong, of these bytes it is 1b38"),
        (bytes.fromhex("0190018dc0"), "the device refuses function 16: Modbus exception 1 (illegal function)"),
        (
            framed("01840b"),
            "the device refuses function 4: Modbus exception 11 (gateway target device failed to respond)",
        ),
        (framed("018463"), "the device refuses function 4: Modbus exception 99 (unknown)"),
        (framed("010600000001"), "function 6 is not a read; reads are 1 to 4"),
        (framed("01040443663300"), None),
        (framed("0104024366330000"), "byte count 2, but 5 data bytes"),
    ],
)
def test_what_is_refused(frame: bytes, text: str | None) -> None:
    if text is None:
        assert parse_answer(frame).data == frame[3:-2]
        return
    with pytest.raises(DecodeError) as caught:
        parse_answer(frame)
    assert str(caught.value) == text


@given(st.binary(max_size=40))
def test_any_bytes_are_an_answer_or_refused(data: bytes) -> None:
    for frame in (data, data + checksum_by_the_book(data).to_bytes(2, "little")):
        try:
            answer = parse_answer(frame)
        except DecodeError:
            continue
        assert frame == framed(f"{answer.unit_id:02x}{answer.function:02x}{len(answer.data):02x}{answer.data.hex()}")
