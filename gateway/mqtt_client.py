"""aiomqtt for one connection, with its reading and writing replaced. The only user of aiomqtt and paho."""

import asyncio
import logging
import math
import queue
import secrets
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway import credentials, mqtt_errors
from gateway.errors import LinkError
from gateway.mqtt_wire import CONNACK, DISCONNECT, PUBACK, Packet, Wire, acknowledged, publish

if TYPE_CHECKING:
    from gateway.config import HubConfig

V5, V311 = aiomqtt.ProtocolVersion.V5, aiomqtt.ProtocolVersion.V311
KEEPALIVE = 30  # s
GOODBYE_WITHIN = 1.0  # s, for what is still to be written when the connection is left
SUBSCRIBED_WITHIN = 10.0  # s
FAILURE = 0x80  # reason codes from here on are refusals
CLOSED, BROKE = "closed by the gateway", "the connection to the hub broke"

Verdict = Callable[[int | None], None]
Heard = Callable[[str, bytes, bool], None]  # topic, payload, retained

_silent = logging.getLogger("labgate.aiomqtt")
_silent.disabled = True  # what matters reaches people as a LinkError or as Session.ended


@dataclass(frozen=True)
class Will:
    """What the hub publishes for us, QoS 1 and retained, when the connection ends without a goodbye."""

    topic: str
    payload: bytes


