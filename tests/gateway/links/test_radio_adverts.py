"""Adverts over a radio link: who hears what, repeats, and how who waits is woken."""

import asyncio
from typing import Any

from gateway.links.air import Advert, Adverts, Peer
from gateway.links.radio_ears import KEPT, REST, AdvertEar, Bell
from simulators.bluez.model import Peripheral
from tests.gateway.links.radio_rig import COMPANY, Beacon, Links, address, adverts, heard, links
from tests.radio import Radio, radio, until

__all__ = ["links", "radio"]

ENVIRONMENT = "0000181a-0000-1000-8000-00805f9b34fb"


async def test_an_advert_is_told_with_all_it_says(radio: Radio, links: Links) -> None:
    tag = Peripheral(
        "cb:b8:33:4c:88:4f", "tag", manufacturer_data={COMPANY: b"\x05\x12"}, service_data={"181a": b"\x01"},
        uuids=["181a"], rssi=-71, interval=0.02, connectable=False,
    )  # fmt: skip
    radio.add(tag)
    (advert, *_) = await heard(links(), Adverts(Peer(tag.address), companies=(COMPANY,)))
    assert advert == Advert(
        "CB:B8:33:4C:88:4F", "tag", -71, {COMPANY: b"\x05\x12"}, {ENVIRONMENT: b"\x01"}, (ENVIRONMENT,)
    )


async def test_an_advert_that_says_nothing_new_is_a_repeat(radio: Radio, links: Links) -> None:
    tag, link = Beacon(address(), b"\x01"), links()
    radio.add(tag)
    await heard(link, adverts(tag))
    await until(lambda: link.counts("ear")["repeats"] >= 3)
    assert await link.frames("ear", adverts(tag), 0) == []
    tag.say(b"\x02")
    (advert,) = await heard(link, adverts(tag))
    assert advert.company == {COMPANY: b"\x02"}


async def test_repeats_are_frames_where_they_are_wanted(radio: Radio, links: Links) -> None:
    tag, link = Beacon(address(), b"\x01"), links()
    radio.add(tag)
    assert len(await heard(link, adverts(tag, repeats=True), 3)) >= 3
    assert link.counts("ear")["repeats"] == 0


async def test_each_ear_hears_its_own_peer_and_several_hear_one(radio: Radio, links: Links) -> None:
    one, other, link = Beacon(address(), b"\x01"), Beacon(address(), b"\x02"), links()
    radio.add(one, other)
    for ear, tag in (("a", one), ("b", other), ("c", one)):
        frames = await heard(link, adverts(tag), ear=ear)
        assert {frame.address for frame in frames} == {tag.address}


async def test_a_peer_is_found_by_what_it_advertises(radio: Radio, links: Links) -> None:
    one, other, link = Beacon(address(), b"\x01", name="Aranet4 1234"), Beacon(address(), b"\x02", name="Mi"), links()
    sensor = Peripheral(address(), service_data={"181a": b"\x07"}, interval=0.02, connectable=False)
    radio.add(one, other, sensor)
    for ear, peer, expected in (
        ("name", Peer(name="Aranet4*"), {one.address}),
        ("company", Peer(company=COMPANY), {one.address, other.address}),
        ("service", Peer(service=ENVIRONMENT), {sensor.address}),
        ("both", Peer(name="Mi", company=COMPANY), {other.address}),
        ("all", Peer(), {one.address, other.address, sensor.address}),
    ):
        found = {frame.address for frame in await heard(link, Adverts(peer), len(expected), ear=ear)}
        assert found == expected, ear


async def test_adverts_without_what_is_wanted_are_no_frames(radio: Radio, links: Links) -> None:
    tag, link = Beacon(address(), b"\x01"), links()
    radio.add(tag)
    await heard(link, adverts(tag), ear="other")
    wanted = Adverts(Peer(tag.address), companies=(0x004C,), services=(ENVIRONMENT,))
    assert await link.frames("ear", wanted, 0.1) == []
    assert link.counts("ear") == {"repeats": 0, "passed_over": 0}
    tag.service_data = {"181a": b"\x01"}
    (advert,) = await heard(link, wanted)
    assert advert.service == {ENVIRONMENT: b"\x01"}


async def test_who_returns_is_heard_though_it_says_what_it_said(radio: Radio, links: Links, monkeypatch: Any) -> None:
    monkeypatch.setattr("gateway.links.sightings.FRESH", 0.1)
    tag, link = Beacon(address(), b"\x01"), links()
    radio.add(tag)
    await heard(link, adverts(tag))
    tag.advertising = False
    assert await link.frames("ear", adverts(tag), 0.15) == []
    tag.advertising = True
    assert await heard(link, adverts(tag))


async def test_who_is_forgotten_hears_no_more(radio: Radio, links: Links) -> None:
    tag, link = Beacon(address(), b"\x01"), links()
    radio.add(tag)
    await heard(link, adverts(tag))
    await link.forget("ear")
    await link.forget("ear")
    assert link.counts("ear") == {}
    assert await heard(link, adverts(tag))


async def test_an_ear_that_wants_something_else_now_gets_that(radio: Radio, links: Links) -> None:
    one, other, link = Beacon(address(), b"\x01"), Beacon(address(), b"\x02"), links()
    radio.add(one, other)
    await heard(link, adverts(one))
    frames = await heard(link, adverts(other))
    assert {frame.address for frame in frames} == {other.address}


async def test_the_trace_is_told_payloads(radio: Radio, links: Links) -> None:
    tag, link = Beacon(address(), b"\x05\x01"), links()
    told: list[tuple[str, bytes]] = []
    link.trace = lambda mark, data, _: told.append((mark, data))
    radio.add(tag)
    await heard(link, adverts(tag))
    assert told == [("<<", b"\x05\x01")]


async def test_what_nobody_fetches_is_bounded_and_counted() -> None:
    ear = AdvertEar(Adverts(Peer("C0:FF:EE:00:00:01")))
    for n in range(KEPT + 1):
        ear.put(Advert("C0:FF:EE:00:00:01", rssi=n))
    assert ear.counts()["passed_over"] == KEPT // 2
    frames = ear.fetch()
    assert frames[-1].rssi == KEPT
    assert len(frames) == KEPT + 1 - KEPT // 2


async def test_the_first_after_a_silence_is_told_at_once_and_others_together() -> None:
    loop, bell = asyncio.get_running_loop(), Bell()
    ears = [AdvertEar(Adverts(Peer())) for _ in range(3)]
    woken: dict[int, float] = {}
    for n, ear in enumerate(ears):
        ear.waiter = loop.create_future()
        ear.waiter.add_done_callback(lambda _, n=n: woken.setdefault(n, loop.time()))
    began = loop.time()
    for ear in ears:
        bell.ring(ear, began)
    assert ears[0].waiter is not None
    assert ears[0].waiter.done()
    await until(lambda: len(woken) == 3)
    assert woken[1] == woken[2] or woken[2] - woken[1] < REST / 10
    assert woken[1] - began <= REST + 0.05
    assert woken[1] // REST > began // REST
