"""Reads, writes and subscriptions on the bus: order, errors, sockets, and what goes wrong with them."""

import asyncio
import os
import select
from collections.abc import AsyncIterator

import pytest
from dbus_fast import MessageType, Variant

from simulators.bluez.model import AttError, Characteristic, Descriptor, Peripheral, Service
from tests.radio import Radio, until
from tests.simulators.bluez.watcher import CHARACTERISTIC, DEVICE, Watcher

BOARD = "E4:5F:01:AA:BB:CC"
ERROR = "org.bluez.Error."


class Board(Peripheral):
    """Something of everything."""

    def __init__(self) -> None:
        self.plain = Characteristic("fff1", ["read", "write", "write-without-response", "notify"], b"value",
                                    descriptors=[Descriptor("2901", b"plain")])  # fmt: skip
        self.only_indicates = Characteristic("fff2", ["indicate"])
        self.only_written = Characteristic("fff3", ["write"])
        self.battery = Characteristic("2a19", ["read", "write"], b"\x64")
        services = [Service("fff0", [self.plain, self.only_indicates, self.only_written])]
        super().__init__(BOARD, "board", interval=0.02, services=[*services, Service("180f", [self.battery])])


@pytest.fixture
async def board(radio: Radio) -> Board:
    it = Board()
    radio.add(it)
    return it


@pytest.fixture
async def client(radio: Radio, board: Board) -> AsyncIterator[Watcher]:
    async with Watcher(radio.bus.address) as watcher:
        await watcher.connect(BOARD)
        yield watcher


def path(client: Watcher, characteristic: Characteristic) -> str:
    return next(path for path in client.paths if path.endswith(f"/char{characteristic.handle:04x}"))


def request(kind: str = "request") -> dict[str, Variant]:
    return {"type": Variant("s", kind)}


async def read(client: Watcher, characteristic: Characteristic) -> bytes:
    return await client.value(path(client, characteristic), CHARACTERISTIC, "ReadValue", "a{sv}", {})


async def read_refusal(client: Watcher, characteristic: Characteristic) -> tuple[str, str]:
    return await client.refusal(path(client, characteristic), CHARACTERISTIC, "ReadValue", "a{sv}", {})


async def start_notify(client: Watcher, characteristic: Characteristic) -> None:
    await client.value(path(client, characteristic), CHARACTERISTIC, "StartNotify")


def values(client: Watcher, characteristic: Characteristic) -> list[bytes]:
    name = f"char{characteristic.handle:04x}"
    return [told[2]["Value"] for told in client.told if told[:2] == ("changed", name) and "Value" in told[2]]


async def test_what_is_read_is_told_as_a_value_first(client: Watcher, board: Board) -> None:
    client.told.clear()
    assert await read(client, board.plain) == b"value"
    assert client.told == [("changed", "char000b", {"Value": b"value"}, []), ("reply",)]
    options = {"offset": Variant("q", 3)}
    assert await client.value(path(client, board.plain), CHARACTERISTIC, "ReadValue", "a{sv}", options) == b"ue"
    options = {"offset": Variant("q", 6)}
    assert await client.refusal(path(client, board.plain), CHARACTERISTIC, "ReadValue", "a{sv}", options) == (
        ERROR + "InvalidArguments", "Invalid offset",
    )  # fmt: skip


