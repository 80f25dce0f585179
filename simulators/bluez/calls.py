"""Method calls of clients, and what BlueZ refuses them with."""

from collections.abc import Callable
from typing import Any

from dbus_fast import Message, MessageFlag

from simulators.bluez.gatt import AttError

BLUEZ_ERROR = "org.bluez.Error."
DBUS_ERROR = "org.freedesktop.DBus.Error."


class RefusedError(Exception):
    """A call is answered with this error. A name without dots is one of org.bluez.Error."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name, self.text = name if "." in name else BLUEZ_ERROR + name, text


def failed(text: str) -> RefusedError:
    """org.bluez.Error.Failed."""
    return RefusedError("Failed", text)


def not_ready() -> RefusedError:
    """The adapter is off."""
    return RefusedError("NotReady", "Resource Not Ready")


def in_progress() -> RefusedError:
    """The same is being done already."""
    return RefusedError("InProgress", "Operation already in progress")


def not_supported() -> RefusedError:
    """It cannot be done with this."""
    return RefusedError("NotSupported", "Operation is not supported")


def does_not_exist() -> RefusedError:
    """There is no such thing."""
    return RefusedError("DoesNotExist", "Does Not Exist")


def unknown_object(path: str | None) -> RefusedError:
    """There is no such object: from D-Bus, not from BlueZ."""
    return RefusedError(DBUS_ERROR + "UnknownObject", f"Unknown object '{path}'")


def att_refusal(error: AttError) -> RefusedError:
    """What bluetoothd makes of an ATT error: create_gatt_dbus_error() in its src/gatt-client.c."""
    match error.code:
        case 0x02:
            return RefusedError("NotPermitted", "Read not permitted")
        case 0x03:
            return RefusedError("NotPermitted", "Write not permitted")
        case 0x05 | 0x0C | 0x0F:
            return RefusedError("NotPermitted", "Not paired")
        case 0x06:
            return not_supported()
        case 0x07:
            return RefusedError("InvalidArguments", "Invalid offset")
        case 0x08:
            return RefusedError("NotAuthorized", "Operation Not Authorized")
        case 0x0D:
            return RefusedError("InvalidArguments", "Invalid Length")
        case code:
            return failed(f"Operation failed with ATT error: 0x{code:02x}")


class Call:
    """A method call, answered once, now or later; the first answer counts."""

    def __init__(self, message: Message, send: Callable[[Message], Any]) -> None:
        self.message, self._send = message, send
        self.sender: str = message.sender or ""
        self.body = message.body
        self._answered = False

    def reply(self, signature: str = "", *body: Any, fds: tuple[int, ...] = ()) -> Any:
        """Answer it; returns what `send` did."""
        return self._answer(Message.new_method_return(self.message, signature, list(body), list(fds)))

    def refuse(self, error: RefusedError) -> None:
        """Answer it with an error."""
        self._answer(Message.new_error(self.message, error.name, error.text))

    def finish(self, error: RefusedError | None) -> None:
        """Answer it with nothing, or with an error."""
        if error is None:
            self.reply()
        else:
            self.refuse(error)

    def _answer(self, message: Message) -> Any:
        if self._answered or self.message.flags & MessageFlag.NO_REPLY_EXPECTED:
            return None
        self._answered = True
        return self._send(message)


Method = Callable[[Call], None]
