"""Connected peers over a radio link: subscriptions, reads, streams, what is missing, and turns at few connections."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.links import connection, slots
from gateway.links.air import Peer, Stream, Value, Values
from gateway.links.framing import Lines
from simulators.bluez.model import Characteristic, Pairing, Peripheral, Service
from tests.gateway.links.radio_rig import (
    BATTERY,
    HEART_RATE,
    LEVEL,
    LOCATION,
    MEASUREMENT,
    SOON,
    UART,
    UART_IN,
    UART_OUT,
    Beacon,
    Links,
    Strap,
    address,
    adverts,
    connected,
    data,
    fails,
    heard,
    lines,
    links,
    pulses,
    trouble,
)
from tests.radio import Radio, radio, until

__all__ = ["links", "radio"]


def when_subscribed(strap: Strap, act: Callable[[], object]) -> None:
    """Act as soon as somebody has subscribed to the pulse."""
    strap.pulse.on_subscribe = lambda on: asyncio.get_running_loop().call_soon(act) if on else None


async def test_values_come_as_they_are_sent(radio: Radio, links: Links) -> None:
    strap, link = Strap(address()), links()
    radio.add(strap)
    await connected(link, pulses(strap), strap)
    assert strap.beat(72)
    (value,) = await heard(link, pulses(strap))
    assert value == Value(strap.address, MEASUREMENT, strap.pulse.handle, b"\x00\x48")
    for rate in range(60, 90):
        assert strap.beat(rate)
    assert data(await heard(link, pulses(strap), 30)) == [bytes((0, rate)) for rate in range(60, 90)]


async def test_what_is_read_once_comes_first(radio: Radio, links: Links) -> None:
    strap, link = Strap(address()), links()
    when_subscribed(strap, lambda: strap.beat(60))
    strap.faults.delays["read"] = 0.05
    radio.add(strap)
    hear = pulses(strap, read=(LOCATION, LEVEL, "00002a00-0000-1000-8000-00805f9b34fb"))
    values = await heard(link, hear, 3)
    assert [(v.characteristic, v.data) for v in values] == [
        (LOCATION, b"\x01"), (LEVEL, b"\x5a"), (MEASUREMENT, b"\x00\x3c"),
    ]  # fmt: skip


async def test_two_listeners_share_one_connection(radio: Radio, links: Links) -> None:
    strap, link = Strap(address()), links()
    radio.add(strap)
    await connected(link, pulses(strap), strap, "a")
    levels = Values(Peer(strap.address), (LEVEL,))
    assert await link.frames("b", levels, 0.001) == []
    await until(lambda: strap.level.subscribed)
    strap.beat(72)
    strap.level.notify(b"\x59")
    assert data(await heard(link, pulses(strap), ear="a")) == [b"\x00\x48"]
    assert data(await heard(link, levels, ear="b")) == [b"\x59"]
    assert radio.adapter.links == 1


async def test_a_stream_is_heard_from_what_notifies(radio: Radio, links: Links) -> None:
    out = Characteristic(UART_OUT, ["notify"])
    board = Peripheral(
        address(), services=[Service(UART, [Characteristic(UART_IN, ["write"]), out])], interval=SOON
    )  # fmt: skip
    link = links()
    radio.add(board)
    reading = asyncio.ensure_future(heard(link, lines(board), 2))
    await until(lambda: out.subscribed)
    for piece in (b"a fragment\ntemp: 2", b"0\r\nhum: 5", b"0\n"):
        assert out.notify(piece)
    assert await reading == [b"temp: 20", b"hum: 50"]
    assert link.counts("ear")["skipped"] == 0


async def test_a_stream_over_a_service_that_does_not_notify_is_garbled(radio: Radio, links: Links) -> None:
    strap, link = Strap(address()), links()
    radio.add(strap)
    error = await trouble(link, Stream(Peer(strap.address), UART, (Lines(),)))
    assert error.reason == "garbled"


async def test_who_is_forgotten_is_disconnected(radio: Radio, links: Links) -> None:
    strap, link = Strap(address()), links()
    radio.add(strap)
    await connected(link, pulses(strap), strap)
    await link.forget("ear")
    await until(lambda: not strap.connected)


async def test_a_connection_that_is_lost_is_told_and_made_again(radio: Radio, links: Links, monkeypatch: Any) -> None:
    monkeypatch.setattr(connection, "VISIT", 0.0)
    strap, link = Strap(address()), links()
    radio.add(strap)
    await connected(link, pulses(strap), strap)
    strap.beat(60)
    assert await heard(link, pulses(strap))
    strap.disconnect()
    assert (await trouble(link, pulses(strap))).reason == "network"
    await connected(link, pulses(strap), strap)
    strap.beat(72)
    assert data(await heard(link, pulses(strap))) == [b"\x00\x48"]


async def test_who_comes_to_tell_something_and_hangs_up_is_no_fault(radio: Radio, links: Links) -> None:
    strap, link = Strap(address()), links()
    strap.advertising = False

    def measured() -> None:
        strap.advertising = False
        strap.beat(60)
        strap.beat(61)
        strap.disconnect()

    when_subscribed(strap, measured)
    radio.add(strap)
    for _ in range(2):
        assert await link.frames("ear", pulses(strap), 0.05) == []  # it is not there, and nobody minds
        strap.advertising = True
        assert data(await heard(link, pulses(strap), 2)) == [b"\x00\x3c", b"\x00\x3d"]
        await until(lambda: not strap.connected)
        assert await link.frames("ear", pulses(strap), 0.05) == []


# -- reads ------------------------------------------------------------------------------------------------------------


async def test_values_are_read_by_handle_and_the_connection_let_go(radio: Radio, links: Links) -> None:
    strap, link = Strap(address()), links()
    radio.add(strap)
    values = await link.read_values(Peer(strap.address), (LEVEL, LOCATION))
    assert [(v.characteristic, v.handle, v.data) for v in values] == [
        (LOCATION, strap.location.handle, b"\x01"), (LEVEL, strap.level.handle, b"\x5a"),
    ]  # fmt: skip
    await until(lambda: not strap.connected)


async def test_all_of_one_uuid_are_read(radio: Radio, links: Links) -> None:
    first, second = (Characteristic("2a6e", ["read"], bytes((n, 0))) for n in (1, 2))
    station = Peripheral(address(), services=[Service("181a", [first, second])], interval=SOON)
    radio.add(station)
    values = await links().read_values(Peer(station.address), ("00002a6e-0000-1000-8000-00805f9b34fb",))
    assert data(values) == [b"\x01\x00", b"\x02\x00"]
    assert [v.handle for v in values] == [first.handle, second.handle]


async def test_who_is_read_often_stays_connected(radio: Radio, links: Links, monkeypatch: Any) -> None:
    monkeypatch.setattr(connection, "KEEP", 0.3)
    strap, link = Strap(address()), links()
    connects: list[int] = []
    strap.on_connect = lambda: connects.append(1)  # type: ignore[method-assign] - what a peripheral is for
    radio.add(strap)
    await link.read_values(Peer(strap.address), (LEVEL,))
    await until(lambda: not strap.connected)
    for _ in range(5):
        await link.read_values(Peer(strap.address), (LEVEL,))
    assert len(connects) == 2
    assert strap.connected
    await until(lambda: not strap.connected)


async def test_reads_wait_for_each_other(radio: Radio, links: Links) -> None:
    strap, link = Strap(address()), links()
    strap.faults.delays["read"] = 0.02
    radio.add(strap)
    reads = [link.read_values(Peer(strap.address), (LEVEL,)) for _ in range(4)]
    assert [data(values) for values in await asyncio.gather(*reads)] == [[b"\x5a"]] * 4


async def test_a_peer_that_is_not_there_is_silent_for_who_reads(radio: Radio, links: Links, monkeypatch: Any) -> None:
    monkeypatch.setattr("gateway.links.radio.FIND_WITHIN", 0.2)
    error = await fails(links().read_values(Peer("C0:FF:EE:00:00:FF"), (LEVEL,)))
    assert error.reason == "silent"
    assert "C0:FF:EE:00:00:FF" in str(error)


async def test_a_characteristic_it_has_not_is_garbled_for_who_reads(radio: Radio, links: Links) -> None:
    strap = Strap(address())
    radio.add(strap)
    link = links()
    wanted = ("00002a6e-0000-1000-8000-00805f9b34fb",)
    assert (await fails(link.read_values(Peer(strap.address), wanted))).reason == "garbled"
    assert data(await link.read_values(Peer(strap.address), (LEVEL,))) == [b"\x5a"]


async def test_a_refused_read_is_an_exception(radio: Radio, links: Links) -> None:
    strap, link = Strap(address()), links()
    radio.add(strap)
    strap.faults.att_errors.append(0x80)
    error = await fails(link.read_values(Peer(strap.address), (LEVEL,)))
    assert error.reason == "exception"
    assert "0x80" in str(error)


async def test_who_reads_and_is_cancelled_leaves_nothing_behind(radio: Radio, links: Links) -> None:
    strap, link = Strap(address()), links()
    strap.faults.delays["read"] = 0.2
    radio.add(strap)
    reading = asyncio.ensure_future(link.read_values(Peer(strap.address), (LEVEL,)))
    await until(lambda: strap.connected)
    reading.cancel()
    await asyncio.wait([reading])
    await until(lambda: not strap.connected)


# -- turns ------------------------------------------------------------------------------------------------------------


async def test_more_peers_than_connections_are_served_in_turn(
    radio: Radio, links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven connections, twelve devices that want one: all served, none starved."""
    monkeypatch.setattr(slots, "SHARE", 0.1)
    monkeypatch.setattr(slots, "PATIENCE", 0.3)
    radio.adapter.slots = 7
    link = links(connections=7)
    straps = [Strap(address()) for _ in range(12)]
    counts = dict.fromkeys(range(12), 0)
    most = 0
    radio.add(*straps)

    def beat() -> None:
        nonlocal most
        most = max(most, radio.adapter.links)
        for strap in straps:
            strap.beat(72)
        asyncio.get_running_loop().call_later(0.02, beat) if min(counts.values()) < 10 else None

    async def listen(n: int) -> None:
        while min(counts.values()) < 10:
            counts[n] += len(await link.frames(f"ear {n}", pulses(straps[n]), 0.05))

    beat()
    async with asyncio.timeout(20):
        await asyncio.gather(*(listen(n) for n in range(12)))
    assert most == 7
    assert max(counts.values()) <= 12 * min(counts.values())