async def test_descriptors(client: Watcher, board: Board) -> None:
    description, configuration = (f"{path(client, board.plain)}/desc{d.handle:04x}" for d in board.plain.descriptors)
    interface = "org.bluez.GattDescriptor1"
    assert await client.value(description, interface, "ReadValue", "a{sv}", {}) == b"plain"
    await client.value(description, interface, "WriteValue", "aya{sv}", b"new", {})
    assert board.plain.descriptors[0].value == b"new"
    assert await client.refusal(configuration, interface, "WriteValue", "aya{sv}", b"\1\0", {}) == (
        ERROR + "NotPermitted", "Write not permitted",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        (0x02, ("NotPermitted", "Read not permitted")),
        (0x03, ("NotPermitted", "Write not permitted")),
        (0x0C, ("NotPermitted", "Not paired")),
        (0x06, ("NotSupported", "Operation is not supported")),
        (0x07, ("InvalidArguments", "Invalid offset")),
        (0x08, ("NotAuthorized", "Operation Not Authorized")),
        (0x0D, ("InvalidArguments", "Invalid Length")),
        (0x11, ("Failed", "Operation failed with ATT error: 0x11")),
        (0x80, ("Failed", "Operation failed with ATT error: 0x80")),
    ],
)
async def test_errors_of_the_peripheral(client: Watcher, board: Board, code: int, refusal: tuple[str, str]) -> None:
    expected = (ERROR + refusal[0], refusal[1])

    def refuse() -> bytes:
        raise AttError(code)

    board.plain.on_read = refuse
    assert await read_refusal(client, board.plain) == expected
    board.plain.on_read = None
    board.faults.att_errors.append(code)
    assert await read_refusal(client, board.plain) == expected
    assert await read(client, board.plain) == b"value"


async def test_writes(client: Watcher, board: Board) -> None:
    written: list[tuple[bytes, bool]] = []
    board.plain.on_write = lambda data, with_response: written.append((data, with_response))
    where = path(client, board.plain)
    longest = bytes(board.mtu - 3)
    await client.value(where, CHARACTERISTIC, "WriteValue", "aya{sv}", b"one", request())
    await client.value(where, CHARACTERISTIC, "WriteValue", "aya{sv}", longest, request("command"))
    await client.value(where, CHARACTERISTIC, "WriteValue", "aya{sv}", b"two", {})  # a request, where there is a choice
    await client.value(where, CHARACTERISTIC, "WriteValue", "aya{sv}", bytes(512), request())
    assert written == [(b"one", True), (longest, False), (b"two", True), (bytes(512), True)]
    for data, kind, refusal in (
        (longest + b"x", "command", (ERROR + "Failed", "Failed to initiate write")),
        (bytes(513), "request", (ERROR + "InvalidArguments", "Invalid Length")),
    ):
        assert await client.refusal(where, CHARACTERISTIC, "WriteValue", "aya{sv}", data, request(kind)) == refusal
    assert len(written) == 4


async def test_what_may_not_be_written(client: Watcher, board: Board) -> None:
    where = path(client, board.only_indicates)
    assert await client.refusal(where, CHARACTERISTIC, "WriteValue", "aya{sv}", b"x", request()) == (
        ERROR + "NotPermitted", "Write not permitted",
    )  # fmt: skip
    await client.value(where, CHARACTERISTIC, "WriteValue", "aya{sv}", b"x", request("command"))  # nobody can say no
    assert board.only_indicates.value == b""
    where = path(client, board.battery)  # bluetoothd keeps that service to itself
    assert await client.refusal(where, CHARACTERISTIC, "WriteValue", "aya{sv}", b"x", request()) == (
        ERROR + "NotAuthorized", "Operation Not Authorized",
    )  # fmt: skip
    assert await read(client, board.battery) == b"\x64"
    assert await read_refusal(client, board.only_written) == (ERROR + "NotPermitted", "Read not permitted")


async def test_subscriptions(client: Watcher, board: Board) -> None:
    wanted: list[bool] = []
    board.plain.on_subscribe = wanted.append
    assert not board.plain.notify(b"nobody")
    client.told.clear()
    await start_notify(client, board.plain)
    assert client.told == [("changed", "char000b", {"Notifying": True}, []), ("reply",)]
    client.told.clear()
    for _ in range(2):
        assert board.plain.notify(b"same")
    await until(lambda: len(values(client, board.plain)) == 2)  # told each time, also when it is the same
    assert (await client.refusal(path(client, board.plain), CHARACTERISTIC, "StartNotify"))[0] == ERROR + "InProgress"
    client.told.clear()
    await client.value(path(client, board.plain), CHARACTERISTIC, "StopNotify")
    assert client.told == [("changed", "char000b", {"Notifying": False}, []), ("reply",)]
    assert wanted == [True, False]
    assert await client.refusal(path(client, board.plain), CHARACTERISTIC, "StopNotify") == (
        ERROR + "Failed", "No notify session started",
    )  # fmt: skip
    assert await client.refusal(path(client, board.only_written), CHARACTERISTIC, "StartNotify") == (
        ERROR + "NotSupported", "Operation is not supported",
    )  # fmt: skip
    await start_notify(client, board.only_indicates)
    assert board.only_indicates.notify(b"x")


