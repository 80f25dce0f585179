"""Simulated devices on real sockets and real pseudo-terminals, asked by pymodbus and by hand."""

import asyncio
import os
import struct
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from simulators.catalog import load
from simulators.faults import parse_fault
from simulators.modbus_slave import Rtu, crc16
from simulators.wire import Station, Stations, pseudo_terminal, tcp_port

H = bytes.fromhex


def on_wire(name: str, *faults: str, unit_id: int = 1, **settings: str) -> Stations:
    slave = load(name).build(unit_id, 0, settings)
    return {unit_id: Station(slave, [parse_fault(text) for text in faults])}


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)


def mbap(transaction: int, pdu: str, unit_id: int = 1) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(H(pdu)) + 1, unit_id) + H(pdu)


def rtu(pdu: str, unit_id: int = 1) -> bytes:
    frame = bytes((unit_id,)) + H(pdu)
    return frame + crc16(frame)


SENSOR = {"temperature": "30.5", "humidity": "54.6"}
ASK, TOLD = "04 0001 0002", "04 04 0131 0222"


@pytest.mark.parametrize("framer", [FramerType.SOCKET, FramerType.RTU])
async def test_pymodbus_reads_over_tcp(framer: FramerType) -> None:
    async with tcp_port(on_wire("registers", unit_id=9, count="40"), rtu=framer is FramerType.RTU) as url:
        assert urlsplit(url).scheme == ("tcp" if framer is FramerType.SOCKET else "rtu+tcp")
        client = AsyncModbusTcpClient(
            str(urlsplit(url).hostname), port=urlsplit(url).port or 0, framer=framer, retries=0
        )
        assert await client.connect()
        try:
            for read in (client.read_coils, client.read_discrete_inputs):
                assert (await read(0, count=40, device_id=9)).bits == [place % 3 == 0 for place in range(40)]
            first = (await client.read_holding_registers(0, count=40, device_id=9)).registers
            assert (await client.read_input_registers(39, count=1, device_id=9)).registers == [
                (first[0] + 40 * 40503) % 65536
            ]
            refused = await client.read_holding_registers(0, count=41, device_id=9)
            assert (refused.isError(), refused.exception_code) == (True, 2)
            refused = await client.write_register(0, 1, device_id=9)
            assert (refused.isError(), refused.exception_code) == (True, 1)
            if framer is FramerType.SOCKET:
                assert (await client.read_coils(0, count=1, device_id=8)).exception_code == 0x0B
        finally:
            client.close()


async def test_pymodbus_reads_over_a_pseudo_terminal_and_comes_back() -> None:
    async with pseudo_terminal(on_wire("eastron_sdm630", voltage="240.5")) as path:
        for _ in range(3):
            client = AsyncModbusSerialClient(path, baudrate=9600, retries=0)
            assert await client.connect()
            answer = await client.read_input_registers(0, count=6, device_id=1)
            assert client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32) == [240.5] * 3
            client.close()


async def test_only_this_machine_is_answered() -> None:
    async with tcp_port(on_wire("xy_md02")) as url:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.2", urlsplit(url).port)


async def test_requests_in_pieces_and_joined_over_tcp() -> None:
    async with tcp_port(on_wire("xy_md02", **SENSOR)) as url:
        reader, writer = await connect(url)
        for byte in mbap(7, ASK):
            writer.write(bytes((byte,)))
            await writer.drain()
        assert await reader.readexactly(13) == mbap(7, TOLD)
        writer.write(mbap(1, ASK) + mbap(2, ASK, unit_id=5) + mbap(3, ASK)[:5])
        assert await reader.readexactly(13 + 9) == mbap(1, TOLD) + mbap(2, "84 0B", unit_id=5)
        writer.write(mbap(3, ASK)[5:])
        assert await reader.readexactly(13) == mbap(3, TOLD)
        writer.close()


async def test_what_is_not_modbus_tcp_ends_the_connection() -> None:
    async with tcp_port(on_wire("xy_md02")) as url:
        reader, writer = await connect(url)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        writer.close()


async def test_several_clients_at_once() -> None:
    async with tcp_port(on_wire("xy_md02", **SENSOR)) as url:
        pairs = [await connect(url) for _ in range(5)]
        for number, (_, writer) in enumerate(pairs):
            writer.write(mbap(number, ASK))
        for number, (reader, writer) in enumerate(pairs):
            assert await reader.readexactly(13) == mbap(number, TOLD)
            writer.close()


async def test_clients_are_cut_off_at_the_end() -> None:
    async with tcp_port(on_wire("xy_md02")) as url:
        reader, writer = await connect(url)
        writer.write(mbap(1, ASK))
        await reader.readexactly(13)
    assert await reader.read() == b""
    writer.close()


