"""One connection to the hub, against a real mosquitto: delivery, refusals, will, kill -9 and restart."""

import asyncio
import base64
import contextlib
import hashlib
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway import mqtt
from gateway.config import HubConfig
from gateway.errors import LinkError
from tests.real_broker import HubMessages, Mosquitto

WILL = mqtt.Will("lab/pi-7/status", b'{"state":"offline","reason":"lost"}')
TOPIC = "lab/pi-7/meter-1/data"

Brokers = Callable[..., Mosquitto]
Subscribe = Callable[..., Awaitable[HubMessages]]


async def answer(session: mqtt.Session, topic: str, payload: bytes = b"x", retain: bool = False) -> int | None:
    future: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    session.publish(topic, payload, retain, future.set_result)
    return await asyncio.wait_for(future, 5)


def password_line(user: str, password: str) -> str:
    """A line of mosquitto's password file: PBKDF2-SHA512, as `mosquitto_passwd` writes it."""
    salt, rounds = b"labgate-test", 101
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"{user}:$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}\n"


async def test_everything_arrives_in_order(mosquitto: Brokers, hub_messages: Subscribe) -> None:
    broker = mosquitto()
    hub = await hub_messages(broker.port, "lab/#")
    async with mqtt.connect(HubConfig(url=broker.url), "labgate-pi-7", WILL) as session:
        answers = [asyncio.ensure_future(answer(session, TOPIC, str(n).encode())) for n in range(20)]
        assert await asyncio.gather(*answers) == [0] * 20
        messages = await hub.wait(20)
    assert [m.payload for m in messages] == [str(n).encode() for n in range(20)]


async def test_limits_of_mosquitto(mosquitto: Brokers) -> None:
    async with mqtt.connect(HubConfig(url=mosquitto().url), "labgate-pi-7", WILL) as session:
        assert (session.protocol, session.receive_maximum, session.maximum_packet) == ("5.0", 20, None)
    tight = mosquitto("max_inflight_messages 5", "max_packet_size 2000")
    async with mqtt.connect(HubConfig(url=tight.url), "labgate-pi-7", WILL) as session:
        assert (session.receive_maximum, session.maximum_packet) == (5, 2000)
        session.publish(TOPIC, bytes(2000))
        await asyncio.wait_for(asyncio.shield(session.lost), 5)
        assert (session.end_code, session.ended) == (0x95, "the hub says a packet is larger than it accepts")


async def test_success_nobody_subscribes_and_not_authorised(
    mosquitto: Brokers, hub_messages: Subscribe, tmp_path: Path
) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite lab/pi-7/#\ntopic read #\n")
    broker = mosquitto(f"acl_file {acl}")
    await hub_messages(broker.port, "lab/pi-7/meter-1/#")
    async with mqtt.connect(HubConfig(url=broker.url), "labgate-pi-7", WILL) as session:
        assert await answer(session, TOPIC) == 0x00
        assert await answer(session, "lab/pi-7/meter-2/data") == 0x10
        assert await answer(session, "lab/pi-8/meter-1/data") == 0x87


async def test_login(mosquitto: Brokers, tmp_path: Path) -> None:
    passwords, mine, wrong = tmp_path / "passwords", tmp_path / "hub-password", tmp_path / "wrong"
    passwords.write_text(password_line("pi-7", "a secret"))
    passwords.chmod(0o600)
    mine.write_text("a secret\n")
    wrong.write_text("another\n")
    broker = mosquitto("allow_anonymous false", f"password_file {passwords}")
    async with mqtt.connect(HubConfig(url=broker.url, username="pi-7", password_file=mine), "labgate-pi-7", WILL) as s:
        assert await answer(s, TOPIC) == 0x10
    for config, who in (
        (HubConfig(url=broker.url, username="pi-7", password_file=wrong), "user pi-7"),
        (HubConfig(url=broker.url), "a client without user name"),
    ):
        with pytest.raises(LinkError) as caught:
            await mqtt.connect(config, "labgate-pi-7", WILL).__aenter__()
        assert caught.value.reason == "refused"
        assert caught.value.code in (0x86, 0x87)
        assert f"refuses the login of {who}: " in str(caught.value)


