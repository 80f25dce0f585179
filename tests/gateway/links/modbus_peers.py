"""Scripted Modbus devices for tests: the other end of a TCP connection or of a pseudo-terminal, byte for byte."""

import asyncio
import os
import tty
from collections.abc import Callable

ADDRESS = "127.0.0.1"


def framed(body: str) -> bytes:
    """An RTU frame: the bytes and their checksum, computed as Modbus over Serial Line V1.02, 6.2.2 tells."""
    data = bytes.fromhex(body)
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return data + register.to_bytes(2, "little")


def mbap(transaction: int, body: str) -> bytes:
    """A Modbus TCP frame: `body` begins with the unit."""
    data = bytes.fromhex(body)
    return transaction.to_bytes(2) + b"\0\0" + len(data).to_bytes(2) + data


class Peer:
    """What a device does with each request is `script(peer, request)`; `requests` are all it was asked."""

    def __init__(self, script: "Callable[[Peer, bytes], None]") -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.times: list[float] = []
        self._asked = asyncio.Event()

    def heard(self, data: bytes) -> None:
        self.requests.append(data)
        self.times.append(asyncio.get_running_loop().time())
        self._asked.set()
        self.script(self, data)

    async def asked(self, count: int) -> None:
        """Wait until it was asked `count` times."""
        async with asyncio.timeout(5):
            while len(self.requests) < count:
                self._asked.clear()
                await self._asked.wait()

    def send(self, data: bytes) -> None:
        raise NotImplementedError

    def later(self, seconds: float, data: bytes) -> None:
        asyncio.get_running_loop().call_later(seconds, self.send, data)


class TcpPeer(Peer):
    """A server; requests arrive whole on loopback."""

    connections = 0
    port = 0
    _server: asyncio.Server
    _transport: asyncio.Transport | None = None

    async def start(self, port: int = 0) -> "TcpPeer":
        peer = self

        class Connection(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                peer.connections += 1
                peer._transport = transport

            def data_received(self, data: bytes) -> None:
                peer.heard(data)

        self._server = await asyncio.get_running_loop().create_server(Connection, ADDRESS, port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def send(self, data: bytes) -> None:
        assert self._transport
        if not self._transport.is_closing():
            self._transport.write(data)

    def hang_up(self) -> None:
        assert self._transport
        self._transport.abort()

    async def stop(self) -> None:
        self._server.close()
        if self._transport:
            self._transport.abort()
        await asyncio.sleep(0)


class SerialPeer(Peer):
    """The other end of a pseudo-terminal; `path` is the port."""

    def __init__(self, script: Callable[[Peer, bytes], None]) -> None:
        super().__init__(script)
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._buffer = b""
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def _read(self) -> None:
        self._buffer += os.read(self._master, 1024)
        while len(self._buffer) >= 8:  # every read request has 8 bytes
            request, self._buffer = self._buffer[:8], self._buffer[8:]
            self.heard(request)

    def send(self, data: bytes) -> None:
        os.write(self._master, data)

    def unplug(self) -> None:
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = -1
