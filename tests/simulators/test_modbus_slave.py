"""The pure slave: answers, exceptions and framing, against the specification, public captures and pymodbus."""

import struct
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from simulators.modbus_slave import FramingError, Mbap, Request, Rtu, Slave, crc16
from simulators.tables import BitTable, Quantity, RegisterTable, shortest

H = bytes.fromhex


def bits(first: int, pattern: str) -> BitTable:
    """Points from `first` on, as the specification prints them: bytes of "7 6 5 4 3 2 1 0", lowest point rightmost."""
    return BitTable([False] * first + [bit == "1" for byte in pattern.split() for bit in reversed(byte)], "p")


def words(values: dict[int, int]) -> RegisterTable:
    table = RegisterTable([Quantity(address, f"r{address}", "", "H") for address in values])
    table.set({f"r{address}": value for address, value in values.items()})
    return table


@pytest.fixture
def slave() -> Slave:
    """The device of the examples in MODBUS Application Protocol V1.1b3, sections 6.1 to 6.4."""
    return Slave(
        1,
        {
            1: bits(0x13, "11001101 01101011 101"),  # CD 6B 05
            2: bits(0xC4, "10101100 11011011 110101"),  # AC DB 35
            3: words({0x6B: 0x022B, 0x6C: 0, 0x6D: 0x0064}),
            4: words({8: 0x000A, 20: 1, 21: 2, 23: 3}),
        },
    )


@pytest.mark.parametrize(
    ("request_pdu", "answer"),
    [
        ("01 0013 0013", "01 03 CD6B05"),
        ("02 00C4 0016", "02 03 ACDB35"),
        ("03 006B 0003", "03 06 022B 0000 0064"),
        ("04 0008 0001", "04 02 000A"),
    ],
)
def test_examples_of_the_specification(slave: Slave, request_pdu: str, answer: str) -> None:
    assert slave.answer(H(request_pdu), 0) == H(answer)


@pytest.mark.parametrize(
    ("request_pdu", "answer"),
    [
        ("05 00AC FF00", "85 01"),  # writes are not supported
        ("06 0001 0003", "86 01"),
        ("0F 0013 000A 02 CD01", "8F 01"),
        ("10 0001 0002 04 000A 0102", "90 01"),
        ("2B 0E 01 00", "AB 01"),
        ("01 0000 0000", "81 03"),  # nothing asked
        ("03 006B 0000", "83 03"),
        ("01 0000 07D1", "81 03"),  # 2001 bits
        ("02 0000 FFFF", "82 03"),
        ("03 0000 007E", "83 03"),  # 126 registers
        ("04 0008 FFFF", "84 03"),
        ("03 006B 00", "83 03"),  # not a whole request
        ("03 006B 0001 00", "83 03"),
        ("03", "83 03"),
        ("01 0013 001C", "81 02"),  # runs past the last point
        ("02 FFFF 0001", "82 02"),
        ("03 006A 0001", "83 02"),  # before, after, beyond
        ("03 006B 0004", "83 02"),
        ("03 FFFF 0002", "83 02"),
        ("04 0014 0004", "84 02"),  # 20, 21, gap, 23
        ("04 0016 0001", "84 02"),
    ],
)
def test_refusals(slave: Slave, request_pdu: str, answer: str) -> None:
    assert slave.answer(H(request_pdu), 0) == H(answer)


def test_a_device_may_take_shorter_reads_only() -> None:
    slave = Slave(1, {3: words(dict.fromkeys(range(100), 7))}, max_registers=80)
    assert len(slave.answer(H("03 0000 0050"), 0)) == 2 + 160
    assert slave.answer(H("03 0000 0051"), 0) == H("83 03")


def test_longest_reads() -> None:
    slave = Slave(1, {1: BitTable([True] * 2000, "p"), 3: words(dict.fromkeys(range(125), 0xABCD))})
    assert slave.answer(H("01 0000 07D0"), 0) == H("01 FA") + b"\xff" * 250
    assert slave.answer(H("03 0000 007D"), 0) == H("03 FA") + H("ABCD") * 125