async def test_will_is_published_after_an_error_and_not_after_a_goodbye(
    mosquitto: Brokers, hub_messages: Subscribe
) -> None:
    broker = mosquitto()
    hub = await hub_messages(broker.port, "lab/#")
    async with mqtt.connect(HubConfig(url=broker.url), "labgate-pi-7", WILL) as session:
        session.publish(WILL.topic, b"stopped", True)
    context = mqtt.connect(HubConfig(url=broker.url), "labgate-pi-7", WILL)
    session = await context.__aenter__()
    assert await answer(session, TOPIC) == 0
    assert not await context.__aexit__(LinkError, LinkError("no answer", "timeout"), None)
    await hub.wait(3)
    assert hub.on(WILL.topic) == [b"stopped", WILL.payload]
    late = await hub_messages(broker.port, "lab/#")
    (retained,) = await late.wait(1)
    assert (retained.payload, retained.retain) == (WILL.payload, True)


async def test_another_client_with_our_id(mosquitto: Brokers) -> None:
    broker = mosquitto()
    async with mqtt.connect(HubConfig(url=broker.url), "labgate-pi-7", WILL) as first:
        async with mqtt.connect(HubConfig(url=broker.url), "labgate-pi-7", WILL):
            await asyncio.wait_for(asyncio.shield(first.lost), 5)
        assert first.end_code in (0x8E, None)  # mosquitto 2.0.11 closes without a word
        assert first.ended


async def test_kill_9_and_restart(mosquitto: Brokers) -> None:
    broker = mosquitto()
    async with mqtt.connect(HubConfig(url=broker.url), "labgate-pi-7", WILL) as session:
        broker.signal(signal.SIGSTOP)  # so that all 20 are pending when it dies
        times: list[float] = []
        codes: list[int | None] = []

        def verdict(code: int | None) -> None:
            codes.append(code)
            times.append(time.perf_counter())

        for _ in range(20):
            session.publish(TOPIC, bytes(2000), verdict=verdict)
        broker.kill()
        killed = time.perf_counter()
        await asyncio.wait_for(asyncio.shield(session.lost), 5)
        assert codes == [None] * 20
        assert max(times) - killed < 0.25  # 0.6 ms on an idle machine
    with pytest.raises(LinkError) as caught:
        await mqtt.connect(HubConfig(url=broker.url), "labgate-pi-7", WILL).__aenter__()
    assert caught.value.reason == "refused"
    broker.start()
    begun = time.perf_counter()
    async with mqtt.connect(HubConfig(url=broker.url), "labgate-pi-7", WILL) as session:
        assert await answer(session, TOPIC) == 0x10
    assert time.perf_counter() - begun < 1


def test_subscribe_hears_what_is_retained_and_comes_back(mosquitto: Brokers) -> None:
    broker, news = mosquitto(), threading.Condition()
    heard: list[tuple[str, bytes]] = []

    def received(topic: str, payload: bytes) -> None:
        with news:
            heard.append((topic, payload))
            news.notify_all()

    async def publish(payload: bytes) -> int | None:
        async with mqtt.connect(HubConfig(url=broker.url), "labgate-pi-7", WILL) as session:
            return await answer(session, TOPIC, payload, retain=True)

    asyncio.run(publish(b"1"))
    with contextlib.closing(mqtt.subscribe(broker.url, "lab/#", received)), news:
        assert news.wait_for(lambda: heard == [(TOPIC, b"1")], 5)
        broker.kill()
        broker.start()
        asyncio.run(publish(b"2"))
        assert news.wait_for(lambda: heard == [(TOPIC, b"1"), (TOPIC, b"2")], 5)


def test_subscribe_where_nothing_listens(mosquitto: Brokers) -> None:
    broker = mosquitto()
    broker.kill()
    with pytest.raises(LinkError, match="nothing listens on that port"):
        mqtt.subscribe(broker.url, "lab/#", lambda topic, payload: None)
