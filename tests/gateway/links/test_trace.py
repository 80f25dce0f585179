"""What is shown of a wire: a read's own frames and those of others, when they came, and who is told."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from gateway.config import ModbusLinkConfig
from gateway.errors import LinkError
from gateway.links import open_link
from gateway.links.modbus import ModbusBus
from gateway.trace import Trace
from tests.gateway.links.modbus_peers import Peer, SerialPeer, framed

Buses = Callable[..., ModbusBus]
Ports = Callable[[Callable[[Peer, bytes], None]], SerialPeer]

ASK_1, ASK_2 = "01 04 00 03 00 01 c1 ca", "02 04 00 03 00 01 c1 f9"  # input register 3 of units 1 and 2


def answer(peer: Peer, request: bytes) -> None:
    peer.send(framed(f"{request[0]:02x}04020007"))


def told(rows: list[dict[str, Any]]) -> list[str]:
    assert [row["ms"] for row in rows] == sorted(row["ms"] for row in rows)
    return [row["trace"] for row in rows]


def said(unit: int) -> str:
    return framed(f"{unit:02x}04020007").hex(" ")


async def test_a_read_of_its_own(bus: Buses, serial: Ports) -> None:
    plc = bus(serial(answer).path)
    with Trace(plc) as rows:
        await plc.read_block(1, "input", 3, 1)
    assert told(rows) == [f">> {ASK_1}", f"<< {said(1)}"]
    assert 0 <= rows[0]["ms"] < rows[1]["ms"] < 5000
    assert plc.trace is None


async def test_what_others_ask_meanwhile_stands_behind_a_hash(bus: Buses, serial: Ports) -> None:
    plc = bus(serial(lambda peer, request: peer.later(0.02, framed(f"{request[0]:02x}04020007"))).path)
    async with asyncio.TaskGroup() as group:
        group.create_task(plc.read_block(1, "input", 3, 1))
        await asyncio.sleep(0)
        with Trace(plc) as rows:
            await plc.read_block(2, "input", 3, 1)
    assert told(rows)[-3:] == [f"# << {said(1)}", f">> {ASK_2}", f"<< {said(2)}"]


async def test_where_nothing_is_asked_all_that_comes_is_part_of_the_read(bus: Buses) -> None:
    plc = bus("tcp://127.0.0.1:1")
    with Trace(plc) as rows:
        plc.trace("<<", b"\x57")
        plc.trace("<<", b"\x58")
    assert told(rows) == ["<< 57", "<< 58"]


async def test_what_nobody_asked_for_is_told_when_it_comes(bus: Buses, serial: Ports) -> None:
    heard = asyncio.Event()
    peer = serial(answer)
    plc = bus(peer.path)
    with Trace(plc) as rows:
        await plc.read_block(1, "input", 3, 1)
        plc.trace, own = (lambda *told: (own(*told), heard.set())), plc.trace
        peer.send(b"\1\2")
        await asyncio.wait_for(heard.wait(), 5)  # no further question is needed
        plc.trace = own
    assert told(rows) == [f">> {ASK_1}", f"<< {said(1)}", "<< 01 02"]


async def test_a_late_answer_has_its_own_time(bus: Buses, serial: Ports) -> None:
    peer = serial(lambda peer, request: peer.later(0.06 if request[0] == 1 else 0, framed(f"{request[0]:02x}04020007")))
    plc = bus(peer.path, timeout="20ms")
    late = asyncio.Event()
    plc.trace = lambda mark, *_: late.set() if mark == "<<" else None
    with Trace(plc) as rows:
        with pytest.raises(LinkError, match="no answer within 20 ms"):
            await plc.read_block(1, "input", 3, 1)
        await asyncio.wait_for(late.wait(), 5)
        await plc.read_block(2, "input", 3, 1)
    assert told(rows) == [f">> {ASK_1}", f"<< {said(1)}", f">> {ASK_2}", f"<< {said(2)}"]
    assert rows[1]["ms"] - rows[0]["ms"] >= 60


@pytest.mark.parametrize("first_ends_first", [True, False])
async def test_two_at_once(bus: Buses, serial: Ports, first_ends_first: bool) -> None:
    plc = bus(serial(answer).path)
    seen: list[str] = []
    before = plc.trace = lambda mark, *_: seen.append(mark)
    one = Trace(plc)
    rows_1 = one.__enter__()
    two = Trace(plc)
    rows_2 = two.__enter__()
    await plc.read_block(1, "input", 3, 1)
    ends = (one, two) if first_ends_first else (two, one)
    ends[0].__exit__()
    await plc.read_block(2, "input", 3, 1)
    ends[1].__exit__()
    assert plc.trace is before
    await plc.read_block(1, "input", 3, 1)
    assert seen == [">>", "<<"] * 3  # the log has everything, once
    assert sorted([len(rows_1), len(rows_2)]) == [2, 4]


async def test_a_trace_changes_no_error(bus: Buses, serial: Ports) -> None:
    peer = serial(lambda peer, request: peer.send(framed("0204020007")))
    for traced in (False, True):
        plc = bus(peer.path, timeout="50ms")
        if traced:
            plc.trace = lambda *_: None
        with pytest.raises(LinkError, match="an answer of unit 2"):
            await plc.read_block(1, "input", 3, 1)
        await plc.close()


async def test_the_debug_log(serial: Ports, caplog: pytest.LogCaptureFixture) -> None:
    config = ModbusLinkConfig.model_validate({"modbus": serial(answer).path})
    assert open_link("bus-1", config).trace is None
    with caplog.at_level(logging.DEBUG, "labgate"):
        link: Any = open_link("bus-1", config)
        await link.read_block(1, "input", 3, 1)
        await link.close()
    assert [r.getMessage() for r in caplog.records if r.name == "labgate"] == [
        f"bus-1 >> {ASK_1}",
        f"bus-1 << {said(1)}",
    ]
