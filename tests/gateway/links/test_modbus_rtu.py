"""Modbus RTU over real pseudo-terminals, and framed over TCP: late answers, silence, ports that are not there."""

import asyncio
import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import LinkError
from gateway.links.base import Table
from gateway.links.modbus import ModbusBus
from tests.gateway.links.modbus_peers import Peer, SerialPeer, framed

Buses = Callable[..., ModbusBus]
Ports = Callable[[Callable[[Peer, bytes], None]], SerialPeer]


def words(request: bytes) -> bytes:
    """The answer of a device whose register n holds n."""
    first, count = int.from_bytes(request[2:4]), int.from_bytes(request[4:6])
    data = b"".join(n.to_bytes(2) for n in range(first, first + count))
    return framed(f"{request[0]:02x}{request[1]:02x}{len(data):02x}{data.hex()}")


def at_once(peer: Peer, request: bytes) -> None:
    peer.send(words(request))


def silent(peer: Peer, request: bytes) -> None:
    """A device that never answers."""


async def fails(question: Any) -> LinkError:
    with pytest.raises(LinkError) as caught:
        await question
    return caught.value


@pytest.mark.parametrize(
    ("unit", "table", "address", "count", "request_hex", "answer_hex", "data"),
    [  # frames of tests/vectors/modbus.json
        (1, "input", 0, 2, "01040000000271cb", "010404436633341b38", "43663334"),
        (1, "input", 56, 2, "010400380002f006", "01040441fc7109cbde", "41fc7109"),
        (1, "holding", 0, 2, "010300000002c40b", "010304091b000089a8", "091b0000"),
        (255, "discrete", 0, 8, "ff02000000086c12", "ff02010151a0", "01"),
    ],
)
async def test_published_frames(
    bus: Buses,
    serial: Ports,
    unit: int,
    table: Table,
    address: int,
    count: int,
    request_hex: str,
    answer_hex: str,
    data: str,
) -> None:
    peer = serial(lambda peer, request: peer.send(bytes.fromhex(answer_hex)))
    assert (await bus(peer.path).read_block(unit, table, address, count)).hex() == data
    assert [request.hex() for request in peer.requests] == [request_hex]


async def test_no_answer_in_time(bus: Buses, serial: Ports) -> None:
    peer = serial(silent)
    error = await fails(bus(peer.path, "bus-1", timeout="50ms").read_block(1, "input", 0, 2))
    assert error.reason == "timeout"
    assert str(error) == "no answer within 50 ms: unit 1 on bus-1; check A/B wires, unit id, speed"


async def test_an_exception(bus: Buses, serial: Ports) -> None:
    peer = serial(lambda peer, request: peer.send(framed("018402")))
    error = await fails(bus(peer.path).read_block(1, "input", 3, 1))
    assert (error.reason, error.code) == ("exception", 2)


@pytest.mark.parametrize(
    "answer",
    [
        framed("01040243")[:-1] + b"\0",  # checksum
        framed("02040243 66"),  # another unit
        framed("0103024366"),  # another function
        framed("010404436633 33"),  # longer than asked
        framed("01040143"),  # shorter than asked
        framed("0104024366")[:5],  # breaks off
        framed("012b0e0102"),  # no read at all
        b"\xff",
    ],
    ids=lambda answer: answer.hex(),
)
async def test_what_is_no_answer(bus: Buses, serial: Ports, answer: bytes) -> None:
    peer = serial(lambda peer, request: peer.send(answer if len(peer.requests) == 1 else words(request)))
    plc = bus(peer.path)
    error = await fails(plc.read_block(1, "input", 0, 1, timeout=0.05))
    assert error.reason == "garbled"
    assert "unit 1 on plc; check " in str(error)
    assert await plc.read_block(2, "input", 7, 1) == b"\0\7"