async def test_who_waits_long_for_a_connection_is_told(radio: Radio, links: Links, monkeypatch: Any) -> None:
    monkeypatch.setattr(connection, "FULL", 0.1)
    one, other, link = Strap(address()), Strap(address()), links(connections=1)
    radio.add(one, other)
    await connected(link, pulses(one), one, "one")
    assert (await trouble(link, pulses(other), "other")).reason == "bus_full"
    await link.forget("one")
    await connected(link, pulses(other), other, "other")


async def test_a_peer_that_cannot_be_connected_does_not_hold_up_others(
    radio: Radio, links: Links, monkeypatch: Any
) -> None:
    monkeypatch.setattr("gateway.links.ble.CONNECT_WITHIN", 0.3)
    dead, well, link = Strap(address()), Strap(address()), links(connections=1)
    dead.faults.never_answers = True
    radio.add(dead)
    assert (await trouble(link, pulses(dead), "dead")).reason == "timeout"
    radio.add(well)
    await connected(link, pulses(well), well, "well")


async def test_one_connect_at_a_time(radio: Radio, links: Links) -> None:
    link, straps = links(connections=7), [Strap(address()) for _ in range(5)]
    now: list[int] = []
    for strap in straps:
        strap.faults.delays["connect"] = 0.05
    radio.add(*straps)
    waiting = [asyncio.ensure_future(connected(link, pulses(s), s, s.address)) for s in straps]
    while not all(task.done() for task in waiting):
        now.append(sum(device.link.connecting for device in radio.adapter.devices.values()))
        await asyncio.sleep(0.002)
    assert max(now) == 1


