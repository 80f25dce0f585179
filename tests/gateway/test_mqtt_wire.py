"""Packets in and out: however a stream arrives, the same packets come out; PUBLISH as a broker reads it."""

from hypothesis import given
from hypothesis import strategies as st

from gateway import mqtt_wire
from tests.fake_broker import Publish, read_publish


def encode_length(length: int) -> bytes:
    """Variable Byte Integer, MQTT 5.0 section 1.5.5, as its pseudo code has it."""
    out = bytearray()
    while True:
        byte, length = length % 128, length // 128
        out.append(byte | (128 if length else 0))
        if not length:
            return bytes(out)


bodies = st.one_of(st.binary(max_size=200), st.integers(0, 40_000).map(bytes))
packets = st.tuples(st.integers(0, 255), bodies).map(lambda p: bytes([p[0]]) + encode_length(len(p[1])) + p[1])


@given(st.lists(packets, max_size=5), st.lists(st.integers(1, 300), max_size=30))
def test_any_cut_of_the_stream_gives_the_same_packets(sent: list[bytes], pieces: list[int]) -> None:
    stream, got, left = b"".join(sent), [], b""
    for size in [*pieces, len(stream)]:
        piece, stream = stream[:size], stream[size:]
        whole, left = mqtt_wire.cut(left + piece)
        got += whole
    assert [packet for packet, _ in got] == sent
    assert left == b""
    for packet, begin in got:
        assert packet[1:begin] == encode_length(len(packet) - begin)


@given(st.binary(max_size=40))
def test_no_bytes_are_lost_or_made_up(data: bytes) -> None:
    whole, left = mqtt_wire.cut(data)
    assert b"".join(packet for packet, _ in whole) + left == data


def test_length_boundaries_of_the_specification() -> None:
    # MQTT 5.0 table 1-1: the smallest and largest value of one, two, three and four bytes
    table = [
        (0, "00"),
        (127, "7F"),
        (128, "8001"),
        (16_383, "FF7F"),
        (16_384, "808001"),
        (2_097_151, "FFFF7F"),
        (2_097_152, "80808001"),
    ]
    for length, digits in table:
        packet = b"\xd0" + bytes.fromhex(digits) + bytes(length)
        assert mqtt_wire.cut(packet + b"\xe0") == ([(packet, 1 + len(digits) // 2)], b"\xe0")
        assert mqtt_wire.cut(packet[:-1]) == ([], packet[:-1])
    largest = b"\x30\xff\xff\xff\x7f"
    assert mqtt_wire.cut(largest) == ([], largest)


def test_a_fifth_length_byte_is_handed_on_as_it_is() -> None:
    malformed = b"\x30\xff\xff\xff\xff\x01"
    assert mqtt_wire.cut(malformed[:5]) == ([], malformed[:5])
    assert mqtt_wire.cut(malformed)[0][0][0] == malformed


def test_puback_with_and_without_a_code_and_with_properties() -> None:
    # MQTT 5.0 section 3.4: the code may be left out for success; a reason string (0x1F) may follow it
    assert mqtt_wire.acknowledged(b"\x40\x02\x12\x34", 2) == (0x1234, 0)
    assert mqtt_wire.acknowledged(b"\x40\x03\x12\x34\x97", 2) == (0x1234, 0x97)
    reason = b"\x1f\x00\x80" + b"x" * 128
    body = b"\x12\x34\x87" + encode_length(len(reason)) + reason
    ((packet, begin),) = mqtt_wire.cut(b"\x40" + encode_length(len(body)) + body)[0]
    assert mqtt_wire.acknowledged(packet, begin) == (0x1234, 0x87)


@given(
    topic=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="+#\0"), min_size=1, max_size=200),
    payload=st.one_of(st.binary(max_size=200), st.integers(0, 2_200_000).map(bytes)),
    retain=st.booleans(),
    id_=st.integers(0, 65_535),
    level=st.sampled_from([4, 5]),
)
def test_publish_is_what_a_broker_reads(topic: str, payload: bytes, retain: bool, id_: int, level: int) -> None:
    packet = mqtt_wire.publish(topic, payload, retain, id_, b"\0" if level == 5 else b"")
    (got, begin), *more = mqtt_wire.cut(packet)[0]
    assert (got, more) == (packet, [])
    assert packet[0] & 0xF0 == 0x30
    expected = Publish(id_, topic, payload, qos=1 if id_ else 0, retain=retain, dup=False)
    assert read_publish(packet[0], packet[begin:], level) == expected


def test_publish_as_in_the_specification() -> None:
    # MQTT 3.1.1 section 3.3.2, figure 3.11: topic a/b, packet id 10
    assert mqtt_wire.publish("a/b", b"", False, 10, b"") == bytes.fromhex("32 07 0003 612f62 000a")
    assert mqtt_wire.publish("a/b", b"", False, 10, b"\0") == bytes.fromhex("32 08 0003 612f62 000a 00")
    assert mqtt_wire.publish("a/b", b"x", True, 0, b"\0") == bytes.fromhex("31 07 0003 612f62 00 78")
