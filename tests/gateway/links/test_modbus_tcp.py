"""Modbus TCP over real sockets: what is asked and understood, turns, and everything that can go wrong."""

import asyncio
import socket
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from gateway.errors import LinkError
from gateway.links.arbiter import URGENT
from gateway.links.base import Table
from gateway.links.modbus import ModbusBus
from tests.gateway.links.modbus_peers import ADDRESS, Peer, TcpPeer, mbap

Buses = Callable[..., ModbusBus]


def transaction(request: bytes) -> int:
    return int.from_bytes(request[:2])


def silent(peer: Peer, request: bytes) -> None:
    """A device that never answers."""


def words(peer: Peer, request: bytes) -> None:
    """A device whose register n holds n."""
    first, count = int.from_bytes(request[8:10]), int.from_bytes(request[10:12])
    data = b"".join(n.to_bytes(2) for n in range(first, first + count))
    peer.send(mbap(transaction(request), f"{request[6]:02x}{request[7]:02x}{len(data):02x}{data.hex()}"))


def answers(body: str) -> Callable[[Peer, bytes], None]:
    """A device that always answers the same; `body` begins with the unit."""
    return lambda peer, request: peer.send(mbap(transaction(request), body))


@pytest.mark.parametrize(
    ("table", "address", "count", "request_pdu", "answer_pdu", "data"),
    [  # Modbus Application Protocol V1.1b3, the examples of 6.1 to 6.4
        ("coil", 0x13, 19, "0100130013", "0103cd6b05", "cd6b05"),
        ("discrete", 0xC4, 22, "0200c40016", "0203acdb35", "acdb35"),
        ("holding", 0x6B, 3, "03006b0003", "0306022b00000064", "022b00000064"),
        ("input", 8, 1, "0400080001", "0402000a", "000a"),
    ],
)
async def test_reads(
    bus: Buses, tcp: Any, table: Table, address: int, count: int, request_pdu: str, answer_pdu: str, data: str
) -> None:
    peer, where = await tcp(answers("11" + answer_pdu))
    plc = bus(where)
    assert (await plc.read_block(17, table, address, count)).hex() == data
    assert (await plc.read_block(17, table, address, count)).hex() == data
    assert peer.requests == [mbap(1, "11" + request_pdu), mbap(2, "11" + request_pdu)]
    assert peer.connections == 1


async def test_opens_only_when_asked_and_again_after_close(bus: Buses, tcp: Any) -> None:
    peer, where = await tcp(words)
    plc = bus(where)
    await plc.close()
    assert peer.connections == 0
    assert await plc.read_block(1, "holding", 7, 1) == b"\0\7"
    await plc.close()
    await plc.close()
    assert await plc.read_block(1, "holding", 8, 1) == b"\0\10"
    assert peer.connections == 2


async def test_longest_reads(bus: Buses, tcp: Any) -> None:
    _, where = await tcp(words)
    assert await bus(where).read_block(1, "input", 1000, 125) == b"".join(n.to_bytes(2) for n in range(1000, 1125))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            2,
            "Modbus exception 2 (illegal data address): unit 1 on plc, input 4..5; "
            "it has no such registers; correct addresses, max_gap or max_registers",
        ),
        (6, "Modbus exception 6 (server device busy): unit 1 on plc, input 4..5"),
        (99, "Modbus exception 99 (unknown): unit 1 on plc, input 4..5"),
    ],
)
async def test_exceptions(bus: Buses, tcp: Any, code: int, text: str) -> None:
    _, where = await tcp(answers(f"0184{code:02x}"))
    with pytest.raises(LinkError) as caught:
        await bus(where).read_block(1, "input", 4, 2)
    assert (str(caught.value), caught.value.reason, caught.value.code) == (text, "exception", code)


async def test_no_answer_in_time(bus: Buses, tcp: Any) -> None:
    _, where = await tcp(silent)
    plc = bus(where, timeout="50ms")
    started = asyncio.get_running_loop().time()
    with pytest.raises(LinkError) as caught:
        await plc.read_block(1, "input", 0, 2)
    assert asyncio.get_running_loop().time() - started < 1
    assert caught.value.reason == "timeout"
    assert str(caught.value) == (
        "no answer within 50 ms: unit 1 on plc; check the unit id, and that the device is well"
    )
    with pytest.raises(LinkError, match=r"^no answer within 20 ms: unit 3"):
        await plc.read_block(3, "input", 0, 2, timeout=0.02)


