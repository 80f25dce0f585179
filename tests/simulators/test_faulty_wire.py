"""What each fault does on real pseudo-terminals and sockets, byte for byte, and what is recorded as given."""

import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from wires import H, Port, Record, asked, connection, mbap, on_wire, rtu, terminal

from simulators.conversation import Stations
from simulators.faults import parse_fault
from simulators.modbus_slave import crc16
from simulators.wire import pseudo_terminal, tcp_port

SENSOR = {"temperature": "30.5", "humidity": "54.6"}
BOTH, BOTH_TOLD = "04 0001 0002", "04 04 0131 0222"
WARM, WARM_TOLD = "04 0001 0001", "04 02 0131"
DAMP, DAMP_TOLD = "04 0002 0001", "04 02 0222"
WARM_GIVEN, DAMP_GIVEN = (1, "temperature", "30.5"), (1, "humidity", "54.6")


def sensor(*faults: str) -> tuple[dict[int, object], Record]:
    stations = on_wire("xy_md02", *faults, **SENSOR)
    record = Record()
    stations[1].truth = record
    return stations, record


@asynccontextmanager
async def open_port(stations: Stations, wire: str = "pty") -> AsyncIterator[Port]:
    """A client of `stations`: on a pseudo-terminal, over Modbus TCP, or RTU over TCP."""
    async with AsyncExitStack() as stack:
        if wire == "pty":
            yield await stack.enter_async_context(terminal(await stack.enter_async_context(pseudo_terminal(stations))))
        else:
            url = await stack.enter_async_context(tcp_port(stations, rtu=wire == "rtu"))
            yield await stack.enter_async_context(connection(url))


@pytest.mark.parametrize("wire", ["pty", "rtu"])
async def test_mute_for_some_requests(wire: str) -> None:
    stations, record = sensor("mute after 1 for 2")
    async with open_port(stations, wire) as port:
        for pdu in (WARM, DAMP, DAMP, BOTH):
            port.write(rtu(pdu))
        assert await port.read(7 + 9) == rtu(WARM_TOLD) + rtu(BOTH_TOLD)
    assert record.given == [WARM_GIVEN, WARM_GIVEN, DAMP_GIVEN]
    assert stations[1].asked == 4


async def test_a_fault_may_come_and_go_at_any_time() -> None:
    stations, _ = sensor()
    async with open_port(stations) as port:
        port.write(rtu(WARM))
        await port.read(7)
        stations[1].faults.append(parse_fault("exception 6"))
        port.write(rtu(WARM))
        assert await port.read(5) == rtu("84 06")
        stations[1].faults.clear()
        port.write(rtu(DAMP))
        assert await port.read(7) == rtu(DAMP_TOLD)


@pytest.mark.parametrize("wire", ["pty", "rtu"])
async def test_late_by_one_request(wire: str) -> None:
    stations, record = sensor("late one")
    async with open_port(stations, wire) as port:
        port.write(rtu(WARM))
        port.write(rtu(BOTH))
        assert await port.read(7) == rtu(WARM_TOLD)
        assert record.given == [WARM_GIVEN]
        port.write(rtu(DAMP))
        assert await port.read(9) == rtu(BOTH_TOLD)
        stations[1].faults.clear()
        port.write(rtu(WARM))
        assert await port.read(7 + 7) == rtu(DAMP_TOLD) + rtu(WARM_TOLD)  # the last one late, then its own at once
    assert record.given == [WARM_GIVEN, WARM_GIVEN, DAMP_GIVEN, DAMP_GIVEN, WARM_GIVEN]


async def test_late_by_one_request_keeps_its_transaction() -> None:
    stations, _ = sensor("late one every 2")
    async with open_port(stations, "tcp") as port:
        port.write(mbap(1, WARM) + mbap(2, DAMP) + mbap(3, BOTH))
        assert await port.read(11 + 11 + 13) == mbap(1, WARM_TOLD) + mbap(2, DAMP_TOLD) + mbap(3, BOTH_TOLD)
        port.write(mbap(4, WARM) + mbap(5, BOTH, unit_id=9))  # on a wire, the next request may be for another
        assert await port.read(11 + 9) == mbap(4, WARM_TOLD) + mbap(5, "84 0B", unit_id=9)


async def test_stale_answers_come_under_the_next_transaction() -> None:
    stations, record = sensor("stale")
    async with open_port(stations, "tcp") as port:
        port.write(mbap(1, WARM) + mbap(2, DAMP) + mbap(3, DAMP))
        assert await port.read(22) == mbap(2, WARM_TOLD) + mbap(3, DAMP_TOLD)
        stations[1].faults.clear()
        port.write(mbap(4, BOTH) + mbap(5, BOTH))
        assert await port.read(11 + 13) == mbap(4, DAMP_TOLD) + mbap(5, BOTH_TOLD)  # one request, one answer
    assert record.given == [WARM_GIVEN, DAMP_GIVEN, DAMP_GIVEN, WARM_GIVEN, DAMP_GIVEN]  # as what was asked then


