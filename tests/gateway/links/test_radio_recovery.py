"""What ends a scan or all connections, and how they come back: bluetoothd, adapters, the bus, adapters gone deaf."""

import asyncio
import itertools
from typing import Any, Literal

import pytest
from bleak import BleakClient

from gateway.links import ble, radio_watch
from gateway.links.air import Peer
from gateway.links.radio import Radio as RadioLink
from simulators.bluez.model import Characteristic, Service
from simulators.bluez.systemd import Systemd
from tests.gateway.links.radio_rig import (
    LEVEL,
    Beacon,
    Links,
    Strap,
    address,
    adverts,
    connected,
    data,
    fails,
    heard,
    links,
    pulses,
    trouble,
)
from tests.radio import Radio, find, radio, until

__all__ = ["links", "radio"]

OTHER = "00:1A:7D:DA:71:13"
BACK = 5.0  # s after which readings flow again


@pytest.fixture
def sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """The times of the watch, a hundredth of what they are."""
    monkeypatch.setattr(radio_watch, "QUIET", 0.45)
    monkeypatch.setattr(radio_watch, "STEP", 0.15)
    monkeypatch.setattr(radio_watch, "AGAIN", (3.0, 36.0))
    monkeypatch.setattr(radio_watch, "RETRY", (0.01, 0.3))


class Site:
    """A tag and a strap that are both heard."""

    def __init__(self, radio: Radio, link: RadioLink) -> None:
        self.link, self.tag, self.strap = link, Beacon(address(), b"\x01"), Strap(address())
        radio.add(self.tag, self.strap)

    async def flows(self, within: float = BACK) -> None:
        """Both are heard now, on links that are really there."""
        async with asyncio.timeout(within):
            await connected(self.link, pulses(self.strap), self.strap, "strap")
            self.tag.say(bytes([self.tag.manufacturer_data[0x0499][0] + 1]))
            assert await heard(self.link, adverts(self.tag), ear="tag")
            assert self.strap.beat(72)
            assert data(await heard(self.link, pulses(self.strap), ear="strap"))[-1] == b"\x00\x48"

    async def is_told(self, reason: str) -> None:
        """Both learn why they hear nothing."""
        for ear, hear in (("tag", adverts(self.tag)), ("strap", pulses(self.strap))):
            assert (await trouble(self.link, hear, ear)).reason == reason


@pytest.fixture
async def site(radio: Radio, links: Links) -> Site:
    site = Site(radio, links())
    await site.flows()
    return site


async def test_rule_02_the_scan_is_begun_anew_when_the_adapter_was_off(radio: Radio, site: Site) -> None:
    for _ in range(2):
        radio.adapter.power_off()
        await site.is_told("refused")
        radio.adapter.power_on()
        await site.flows()


async def test_rule_02_off_and_on_in_one_moment(radio: Radio, site: Site) -> None:
    radio.adapter.power_off()
    radio.adapter.objects.flush()
    radio.adapter.power_on()
    await until(lambda: not site.strap.connected)
    await site.flows()


async def test_rule_02_the_scan_is_begun_anew_when_bluetoothd_was_restarted(radio: Radio, site: Site) -> None:
    await radio.bluez.restart()
    await site.flows()


@pytest.mark.parametrize("member", ["start_in_progress", "stop_in_progress"])
async def test_rule_02_in_progress_is_overcome(radio: Radio, links: Links, member: str) -> None:
    setattr(radio.adapter, member, 1)
    site = Site(radio, links())
    await site.flows()
    radio.adapter.power_off()
    radio.adapter.objects.flush()
    radio.adapter.power_on()
    await site.flows()


async def test_rule_03_a_killed_bluetoothd_is_noticed(radio: Radio, site: Site) -> None:
    radio.bluez.kill()
    await site.is_told("missing")
    await radio.bluez.start()
    await site.flows()


async def test_rule_03_nothing_is_left_of_what_the_killed_one_told(radio: Radio, site: Site) -> None:
    levels = Peer(site.strap.address), (LEVEL,)
    assert len(await site.link.read_values(*levels)) == 1
    radio.bluez.kill()
    site.strap.services = [Service("180a", [Characteristic("2a29", ["read"])]), *site.strap.services]
    await radio.bluez.start()
    await site.flows()
    assert data(await site.link.read_values(*levels)) == [b"\x5a"]


async def test_rule_03_bleak_forgets(radio: Radio) -> None:
    strap, lost = Strap(address()), asyncio.Event()
    radio.add(strap)
    client = BleakClient(await find(strap.address), lambda _: lost.set())
    await client.connect()
    radio.bluez.kill()
    await until(lambda: not strap.connected)
    assert client.is_connected, "bleak notices by itself now: forget() is not needed any more"
    ble.forget()
    async with asyncio.timeout(1):
        await lost.wait()
    assert not client.is_connected
    await client.disconnect()