async def test_a_notification_comes_once_for_each_subscriber(radio: Radio, client: Watcher, board: Board) -> None:
    await start_notify(client, board.plain)
    async with Watcher(radio.bus.address) as other:
        await other.value(path(client, board.plain), CHARACTERISTIC, "StartNotify")
        client.told.clear()
        board.plain.notify(b"two")
        await until(lambda: len(values(client, board.plain)) == 2)
    await until(lambda: len(radio.adapter.devices[BOARD].link.table.remote(board.plain).subscribers) == 1)
    client.told.clear()
    board.plain.notify(b"one")
    board.plain.notify(b"end")
    await until(lambda: b"end" in values(client, board.plain))
    assert values(client, board.plain) == [b"one", b"end"]


async def test_subscribers_are_subscribed_again_after_a_reconnect(client: Watcher, board: Board) -> None:
    await start_notify(client, board.plain)
    board.disconnect()
    await client.heard("Connected", False)
    assert not board.plain.subscribed
    device = path(client, board.plain)[:-21]
    await client.value(device, DEVICE, "Connect")
    await client.heard("ServicesResolved", True)
    assert board.plain.notify(b"again")
    await until(lambda: values(client, board.plain) == [b"again"])


async def test_a_subscriber_of_an_earlier_life(radio: Radio, client: Watcher, board: Board) -> None:
    radio.adapter.leave_subscribed(board.plain)
    await start_notify(client, board.plain)
    client.told.clear()
    board.plain.notify(b"x")
    await until(lambda: len(values(client, board.plain)) == 2)


async def test_notifications_lost_doubled_and_cut(client: Watcher, board: Board) -> None:
    await start_notify(client, board.plain)
    client.told.clear()
    board.faults.double = 1.0
    assert board.plain.notify(b"twice")
    board.faults.double, board.faults.lose = 0.0, 1.0
    assert not board.plain.notify(b"lost")
    board.faults.lose = 0.5
    sent = [n.to_bytes(2, "big") for n in range(200)]
    went_out = [data for data in sent if board.plain.notify(data)]
    board.faults.lose = 0.0
    assert board.plain.notify(b"end" + bytes(300))
    await until(lambda: any(data[:3] == b"end" for data in values(client, board.plain)))
    assert len(values(client, board.plain)[-1]) == board.mtu - 3  # what is longer does not fit
    assert values(client, board.plain)[:-1] == [b"twice", b"twice", *went_out]
    assert 60 < len(went_out) < 140  # 100, standard deviation 7


async def test_an_operation_in_progress(client: Watcher, board: Board) -> None:
    board.faults.delays["read"] = 0.05
    first = asyncio.ensure_future(read(client, board.plain))
    await until(lambda: board.link.devices[BOARD].link.pending)
    assert await read_refusal(client, board.plain) == (ERROR + "InProgress", "Operation already in progress")
    assert await first == b"value"
    board.faults.in_progress = 1
    assert (await read_refusal(client, board.plain))[0] == ERROR + "InProgress"
    assert await read(client, board.plain) == b"value"