# -- pairing ----------------------------------------------------------------------------------------------------------


async def test_a_peer_that_wants_to_be_paired_says_so_and_how(radio: Radio, links: Links) -> None:
    level = Characteristic(LEVEL, ["encrypt-authenticated-read"], b"\x5a")
    lock = Peripheral(
        address(), services=[Service(BATTERY, [level])], interval=SOON, pairing=Pairing("KeyboardDisplay")
    )
    radio.add(lock)
    error = await fails(links(timeout="500ms").read_values(Peer(lock.address), (LEVEL,)))
    assert error.reason == "refused"
    assert f"labgate pair {lock.address}" in str(error)


async def test_a_peer_that_pairs_without_questions_is_paired(radio: Radio, links: Links) -> None:
    level = Characteristic(LEVEL, ["encrypt-read"], b"\x5a")
    lock = Peripheral(address(), services=[Service(BATTERY, [level])], interval=SOON, pairing=Pairing())
    radio.add(lock)
    assert data(await links().read_values(Peer(lock.address), (LEVEL,))) == [b"\x5a"]
    assert lock.bonded


async def test_who_is_meant_by_name_is_nobody_that_another_means_by_address(radio: Radio, links: Links) -> None:
    one, other, link = Strap(address(), rssi=-40), Strap(address(), rssi=-80), links()
    radio.add(one, other)
    await connected(link, pulses(one), one, "one")
    await link.forget("one")
    await until(lambda: not one.connected)
    await connected(link, Values(Peer(name="Strap"), (MEASUREMENT,)), other, "other")
    assert not one.connected


async def test_what_is_advertised_by_a_peer_is_heard_beside_its_values(radio: Radio, links: Links) -> None:
    tag, strap, link = Beacon(address(), b"\x01"), Strap(address()), links()
    radio.add(tag, strap)
    await connected(link, Values(Peer(name="Strap", service=HEART_RATE), (MEASUREMENT,)), strap, "strap")
    assert await heard(link, adverts(tag), ear="tag")
