"""One connection to a bus, by raw messages of dbus-fast, that neither drops nor hangs when a socket is full."""

import select
import socket
from collections.abc import Callable
from typing import Any

from dbus_fast import Message, MessageType, NameFlag
from dbus_fast.aio import MessageBus

DBUS = "org.freedesktop.DBus"


class PatientSocket:
    """What dbus-fast writes to. Its writer takes a full socket for a broken one (altdesktop/python-dbus-next#153)."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def send(self, data: Any) -> int:
        """Bytes that the socket took; 0 when it is full: the writer comes again when it is writable."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def sendmsg(self, buffers: Any, ancillary: Any) -> int:
        """With file descriptors; waits for room, because a part of it cannot be sent again."""
        while True:
            try:
                return self._socket.sendmsg(buffers, ancillary)
            except BlockingIOError:
                select.select([], [self._socket], [])


class Connection:
    """A client or server on a bus. `handle` is given each message and says whether it has answered it.

    `lost` is called when the connection ends and nobody asked for that.
    """

    def __init__(self, address: str, handle: Callable[[Message], bool], lost: Callable[[], None] | None = None) -> None:
        self._address, self._handle, self._lost = address, handle, lost
        self._bus: MessageBus | None = None

    @property
    def name(self) -> str:
        """Its unique name, ":1.3"; empty while there is no connection."""
        return (self._bus.unique_name or "") if self._bus is not None else ""

    async def open(self, *names: str) -> None:
        """Connect, hear of clients that come and go, and own these names. Raises OSError."""
        bus = MessageBus(bus_address=self._address, negotiate_unix_fd=True)
        try:
            await bus.connect()
        except BaseException:
            bus.disconnect()
            raise
        self._bus = bus
        writer: Any = bus._writer  # dbus-fast has no public way to its socket
        writer.sock = PatientSocket(writer.sock)
        bus.add_message_handler(self._handle)
        rule = f"type='signal',sender='{DBUS}',member='NameOwnerChanged'"
        await self.call(
            Message(DBUS, "/org/freedesktop/DBus", DBUS, "AddMatch", signature="s", body=[rule]),
        )
        for name in names:
            await bus.request_name(name, NameFlag.DO_NOT_QUEUE)
        bus._disconnect_future.add_done_callback(self._ended)

    def close(self) -> None:
        """End the connection at once, with its names; what was sent before has left."""
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()

    def send(self, message: Message) -> Any:
        """Send a signal or an answer; gives a future, or None while there is no connection."""
        return self._bus.send(message) if self._bus is not None else None

    async def call(self, message: Message) -> Message:
        """Call a method and give its answer, a return or an error. Raises OSError or EOFError without a connection."""
        if self._bus is None:
            raise ConnectionError("not connected")
        return await self._bus.call(message)

    def _ended(self, future: Any) -> None:
        future.exception()  # retrieved: how it ended is of no interest
        if self._bus is not None:
            self._bus.disconnect()
            self._bus = None
            if self._lost is not None:
                self._lost()


def is_error(reply: Message) -> bool:
    """Whether a call was answered with an error."""
    return reply.message_type is MessageType.ERROR
