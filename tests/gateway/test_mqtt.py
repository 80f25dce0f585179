"""One connection to the hub, against a scripted broker: verdicts, limits, fallback, refusals, every way it can end."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import paho.mqtt.client
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import mqtt, mqtt_client
from gateway.config import HubConfig
from gateway.errors import LinkError
from tests.fake_broker import CLOSE, SILENCE, Connect, FakeBroker, Publish, connack, disconnect, puback

WILL = mqtt.Will("lab/pi-7/status", b'{"state":"offline","reason":"lost"}')
TOPIC = "lab/pi-7/meter-1/data"
BOTH = pytest.mark.parametrize("level", [5, 4])


def withhold(publish: Publish) -> None:
    return None


def speaks(level: int, **limits: int) -> Callable[[Connect], bytes]:
    """A broker of that level; one of level 4 refuses MQTT 5 as MQTT 3.1.1 says (section 3.2.2.3, code 1)."""
    return lambda connect: connack(level, 0 if connect.level <= level else 1, **limits)


@asynccontextmanager
async def session_with(broker: FakeBroker, **more: Any) -> AsyncIterator[mqtt.Session]:
    config = HubConfig(url=f"mqtt://127.0.0.1:{broker.port}", **more)
    async with mqtt.connect(config, "labgate-pi-7", WILL) as session:
        yield session


async def refusal(port: int, **more: Any) -> LinkError:
    with pytest.raises(LinkError) as caught:
        async with mqtt.connect(HubConfig(url=f"mqtt://127.0.0.1:{port}", **more), "labgate-pi-7", WILL):
            pytest.fail("connected")
    assert "\n" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    return caught.value


class Verdicts:
    """Publishes numbered messages and writes down the verdicts: (number, code), in order."""

    def __init__(self, session: mqtt.Session) -> None:
        self.session = session
        self.given: list[tuple[int, int | None]] = []
        self.published = 0
        self.inside = False  # within publish()
        self._news = asyncio.Event()

    def publish(self, count: int = 1, payload: bytes = b"x") -> None:
        for _ in range(count):
            number, self.published, self.inside = self.published, self.published + 1, True
            self.session.publish(TOPIC, payload, verdict=lambda code, number=number: self._verdict(number, code))
            self.inside = False

    def _verdict(self, number: int, code: int | None) -> None:
        assert not self.inside
        self.given.append((number, code))
        self._news.set()

    async def all(self, within: float = 5.0) -> list[int | None]:
        """The codes in order of publishing, as soon as every publish has exactly one."""
        async with asyncio.timeout(within):
            while len(self.given) < self.published:
                self._news.clear()
                await self._news.wait()
        assert sorted(number for number, _ in self.given) == list(range(self.published))
        return [code for _, code in sorted(self.given, key=lambda item: item[0])]


# -- connecting -------------------------------------------------------------------------------------------------------


@BOTH
async def test_connect_says_who_we_are(level: int, tmp_path: Path) -> None:
    password = tmp_path / "hub-password"
    password.write_bytes(b"secret\n")
    async with (
        FakeBroker(speaks(level)) as broker,
        session_with(broker, username="pi-7", password_file=password) as session,
    ):
        connection = await broker.connection(1 if level == 5 else 2)
        will = ("lab/pi-7/status", WILL.payload, 1, True)
        assert connection.connect == Connect(level, True, 30, "labgate-pi-7", will, "pi-7", b"secret")
        assert session.protocol == {5: "5.0", 4: "3.1.1"}[level]
        assert (session.ended, session.end_code, session.lost.done()) == ("", None, False)


async def test_limits_are_the_brokers() -> None:
    async with FakeBroker(speaks(5, receive_maximum=7, maximum_packet=1234)) as broker, session_with(broker) as session:
        assert (session.receive_maximum, session.maximum_packet) == (7, 1234)
    async with FakeBroker() as broker, session_with(broker) as session:  # absent: MQTT 5.0 section 3.2.2.3.3 and .6
        assert (session.receive_maximum, session.maximum_packet) == (65_535, None)
    async with FakeBroker(speaks(4)) as broker, session_with(broker) as session:
        assert (session.receive_maximum, session.maximum_packet) == (20, None)


@pytest.mark.parametrize(
    "to_5", [connack(5, 0x84), connack(4, 1), CLOSE, connack(4, 0)], ids=["0x84", "code 1", "close", "answers as 3.1.1"]
)
async def test_falls_back_to_3_1_1(to_5: bytes) -> None:
    async with FakeBroker(lambda c: to_5 if c.level == 5 else connack(4)) as broker, session_with(broker) as session:
        assert session.protocol == "3.1.1"
        assert [(await broker.connection(n)).connect.level for n in (1, 2)] == [5, 4]
        verdicts = Verdicts(session)
        verdicts.publish(3)
        assert await verdicts.all() == [0, 0, 0]
    assert len(broker.connections) == 2


async def test_a_broker_that_hangs_on_mqtt_5_with_a_will_is_asked_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """As amqtt 0.12 does, and hbmqtt before it."""
    monkeypatch.setattr(mqtt, "PATIENCE", 0.02)

    def answer(connect: Connect) -> bytes:
        return SILENCE if connect.level == 5 and connect.will else connack(4, 1 if connect.level == 5 else 0)

    async with FakeBroker(answer) as broker, session_with(broker) as session:
        assert session.protocol == "3.1.1"
        seen = [(c.connect.level, c.connect.client_id) for c in broker.connections if c.connect]
        assert seen == [(5, "labgate-pi-7"), (5, ""), (4, "labgate-pi-7")]


@pytest.mark.parametrize("to_bare", [0, 0x87])
async def test_a_slow_broker_of_mqtt_5_stays_one_of_mqtt_5(to_bare: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "PATIENCE", 0.02)
    slow = iter([SILENCE, connack(5, to_bare), connack(5)])
    async with FakeBroker(lambda c: next(slow)) as broker, session_with(broker, username="pi-7") as session:
        assert session.protocol == "5.0"
        bare = broker.connections[1].connect
        assert bare == Connect(5, True, 30, "", None, None, None)


async def test_an_embedded_3_1_1_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "PATIENCE", 0.1)
    amqtt = pytest.importorskip("amqtt.broker")
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    broker = amqtt.Broker({"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}, "plugins": plugins})
    await broker.start()
    try:
        config = HubConfig(url=f"mqtt://127.0.0.1:{port}")
        async with mqtt.connect(config, "labgate-pi-7", WILL) as session:
            assert session.protocol == "3.1.1"
            verdicts = Verdicts(session)
            verdicts.publish(20)
            assert await verdicts.all() == [0] * 20
    finally:
        await broker.shutdown()


@pytest.mark.parametrize(
    ("code", "code_311", "text"),
    [
        (
            0x86,
            4,
            "refuses the login of user pi-7: bad user name or password; check hub.username and hub.password_file",
        ),
        (0x87, 5, "refuses the login of user pi-7: not authorised; check hub.username and hub.password_file"),
        (0x85, 2, "refuses the client id labgate-pi-7; choose another in hub.client_id"),
        (0x88, 3, "says it is not available now; it is tried again"),
        (0x97, None, "says a quota is used up; ask who runs the hub"),
        (0x9A, None, "does not keep retained messages, which labgate needs; allow them at the hub"),
        (0x9B, None, "does not offer QoS 1, which labgate needs; allow it at the hub"),
        (0x80, None, "gives no reason"),
    ],
)
async def test_refused_connack(code: int, code_311: int | None, text: str) -> None:
    async with FakeBroker(lambda c: connack(5, code)) as broker:
        error = await refusal(broker.port, username="pi-7")
        assert (error.reason, error.code) == ("refused", code)
        assert str(error) == f"the hub 127.0.0.1:{broker.port} {text}"
    if code_311 is not None:  # MQTT 3.1.1 table 3.1, translated
        async with FakeBroker(lambda c: connack(4, 1 if c.level == 5 else code_311)) as broker:
            error = await refusal(broker.port, username="pi-7")
            assert (error.reason, error.code) == ("refused", code)
            assert str(error) == f"the hub 127.0.0.1:{broker.port} {text}"


async def test_what_is_no_broker_is_named() -> None:
    async with FakeBroker(lambda c: CLOSE) as broker:
        error = await refusal(broker.port)
        assert error.reason == "network"
        assert "closes the connection instead of answering CONNECT" in str(error)
    # A TLS alert record: version 3.3, fatal, unexpected message (RFC 8446, sections 5.1 and 6)
    async with FakeBroker(lambda c: bytes.fromhex("15 03 03 00 02 02 0a")) as broker:
        error = await refusal(broker.port)
        assert error.reason == "garbled"
        assert str(error).endswith("speaks TLS; write mqtts:// in hub.url")
    async with FakeBroker(lambda c: b"HTTP/1.1 400 Bad Request\r\n" + b" " * 100) as broker:
        error = await refusal(broker.port)
        assert error.reason == "garbled"
        assert "does not answer as an MQTT broker does" in str(error)


async def test_a_silent_broker_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_WITHIN", 0.2)
    async with FakeBroker(lambda c: SILENCE) as broker:
        error = await refusal(broker.port)
        assert error.reason == "timeout"
        assert "accepts the connection but does not answer as an MQTT broker does" in str(error)
        await asyncio.wait_for((await broker.connection()).ended.wait(), 1)


async def test_a_closed_port() -> None:
    with socket.socket() as sock:  # bound but not listening
        sock.bind(("127.0.0.1", 0))
        error = await refusal(sock.getsockname()[1])
    assert error.reason == "refused"
    assert "nothing listens on that port" in str(error)


async def test_a_missing_password_file(tmp_path: Path) -> None:
    config = HubConfig(url="mqtt://127.0.0.1:1", username="pi-7", password_file=tmp_path / "hub-password")
    with pytest.raises(LinkError, match=r"hub\.password_file: cannot read") as caught:
        await mqtt.connect(config, "labgate-pi-7", WILL).__aenter__()
    assert caught.value.reason == "missing"


async def test_connecting_that_is_cancelled_closes_at_once() -> None:
    async with FakeBroker(lambda c: SILENCE) as broker:
        task = asyncio.create_task(refusal(broker.port))
        connection = await broker.connection()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(connection.ended.wait(), 1)


async def test_a_slow_look_up_that_was_given_up_sends_no_connect_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would throw out the next connection, which has the same client id."""
    looked_up, connect = threading.Event(), socket.create_connection

    def slow(*arguments: Any, **more: Any) -> socket.socket:
        looked_up.wait(5)
        return connect(*arguments, **more)

    monkeypatch.setattr(socket, "create_connection", slow)
    monkeypatch.setattr(mqtt, "CONNECT_WITHIN", 0.02)
    async with FakeBroker() as broker:
        error = await refusal(broker.port)
        assert error.reason == "timeout"
        assert str(error).endswith(f"{broker.port} does not answer; check hub.url")
        looked_up.set()
        await broker.wait_for(lambda: broker.connections)
        await asyncio.wait_for(broker.connections[0].ended.wait(), 5)
        assert broker.connections[0].raw == b""