async def test_a_link_lost_ends_what_waits(client: Watcher, board: Board) -> None:
    board.faults.delays["read"] = 30.0
    waiting = asyncio.ensure_future(read_refusal(client, board.plain))
    await until(lambda: board.link.devices[BOARD].link.pending)
    client.told.clear()
    board.disconnect()
    assert await waiting == (ERROR + "Failed", "Operation failed with ATT error: 0x0e")
    await client.heard("Connected", False)
    assert client.kinds()[0] == "error"
    assert await read_refusal(client, board.plain) == (ERROR + "Failed", "Not connected")
    assert (await client.refusal(path(client, board.plain), CHARACTERISTIC, "StartNotify"))[1] == "Not connected"


@pytest.mark.parametrize("why", ["hangs", "out of range"])
async def test_no_answer_ends_the_link(radio: Radio, client: Watcher, board: Board, why: str) -> None:
    radio.bluez.times.att = 0.05  # 30 s of the specification
    if why == "hangs":
        board.faults.hangs = 1
    else:
        board.in_range = False
    assert await read_refusal(client, board.plain) == (ERROR + "Failed", "Operation failed with ATT error: 0x0e")
    assert not board.connected


async def test_an_acquired_socket(radio: Radio, client: Watcher, board: Board) -> None:
    where = path(client, board.plain)
    client.told.clear()
    reply = await client.call(where, CHARACTERISTIC, "AcquireNotify", "a{sv}", {})
    assert reply.body == [0, board.mtu]
    (fd,) = reply.unix_fds
    assert client.told == [("changed", "char000b", {"NotifyAcquired": True}, []), ("reply",)]
    for member, refusal in (("AcquireNotify", "Notify acquired"), ("StartNotify", "Notify acquired")):
        signature, body = ("a{sv}", ({},)) if member == "AcquireNotify" else ("", ())
        assert await client.refusal(where, CHARACTERISTIC, member, signature, *body) == (
            ERROR + "NotPermitted", refusal,
        )  # fmt: skip
    board.plain.notify(b"through")
    assert os.read(fd, 100) == b"through"
    for _ in range(2000):  # a reader that stalls loses, and nobody is told
        assert board.plain.notify(bytes(20))
    board.disconnect()
    await client.heard("Connected", False)
    kept = 0
    while os.read(fd, 100):
        kept += 1
    os.close(fd)
    assert 100 < kept < 2000


async def test_a_socket_that_is_closed_ends_the_subscription(client: Watcher, board: Board) -> None:
    where = path(client, board.plain)
    reply = await client.call(where, CHARACTERISTIC, "AcquireNotify", "a{sv}", {})
    os.close(reply.unix_fds[0])
    await client.heard("NotifyAcquired", False)
    assert not board.plain.subscribed
    await start_notify(client, board.plain)
    assert (await client.refusal(where, CHARACTERISTIC, "AcquireNotify", "a{sv}", {}))[0] == ERROR + "InProgress"


async def test_an_acquired_socket_for_commands(client: Watcher, board: Board) -> None:
    written: list[tuple[bytes, bool]] = []
    board.plain.on_write = lambda data, with_response: written.append((data, with_response))
    reply = await client.call(path(client, board.plain), CHARACTERISTIC, "AcquireWrite", "a{sv}", {})
    (fd,) = reply.unix_fds
    os.write(fd, b"one")
    os.write(fd, b"two")
    await until(lambda: written == [(b"one", False), (b"two", False)])
    board.disconnect()
    await client.heard("Connected", False)
    assert select.select([fd], [], [], 1)[0]
    assert os.read(fd, 10) == b""
    os.close(fd)
    refused = await client.call(path(client, board.only_written), CHARACTERISTIC, "AcquireWrite", "a{sv}", {})
    assert refused.message_type is MessageType.ERROR


async def test_a_burst_larger_than_a_socket(client: Watcher, board: Board) -> None:
    await start_notify(client, board.plain)
    client.told.clear()
    sent = [n.to_bytes(240, "big") for n in range(5000)]
    assert all(board.plain.notify(data) for data in sent)  # without letting anybody read between them
    await until(lambda: len(values(client, board.plain)) == len(sent))
    assert values(client, board.plain) == sent
