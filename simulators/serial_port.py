"""A speaker on a serial port that can be pulled out: a pseudo-terminal, or behind a TCP serial server."""

import asyncio
import errno
import fcntl
import os
import select
import termios
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from simulators.links import point, unlink
from simulators.voice import Voice

_LOOK = 0.01  # s; how often to see whether somebody has opened the terminal
_UNREAD = 200  # ms; a cable is pulled when all that was said has been read, or after that long
_AGAIN = 1.0  # s; until a link is tried again that could not be made
_BACKLOG = 65536  # bytes for a TCP client that does not read; more is lost
_ASIDE = os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK


@asynccontextmanager
async def serial_terminal(voice: Voice, link: Path | None = None) -> AsyncIterator[str]:
    """Puts `voice` on a pseudo-terminal; gives its path, or `link` where that shall point at it.

    What is said while nobody has it open is lost, as on a port. Unplugged, it and the link are gone, and who has it
    open reads its end; it comes back as another terminal. Raises OSError where the link cannot be made.
    """
    terminal = _Terminal(voice, link)
    try:
        terminal.plug()
        yield str(link or terminal.path)
    finally:
        voice.end()
        terminal.end()


@asynccontextmanager
async def serial_server(voice: Voice, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Puts `voice` behind a TCP serial server; gives tcp://host:port. All who are connected hear it, and may ask.

    Unplugged, connections end, and new ones end at once. Raises OSError where the port cannot be had.
    """
    box = _Server(voice)
    server = await asyncio.get_running_loop().create_server(box.connection, host, port)
    voice.device = url = f"tcp://{host}:{server.sockets[0].getsockname()[1]}"
    voice.power()
    try:
        yield url
    finally:
        voice.end()
        box.end()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)  # aborted connections are closed in the next turn of the loop


class _Terminal:
    def __init__(self, voice: Voice, link: Path | None) -> None:
        self.path = ""
        self._voice, self._link = voice, link
        self._master = -1
        self._timer: asyncio.TimerHandle | None = None
        self._slave = -1  # our own end, while the cable is about to be pulled
        self._loop = asyncio.get_running_loop()
        voice.send, voice.unplug = self._write, self._unplug

    def plug(self) -> None:
        """Opens a terminal of another name than before, and switches the device on."""
        master, slave = os.openpty()
        if os.ttyname(slave) == self.path:
            same = master, slave
            master, slave = os.openpty()
            for end in same:
                os.close(end)
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._master, self.path = master, os.ttyname(slave)
        os.close(slave)  # with no one holding it, the master tells whether somebody has it open
        if self._link:
            point(self._link, self.path)
        self._voice.device = str(self._link or self.path)
        self._voice.power()
        self._look()

    def end(self) -> None:
        """Closes the terminal, and removes the link."""
        if self._timer:
            self._timer.cancel()
        if self._master >= 0:
            self._close()

    def _close(self) -> None:
        self._loop.remove_reader(self._master)
        if self._link:
            unlink(self._link, self.path)
        for end in (self._master, self._slave):
            if end >= 0:
                os.close(end)
        self._master = self._slave = -1

    def _look(self) -> None:
        """Waits until somebody opens the terminal."""
        ready = select.poll()
        ready.register(self._master, select.POLLIN)
        if any(events & select.POLLHUP for _, events in ready.poll(0)):
            self._timer = self._loop.call_later(_LOOK, self._look)
            return
        self._timer = None
        self._loop.add_reader(self._master, self._read)
        self._voice.opened()

    def _read(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:  # which says that nobody has it open any more
                raise
            self._loop.remove_reader(self._master)
            self._voice.closed()
            slave = os.open(self.path, _ASIDE)
            termios.tcflush(slave, termios.TCIFLUSH)  # a port that is closed keeps nothing for who comes next
            os.close(slave)
            self._look()
            return
        self._voice.hear(data)

    def _write(self, data: bytes) -> bool:
        try:
            return os.write(self._master, data) == len(data)
        except BlockingIOError:
            return False

    def _unplug(self, seconds: float) -> None:
        self._loop.remove_reader(self._master)
        self._slave = os.open(self.path, _ASIDE)
        # What was written is seen at the other end a little later only, and until then there is nothing to be read.
        self._timer = self._loop.call_later(_LOOK, self._pull, seconds, _UNREAD)

    def _pull(self, seconds: float, tries: int) -> None:
        if tries and any(fcntl.ioctl(self._slave, termios.FIONREAD, bytes(4))):
            self._timer = self._loop.call_later(0.001, self._pull, seconds, tries - 1)
            return
        self._close()
        self._timer = self._loop.call_later(seconds, self._replug)

    def _replug(self) -> None:
        try:
            self.plug()
        except OSError:  # something else has the name of the link now
            self._close()
            self._timer = self._loop.call_later(_AGAIN, self._replug)


class _Server:
    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._clients: list[asyncio.Transport] = []
        self._timer: asyncio.TimerHandle | None = None
        self.plugged = True
        voice.send, voice.unplug = self._write, self._unplug

    def end(self) -> None:
        """Ends all connections."""
        if self._timer:
            self._timer.cancel()
        for transport in list(self._clients):
            transport.abort()

    def came(self, transport: asyncio.Transport) -> None:
        """Somebody has connected."""
        self._clients.append(transport)
        if not self.plugged:
            transport.close()
        elif len(self._clients) == 1:
            self._voice.opened()

    def went(self, transport: asyncio.Transport) -> None:
        """A connection has ended."""
        self._clients.remove(transport)
        if not self._clients:
            self._voice.closed()

    def connection(self) -> asyncio.Protocol:
        """What stands for a client."""
        return _Connection(self, self._voice)

    def _write(self, data: bytes) -> bool:
        heard = False
        for transport in self._clients:
            if transport.get_write_buffer_size() < _BACKLOG and not transport.is_closing():
                transport.write(data)
                heard = True
        return heard

    def _unplug(self, seconds: float) -> None:
        self.plugged = False
        for transport in self._clients:
            transport.close()  # what was said is still sent
        self._timer = asyncio.get_running_loop().call_later(seconds, self._plug)

    def _plug(self) -> None:
        self.plugged = True
        self._voice.power()


class _Connection(asyncio.Protocol):
    def __init__(self, server: _Server, voice: Voice) -> None:
        self._server, self._voice = server, voice

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._server.came(self._transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._voice.hear(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._server.went(self._transport)
