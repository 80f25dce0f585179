"""A scripted MQTT broker that misbehaves on demand: refuses, withholds answers, closes, resets, falls silent.

Written from MQTT 5.0 and MQTT 3.1.1 (OASIS), and no more of them than tests need: CONNECT, PUBLISH with QoS 0 or 1,
PINGREQ and DISCONNECT come in; CONNACK, PUBACK and DISCONNECT go out. It neither subscribes nor forwards.

    async with FakeBroker(puback=lambda publish: 0x97) as broker:
        ... connect to broker.port ...
        connection = await broker.connection()
        first = (await connection.publishes(1))[0]
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

CLOSE = b"CLOSE"  # instead of a CONNACK: close at once
SILENCE = b""  # instead of a CONNACK: nothing, for ever


@dataclass
class Connect:
    level: int  # 5, or 4 for MQTT 3.1.1
    clean: bool
    keepalive: int
    client_id: str
    will: tuple[str, bytes, int, bool] | None  # topic, payload, QoS, retain
    username: str | None
    password: bytes | None


@dataclass
class Publish:
    id: int  # packet id; 0 with QoS 0
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool


def connack(
    level: int,
    code: int = 0,
    *,
    receive_maximum: int | None = None,
    maximum_packet: int | None = None,
    keepalive: int | None = None,
) -> bytes:
    """A CONNACK; the properties exist in MQTT 5 only (section 3.2.2.3)."""
    if level < 5:
        return bytes([0x20, 2, 0, code])
    properties = b""
    if keepalive is not None:
        properties += struct.pack("!BH", 0x13, keepalive)
    if receive_maximum is not None:
        properties += struct.pack("!BH", 0x21, receive_maximum)
    if maximum_packet is not None:
        properties += struct.pack("!BI", 0x27, maximum_packet)
    return bytes([0x20, 3 + len(properties), 0, code, len(properties)]) + properties


def puback(level: int, id_: int, code: int = 0) -> bytes:
    """A PUBACK; MQTT 3.1.1 has no code, and MQTT 5 may leave out success (section 3.4.2.1)."""
    if level < 5 or code == 0:
        return struct.pack("!BBH", 0x40, 2, id_)
    return struct.pack("!BBHB", 0x40, 3, id_, code)


def disconnect(code: int | None = None) -> bytes:
    return bytes([0xE0, 0]) if code is None else bytes([0xE0, 1, code])


@dataclass
class Connection:
    """One client's connection. Packets as they came; `raw` is all that came, CONNECT included."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connect: Connect | None = None
    published: list[Publish] = field(default_factory=list)
    pings: int = 0
    goodbye: int | None = None  # reason code of the client's DISCONNECT
    raw: bytearray = field(default_factory=bytearray)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Event = field(default_factory=asyncio.Event)  # clear it: the client's socket fills up
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def publishes(self, count: int, within: float = 5.0) -> list[Publish]:
        """The first `count` publishes, as soon as they have come."""
        await self.wait_for(lambda: len(self.published) >= count, within)
        return self.published[:count]

    async def wait_for(self, condition: Callable[[], Any], within: float = 5.0) -> None:
        async with asyncio.timeout(within), self.news:
            await self.news.wait_for(condition)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def puback(self, id_: int, code: int = 0) -> None:
        assert self.connect is not None
        self.send(puback(self.connect.level, id_, code))

    def disconnect(self, code: int | None = None) -> None:
        self.send(disconnect(code))
        self.writer.close()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """End with a TCP reset, before this returns."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class FakeBroker:
    """Listens on 127.0.0.1. `answer` gives the CONNACK (or CLOSE, SILENCE, or any bytes), `puback` the reason code
    for each QoS 1 publish (None withholds the PUBACK), `answers_ping=False` leaves PINGREQ unanswered."""

    def __init__(
        self,
        answer: Callable[[Connect], bytes] = lambda connect: connack(connect.level),
        puback: Callable[[Publish], int | None] = lambda publish: 0,
        *,
        answers_ping: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.answer, self.verdict, self.answers_ping, self.tls = answer, puback, answers_ping, tls
        self.host, self.port = "127.0.0.1", 0
        self.connections: list[Connection] = []
        self._news = asyncio.Condition()
        self._tasks: dict[asyncio.Task[None], socket.socket] = {}

    async def __aenter__(self) -> "FakeBroker":
        self._listener = socket.create_server((self.host, 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._listener, self._accept)
        return self

    async def __aexit__(self, *exc: object) -> None:
        asyncio.get_running_loop().remove_reader(self._listener)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sock in (self._listener, *self._tasks.values()):
            sock.close()

    async def wait_for(self, condition: Callable[[], Any], within: float = 5.0) -> None:
        """Looks at `condition` again whenever a client has connected."""
        async with asyncio.timeout(within), self._news:
            await self._news.wait_for(condition)

    async def connection(self, number: int = 1, within: float = 5.0) -> Connection:
        """The connection of that number (from 1), as soon as its CONNECT has come."""
        await self.wait_for(lambda: len(self.connections) >= number, within)
        connection = self.connections[number - 1]
        await connection.wait_for(lambda: connection.connect)
        return connection

    def _accept(self) -> None:
        # Not asyncio.start_server: of 3.11, it forgets what it accepts while it is being closed.
        sock, _ = self._listener.accept()
        sock.setblocking(False)
        self._tasks[asyncio.create_task(self._serve(sock))] = sock

    async def _serve(self, sock: socket.socket) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=self.tls)
        except OSError:  # no TLS
            return
        connection = Connection(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        connection.reading.set()
        try:
            async with self._news:
                self.connections.append(connection)
                self._news.notify_all()
            while True:
                await connection.reading.wait()
                first, body = await _packet(connection)
                self._take(connection, first, body)
                async with connection.news:
                    connection.news.notify_all()
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            connection.ended.set()
            transport.abort()
            await asyncio.sleep(0)  # closed only then

    def _take(self, connection: Connection, first: int, body: bytes) -> None:
        kind = first & 0xF0
        if kind == 0x10:
            connection.connect = _connect(body)
            answer = self.answer(connection.connect)
            if answer == CLOSE:
                connection.close()
            else:
                connection.send(answer)
        elif kind == 0x30:
            assert connection.connect is not None
            publish = read_publish(first, body, connection.connect.level)
            connection.published.append(publish)
            if publish.qos and (code := self.verdict(publish)) is not None:
                connection.puback(publish.id, code)
        elif kind == 0xC0:
            connection.pings += 1
            if self.answers_ping:
                connection.send(b"\xd0\0")
        elif kind == 0xE0:
            connection.goodbye = body[0] if body else 0


async def _packet(connection: Connection) -> tuple[int, bytes]:
    first = (await _exactly(connection, 1))[0]
    length = shift = 0
    while True:
        digit = (await _exactly(connection, 1))[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return first, await _exactly(connection, length)


async def _exactly(connection: Connection, count: int) -> bytes:
    data = await connection.reader.readexactly(count)
    connection.raw += data
    return data


class _Fields:
    """Reads the fields of a packet one after the other."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, count: int) -> bytes:
        data, self.rest = self.rest[:count], self.rest[count:]
        assert len(data) == count
        return data

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def binary(self) -> bytes:
        return self.take(self.number(2))

    def text(self) -> str:
        return self.binary().decode()

    def properties(self, level: int) -> bytes:
        length = self.number(1) if level >= 5 else 0
        assert length < 0x80
        return self.take(length)


def _connect(body: bytes) -> Connect:
    fields = _Fields(body)
    assert fields.text() == "MQTT"
    level, flags, keepalive = fields.number(1), fields.number(1), fields.number(2)
    fields.properties(level)
    client_id, will = fields.text(), None
    if flags & 0x04:
        fields.properties(level)
        will = (fields.text(), fields.binary(), flags >> 3 & 3, bool(flags & 0x20))
    username = fields.text() if flags & 0x80 else None
    password = fields.binary() if flags & 0x40 else None
    return Connect(level, bool(flags & 0x02), keepalive, client_id, will, username, password)


def read_publish(first: int, body: bytes, level: int) -> Publish:
    """Reads a PUBLISH from its first byte and what follows its length (MQTT 5.0 section 3.3)."""
    fields = _Fields(body)
    topic, qos = fields.text(), first >> 1 & 3
    id_ = fields.number(2) if qos else 0
    fields.properties(level)
    return Publish(id_, topic, fields.rest, qos, bool(first & 1), bool(first & 8))