# -- publishing -------------------------------------------------------------------------------------------------------


@BOTH
async def test_what_is_published_arrives_as_it_is(level: int) -> None:
    async with FakeBroker(speaks(level)) as broker, session_with(broker) as session:
        connection = await broker.connection(1 if level == 5 else 2)
        session.publish("lab/pi-7/meter-1/state", b'{"voltage":230.2}', True)
        verdicts = Verdicts(session)
        verdicts.publish(1, "ä".encode())
        session.publish("lab/pi-7/meter-1/meta", b"", True, lambda code: None)
        state, data, meta = await connection.publishes(3)
        assert (state.topic, state.payload, state.qos, state.retain) == (
            "lab/pi-7/meter-1/state",
            b'{"voltage":230.2}',
            0,
            True,
        )
        assert (data.topic, data.payload, data.qos, data.retain, data.dup) == (TOPIC, "ä".encode(), 1, False, False)
        assert (meta.payload, meta.qos, meta.retain) == (b"", 1, True)
        assert await verdicts.all() == [0]


@pytest.mark.parametrize("code", [0x00, 0x10, 0x80, 0x87, 0x90, 0x97, 0x99, 0xC3])
async def test_the_verdict_is_the_pubacks_reason_code(code: int) -> None:
    async with FakeBroker(puback=lambda publish: code) as broker, session_with(broker) as session:
        verdicts = Verdicts(session)
        verdicts.publish(3)
        assert await verdicts.all() == [code] * 3
        assert not session.lost.done()