async def test_bluetoothd_that_comes_up_slowly(radio: Radio, site: Site) -> None:
    radio.bluez.kill()
    await site.is_told("missing")
    await radio.bluez.start(slow=0.3)
    await site.flows()


async def test_rule_17_an_adapter_that_was_pulled_and_returned_as_another_number(radio: Radio, site: Site) -> None:
    radio.adapter.unplug()
    await site.is_told("unplugged")
    radio.bluez.add_adapter(OTHER, index=0)
    radio.adapter.plug(index=3)
    await site.flows()


async def test_rule_17_of_several_adapters_the_one_that_is_configured(radio: Radio, links: Links) -> None:
    other = radio.bluez.add_adapter(OTHER)
    tag = Beacon(address())
    other.add(tag)
    assert await heard(links(ble=OTHER), adverts(tag))
    assert not radio.adapter.discovery.sessions


async def test_two_adapters_at_once_when_bluetoothd_is_restarted(radio: Radio, links: Links) -> None:
    other = radio.bluez.add_adapter(OTHER)
    tag, site, second = Beacon(address()), Site(radio, links()), links(ble=OTHER)
    other.add(tag)
    for n in range(3):
        await site.flows()
        tag.say(bytes([n]))
        assert await heard(second, adverts(tag), ear="other")
        radio.bluez.kill()
        await site.is_told("missing")
        await radio.bluez.start()


async def test_no_adapter(radio: Radio, links: Links) -> None:
    link, tag = links(ble=OTHER), Beacon(address())
    error = await trouble(link, adverts(tag))
    assert error.reason == "missing"
    assert OTHER in str(error)
    assert (await fails(link.read_values(pulses(tag).peer, ("x",)))).reason == "missing"
    radio.bluez.add_adapter(OTHER).add(tag)
    assert await heard(link, adverts(tag))


async def test_no_bus(radio: Radio, links: Links, monkeypatch: Any) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={radio.folder}/none")
    link, tag = links(), Beacon(address())
    radio.add(tag)
    error = await trouble(link, adverts(tag))
    assert error.reason == "missing"
    assert "bus" in str(error)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", radio.bus.address)
    assert await heard(link, adverts(tag))


async def test_the_bus_is_killed_and_restarted(radio: Radio, site: Site) -> None:
    await radio.bus.kill()
    await site.is_told("missing")
    await radio.bus.start()
    await radio.bluez.start()
    await site.flows()


async def test_trouble_that_lasts_is_told_once_and_now_and_then(radio: Radio, links: Links, monkeypatch: Any) -> None:
    monkeypatch.setattr("gateway.links.radio_ears.AGAIN", 0.2)
    radio.adapter.power_off()
    link, tag, loop = links(), Beacon(address()), asyncio.get_running_loop()
    await trouble(link, adverts(tag))
    assert await link.frames("ear", adverts(tag), 0.1) == []
    began = loop.time()
    await trouble(link, adverts(tag))
    assert 0.05 < loop.time() - began < 1


async def test_who_begins_to_listen_in_trouble_is_told(radio: Radio, links: Links) -> None:
    radio.adapter.power_off()
    link, tag, strap = links(), Beacon(address()), Strap(address())
    await trouble(link, adverts(tag))
    assert (await trouble(link, pulses(strap), "other")).reason == "refused"


async def test_a_link_that_was_closed_opens_again(radio: Radio, site: Site) -> None:
    for _ in range(2):
        await site.link.close()
        assert not site.strap.connected
        assert not radio.adapter.discovery.sessions
        await site.flows()


# -- an adapter gone deaf ----------------------------------------------------------------------------------------------