async def test_a_late_answer_is_not_taken_for_the_next(bus: Buses, tcp: Any) -> None:
    def late_once(peer: Peer, request: bytes) -> None:
        if len(peer.requests) > 1:
            peer.send(mbap(transaction(peer.requests[0]), "010302dead"))
            words(peer, request)

    _, where = await tcp(late_once)
    plc = bus(where)
    with pytest.raises(LinkError):
        await plc.read_block(1, "holding", 1, 1, timeout=0.03)
    assert await plc.read_block(1, "holding", 2, 1) == b"\0\2"
    assert await plc.read_block(1, "holding", 3, 1) == b"\0\3"


async def test_a_box_that_is_late_by_one_on_its_serial_side_gives_no_value(bus: Buses, tcp: Any) -> None:
    """It puts the number of the new transaction on the answer to the one before."""
    held: list[bytes] = []

    def box(peer: Peer, request: bytes) -> None:
        first, count = int.from_bytes(request[8:10]), int.from_bytes(request[10:12])
        data = b"".join(n.to_bytes(2) for n in range(first, first + count))
        held.append(bytes([request[7], len(data)]) + data)
        if len(held) > 1:
            peer.send(mbap(transaction(request), f"{request[6]:02x}{held.pop(0).hex()}"))

    _, where = await tcp(box)
    plc = bus(where, timeout="20ms")
    for n in range(6):
        assert (await fails(plc.read_block(1 + n % 2, "holding", 100 * n, 2))).reason in ("garbled", "timeout")


async def test_a_device_that_a_box_does_not_reach_may_answer_late(bus: Buses, tcp: Any) -> None:
    """Exception 11 is the box's own: what the device says meanwhile may come as the answer to the next question."""

    def box(peer: Peer, request: bytes) -> None:
        if len(peer.requests) == 1:
            peer.send(mbap(transaction(request), f"{request[6]:02x}{request[7] | 0x80:02x}0b"))
        else:
            words(peer, request)

    peer, where = await tcp(box)
    plc = bus(where)
    assert (await fails(plc.read_block(1, "holding", 0, 2))).code == 11
    assert await plc.read_block(2, "holding", 7, 2) == b"\0\7\0\10"
    asked = [(request[7], int.from_bytes(request[10:12])) for request in peer.requests]
    assert asked == [(3, 2), (4, 2), (3, 2)]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("01030400010002", "4 data bytes, byte count 4, 2 asked: unit 1 on plc; check that no other master asks here"),
        ("01030100", "1 data bytes, byte count 1, 2 asked: unit 1 on plc; check that no other master asks here"),
        ("0103040001", "2 data bytes, byte count 4, 2 asked: unit 1 on plc; check that no other master asks here"),
        ("01040200ff", "an answer to another request: unit 1 on plc; check that no other master asks here"),
        ("012b0e0102", "an answer to another request: unit 1 on plc; check that no other master asks here"),
        ("018402", "an answer to another request: unit 1 on plc; check that no other master asks here"),
        ("02030200ff", None),  # another unit
        ("0103", None),
        ("01", None),
    ],
)
async def test_what_is_no_answer(bus: Buses, tcp: Any, answer: str, text: str | None) -> None:
    _, where = await tcp(answers(answer))
    with pytest.raises(LinkError) as caught:
        await bus(where, timeout="5s" if text else "50ms").read_block(1, "holding", 0, 1)
    assert caught.value.reason == "garbled"
    assert text is None or str(caught.value) == text


async def test_an_answer_of_another_transaction_is_none(bus: Buses, tcp: Any) -> None:
    _, where = await tcp(lambda peer, request: peer.send(mbap(0, "0103020001")))
    with pytest.raises(LinkError) as caught:
        await bus(where, timeout="50ms").read_block(1, "holding", 0, 1)
    assert caught.value.reason == "garbled"


async def test_any_bytes_are_data_or_a_link_error(bus: Buses, tcp: Any) -> None:
    random = Random(2)

    def junk(peer: Peer, request: bytes) -> None:
        frame = bytearray(mbap(transaction(request), "01030400010002"))
        for _ in range(random.randrange(3)):
            frame[random.randrange(len(frame))] = random.randrange(256)
        at = random.randrange(len(frame))
        peer.send(random.choice([bytes(frame), bytes(frame[:at]), random.randbytes(at), bytes(frame) * 3]))

    _, where = await tcp(junk)
    plc = bus(where, timeout="5ms")
    good, reasons = 0, set()
    for _ in range(150):
        try:
            good += len(await plc.read_block(1, "holding", 0, 2)) == 4
        except LinkError as error:
            reasons.add(error.reason)
    assert good > 3
    assert reasons <= {"garbled", "timeout", "network", "exception"}