async def test_pubacks_in_any_order_and_in_any_pieces() -> None:
    codes = {n: 0x97 if n % 3 == 0 else 0 for n in range(50)}
    async with FakeBroker(puback=withhold) as broker, session_with(broker) as session:
        connection, verdicts = await broker.connection(), Verdicts(session)
        for n in codes:
            verdicts.publish(1, str(n).encode())
        answers = b"".join(puback(5, p.id, codes[int(p.payload)]) for p in reversed(await connection.publishes(50)))
        answers += puback(5, 60_000, 0) + answers[:4]  # of a packet we never sent; and one a second time
        for piece in (answers[n : n + 7] for n in range(0, len(answers), 7)):
            connection.send(piece)
            await connection.writer.drain()
            await asyncio.sleep(0)
        assert await verdicts.all() == list(codes.values())
        assert not session.lost.done()


async def test_no_publish_waits_for_an_answer() -> None:
    """paho alone would hold all beyond 20 back."""
    async with FakeBroker(puback=withhold) as broker, session_with(broker) as session:
        connection, verdicts = await broker.connection(), Verdicts(session)
        verdicts.publish(1000)
        for publish in await connection.publishes(1000):
            connection.puback(publish.id)
        assert await verdicts.all() == [0] * 1000


async def test_a_verdict_may_publish_the_next() -> None:
    async with FakeBroker() as broker, session_with(broker) as session:
        codes: list[int | None] = []
        done = asyncio.Event()

        def verdict(code: int | None) -> None:
            codes.append(code)
            if len(codes) < 100:
                session.publish(TOPIC, b"x", verdict=verdict)
            else:
                done.set()

        session.publish(TOPIC, b"x", verdict=verdict)
        await asyncio.wait_for(done.wait(), 5)
        assert codes == [0] * 100