@pytest.fixture
def done(radio: Radio, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done to the adapter, in order."""
    done: list[str] = []
    answer = radio.bluez._answer

    def watched(message: Any, call: Any) -> bool:
        if message.member == "StartDiscovery":
            done.append("scan")
        if message.member == "Set" and message.body[1] == "Powered":
            done.append("on" if message.body[2].value else "off")
        return answer(message, call)

    monkeypatch.setattr(radio.bluez, "_answer", watched)
    return done


@pytest.mark.parametrize(
    ("healed_by", "steps"),
    [
        ("scan", ["scan"]),
        ("power", ["scan", "off", "on", "scan"]),
        ("restart", ["scan", "off", "on", "scan"]),
    ],
)
@pytest.mark.usefixtures("sooner")
async def test_rule_18_a_deaf_adapter_is_made_to_hear(
    radio: Radio, links: Links, done: list[str], healed_by: Literal["scan", "power", "restart"], steps: list[str]
) -> None:
    """Found and acted on within 90 s, here 0.9 s."""
    tag, link, loop = Beacon(address(), b"\x01"), links(), asyncio.get_running_loop()
    radio.add(tag)
    async with Systemd(radio.bluez) as systemd:
        assert await heard(link, adverts(tag))
        done.clear()
        radio.adapter.deaf, radio.adapter.healed_by = True, healed_by
        began = loop.time()
        tag.say(b"\x02")
        assert data_of(await heard(link, adverts(tag)))[-1] == b"\x02"
        assert 0.45 <= loop.time() - began <= 1.2
        assert [step for step, _ in itertools.groupby(done)] == steps
        assert len(systemd.asked) == (1 if healed_by == "restart" else 0)


def data_of(adverts: list[Any]) -> list[bytes]:
    return [advert.company[0x0499] for advert in adverts]


@pytest.mark.usefixtures("sooner")
async def test_rule_18_what_cannot_be_healed_is_reported_and_left_alone(
    radio: Radio, links: Links, done: list[str]
) -> None:
    tag, link, loop = Beacon(address(), b"\x01"), links(), asyncio.get_running_loop()
    radio.add(tag)
    assert await heard(link, adverts(tag))
    radio.adapter.deaf = True
    began = loop.time()
    error = await trouble(link, adverts(tag))
    assert error.reason == "silent"
    assert "hears nothing" in str(error)
    assert loop.time() - began <= 1.5
    acts = len(done)
    await asyncio.sleep(1.0)  # never in a tight loop: the next time is after 3 s
    assert len(done) <= acts + 1
    radio.adapter.deaf = False
    assert await heard(link, adverts(tag))
    assert await link.frames("other", adverts(tag), 0.5)


@pytest.mark.usefixtures("sooner")
async def test_rule_18_an_adapter_whose_connections_live_is_not_switched_off(
    radio: Radio, site: Site, done: list[str]
) -> None:
    async def beat() -> None:
        while True:
            site.strap.beat(72)
            await site.link.frames("strap", pulses(site.strap), 0.05)

    done.clear()
    radio.adapter.deaf = True
    beating = asyncio.ensure_future(beat())
    assert (await trouble(site.link, adverts(site.tag), "tag")).reason == "silent"
    assert "off" not in done
    assert site.strap.connected
    assert not beating.done()
    beating.cancel()
    await asyncio.wait([beating])


@pytest.mark.usefixtures("sooner")
async def test_rule_18_what_we_switched_off_we_switch_on_again(radio: Radio, links: Links, done: list[str]) -> None:
    tag, link = Beacon(address(), b"\x01"), links()
    radio.add(tag)
    assert await heard(link, adverts(tag))
    radio.adapter.deaf, radio.adapter.healed_by, radio.adapter.blocked = True, "power", True
    assert (await trouble(link, adverts(tag))).reason == "refused"
    radio.adapter.blocked = False
    assert await heard(link, adverts(tag))
    assert done.count("off") == 1


@pytest.mark.usefixtures("sooner")
async def test_rule_18_what_others_switched_off_stays_off(radio: Radio, site: Site, done: list[str]) -> None:
    radio.adapter.power_off()
    await site.is_told("refused")
    assert await site.link.frames("tag", adverts(site.tag), 1.0) == []
    assert "on" not in done


@pytest.mark.usefixtures("sooner")
async def test_rule_18_a_scan_that_does_not_begin(radio: Radio, links: Links, done: list[str]) -> None:
    radio.adapter.start_in_progress = 3
    tag, link = Beacon(address()), links()
    radio.add(tag)
    assert (await trouble(link, adverts(tag))).reason == "busy"
    assert await heard(link, adverts(tag))
    assert done == ["scan", "scan", "off", "on", "scan", "scan"]


@pytest.mark.usefixtures("sooner")
async def test_rule_18_bluetoothd_that_does_not_come_back_is_asked_for(radio: Radio, links: Links) -> None:
    site = Site(radio, links())
    async with Systemd(radio.bluez) as systemd:
        await site.flows()
        radio.bluez.kill()
        await site.flows()
        assert systemd.asked == [("RestartUnit", "replace")]


@pytest.mark.usefixtures("sooner")
async def test_rule_18_who_may_not_restart_goes_on_and_says_so(radio: Radio, site: Site) -> None:
    async with Systemd(radio.bluez) as systemd:
        systemd.refuses = True
        radio.bluez.kill()
        await site.is_told("missing")
        await until(lambda: systemd.asked)
        await radio.bluez.start()
        await site.flows()
        assert len(systemd.asked) == 1