async def test_an_answer_in_pieces(bus: Buses, tcp: Any) -> None:
    def dribble(peer: Peer, request: bytes) -> None:
        for i, byte in enumerate(mbap(transaction(request), "0103020102")):
            peer.later(i * 0.002, bytes([byte]))

    _, where = await tcp(dribble)
    assert await bus(where).read_block(1, "holding", 0, 1) == b"\1\2"


async def test_a_refused_port(bus: Buses) -> None:
    with socket.socket() as reserved:
        reserved.bind((ADDRESS, 0))
        port = reserved.getsockname()[1]
        with pytest.raises(LinkError) as caught:
            await bus(f"tcp://{ADDRESS}:{port}").read_block(1, "holding", 0, 1)
    assert caught.value.reason == "refused"
    assert str(caught.value) == (
        f"{ADDRESS}:{port} refuses the connection: link plc; check the port, and that the device's server is on"
    )


async def test_nobody_takes_the_connection(bus: Buses) -> None:
    with socket.socket() as full:
        full.bind((ADDRESS, 0))
        full.listen(0)
        where = full.getsockname()
        with socket.create_connection(where), pytest.raises(LinkError) as caught:  # the queue is full now
            await bus(f"tcp://{where[0]}:{where[1]}", timeout="50ms").read_block(1, "holding", 0, 1)
    assert caught.value.reason == "timeout"
    assert str(caught.value).startswith(f"no connection to {ADDRESS}:{where[1]} within 50 ms: link plc; check power")


async def test_a_connection_that_breaks_is_noticed_at_once_and_mends(bus: Buses, tcp: Any) -> None:
    def hang_up_once(peer: Peer, request: bytes) -> None:
        assert isinstance(peer, TcpPeer)
        peer.hang_up() if len(peer.requests) == 1 else words(peer, request)

    peer, where = await tcp(hang_up_once)
    plc = bus(where, timeout="60s")
    async with asyncio.timeout(1):
        with pytest.raises(LinkError) as caught:
            await plc.read_block(1, "holding", 5, 1)
    assert caught.value.reason == "network"
    assert str(caught.value) == (
        f"{ADDRESS}:{peer.port} closed the connection: link plc; the next request opens it again"
    )
    assert await plc.read_block(1, "holding", 5, 1) == b"\0\5"


async def test_a_connection_that_broke_between_requests_is_opened_again(bus: Buses, tcp: Any) -> None:
    peer, where = await tcp(words)
    plc = bus(where)
    await plc.read_block(1, "holding", 5, 1)
    await peer.stop()
    with pytest.raises(LinkError) as caught:
        await plc.read_block(1, "holding", 5, 1)
    assert caught.value.reason in ("refused", "network")
    await peer.start(peer.port)
    assert await plc.read_block(1, "holding", 6, 1) == b"\0\6"


async def test_a_connection_on_which_nobody_answers_any_more_is_opened_anew(bus: Buses, tcp: Any) -> None:
    peer, where = await tcp(silent)
    plc = bus(where, timeout="10ms")
    for _ in range(8):
        await fails(plc.read_block(1, "holding", 5, 1))
    assert peer.connections == 2
    peer.script = words
    assert await plc.read_block(1, "holding", 5, 1) == b"\0\5"


async def test_close_ends_the_request_under_way(bus: Buses, tcp: Any) -> None:
    peer, where = await tcp(silent)
    plc = bus(where, timeout="60s")
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(fails(plc.read_block(1, "holding", 5, 1)))
        await peer.asked(1)
        await plc.close()
    assert asking.result().reason == "network"


async def fails(question: Any) -> LinkError:
    with pytest.raises(LinkError) as caught:
        await question
    return caught.value


async def test_who_shares_a_bus_takes_turns_in_the_order_of_asking(bus: Buses, tcp: Any) -> None:
    peer, where = await tcp(silent)
    plc = bus(where)
    order: list[int] = []

    async def ask(address: int) -> None:
        assert await plc.read_block(1, "holding", address, 1) == address.to_bytes(2)
        order.append(address)

    async with asyncio.TaskGroup() as group:
        for address in range(5):
            group.create_task(ask(address))
            await asyncio.sleep(0)
        for n in range(5):
            await peer.asked(n + 1)
            assert len(peer.requests) == n + 1, "a second request while the first is under way"
            words(peer, peer.requests[n])
    assert order == [0, 1, 2, 3, 4]