async def test_a_confused_box_stays_confused_when_the_client_comes_again() -> None:
    stations, _ = sensor("stale for 1")
    async with tcp_port(stations) as url:
        async with connection(url) as port:
            port.write(mbap(1, WARM))
            await asked(stations[1], 1)
        async with connection(url) as port:
            port.write(mbap(1, DAMP) + mbap(2, DAMP))
            assert await port.read(22) == mbap(1, WARM_TOLD) + mbap(2, DAMP_TOLD)


@pytest.mark.parametrize("wire", ["pty", "rtu"])
async def test_wrong_checksum(wire: str) -> None:
    stations, record = sensor("crc")
    right, bits = rtu(BOTH_TOLD), set()
    async with open_port(stations, wire) as port:
        for _ in range(200):
            port.write(rtu(BOTH))
            frame = await port.read(9)
            assert crc16(frame[:-2]) != frame[-2:]
            bits.add(int.from_bytes(frame) ^ int.from_bytes(right))
    assert all(turned.bit_count() == 1 for turned in bits)
    assert len(bits) > 36  # of 72: anywhere in the frame
    assert record.given == []


@pytest.mark.parametrize(
    ("question", "told"),
    [(BOTH, "04 02 0222"), (WARM, "04 00"), ("03 0101 0004", "03 06 2580 0000 0000"), ("04 0000 0002", "84 02")],
)
async def test_short_answers_are_right_in_themselves(question: str, told: str) -> None:
    stations, record = sensor("short")
    async with open_port(stations) as port:
        port.write(rtu(question))
        assert await port.read(len(rtu(told))) == rtu(told)
    async with open_port(stations, "tcp") as port:
        port.write(mbap(5, question))
        assert await port.read(len(mbap(5, told))) == mbap(5, told)
    assert record.given == []


async def test_short_answers_of_bits() -> None:
    async with open_port(on_wire("registers", "short", count="20")) as port:
        port.write(rtu("01 0000 0014"))
        assert await port.read(7) == rtu("01 02 9204")  # eight coils less


def between(stream: bytes, frame: bytes) -> list[bytes]:
    """What came between frames that were right."""
    return [piece for piece in stream.split(frame) if piece]


@pytest.mark.parametrize("wire", ["pty", "tcp"])
async def test_cut(wire: str) -> None:
    stations, record = sensor("cut every 2")
    question, told = (rtu(BOTH), rtu(BOTH_TOLD)) if wire == "pty" else (mbap(7, BOTH), mbap(7, BOTH_TOLD))
    async with open_port(stations, wire) as port:
        port.write(question * 201)
        cut = between(await port.until(told, 101), told)
    assert len(cut) == 100
    assert all(told.startswith(piece) for piece in cut)
    assert {len(piece) for piece in cut} == set(range(1, len(told)))
    assert record.given == [WARM_GIVEN, DAMP_GIVEN] * 101


@pytest.mark.parametrize("wire", ["rtu", "tcp"])
async def test_noise_before_or_after_an_answer(wire: str) -> None:
    stations, record = sensor()
    question, told = (rtu(BOTH), rtu(BOTH_TOLD)) if wire == "rtu" else (mbap(7, BOTH), mbap(7, BOTH_TOLD))
    before, after = set(), set()
    async with tcp_port(stations, rtu=wire == "rtu") as url:
        for _ in range(40):
            stations[1].faults[:] = [parse_fault("noise for 1"), parse_fault("drop after 1")]
            async with connection(url) as port:
                port.write(question * 2)
                heard = await port.rest()
            first, _, last = heard.partition(told)
            assert 1 <= len(first + last) <= 8
            assert not (first and last)
            before.add(first)
            after.add(last)
    assert min(len(before), len(after)) > 5
    assert record.given == [WARM_GIVEN, DAMP_GIVEN] * 40


async def test_an_answer_of_another_unit() -> None:
    stations, record = sensor("foreign every 2")
    stations |= on_wire("xy_md02", unit_id=7)
    async with open_port(stations) as port:
        port.write(rtu(BOTH) * 2)
        assert await port.read(9) == rtu(BOTH_TOLD)
        theirs = await port.read(9)
        assert (theirs[:3], theirs[-2:]) == (H("070404"), crc16(theirs[:-2]))
        assert theirs[3:7] != rtu(BOTH_TOLD)[3:7]
        stations[1].faults[:] = [parse_fault("foreign first"), parse_fault("exception 4 every 2")]
        port.write(rtu(BOTH) * 2)
        theirs = await port.read(9)
        assert (theirs[:3], theirs[-2:]) == (H("070404"), crc16(theirs[:-2]))
        assert await port.read(9 + 5 + 5) == rtu(BOTH_TOLD) + rtu("84 04", unit_id=7) + rtu("84 04")
    assert record.given == [WARM_GIVEN, DAMP_GIVEN] * 2