def test_half_a_quantity_is_refused() -> None:
    slave = Slave(1, {4: RegisterTable([Quantity(0, "a"), Quantity(2, "b")])})
    assert slave.answer(H("04 0000 0004"), 0) == H("04 08") + bytes(8)
    for pdu in ("04 0001 0002", "04 0000 0001", "04 0000 0003", "04 0001 0003"):
        assert slave.answer(H(pdu), 0) == H("84 02")


def test_measures_before_the_first_answer_and_once_a_period() -> None:
    seen: list[float] = []
    slave = Slave(1, {3: words({0: 1})}, measure=seen.append, period=0.5)
    for now in (100.0, 100.1, 100.5, 100.9, 102.0):
        slave.answer(H("03 0000 0001"), now)
    assert seen == [0.0, 0.5, 1.5]


def test_given_tells_what_the_bytes_say() -> None:
    table = RegisterTable([Quantity(1, "temperature", "Cel", "h", 10), Quantity(2, "humidity", "%RH", "H", 10)])
    slave = Slave(1, {1: bits(0, "101"), 4: table})
    request, answer = H("04 0001 0002"), H("04 04 FF33 0222")  # XY-MD02 manual
    assert list(slave.given(request, answer)) == [("temperature", "Cel", "-20.5"), ("humidity", "%RH", "54.6")]
    assert list(slave.given(H("04 0002 0001"), H("04 02 0222"))) == [("humidity", "%RH", "54.6")]
    assert list(slave.given(H("01 0000 0003"), H("01 01 05"))) == [
        ("p0", "", "true"),
        ("p1", "", "false"),
        ("p2", "", "true"),
    ]
    assert list(slave.given(request, H("84 02"))) == []


def test_a_value_its_register_cannot_hold() -> None:
    table = RegisterTable([Quantity(0, "a", "", "h", 10), Quantity(1, "b")])
    table.set({"a": -3276.8, "b": 1.0})
    with pytest.raises(ValueError, match=r"a cannot be 3276\.8"):
        table.set({"a": 3276.8, "b": 1.0})
    with pytest.raises(ValueError, match=r"b cannot be 1e\+39"):
        table.set({"a": 0, "b": 1e39})


# Frames that others published: Eastron SDM630 V2 protocol document 3.8 to 3.12; XY-MD02 manual; traffic logs in
# volkszaehler/mbmd issues 63 and 89, ioBroker.modbus issue 286, gosdm630 pull request 122; wb-mqtt-serial; novabo.com
FRAMES = """
    01040000000271cb 010404436633341b38 010300000002c40b 0103043f800000f7cf 011000020002044270000067d5
    011000020002e008 0190018dc0 01080000aa555e94 010400010001600a 01040201317974 010400010002200b
    010404013102222ace 0104044367af55e210 010400380002f006 01040441fc7109cbde 010400ea0002503f
    0104043fe3c96191de 010304091b000089a8 01030201b3f861 0103027fffd834 01010102d049 ff02010151a0
    ff02000000086c12 0103020015798b 0104020066391a
"""


@pytest.mark.parametrize("text", FRAMES.split())
def test_crc_of_published_frames(text: str) -> None:
    frame = H(text)
    assert crc16(frame[:-2]) == frame[-2:]


@given(st.binary(max_size=260))
def test_crc_is_that_of_pymodbus(data: bytes) -> None:
    assert crc16(data) == struct.pack(">H", FramerRTU.compute_CRC(data))


def rtu(unit_id: int, pdu: bytes) -> bytes:
    return bytes((unit_id,)) + pdu + crc16(bytes((unit_id,)) + pdu)


def mbap(transaction: int, unit_id: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit_id) + pdu


def test_mbap_example_of_the_implementation_guide() -> None:
    # MODBUS Messaging on TCP/IP V1.0b, section 4.4.2.1: read register 5 of unit FF, transaction 15 01
    requests, rest = Mbap().split(H("1501 0000 0006 FF 03 0004 0001"))
    assert (requests, rest) == ([Request(0xFF, H("03 0004 0001"), 0x1501)], b"")
    assert Mbap().join(requests[0], H("03 02 0005")) == H("1501 0000 0005 FF 03 02 0005")


