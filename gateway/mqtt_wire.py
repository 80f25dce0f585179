"""The socket of an MQTT connection: whole packets come in, nothing that goes out ever blocks; PUBLISH and PUBACK.

Layout of packets: MQTT 5.0, sections 2.1, 3.3 and 3.4; MQTT 3.1.1 has the same without properties.
"""

import asyncio
import socket
import ssl

CONNACK, PUBACK = 0x20, 0x40  # first byte of a packet
DISCONNECT = b"\xe0\0"

Packet = tuple[bytes, int]
"""A whole packet and the index at which its variable header begins."""

_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Wire:
    """A connected socket. Also stands in for it at paho, which sends through it and reads what is put in `inbox`."""

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.inbox = b""  # one packet for paho
        self._sock, self._loop = sock, loop
        self._rest = b""  # the beginning of a packet whose end is still to come
        self._unsent = bytearray()
        self._sent: asyncio.Future[None] | None = None

    def receive(self) -> list[Packet]:
        """The packets that are complete now. Raises OSError when the connection broke, EOFError when it ended."""
        try:
            data = self._sock.recv(65_536)  # more than a TLS record: nothing stays behind in the TLS layer
        except _LATER:
            return []
        if not data:
            raise EOFError
        packets, self._rest = cut(self._rest + data)
        return packets

    def write(self, data: bytes) -> None:
        """Send, or keep until the socket takes it."""
        if self._unsent:
            self._unsent += data
        elif (count := self._send(data)) < len(data):
            self._unsent += data[count:]
            self._loop.add_writer(self._sock.fileno(), self._writable)

    def _writable(self) -> None:
        del self._unsent[: self._send(self._unsent)]
        if not self._unsent:
            self._end_writing()

    def _end_writing(self) -> None:
        self._loop.remove_writer(self._sock.fileno())
        if self._sent is not None and not self._sent.done():
            self._sent.set_result(None)

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._sock.send(data)
        except _LATER:
            return 0
        except OSError:
            return len(data)  # lost; that the connection ended is seen by reading, which also brings a TLS alert

    async def sent(self, within: float) -> None:
        """Returns when all has been sent, when the wire is closed, or after `within` seconds."""
        if self._unsent:
            self._sent = self._loop.create_future()
            await asyncio.wait([self._sent], timeout=within)

    # -- for paho -----------------------------------------------------------------------------------------------

    def send(self, buffer: bytes | bytearray) -> int:
        """Takes everything."""
        self.write(bytes(buffer))
        return len(buffer)

    def recv(self, buffer_size: int) -> bytes:
        """From `inbox`."""
        if not self.inbox:
            raise BlockingIOError
        data, self.inbox = self.inbox[:buffer_size], self.inbox[buffer_size:]
        return data

    def fileno(self) -> int:
        """The socket's."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """The socket's."""
        self._sock.setblocking(flag)

    def close(self) -> None:
        """Close; what is unsent is lost."""
        if self._unsent:
            self._end_writing()
        self._sock.close()


def cut(data: bytes) -> tuple[list[Packet], bytes]:
    """The whole packets at the beginning of `data`, and the bytes left over; pure."""
    packets, start, size = [], 0, len(data)
    while size - start >= 2:
        begin, length = start + 2, data[start + 1]
        if length >= 0x80:
            begin, length = _long(data, start)
        end = begin + length
        if end > size:
            break
        packets.append((data[start:end], begin - start))
        start = end
    return packets, data[start:]


def _long(data: bytes, start: int) -> tuple[int, int]:
    """Where the variable header begins and its length; for a length not all there yet, beyond the end of `data`."""
    length = 0
    for digit in range(4):
        at = start + 1 + digit
        if at >= len(data):
            return at + 1, 0
        length |= (data[at] & 0x7F) << 7 * digit
        if data[at] < 0x80:
            return at + 1, length
    return start + 6, 0  # four digits and none of them the last: no packet, which paho says of its sixth byte


def acknowledged(packet: bytes, begin: int) -> tuple[int, int]:
    """Packet id and reason code of a PUBACK; without a code (always so in 3.1.1) it is 0, success."""
    return packet[begin] << 8 | packet[begin + 1], packet[begin + 2] if len(packet) > begin + 2 else 0


def publish(topic: str, payload: bytes, retain: bool, id_: int, properties: bytes) -> bytes:
    """A PUBLISH; of QoS 1, or of QoS 0 with the packet id 0. `properties` as packed: b"\\0" for none, b"" in 3.1.1."""
    name = topic.encode()
    header = len(name).to_bytes(2, "big") + name + (id_.to_bytes(2, "big") if id_ else b"") + properties
    first, rest = 0x30 | retain | (id_ > 0) << 1, len(header) + len(payload)
    length = b""
    while rest >= 0x80:
        length += bytes((rest & 0x7F | 0x80,))
        rest >>= 7
    return b"".join((bytes((first,)), length, bytes((rest,)), header, payload))