async def test_rtu_keeps_silent_for_others_and_for_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rtu, "patience", 0.02)
    stations = {**on_wire("xy_md02", **SENSOR), **on_wire("xy_md02", unit_id=3, temperature="1", humidity="2")}
    async with tcp_port(stations, rtu=True) as url:
        reader, writer = await connect(url)
        # another unit, broadcast, and two that are here: only these answer
        writer.write(rtu(ASK, 2) + rtu(ASK, 0) + rtu(ASK, 3) + rtu(ASK))
        assert await reader.readexactly(18) == rtu("04 04 000A 0014", 3) + rtu(TOLD)
        bad = bytearray(rtu(ASK))
        bad[-1] ^= 0xFF
        for garbage in (bytes(bad), b"\x00", rtu(ASK)[:5]):
            writer.write(garbage)
            await asyncio.sleep(0.03)  # silence ends a frame
            writer.write(rtu(ASK))
            assert await reader.readexactly(9) == rtu(TOLD)
        writer.close()


async def test_link_to_a_pseudo_terminal(tmp_path: Path) -> None:
    link = tmp_path / "meter"
    link.symlink_to("/dev/pts/4096")  # left by one that was killed
    async with pseudo_terminal(on_wire("xy_md02"), link) as path:
        assert path == str(link)
        assert link.resolve().is_char_device()
    assert not link.is_symlink()

    link.write_text("mine")
    with pytest.raises(FileExistsError, match="not a link"):
        await pseudo_terminal(on_wire("xy_md02"), link).__aenter__()
    link.unlink()
    link.symlink_to("/dev/null")
    with pytest.raises(FileExistsError, match="/dev/null"):
        await pseudo_terminal(on_wire("xy_md02"), link).__aenter__()


async def test_a_link_that_another_took_over_stays(tmp_path: Path) -> None:
    link = tmp_path / "meter"
    async with pseudo_terminal(on_wire("xy_md02"), link):
        async with pseudo_terminal(on_wire("xy_md02")) as other:
            link.unlink()
            link.symlink_to(other)
        assert link.is_symlink()
    assert link.is_symlink()


async def test_a_terminal_nobody_reads_does_not_block() -> None:
    async with pseudo_terminal(on_wire("registers", count="125")) as path:
        port = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        for _ in range(100):  # 25 kB of answers, more than a terminal holds
            os.write(port, rtu("03 0000 007D"))
            await asyncio.sleep(0)
        os.close(port)


async def test_late_answers_keep_their_order() -> None:
    loop = asyncio.get_running_loop()
    async with tcp_port(on_wire("xy_md02", "late 40ms every 2", **SENSOR)) as url:
        reader, writer = await connect(url)
        start = loop.time()
        writer.write(b"".join(mbap(number, ASK) for number in range(5)))
        assert await reader.readexactly(13) == mbap(0, TOLD)
        assert await reader.readexactly(26) == mbap(1, TOLD) + mbap(2, TOLD)
        assert loop.time() - start >= 0.04
        assert await reader.readexactly(26) == mbap(3, TOLD) + mbap(4, TOLD)
        assert 0.08 <= loop.time() - start < 0.2  # five late ones would have taken that long
        writer.close()


async def test_a_late_answer_to_one_who_left() -> None:
    async with tcp_port(on_wire("xy_md02", "late 10ms", **SENSOR)) as url:
        for _ in range(2):
            _, writer = await connect(url)
            writer.write(mbap(1, ASK))
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        reader, writer = await connect(url)
        writer.write(mbap(2, ASK))
        assert await reader.readexactly(13) == mbap(2, TOLD)
        writer.close()


async def test_late_answers_on_a_pseudo_terminal() -> None:
    async with pseudo_terminal(on_wire("xy_md02", "late 20ms", **SENSOR)) as path:
        client = AsyncModbusSerialClient(path, baudrate=9600, retries=0, timeout=1)
        assert await client.connect()
        assert (await client.read_input_registers(1, count=2, device_id=1)).registers == [305, 546]
        client.close()


async def test_silent_and_exception() -> None:
    async with tcp_port(on_wire("xy_md02", "silent every 2", "exception 4 every 3", **SENSOR)) as url:
        reader, writer = await connect(url)
        writer.write(b"".join(mbap(number, ASK) for number in range(1, 8)))
        given = [mbap(1, TOLD), mbap(3, "84 04"), mbap(5, TOLD), mbap(7, TOLD)]  # 6 is silent, whatever else strikes
        assert await reader.readexactly(len(b"".join(given))) == b"".join(given)
        writer.close()


async def test_silent_answers_use_up_no_values() -> None:
    async with tcp_port(on_wire("registers", "silent every 2", count="1")) as url:
        reader, writer = await connect(url)
        writer.write(b"".join(mbap(number, "03 0000 0001") for number in range(4)))
        first, third = struct.unpack(">9xH9xH", await reader.readexactly(22))
        assert (third - first) % 65536 == 40503
        writer.close()


async def test_drop() -> None:
    async with tcp_port(on_wire("xy_md02", "drop every 2", **SENSOR)) as url:
        for _ in range(2):
            reader, writer = await connect(url)
            writer.write(mbap(1, ASK) + mbap(2, ASK) + mbap(3, ASK))
            assert await reader.read() == mbap(1, TOLD)
            writer.close()
            await writer.wait_closed()
            reader, writer = await connect(url)  # the dropped one was the second, this is the third
            writer.write(mbap(4, ASK))
            assert await reader.readexactly(13) == mbap(4, TOLD)
            writer.write(mbap(5, ASK))
            assert await reader.read() == b""
            writer.close()