async def test_a_verdict_with_a_bug_spoils_no_other() -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))

    def bug(code: int | None) -> None:
        raise ZeroDivisionError

    async with FakeBroker(puback=withhold) as broker, session_with(broker) as session:
        connection, verdicts = await broker.connection(), Verdicts(session)
        for _ in range(3):
            session.publish(TOPIC, b"x", verdict=bug)
            verdicts.publish()
        connection.send(b"".join(puback(5, p.id) for p in await connection.publishes(6)))
        assert await verdicts.all() == [0, 0, 0]
        assert [type(error) for error in reported] == [ZeroDivisionError] * 3


async def test_a_packet_id_without_an_answer_is_not_used_again() -> None:
    held_back = {1, 2}
    async with (
        FakeBroker(puback=lambda p: None if p.id in held_back else 0) as broker,
        session_with(broker) as session,
    ):
        connection, verdicts = await broker.connection(), Verdicts(session)
        verdicts.publish(2)
        for _ in range(65):  # ids 3 to 65,535
            verdicts.publish(1008 if verdicts.published < 64_514 else 1021)
            await connection.publishes(verdicts.published)
        assert {p.id for p in connection.published} == set(range(1, 65_536))
        verdicts.publish(1)  # ids go round, 1 and 2 are still held back
        await connection.publishes(65_536)
        assert connection.published[-1].id == 3
        for id_ in held_back:
            connection.puback(id_)
        assert set(await verdicts.all()) == {0}