async def test_what_somebody_waits_for_goes_before_the_polls(bus: Buses, tcp: Any) -> None:
    peer, where = await tcp(silent)
    plc = bus(where)

    async def urgent() -> bytes:
        URGENT.set(True)
        return await plc.read_block(1, "holding", 9, 1)

    async with asyncio.TaskGroup() as group:
        for address in range(3):
            group.create_task(plc.read_block(1, "holding", address, 1))
        await peer.asked(1)
        group.create_task(urgent())
        await asyncio.sleep(0)
        for n in range(4):
            await peer.asked(n + 1)
            words(peer, peer.requests[n])
    assert [request[9] for request in peer.requests] == [0, 9, 1, 2]


async def test_a_cancelled_request_keeps_its_turn_until_it_is_over(bus: Buses, tcp: Any) -> None:
    peer, where = await tcp(silent)
    plc = bus(where)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(plc.read_block(1, "holding", 1, 1))
        await peer.asked(1)
        first.cancel()
        second = group.create_task(plc.read_block(1, "holding", 2, 1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(second), 0.05)
        assert len(peer.requests) == 1
        words(peer, peer.requests[0])
        await peer.asked(2)
        words(peer, peer.requests[1])
    assert first.cancelled()
    assert second.result() == b"\0\2"


async def test_a_cancelled_request_that_is_never_answered_ends_at_its_deadline(bus: Buses, tcp: Any) -> None:
    peer, where = await tcp(lambda peer, request: words(peer, request) if len(peer.requests) > 1 else None)
    plc = bus(where, timeout="50ms")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(plc.read_block(1, "holding", 1, 1))
        await peer.asked(1)
        first.cancel()
        second = group.create_task(plc.read_block(1, "holding", 2, 1))
    assert second.result() == b"\0\2"
    assert peer.times[1] - peer.times[0] >= 0.045


async def test_a_cancelled_request_whose_connection_breaks_frees_the_bus(bus: Buses, tcp: Any) -> None:
    peer, where = await tcp(lambda peer, request: words(peer, request) if len(peer.requests) > 1 else None)
    plc = bus(where, timeout="60s")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(plc.read_block(1, "holding", 1, 1))
        await peer.asked(1)
        first.cancel()
        second = group.create_task(plc.read_block(1, "holding", 2, 1))
        await asyncio.sleep(0)
        peer.hang_up()
    assert second.result() == b"\0\2"


async def test_one_who_gives_up_waiting_holds_nobody_up(bus: Buses, tcp: Any) -> None:
    peer, where = await tcp(silent)
    plc = bus(where)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(plc.read_block(1, "holding", n, 1)) for n in range(3)]
        await peer.asked(1)
        tasks[1].cancel()
        words(peer, peer.requests[0])
        await peer.asked(2)
        words(peer, peer.requests[1])
    assert tasks[2].result() == b"\0\2"
    assert len(peer.requests) == 2


async def test_a_pause_is_kept(bus: Buses, tcp: Any) -> None:
    peer, where = await tcp(words)
    plc = bus(where, pause="30ms")
    for n in range(3):
        await plc.read_block(1, "holding", n, 1)
    gaps = [later - earlier for earlier, later in zip(peer.times, peer.times[1:], strict=False)]
    assert min(gaps) >= 0.029


async def test_the_pause_of_a_device_is_kept_by_who_makes_the_serial_frames(bus: Buses, tcp: Any) -> None:
    peer, where = await tcp(words)
    plc = bus(where)
    for n in range(3):
        await plc.read_block(1, "holding", n, 1, pause=5)
    assert peer.times[-1] - peer.times[0] < 5


async def test_the_trace_shows_every_frame(bus: Buses, tcp: Any) -> None:
    _, where = await tcp(words)
    plc = bus(where)
    seen: list[tuple[str, str]] = []
    plc.trace = lambda direction, frame, _: seen.append((direction, frame.hex()))
    await plc.read_block(1, "input", 3, 2)
    assert seen == [
        (">>", "000100000006010400030002"),
        ("<<", "00010000000701040400030004"),
    ]