async def test_an_answer_of_a_unit_that_is_not_there_over_tcp() -> None:
    stations, _ = sensor("foreign")
    async with open_port(stations, "tcp") as port:
        port.write(mbap(3, BOTH))
        transaction, protocol, length, unit_id, function, count = struct.unpack(">HHHBBB4x", await port.read(13))
        assert (transaction, protocol, length, function, count) == (3, 0, 7, 4, 4)
        assert unit_id != 1


@pytest.mark.parametrize(
    ("fault", "question", "told"),
    [
        ("illegal 2", WARM, WARM_TOLD),
        ("illegal 2", DAMP, "84 02"),
        ("illegal 2", BOTH, "84 02"),
        ("illegal 0x1-0x2", BOTH, "84 02"),
        ("illegal 3-65535", BOTH, BOTH_TOLD),
        ("illegal 0", BOTH, BOTH_TOLD),
        ("illegal input 1", BOTH, "84 02"),
        ("illegal holding 1", BOTH, BOTH_TOLD),
        ("illegal 1", "04 0001 007E", "84 03"),  # the specification's order: quantity before address
        ("illegal 1", "01 0001 0001", "81 01"),
        ("illegal 0x0102-0x0103", "03 0101 0001", "03 02 0001"),
        ("illegal 0x0102-0x0103", "03 0104 0001", "03 02 0000"),
        ("illegal 0x0102-0x0103", "03 0101 0002", "83 02"),
    ],
)
async def test_illegal_addresses(fault: str, question: str, told: str) -> None:
    stations, _ = sensor(fault)
    async with open_port(stations, "tcp") as port:
        port.write(mbap(1, question))
        assert await port.read(len(mbap(1, told))) == mbap(1, told)


@pytest.mark.parametrize("wire", ["tcp", "rtu"])
async def test_drop_in_mid_answer(wire: str) -> None:
    stations, record = sensor("drop mid every 2")
    question, told = (rtu(BOTH), rtu(BOTH_TOLD)) if wire == "rtu" else (mbap(7, BOTH), mbap(7, BOTH_TOLD))
    lengths = set()
    async with tcp_port(stations, rtu=wire == "rtu") as url:
        for _ in range(60):
            async with connection(url) as port:
                port.write(question * 3)
                heard = await port.rest()
                assert heard.startswith(told)
                assert (told * 2).startswith(heard)
                lengths.add(len(heard) - len(told))
    assert min(lengths) == 1
    assert max(lengths) == len(told) - 1
    assert record.given == [WARM_GIVEN, DAMP_GIVEN] * 60


async def test_a_late_answer_behind_a_box_goes_to_who_came_since() -> None:
    stations, _ = sensor("late 30ms for 1")
    async with tcp_port(stations, rtu=True) as url:
        async with connection(url) as port:
            port.write(rtu(WARM))
            await asked(stations[1], 1)
        async with connection(url) as port:
            assert await port.read(7) == rtu(WARM_TOLD)


async def test_a_late_answer_behind_a_box_goes_to_who_is_still_there() -> None:
    stations, _ = sensor("late 30ms for 1")
    async with tcp_port(stations, rtu=True) as url, connection(url) as other:
        async with connection(url) as port:
            port.write(rtu(WARM))
            await asked(stations[1], 1)
        assert await other.read(7) == rtu(WARM_TOLD)


async def test_a_late_unit_does_not_delay_another() -> None:
    stations, _ = sensor("late 50ms every 2")
    stations |= on_wire("xy_md02", unit_id=2, **SENSOR)
    async with open_port(stations) as port:
        port.write(rtu(BOTH) * 2 + rtu(WARM, 2) + rtu(DAMP, 2) + rtu(DAMP))
        ours, theirs = rtu(BOTH_TOLD), rtu(WARM_TOLD, 2) + rtu(DAMP_TOLD, 2)
        assert await port.read(len(ours + theirs)) == ours + theirs
        assert await port.read(9 + 7) == ours + rtu(DAMP_TOLD)  # its own answers keep their order


async def test_faults_mixed_with_their_share() -> None:
    """Every answer that is right in itself and its own was given; the others come as often as their share."""
    faults = ("crc 10%", "cut 10%", "foreign 10%", "short 10%", "mute 10%")
    stations, record = on_wire("registers", *faults, count="4"), Record()
    stations[1].truth = record
    async with open_port(stations) as port:
        for turn in range(400):
            port.write(rtu("03 0000 0004"))
            await asked(stations[1], turn + 1)
    struck = [fault.struck for fault in stations[1].faults]
    assert all(15 < count < 70 for count in struck), struck  # 40, standard deviation 6
    right = len(record.given) // 4
    assert 400 * 0.9**5 - 60 < right < 400 * 0.9**5 + 60  # 236, standard deviation 10