class Client(aiomqtt.Client):
    """aiomqtt for one connection, with PUBLISH and PUBACK of its own.

    aiomqtt 2.5 takes a refusal for a success and leaves what is pending waiting when the connection ends; with paho it
    costs 43 us a publish and several times that for a lone one. Here a publish is one write and a PUBACK one read
    (10 us); connecting, TLS, CONNECT, CONNACK, pings and DISCONNECT are the libraries'.
    """

    def __init__(self, hub: "HubConfig", client_id: str, will: Will | None, protocol: aiomqtt.ProtocolVersion) -> None:
        super().__init__(
            hub.host,
            hub.port,
            identifier=client_id or None,
            protocol=protocol,
            will=None if will is None else aiomqtt.Will(will.topic, will.payload, qos=1, retain=True),
            clean_start=True if protocol is V5 else paho.MQTT_CLEAN_START_FIRST_ONLY,  # 3.1.1 has clean_session
            keepalive=KEEPALIVE,
            logger=_silent,
        )
        self._client.disable_logger()
        self._client.on_message = None  # nothing is subscribed
        self.hub, self.client_id, self.protocol = hub, client_id, protocol
        self.properties: Any = None  # of CONNACK
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self.ended = ""
        self.end_code: int | None = None
        self.refuses_v5 = self.silent = False  # what went wrong with open()
        self.wire: Wire | None = None
        self._verdicts: dict[int, Verdict] = {}  # by packet id
        self._patience = math.inf
        self._timer: asyncio.TimerHandle | None = None  # until CONNACK of our patience, then of pings
        self._over = False  # the connection has ended, or we want no more of it
        self._last_id = 0
        self._no_properties = b"\0" if protocol is V5 else b""

    # -- what the session asks for ------------------------------------------------------------------------------

    async def open(self, deadline: float, patience: float = math.inf) -> Self:
        """Connect until `deadline` (loop time). Raises LinkError, after `patience` seconds without CONNACK too."""
        self._patience = patience
        try:
            async with asyncio.timeout_at(deadline):
                return await self.__aenter__()
        except (TimeoutError, aiomqtt.MqttError):
            failure = mqtt_errors.late(self.hub, connected=self.wire is not None)
        except BaseException:
            self.drop()
            raise
        self.drop()
        raise failure

    def send(self, topic: str, payload: bytes, retain: bool, verdict: Verdict | None) -> None:
        """See Session.publish."""
        if self._over or self.wire is None:
            if verdict is not None:
                self._loop.call_soon(verdict, None)
            return
        id_ = 0
        if verdict is not None:
            id_ = self._last_id % 65_535 + 1
            while id_ in self._verdicts:  # went round; that one has no answer yet
                id_ = id_ % 65_535 + 1
            self._last_id = id_
            self._verdicts[id_] = verdict
        self.wire.write(publish(topic, payload, retain, id_, self._no_properties))

    async def goodbye(self) -> None:
        """Write what is still to be written and DISCONNECT, if the hub takes it in time."""
        if not self._over and self.wire is not None:
            self.wire.write(DISCONNECT)
            await self.wire.sent(GOODBYE_WITHIN)

    def drop(self, why: str = CLOSED, error: LinkError | None = None) -> None:
        """Close at once. A thread that is still connecting goes on, but sends nothing more."""
        self._end(why, error=error)
        self._client._sock_close()

    def _end(self, why: str, code: int | None = None, error: LinkError | None = None) -> None:
        """The connection has ended: every verdict, then `lost`; once. `error` is for whoever is still connecting."""
        if self._over:
            return
        self._over, self.ended, self.end_code = True, why, code
        if self._timer is not None:
            self._timer.cancel()
        for verdict in self._verdicts.values():
            self._loop.call_soon(verdict, None)
        self._verdicts.clear()
        if not self.lost.done():  # somebody may have cancelled it
            self.lost.set_result(None)
        if not self._connected.done():
            self.refuses_v5 = error is None and self.protocol is V5
            self._refuse(error or mqtt_errors.closed(self.hub))

    def _refuse(self, error: LinkError) -> None:
        self._connected.set_exception(error)
        self._connected.exception()  # seen, even where nobody waits for it any more

    # -- reading and writing ------------------------------------------------------------------------------------

    def _opened(self, wire: Wire) -> None:
        if self._over:
            self._client._sock_close()  # nobody waits for this connection any more
            return
        self._loop.add_reader(wire.fileno(), self._readable, wire)
        if self._patience < math.inf:
            self._timer = self._loop.call_later(self._patience, self._impatient)

    def _impatient(self) -> None:
        if not self._connected.done():
            self.silent = True
            self.drop(error=mqtt_errors.late(self.hub, connected=True))

    def _tick(self) -> None:
        """PINGREQ when it is time, and no connection any more when its answer does not come."""
        if self._client.loop_misc() == paho.MQTT_ERR_SUCCESS and self._client.keepalive:
            self._timer = self._loop.call_later(max(self._client.keepalive / 10, 0.1), self._tick)

    def _readable(self, wire: Wire) -> None:
        try:
            packets = wire.receive()
        except (EOFError, OSError) as err:
            tls = mqtt_errors.failed(self.hub, err) if isinstance(err, ssl.SSLError) else None
            why = f"{BROKE}: {err.strerror}" if isinstance(err, OSError) else "the hub closed the connection"
            self.drop(str(tls or why), tls)
            return
        self._take(wire, iter(packets))

    def _take(self, wire: Wire, packets: Iterator[Packet]) -> None:
        try:
            for packet, begin in packets:
                if packet[0] == PUBACK and len(packet) >= begin + 2:
                    id_, code = acknowledged(packet, begin)
                    if (verdict := self._verdicts.pop(id_, None)) is not None:
                        verdict(code)
                elif packet[0] != CONNACK and not self._connected.done():
                    self.drop(error=mqtt_errors.no_broker(self.hub, packet))
                else:
                    wire.inbox = packet
                    self._client.loop_read()
        except BaseException:  # a verdict's bug, which asyncio reports; the others go on
            self._loop.call_soon(self._take, wire, packets)
            raise

    # -- aiomqtt's own, called by paho --------------------------------------------------------------------------

    def _client_connect(self) -> None:  # in a worker thread: all that may block
        try:
            if self.hub.username is not None and self.client_id:
                self._client.username_pw_set(self.hub.username, credentials.password(self.hub))
            if self.hub.tls:
                self._client.tls_set_context(credentials.tls_context(self.hub))
            return super()._client_connect()
        except (OSError, UnicodeError) as err:
            failure = mqtt_errors.failed(self.hub, err)
        raise failure  # not from `err`, whose traceback would keep sockets and secrets alive

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # in the worker thread
        client._sock = self.wire = Wire(sock, self._loop)
        self._loop.call_soon_threadsafe(self._opened, self.wire)

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:  # CONNECT, PINGREQ
        self._loop.call_soon_threadsafe(client.loop_write)

    def _on_socket_unregister_write(self, client: Any, userdata: Any, sock: Any) -> None:
        """Nothing: the wire took everything."""

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        if self._connected.done():
            return
        if (code := reason_code.value) < FAILURE:
            self.properties = properties
            super()._on_connect(client, userdata, flags, reason_code, properties)
            if self._timer is not None:
                self._timer.cancel()
            self._tick()
        else:
            self.refuses_v5 = self.protocol is V5 and code == mqtt_errors.UNSUPPORTED_VERSION
            self._refuse(mqtt_errors.refused(self.hub, self.client_id, code))

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        code = reason_code.value
        if flags.is_disconnect_packet_from_server:
            self._end(mqtt_errors.ended(self.client_id, code), code)
        else:  # paho's own findings, as reason codes
            silent = f"the hub has been silent for {client.keepalive} s"
            self._end({0: CLOSED, 0x82: "the hub sent what is not MQTT", 0x8D: silent}.get(code, BROKE))


