"""What a serial line is heard from: a port of this host, or a connection to a serial server. The only user of pyserial.

Who prints line upon line is not read line by line: after a whole frame the wire rests until an instant that all share.
"""

import asyncio
import contextlib
import os
import socket
import termios
from collections.abc import Callable

import serial

from gateway.config_serial import SerialLinkConfig

CHUNK = 4096  # bytes read at once: others have their turn in between
# s between reads of who prints line upon line: a wake-up costs more than a line, and USB adapters gather for 16 ms
REST = 0.04
# Who only listens never learns that a box lost its power, unless its system is asked: gone after 10 + 4 * 5 s.
ALIVE = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 4}  # s, s, times


def _instant(loop: asyncio.AbstractEventLoop) -> float:
    return (loop.time() // REST + 1) * REST


class Port:
    """An open port. `came(data)` returns whether the next read may wait; `lost()` when it was unplugged."""

    def __init__(
        self, path: str, config: SerialLinkConfig, came: Callable[[bytes], bool], lost: Callable[[], None]
    ) -> None:
        """Raises OSError (SerialException is one), ValueError and termios.error."""
        port = serial.Serial(exclusive=True, timeout=0)
        port.port, port.baudrate, port.bytesize = path, config.baudrate, config.bytesize
        port.parity, port.stopbits = config.parity, config.stopbits
        port.dtr, port.rts = config.dtr, config.rts
        port.open()
        self._port, self._fd = port, port.fileno()
        self._came, self._lost = came, lost
        self._rest: asyncio.TimerHandle | None = None
        attributes = termios.tcgetattr(self._fd)
        attributes[2] &= ~termios.HUPCL  # DTR stays as it is when we go: opening again does not reset the board
        attributes[6][termios.VMIN] = 1  # else nothing to read and unplugged look alike
        termios.tcsetattr(self._fd, termios.TCSANOW, attributes)
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, CHUNK)
        except BlockingIOError:
            self._listen()
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
        elif self._came(data) and len(data) < CHUNK // 2:
            self._take_a_rest()
        else:
            self._listen()

    def _take_a_rest(self) -> None:
        """Read what comes next together with what comes after it, at an instant that all ports share."""
        loop = asyncio.get_running_loop()
        if self._rest is None:
            loop.remove_reader(self._fd)
        self._rest = loop.call_at(_instant(loop), self._read)

    def _listen(self) -> None:
        if self._rest is not None:
            self._rest = None
            asyncio.get_running_loop().add_reader(self._fd, self._read)

    def send(self, data: bytes) -> None:
        """Write all of it; requests are short. What comes now is read at once. Raises OSError."""
        if self._rest is not None:
            self._rest.cancel()
            self._listen()
        while data:
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        """Let go; what is not sent yet is not waited for."""
        if self._rest is not None:
            self._rest.cancel()
        asyncio.get_running_loop().remove_reader(self._fd)
        with contextlib.suppress(OSError, termios.error):
            termios.tcflush(self._fd, termios.TCOFLUSH)
        with contextlib.suppress(OSError):
            self._port.close()


class Connection(asyncio.Protocol):
    """A connection to a serial server; `came` and `lost` as of a Port."""

    def __init__(self, came: Callable[[bytes], bool], lost: Callable[[], None]) -> None:
        self._came, self._lost = came, lost
        self._rest: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        wire = transport.get_extra_info("socket")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ALIVE.items():
            wire.setsockopt(socket.IPPROTO_TCP, option, value)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._came(data) and len(data) < CHUNK // 2:
            loop = asyncio.get_running_loop()
            self._transport.pause_reading()
            self._rest = loop.call_at(_instant(loop), self._listen)

    def _listen(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._lost()

    def send(self, data: bytes) -> None:
        """Send it. What comes now is read at once."""
        self._listen()
        self._transport.write(data)

    def close(self) -> None:
        """Let go."""
        if self._rest is not None:
            self._rest.cancel()
        self._transport.abort()