async def test_a_broker_that_does_not_read_never_blocks_us() -> None:
    async with FakeBroker() as broker, session_with(broker) as session:
        connection, verdicts = await broker.connection(), Verdicts(session)
        connection.reading.clear()
        connection.reader._transport.pause_reading()
        begun = time.perf_counter()
        verdicts.publish(200, bytes(64_000))  # more than the sockets hold
        assert time.perf_counter() - begun < 1
        connection.reader._transport.resume_reading()
        connection.reading.set()
        assert await verdicts.all() == [0] * 200
        assert {len(p.payload) for p in connection.published} == {64_000}


# -- the end of a connection ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "reset"])
@BOTH
async def test_what_is_pending_fails_with_the_connection(how: str, level: int) -> None:
    async with FakeBroker(speaks(level), puback=withhold) as broker, session_with(broker) as session:
        connection, verdicts = await broker.connection(1 if level == 5 else 2), Verdicts(session)
        verdicts.publish(20)
        await connection.publishes(20)
        getattr(connection, how)()
        assert await verdicts.all() == [None] * 20
        await asyncio.wait_for(asyncio.shield(session.lost), 1)
        expected = {"close": "the hub closed the connection", "reset": "the connection to the hub broke: "}
        assert session.ended.startswith(expected[how])
        assert session.end_code is None
        verdicts.publish(2)  # with the connection gone
        session.publish(TOPIC, b"x")
        assert await verdicts.all() == [None] * 22


async def test_a_connection_that_breaks_inside_publish() -> None:
    async with FakeBroker(puback=withhold) as broker, session_with(broker) as session:
        connection, verdicts = await broker.connection(), Verdicts(session)
        verdicts.publish(3)
        await connection.publishes(3)
        connection.reset()
        verdicts.publish(3)  # before the loop could notice: the first write fails
        assert verdicts.given == []
        assert await verdicts.all() == [None] * 6
        assert session.ended


async def test_answers_that_came_before_the_end_count() -> None:
    async with FakeBroker(puback=withhold) as broker, session_with(broker) as session:
        connection, verdicts = await broker.connection(), Verdicts(session)
        verdicts.publish(4)
        first, second, *_ = await connection.publishes(4)
        connection.send(puback(5, first.id) + puback(5, second.id, 0x87) + disconnect(0x8B))
        assert await verdicts.all() == [0, 0x87, None, None]
        assert (session.end_code, session.ended) == (0x8B, "the hub is shutting down; it is tried again")