class Subscription:
    """Hears topics in a thread of its own and comes back by itself; for commands and tests, not for the daemon.

    With QoS 0: nothing of us is remembered between two connections, so QoS 1 would save nothing, and of that brokers
    drop more for who is slow (mosquitto with 20,000 messages in a burst of a second: two thirds of QoS 1, none of 0).
    """

    def __init__(self, hub: "HubConfig", topics: list[str], heard: Heard, back: Callable[[], None]) -> None:
        self._answers = queue.SimpleQueue[LinkError | None]()  # why we cannot listen, or None: we do
        self._hub, self._topics, self._back, self._before = hub, topics, back, False
        self._id = f"labgate-{secrets.token_hex(6)}"
        self._client = client = paho.Client(CallbackAPIVersion.VERSION2, self._id)  # 3.1.1: every broker speaks it
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_disconnect = lambda *_: self._answers.put(mqtt_errors.closed(hub))  # counts as the first answer only
        client.on_message = lambda _, __, message: heard(message.topic, bytes(message.payload), message.retain)
        client.reconnect_delay_set(1, 1)
        if hub.username is not None:
            client.username_pw_set(hub.username, credentials.password(hub))
        if hub.tls:
            client.tls_set_context(credentials.tls_context(hub))
        try:
            client.connect(hub.host, hub.port, KEEPALIVE)
        except (OSError, UnicodeError) as err:
            raise mqtt_errors.failed(hub, err) from None
        client.loop_start()
        try:
            answer = self._answers.get(timeout=SUBSCRIBED_WITHIN)
        except queue.Empty:
            answer = mqtt_errors.late(hub, connected=True)
        if answer is not None:
            self.close()
            raise answer

    def _on_connect(self, client: paho.Client, userdata: Any, flags: Any, reason_code: Any, properties: Any) -> None:
        if reason_code.value >= FAILURE:
            self._answers.put(mqtt_errors.refused(self._hub, self._id, reason_code.value))
            return
        if self._before:
            self._back()
        self._before = True
        client.subscribe([(topic, 0) for topic in self._topics])

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, codes: Any, properties: Any) -> None:
        denied = [t for t, code in zip(self._topics, codes, strict=False) if code.value >= FAILURE]
        self._answers.put(mqtt_errors.denied(self._hub, denied) if denied else None)

    def close(self) -> None:
        """Hear no more."""
        self._client.disconnect()
        self._client.loop_stop()