@pytest.mark.parametrize(
    "around",
    [
        (b"\0", b""),
        (b"\x01\x04\xfa", b""),  # begins like a long answer
        (framed("0204020009"), b""),  # another unit's
        (framed("0104020009")[:-1] + b"\0", b"\1"),  # with a wrong checksum
        (b"\xff" * 20, b"\1\4\2"),
    ],
    ids=lambda around: around[0].hex(),
)
async def test_noise_around_an_answer_is_passed_over(bus: Buses, serial: Ports, around: tuple[bytes, bytes]) -> None:
    plc = bus(serial(lambda peer, request: peer.send(around[0] + words(request) + around[1])).path)
    assert [await plc.read_block(1, "input", n, 1) for n in range(3)] == [b"\0\0", b"\0\1", b"\0\2"]


class LateByOne:
    """A device that answers each question when the next one comes, while `late`."""

    def __init__(self) -> None:
        self.late = True
        self.held: list[bytes] = []

    def __call__(self, peer: Peer, request: bytes) -> None:
        answer = words(request)
        if self.late:
            self.held.append(answer)
            answer = self.held.pop(0) if len(self.held) > 1 else b""
        peer.send(answer)


@pytest.mark.parametrize("kind", ["rtu", "rtu+tcp"])
@pytest.mark.parametrize("count", [1, 2, 10])
async def test_answers_late_by_one_never_become_values(
    bus: Buses, serial: Ports, tcp: Any, kind: str, count: int
) -> None:
    """Each answer fits the next question in unit, function and size, as long as all questions are alike."""
    device = LateByOne()
    where = serial(device).path if kind == "rtu" else (await tcp(device, "rtu+tcp"))[1]
    plc = bus(where, timeout="20ms")

    async def right(address: int) -> bool:
        try:
            data = await plc.read_block(1, "holding", address, count)
        except LinkError:
            return False
        assert data == b"".join(n.to_bytes(2) for n in range(address, address + count))
        return True

    assert [await right(100 * n) for n in range(8)] == [False] * 8
    device.late = False
    device.held.clear()
    answered = [await right(100 * n) for n in range(8)]
    assert answered[-4:] == [True] * 4


async def test_after_a_time_out_a_question_of_another_shape_comes_first(bus: Buses, serial: Ports) -> None:
    peer = serial(lambda peer, request: peer.send(words(request)) if len(peer.requests) > 1 else None)
    plc = bus(peer.path, timeout="20ms")
    assert (await fails(plc.read_block(1, "holding", 16, 4))).reason == "timeout"
    assert len(await plc.read_block(1, "holding", 16, 4)) == 8
    assert len(await plc.read_block(1, "holding", 16, 4)) == 8
    asked = [(request[1], request[2:4].hex(), int.from_bytes(request[4:6])) for request in peer.requests]
    assert asked == [(3, "0010", 4), (3, "0010", 2), (3, "0010", 4), (3, "0010", 4)]


async def test_a_device_that_refuses_that_question_is_asked_all_the_same(bus: Buses, serial: Ports) -> None:
    def only_fours(peer: Peer, request: bytes) -> None:
        if len(peer.requests) > 1:
            peer.send(words(request) if request[4:6] == b"\0\4" else framed(f"01{request[1] | 0x80:02x}03"))

    peer = serial(only_fours)
    plc = bus(peer.path, timeout="20ms")
    assert (await fails(plc.read_block(1, "holding", 16, 4))).reason == "timeout"
    assert len(await plc.read_block(1, "holding", 16, 4)) == 8
    assert len(peer.requests) == 3


@pytest.mark.parametrize("late", [0.04, 0.05, 0.07, 0.2])
async def test_a_late_answer_never_passes_for_another(bus: Buses, serial: Ports, late: float) -> None:
    """One answer comes long after its time-out: with a bare client every later one would be shifted by one."""

    def once_late(peer: Peer, request: bytes) -> None:
        peer.later(late if len(peer.requests) == 1 else 0.0, words(request))

    peer = serial(once_late)
    plc = bus(peer.path, timeout="30ms")
    error = await fails(plc.read_block(1, "holding", 100, 1))
    assert error.reason == "timeout"
    for address in range(5):
        assert await plc.read_block(1, "holding", address, 1, timeout=1) == address.to_bytes(2)
    asked = [(request[1], request[3]) for request in peer.requests]
    assert asked == [(3, 100), (4, 0), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4)]  # function and address