@pytest.mark.parametrize(
    ("packet", "code", "text"),
    [
        (
            disconnect(0x8E),
            0x8E,
            "another client took over the client id labgate-pi-7; give each gateway an id of its own",
        ),
        (disconnect(0x8D), 0x8D, "the hub heard nothing for too long and ended the connection"),
        (disconnect(0x87), 0x87, "the hub ended the connection: not authorised; check what this user may do there"),
        (disconnect(0x95), 0x95, "the hub says a packet is larger than it accepts"),
        (disconnect(), 0x00, "the hub closed the connection"),
        (bytes.fromhex("e0 01 77"), None, "the hub sent what is not MQTT"),
        (bytes.fromhex("30 ff ff ff ff 01"), None, "the hub sent what is not MQTT"),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else "",
)
async def test_why_the_hub_ended_it(packet: bytes, code: int | None, text: str) -> None:
    async with FakeBroker(puback=withhold) as broker, session_with(broker) as session:
        verdicts = Verdicts(session)
        verdicts.publish(2)
        (await broker.connection()).send(packet)
        assert await verdicts.all() == [None, None]
        assert (session.ended, session.end_code) == (text, code)


async def test_leaving_says_goodbye_after_what_was_published() -> None:
    async with FakeBroker(puback=withhold) as broker:
        async with session_with(broker) as session:
            verdicts = Verdicts(session)
            verdicts.publish(3)
        connection = await broker.connection()
        await asyncio.wait_for(connection.ended.wait(), 1)
        assert connection.goodbye == 0
        assert len(connection.published) == 3
        assert await verdicts.all() == [None] * 3
        assert session.ended == "closed by the gateway"


async def test_being_cancelled_says_goodbye_too() -> None:
    async with FakeBroker() as broker:
        inside = asyncio.Event()

        async def stay() -> None:
            async with session_with(broker):
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(stay())
        connection = await broker.connection()
        await asyncio.wait_for(inside.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(connection.ended.wait(), 1)
        assert connection.goodbye == 0


async def test_leaving_with_an_error_does_not_say_goodbye() -> None:
    async with FakeBroker(puback=withhold) as broker:
        context = session_with(broker)
        verdicts = Verdicts(await context.__aenter__())
        verdicts.publish(3)
        error = LinkError("no answer", "timeout")
        assert not await context.__aexit__(LinkError, error, None)
        connection = await broker.connection()
        await asyncio.wait_for(connection.ended.wait(), 1)
        assert connection.goodbye is None
        assert await verdicts.all() == [None] * 3


async def test_leaving_a_hub_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_client, "GOODBYE_WITHIN", 0.05)
    async with FakeBroker() as broker:
        async with session_with(broker) as session:
            connection, verdicts = await broker.connection(), Verdicts(session)
            connection.reading.clear()
            connection.reader._transport.pause_reading()
            verdicts.publish(200, bytes(64_000))
            begun = time.perf_counter()
        assert time.perf_counter() - begun < 0.5
        assert await verdicts.all() == [None] * 200


async def test_the_end_of_a_task_that_waits_for_lost_is_not_the_end_of_the_session() -> None:
    async with FakeBroker() as broker, session_with(broker) as session:

        async def waiter() -> None:
            await session.lost

        task = asyncio.create_task(waiter())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        verdicts = Verdicts(session)
        verdicts.publish()
        assert await verdicts.all() == [0]


async def test_a_hub_that_falls_silent_is_pinged_and_then_left() -> None:
    """MQTT 5.0 section 3.2.2.3.14: the hub's Server Keep Alive replaces ours. Here 1 s."""
    async with (
        FakeBroker(speaks(5, keepalive=1), puback=withhold, answers_ping=False) as broker,
        session_with(broker) as session,
    ):
        verdicts = Verdicts(session)
        verdicts.publish(2)
        assert await verdicts.all() == [None, None]
        assert (await broker.connection()).pings >= 1
        assert session.ended == "the hub has been silent for 1 s"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_no_answer_of_a_broker_raises_or_hangs(data: st.DataObject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CONNACK with bytes changed, cut or added, then nonsense: connected or LinkError, and a verdict for each."""
    monkeypatch.setattr(mqtt, "CONNECT_WITHIN", 0.02)
    answer = bytearray(connack(5, receive_maximum=20, maximum_packet=10_000))
    for _ in range(data.draw(st.integers(0, 3))):
        answer[data.draw(st.integers(0, len(answer) - 1))] = data.draw(st.integers(0, 255))
    nonsense = data.draw(st.binary(max_size=30))
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    async with FakeBroker(lambda c: bytes(answer) if c.level == 5 else CLOSE, puback=withhold) as broker:
        try:
            async with session_with(broker) as session:
                verdicts = Verdicts(session)
                verdicts.publish(2)
                connection = await broker.connection()
                connection.send(nonsense)
                connection.close()
                await verdicts.all()
                await asyncio.wait_for(asyncio.shield(session.lost), 1)
        except LinkError:
            pass
    assert reported == []


# -- the libraries ----------------------------------------------------------------------------------------------------


async def test_the_private_names_we_need_are_there() -> None:
    """gateway/mqtt_client.py replaces parts of aiomqtt 2.5 and paho 2; it needs these names, which nobody promised."""
    client = aiomqtt.Client("127.0.0.1")
    for name in ("_client", "_loop", "_connected", "_client_connect"):
        assert hasattr(client, name), name
    for name in ("connect", "disconnect", "socket_open", "socket_close", "socket_register_write"):
        assert getattr(client._client, f"on_{name}") == getattr(client, f"_on_{name}"), name
    assert client._client.on_socket_unregister_write == client._on_socket_unregister_write
    paho_client = paho.mqtt.client.Client(paho.mqtt.client.CallbackAPIVersion.VERSION2)
    for name in ("_sock", "_sock_close"):
        assert hasattr(paho_client, name), name
