"""A line paced to its baud rate, on real pseudo-terminals and behind a TCP box, against computed wire times."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from wires import Port, Record, asked, connection, on_wire, rtu, terminal

from simulators.conversation import Stations
from simulators.faults import parse_fault
from simulators.line import Line
from simulators.wire import pseudo_terminal, tcp_port

LOOSE = 0.25  # s; what a busy machine may add
ASK = rtu("03 0000 0014")  # 20 registers: 8 characters there, 45 back


@asynccontextmanager
async def open_line(stations: Stations, line: Line) -> AsyncIterator[Port]:
    async with pseudo_terminal(stations, line=line) as path, terminal(path) as port:
        yield port


def clock() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("line", "character", "silence"),
    [
        (Line(9600), 10 / 9600, 35 / 9600),
        (Line(9600, "E"), 11 / 9600, 38.5 / 9600),
        (Line(2400, "N", 2), 11 / 2400, 38.5 / 2400),
        (Line(19200, "E"), 11 / 19200, 38.5 / 19200),
        (Line(115200), 10 / 115200, 0.00175),  # MODBUS over Serial Line V1.02, 2.5.1.1: fixed above 19200 baud
    ],
)
async def test_pace(line: Line, character: float, silence: float) -> None:
    async with open_line(on_wire("registers"), line) as port:
        start = clock()
        port.write(ASK)
        await port.read(45)
        took = clock() - start
    needs = (8 + 45) * character + silence
    assert needs <= took < needs + LOOSE
    assert line.busy == pytest.approx((8 + 45) * character)
    assert line.elapsed == pytest.approx(needs)
    assert line.silent == pytest.approx(2 * silence)
    assert (line.frames, line.collisions, line.crowded) == (2, 0, 0)


async def test_an_answer_comes_in_pieces_none_before_its_time() -> None:
    line = Line(4800)
    async with open_line(on_wire("registers"), line) as port:
        start = clock()
        port.write(ASK)
        await port.read(45)
    assert len(port.pieces) > 3
    come = 0
    for moment, count in port.pieces:
        come += count
        assert moment - start >= (8 + 3.5 + come) * line.character


async def test_a_request_in_pieces() -> None:
    line = Line(1200)
    async with open_line(on_wire("registers"), line) as port:
        start = clock()
        port.write(ASK[:5])
        await asyncio.sleep(0.005)
        port.write(ASK[5:])  # waits in the master's buffer until the first five are out, 42 ms after the start
        await port.read(45)
        assert clock() - start >= (8 + 3.5 + 45) * line.character
    assert (line.frames, line.collisions, line.crowded) == (2, 0, 0)


async def test_many_polls_are_reckoned_to_the_character() -> None:
    line = Line(38400)
    stations = on_wire("registers") | on_wire("registers", unit_id=2)
    requests = (ASK, rtu("03 0000 0001", 2), rtu("03 0000 0007", 9), rtu("83 0000 0001"))  # answers of 45, 7, 0, 5
    async with open_line(stations, line) as port:
        for _ in range(10):
            for request, answer in zip(requests, (45, 7, 0, 5), strict=True):
                port.write(request)
                await port.read(answer)
                await asyncio.sleep(line.silence if answer else 8 * line.character + line.silence + 0.02)
    assert line.busy == pytest.approx(10 * (4 * 8 + 57) * line.character)
    assert line.silent == pytest.approx(10 * 7 * line.silence)
    assert line.busy + line.silent - line.silence <= line.elapsed < line.busy + line.silent + 40 * LOOSE
    assert (line.frames, line.collisions, line.crowded) == (70, 0, 0)
    assert [station.asked for station in stations.values()] == [20, 10]
    report = line.report()
    assert report["busy_s"] == pytest.approx(line.busy, abs=1e-6)
    assert set(report) == {"busy_s", "silent_s", "elapsed_s", "frames", "collisions", "crowded"}


async def test_a_request_into_an_answer_loses_both() -> None:
    line, stations, record = Line(4800), on_wire("registers"), Record()
    stations[1].truth = record
    async with open_line(stations, line) as port:
        port.write(ASK)
        begun = await port.read(4)
        port.write(ASK)
        await asyncio.sleep((8 + 45 + 8) * line.character)
        assert (line.collisions, record.given, stations[1].asked) == (1, [], 1)
        assert line.busy == pytest.approx((8 + 45) * line.character)  # the second request went on while it was busy
        assert len(begun + port.heard) < 45
        port.heard = b""
        port.write(ASK)
        assert len(await port.read(45)) == 45
    assert (line.collisions, len(record.given), stations[1].asked) == (1, 20, 2)


async def test_a_late_answer_into_a_request_loses_both() -> None:
    line = Line(1200)
    stations = on_wire("registers", "late 200ms for 1") | on_wire("registers", unit_id=2)
    async with open_line(stations, line) as port:
        due = clock() + 11.5 * line.character + 0.2
        port.write(rtu("03 0000 0001"))
        await asyncio.sleep(due - 4 * line.character - clock())
        port.write(rtu("03 0000 0001", 2))
        await asyncio.sleep((12 + 7) * line.character)
        assert (line.collisions, port.heard) == (1, b"")
        assert [station.asked for station in stations.values()] == [1, 0]


async def test_a_late_answer_into_another_loses_both() -> None:
    line = Line(4800)
    stations = on_wire("registers", "late 120ms") | on_wire("registers", unit_id=2)
    async with open_line(stations, line) as port:
        due = clock() + 11.5 * line.character + 0.12
        port.write(ASK)
        await asyncio.sleep(due - 34 * line.character - clock())
        port.write(rtu("03 0000 0014", 2))
        await asyncio.sleep((8 + 3.5 + 2 * 45) * line.character)
        assert line.collisions == 1
        assert [station.asked for station in stations.values()] == [1, 1]
        assert len(port.heard) < 45


async def test_a_request_too_soon_after_a_frame_is_not_heard() -> None:
    line, stations = Line(600), on_wire("registers")
    async with open_line(stations, line) as port:
        port.write(rtu("03 0000 0001"))
        await port.read(7)
        port.write(rtu("03 0000 0001"))  # without the 58 ms of silence
        await asyncio.sleep((8 + 2 * 3.5) * line.character)
        assert (line.crowded, line.collisions, stations[1].asked) == (1, 0, 1)
        port.write(rtu("03 0000 0001"))
        await port.read(7)
        assert stations[1].asked == 2


async def test_a_held_answer_and_the_own_one_follow_each_other() -> None:
    line, stations = Line(9600), on_wire("xy_md02", "late one for 1", temperature="30.5", humidity="54.6")
    async with open_line(stations, line) as port:
        port.write(rtu("04 0001 0001"))
        await asked(stations[1], 1)
        start = clock()
        port.write(rtu("04 0002 0001"))
        assert await port.read(14) == rtu("04 02 0131") + rtu("04 02 0222")
        assert clock() - start >= (8 + 3.5 + 7 + 3.5 + 7) * line.character
    assert (line.frames, line.collisions, line.crowded) == (4, 0, 0)


async def test_faults_on_a_paced_line() -> None:
    line, record = Line(38400), Record()
    stations = on_wire("xy_md02", temperature="30.5", humidity="54.6")
    stations[1].truth = record
    ask, told = rtu("04 0001 0002"), rtu("04 04 0131 0222")
    async with open_line(stations, line) as port:
        for text, length in (("exception 4", 5), ("short", 7), ("crc", 9), ("foreign first", 18), ("foreign", 9)):
            stations[1].faults[:] = [parse_fault(text)]
            port.write(ask)
            heard = await port.read(length)
            assert heard != told
            assert heard.endswith(told) is (text == "foreign first")
            await asyncio.sleep(line.silence)
        stations[1].faults.clear()
        port.write(ask)
        assert await port.read(9) == told
    assert len(record.given) == 4  # temperature and humidity, after a foreign answer and without a fault


async def test_a_line_behind_a_tcp_box() -> None:
    line = Line(9600)
    async with (
        tcp_port(on_wire("registers", "drop mid after 1"), rtu=True, line=line) as url,
        connection(url) as port,
    ):
        start = clock()
        port.write(ASK)
        await port.read(45)
        assert clock() - start >= (8 + 3.5 + 45) * line.character
        await asyncio.sleep(line.silence)
        port.write(ASK)
        assert len(await port.rest()) < 45
    assert (line.frames, line.collisions, line.crowded) == (4, 0, 0)