async def test_a_late_answer_never_passes_for_that_of_one_who_was_waiting(bus: Buses, serial: Ports) -> None:
    peer = serial(lambda peer, request: peer.later(0.1 if len(peer.requests) == 1 else 0.0, words(request)))
    plc = bus(peer.path)
    async with asyncio.TaskGroup() as group:
        late = group.create_task(fails(plc.read_block(1, "holding", 100, 1, timeout=0.03)))
        same = group.create_task(plc.read_block(1, "holding", 5, 1))
        other = group.create_task(plc.read_block(2, "holding", 6, 1))
    assert late.result().reason == "timeout"
    assert same.result() == b"\0\5"
    assert other.result() == b"\0\6"
    assert [request[:2] for request in peer.requests] == [b"\1\3", b"\2\3", b"\1\4", b"\1\3"]


async def test_a_silent_unit_costs_others_little_more_than_its_time_out(bus: Buses, serial: Ports) -> None:
    peer = serial(lambda peer, request: at_once(peer, request) if request[0] == 2 else None)
    plc = bus(peer.path, timeout="100ms")
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        dead = group.create_task(fails(plc.read_block(1, "holding", 0, 120)))
        alive = group.create_task(plc.read_block(2, "holding", 1, 1))
    assert dead.result().reason == "timeout"
    assert alive.result() == b"\0\1"
    # 120 registers would take 256 ms at 9600 baud: they are not waited for when nothing at all was heard
    assert time.monotonic() - started < 0.1 + 0.0083 + 0.02 + 0.1


async def test_an_answer_under_way_is_not_cut_off(bus: Buses, serial: Ports) -> None:
    """At 9600 baud 20 registers take 47 ms: the time-out is the time until the device begins to answer."""

    def slowly(peer: Peer, request: bytes) -> None:
        answer = words(request)
        peer.later(0.01, answer[:10])
        peer.later(0.05, answer[10:])

    peer = serial(slowly)
    assert len(await bus(peer.path, timeout="20ms").read_block(1, "holding", 0, 20)) == 40


