"""Between paho and its socket: bytes go out as they are, whole packets come in.

Packet layout: MQTT 5.0, sections 2.1 and 3.4; the same in 3.1.1.
"""

import socket
import ssl

CONNACK, PUBACK = 0x20, 0x40  # first byte of a packet

Packet = tuple[bytes, int]
"""A whole packet and the index at which its variable header begins."""

_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Wire:
    """Stands in for paho's socket. `receive` reads the socket; paho reads only the one packet put in `inbox`."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.inbox = b""
        self._sock, self._rest = sock, b""  # the beginning of a packet whose end is still to come

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

    def send(self, buffer: bytes | bytearray) -> int:
        """For paho."""
        try:
            return self._sock.send(buffer)
        except _LATER:
            raise
        except OSError:
            return len(buffer)  # lost; that the connection ended is seen by reading, which also brings a TLS alert

    def fileno(self) -> int:
        """For paho."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """For paho."""
        self._sock.setblocking(flag)

    def close(self) -> None:
        """For paho."""
        self._sock.close()

    def recv(self, buffer_size: int) -> bytes:
        """For paho."""
        if not self.inbox:
            raise BlockingIOError
        data, self.inbox = self.inbox[:buffer_size], self.inbox[buffer_size:]
        return data


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
