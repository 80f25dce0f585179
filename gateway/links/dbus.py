"""One connection to the D-Bus system bus, in plain values: calls, signals, and what others ask of us."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import AuthError, DBusFastError, InvalidAddressError
from dbus_fast.unpack import unpack_variants

from gateway.errors import LinkError, Reason
from gateway.supervisor import background, end

DAEMON = "org.freedesktop.DBus"
PROPERTIES = "org.freedesktop.DBus.Properties"
WITHIN = 5.0  # s for an answer; mostly it comes in some ms
_ADDRESS = "DBUS_SYSTEM_BUS_ADDRESS"
_END_WITHIN = 1.0  # s


class Refused(Exception):  # noqa: N818 - an answer, not a failure of the bus
    """The other side answered with an error: its name, like org.bluez.Error.NotReady, and its text."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name, self.text = name, text

    @property
    def kind(self) -> str:
        """NotReady."""
        return self.name.rpartition(".")[2]


class Heard(msgspec.Struct, frozen=True):
    """A signal, or a call of a method of ours."""

    sender: str  # unique name, :1.42
    path: str
    interface: str
    member: str
    body: list[Any]


class Bus:
    """A connection that is opened when asked, and again after it was lost; `lost` is called when that happens.

    `heard` gets the signals that are watched. `asked` answers calls with a signature and a body; it may take its time,
    and may raise Refused.
    """

    def __init__(
        self,
        link: str,
        heard: Callable[[Heard], None],
        asked: Callable[[Heard], Awaitable[tuple[str, list[Any]]]],
        lost: Callable[[], None],
    ) -> None:
        self.link = link  # named in errors
        self._heard, self._asked, self._lost = heard, asked, lost
        self._bus: MessageBus | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether there is a bus to speak over."""
        return self._bus is not None and self._bus.connected

    async def open(self) -> None:
        """Connect where there is no connection. Raises LinkError: `missing`, or `permission`."""
        if self.connected:
            return
        where = os.environ.get(_ADDRESS) or "unix:path=/run/dbus/system_bus_socket"
        try:
            async with asyncio.timeout(WITHIN):
                bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        except InvalidAddressError:
            raise self._no_bus(f"{_ADDRESS} is no address of a bus: {where}", "correct it") from None
        except (AuthError, PermissionError) as error:
            text = f"the D-Bus system bus ({where}) does not let this user in: {error}"
            raise self._no_bus(text, "run labgate as a user of this host", "permission") from None
        except TimeoutError:
            raise self._no_bus(
                f"the D-Bus system bus ({where}) does not answer", "see `systemctl status dbus`"
            ) from None
        except (OSError, EOFError, DBusFastError) as error:
            text = f"no D-Bus system bus ({where}): {getattr(error, 'strerror', None) or error or 'it hung up'}"
            raise self._no_bus(text, "install and start dbus (`systemctl status dbus`)") from None
        self._bus = bus
        bus.add_message_handler(self._take)
        self.start("bus", partial(self._until_lost, bus))

    async def close(self) -> None:
        """Never raises."""
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()
            await _disconnected(bus)
        await end(self._tasks.copy(), _END_WITHIN)

    async def call(
        self, to: str, path: str, method: str, signature: str = "", *body: Any, within: float = WITHIN
    ) -> list[Any]:
        """Call `method`, like org.bluez.Adapter1.RemoveDevice, and return what it answers.

        Raises Refused, and LinkError when the bus is gone (`missing`) or the answer does not come (`timeout`).
        """
        interface, _, member = method.rpartition(".")
        message = Message(
            destination=to, path=path, interface=interface, member=member, signature=signature, body=list(body)
        )
        bus = self._bus
        if bus is None or not bus.connected:  # to use one that is lost would spoil a descriptor that has a new owner
            raise self._gone()
        try:
            async with asyncio.timeout(within):
                reply = await bus.call(message)
        except TimeoutError:
            raise LinkError(f"{to} does not answer {member}: link {self.link}; restart it", "timeout") from None
        except (OSError, EOFError, DBusFastError):
            raise self._gone() from None
        if reply is None:
            raise self._gone()
        if reply.message_type is MessageType.ERROR:
            text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else ""
            raise Refused(reply.error_name or "", text)
        answer: list[Any] = unpack_variants(reply.body)
        return answer

    async def set_property(
        self, to: str, path: str, name: str, signature: str, value: Any, within: float = WITHIN
    ) -> None:
        """Set a property, named like org.bluez.Adapter1.Powered. Raises as `call`."""
        interface, _, member = name.rpartition(".")
        value = Variant(signature, value)
        await self.call(to, path, f"{PROPERTIES}.Set", "ssv", interface, member, value, within=within)

    async def watch(self, **rule: str) -> None:
        """Hear signals: `sender`, `interface`, `member`, `arg0`. Raises as `call`."""
        text = ",".join(["type='signal'", *(f"{key}='{value}'" for key, value in rule.items())])
        await self.call(DAEMON, "/org/freedesktop/DBus", f"{DAEMON}.AddMatch", "s", text)

    def start(self, name: str, part: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Do something beside the caller, ended at the latest with `close`."""
        task = background(name, part)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _take(self, message: Message) -> bool:
        kind = message.message_type
        if kind is not MessageType.SIGNAL and kind is not MessageType.METHOD_CALL:
            return False
        heard = Heard(
            message.sender or "",
            message.path or "",
            message.interface or "",
            message.member or "",
            unpack_variants(message.body),
        )
        if kind is MessageType.SIGNAL:
            self._heard(heard)
            return False  # the library keeps its own books of names
        if heard.interface.startswith(DAEMON + "."):
            return False  # Ping and Introspect: answered by the library
        self.start(heard.member, partial(self._answer, message, heard))
        return True

    async def _answer(self, message: Message, heard: Heard) -> None:
        try:
            signature, body = await self._asked(heard)
            reply = Message.new_method_return(message, signature, body)
        except Refused as refused:
            reply = Message.new_error(message, refused.name, refused.text)
        bus = self._bus
        if bus is not None and bus.connected:
            with contextlib.suppress(OSError, EOFError):  # then nobody is there to hear it
                await bus.send(reply)

    async def _until_lost(self, bus: MessageBus) -> None:
        await _disconnected(bus)
        if self._bus is bus:
            self._bus = None
            self._lost()

    def _gone(self) -> LinkError:
        return self._no_bus("the D-Bus system bus is gone", "it is looked for again; see `systemctl status dbus`")

    def _no_bus(self, what: str, do: str, reason: Reason = "missing") -> LinkError:
        return LinkError(f"{what}: link {self.link}; {do}", reason)


async def _disconnected(bus: MessageBus) -> None:
    with contextlib.suppress(Exception):  # whatever ended it: it is lost
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call] # it has no types