async def test_a_cancelled_request_keeps_its_turn_until_it_is_over(bus: Buses, serial: Ports) -> None:
    peer = serial(silent)
    plc = bus(peer.path)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(plc.read_block(1, "holding", 1, 1))
        await peer.asked(1)
        first.cancel()
        second = group.create_task(plc.read_block(1, "holding", 2, 1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(second), 0.05)
        assert len(peer.requests) == 1
        at_once(peer, peer.requests[0])
        await peer.asked(2)
        at_once(peer, peer.requests[1])
    assert second.result() == b"\0\2"


@pytest.mark.parametrize(
    ("settings", "silence"),
    [  # Modbus over Serial Line V1.02, 2.5.1.1: 3.5 characters, above 19200 baud 1.75 ms
        ({"baudrate": 300}, 3.5 * 10 / 300),
        ({"baudrate": 1200, "stopbits": 2}, 3.5 * 11 / 1200),
        ({"baudrate": 115200}, 0.00175),
        ({"pause": "60ms"}, 0.06),
    ],
)
async def test_the_bus_is_silent_between_frames(
    bus: Buses, serial: Ports, settings: dict[str, Any], silence: float
) -> None:
    answered: list[float] = []

    def note(peer: Peer, request: bytes) -> None:
        at_once(peer, request)
        answered.append(asyncio.get_running_loop().time())

    peer = serial(note)
    plc = bus(peer.path, **settings)
    for n in range(3):
        assert await plc.read_block(1, "holding", n, 1) == n.to_bytes(2)
    gaps = [asked - before for before, asked in zip(answered, peer.times[1:], strict=False)]
    assert min(gaps) >= silence
    assert max(gaps) < silence + 0.1


async def test_a_port_that_is_not_there(bus: Buses, tmp_path: Path) -> None:
    error = await fails(bus(f"{tmp_path}/ttyUSB9").read_block(1, "holding", 0, 1))
    assert error.reason == "missing"
    assert str(error) == (
        f"{tmp_path}/ttyUSB9 cannot be opened: No such file or directory: link plc; "
        "plug it in, or correct the path (`labgate scan` lists the ports)"
    )


async def test_a_file_that_is_no_port(bus: Buses, tmp_path: Path) -> None:
    (tmp_path / "port").write_text("")
    error = await fails(bus(f"{tmp_path}/port").read_block(1, "holding", 0, 1))
    assert error.reason == "configuration"
    assert "link plc; " in str(error)


@pytest.mark.skipif(os.geteuid() == 0, reason="not here: root may open every port")
async def test_a_port_that_is_forbidden(bus: Buses, serial: Ports) -> None:
    peer = serial(at_once)
    os.chmod(peer.path, 0)  # noqa: PTH101 - of a pseudo-terminal, at once
    error = await fails(bus(peer.path).read_block(1, "holding", 0, 1))
    assert error.reason == "permission"
    assert str(error).endswith("link plc; add this user to the group dialout and log in again")


async def test_a_port_that_is_in_use(bus: Buses, serial: Ports) -> None:
    peer = serial(at_once)
    first, second = bus(peer.path), bus(peer.path)
    await first.read_block(1, "holding", 0, 1)
    error = await fails(second.read_block(1, "holding", 0, 1))
    assert error.reason == "busy"
    assert str(error).endswith("link plc; another program holds it: stop that")
    await first.close()
    assert await second.read_block(1, "holding", 5, 1) == b"\0\5"


async def test_a_port_that_goes_away_is_noticed_at_once(bus: Buses, serial: Ports) -> None:
    peer = serial(silent)
    plc = bus(peer.path, timeout="60s")
    async with asyncio.timeout(1), asyncio.TaskGroup() as group:
        asking = group.create_task(fails(plc.read_block(1, "holding", 0, 1)))
        await peer.asked(1)
        peer.unplug()
    assert asking.result().reason == "unplugged"
    assert str(asking.result()) == f"{peer.path} went away: link plc; plug it in again"
    error = await fails(plc.read_block(1, "holding", 0, 1))
    assert error.reason in ("missing", "unplugged")


async def test_a_port_that_comes_back_is_used_again(bus: Buses, serial: Ports, tmp_path: Path) -> None:
    before, after = serial(at_once), serial(at_once)
    port = tmp_path / "ttyUSB0"
    port.symlink_to(before.path)
    plc = bus(str(port))
    assert await plc.read_block(1, "holding", 4, 1) == b"\0\4"
    before.unplug()
    port.unlink()
    error = await fails(plc.read_block(1, "holding", 4, 1))
    assert error.reason in ("unplugged", "missing")
    port.symlink_to(after.path)
    assert await plc.read_block(1, "holding", 5, 1) == b"\0\5"


async def test_the_trace_shows_what_came_unasked(bus: Buses, serial: Ports) -> None:
    peer = serial(lambda peer, request: peer.later(0.01, words(request)))
    plc = bus(peer.path)
    seen: list[tuple[str, str]] = []
    plc.trace = lambda direction, frame, _: seen.append((direction, frame.hex()))
    await plc.read_block(1, "input", 3, 1)
    peer.send(b"\1\2")
    await plc.read_block(2, "input", 3, 1, pause=0.02)
    assert seen == [
        (">>", framed("010400030001").hex()),
        ("<<", framed("0104020003").hex()),
        ("<<", "0102"),
        (">>", framed("020400030001").hex()),
        ("<<", framed("0204020003").hex()),
    ]


async def test_framed_over_tcp(bus: Buses, tcp: Any) -> None:
    def once_late(peer: Peer, request: bytes) -> None:
        peer.later(0.07 if len(peer.requests) == 1 else 0.0, words(request))

    peer, where = await tcp(once_late, "rtu+tcp")
    plc = bus(where, timeout="30ms")
    error = await fails(plc.read_block(1, "input", 100, 2))
    assert str(error) == "no answer within 30 ms: unit 1 on plc; check A/B wires, unit id, speed"
    assert [await plc.read_block(1, "input", n, 1, timeout=1) for n in range(3)] == [b"\0\0", b"\0\1", b"\0\2"]
    assert peer.requests[0] == framed("010400640002")
    assert all(later > earlier for earlier, later in pairwise(peer.times))