READS = st.builds(
    lambda function, address, count: struct.pack(">BHH", function, address, count),
    st.integers(1, 4),
    st.integers(0, 65535),
    st.integers(0, 65535),
)
WRITES = st.binary(min_size=1, max_size=246).map(lambda data: struct.pack(">BHHB", 16, 0, 1, len(data)) + data)
PDUS = st.lists(st.tuples(st.integers(0, 255), READS | WRITES), max_size=5)


def feed(framing: Mbap | Rtu, stream: bytes, cuts: list[int]) -> tuple[list[Request], bytes]:
    requests, rest = [], b""
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, stop in pairwise(edges):
        found, rest = framing.split(rest + stream[start:stop])
        requests += found
    return requests, rest


@settings(max_examples=50)
@given(PDUS, st.lists(st.integers(0, 2000), max_size=8))
def test_requests_in_pieces_and_joined(pdus: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(mbap(number, unit, pdu) for number, (unit, pdu) in enumerate(pdus))
    requests = [Request(unit, pdu, number) for number, (unit, pdu) in enumerate(pdus)]
    assert feed(Mbap(), stream, cuts) == (requests, b"")
    stream = b"".join(rtu(unit, pdu) for unit, pdu in pdus)
    assert feed(Rtu(), stream, cuts) == ([Request(unit, pdu) for unit, pdu in pdus], b"")


@settings(max_examples=100)
@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    requests, rest = Rtu().split(data)
    assert len(rest) < 256 + 11 or not rest
    with suppress(FramingError):
        requests += Mbap().split(data)[0]
    slave = Slave(1, {3: words({0: 1})})
    for request in requests:
        assert slave.answer(request.pdu, 0)


@pytest.mark.parametrize("header", ["0001 0001 0006 01", "0001 0000 0001 01", "0001 0000 00FF 01", "0001 0000 0000 01"])
def test_what_cannot_be_mbap(header: str) -> None:
    with pytest.raises(FramingError):
        Mbap().split(H(header) + H("03 0000 0001"))


def test_rtu_drops_a_bad_frame_and_what_came_with_it() -> None:
    good, bad = rtu(1, H("03 0000 0001")), bytearray(rtu(1, H("03 0000 0001")))
    bad[-1] ^= 1
    assert Rtu().split(good + bytes(bad) + good) == ([Request(1, H("03 0000 0001"))], b"")
    assert Rtu().split(good) == ([Request(1, H("03 0000 0001"))], b"")


@pytest.mark.parametrize(
    "pdu", ["07", "08 0000 AA55", "0B", "11", "16 0004 00F2 0025", "17 0003 0006 000E 0001 02 00FF", "2B 0E 01 00"]
)
def test_rtu_length_of_other_functions(pdu: str) -> None:
    assert Rtu().split(rtu(5, H(pdu))) == ([Request(5, H(pdu))], b"")


def test_strangers() -> None:
    request = Request(9, H("03 0000 0001"), 7)
    assert Rtu().stranger(request) is None
    assert Mbap().stranger(request) == H("83 0B")


@given(st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False))
def test_shortest_reads_back_and_one_digit_less_does_not(value: float) -> None:
    text = shortest(value)
    wire = struct.pack(">f", value)
    assert struct.pack(">f", float(text)) == wire
    digits = len(text.partition("e")[0].replace(".", "").replace("-", "").strip("0"))
    if digits > 1:
        assert struct.pack(">f", float(f"{value:.{digits - 1}g}")) != wire


@pytest.mark.parametrize(("wire", "text"), [("43663333", "230.2"), ("43708000", "240.5"), ("80000000", "-0")])
def test_shortest(wire: str, text: str) -> None:
    assert shortest(struct.unpack(">f", H(wire))[0]) == text
