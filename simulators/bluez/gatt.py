"""What a peripheral offers to who connects: services, characteristics, descriptors, call-backs when they are used."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

BASE_UUID = "0000{:0>4}-0000-1000-8000-00805f9b34fb"  # Core 5.4, volume 3, part B, 2.5.1
CLIENT_CONFIGURATION = BASE_UUID.format("2902")

Security = Literal[0, 1, 2]  # of a link: none, encrypted, encrypted by keys that nobody can have slipped in


def uuid128(text: str) -> str:
    """A UUID as BlueZ writes it: 128 bits, lower case. Takes `180d` too."""
    return BASE_UUID.format(text.lower()) if len(text) <= 4 else text.lower()


class AttError(Exception):
    """What a peripheral refuses a request with. `code`: Core 5.4, volume 3, part F, table 3.4."""

    def __init__(self, code: int) -> None:
        super().__init__(f"ATT error 0x{code:02x}")
        self.code = code


READ_NOT_PERMITTED, WRITE_NOT_PERMITTED, INVALID_LENGTH = 0x02, 0x03, 0x0D
INSUFFICIENT_AUTHENTICATION, INSUFFICIENT_ENCRYPTION = 0x05, 0x0F


class Bearer(Protocol):
    """The peripheral, as its characteristics see it."""

    security: Security

    def send(self, characteristic: "Characteristic", data: bytes) -> bool:
        """Put a notification on the link; whether it arrived."""
        ...


@dataclass
class Descriptor:
    """A descriptor and its value. That of the subscription (2902) is made by its characteristic."""

    uuid: str
    value: bytes = b""
    handle: int = 0

    def __post_init__(self) -> None:
        self.uuid = uuid128(self.uuid)


class Characteristic:
    """A characteristic of a peripheral.

    `flags` as BlueZ names them: read, write, write-without-response, notify, indicate; `encrypt-read` and the like are
    refused on a link that is not encrypted, `encrypt-authenticated-read` also on one paired without a passkey.
    Without `on_read` and `on_write` it holds `value`. They may raise AttError.
    """

    def __init__(
        self,
        uuid: str,
        flags: Iterable[str],
        value: bytes = b"",
        on_read: Callable[[], bytes] | None = None,
        on_write: Callable[[bytes, bool], None] | None = None,
        on_subscribe: Callable[[bool], None] | None = None,
        descriptors: Iterable[Descriptor] = (),
    ) -> None:
        self.uuid, self.value = uuid128(uuid), value
        self.on_read, self.on_write, self.on_subscribe = on_read, on_write, on_subscribe
        self.descriptors = list(descriptors)
        self.security: dict[str, Security] = {}  # what needs it: read, write, notify
        self.flags: list[str] = []  # as the peripheral says them, which is without what needs security
        for flag in flags:
            plain = flag.removeprefix("encrypt-").removeprefix("authenticated-")
            if plain != flag:
                self.security[plain] = 2 if "authenticated" in flag else 1
            if plain not in self.flags:
                self.flags.append(plain)
        if self.notifies and all(d.uuid != CLIENT_CONFIGURATION for d in self.descriptors):
            self.descriptors.append(Descriptor(CLIENT_CONFIGURATION, bytes(2)))
        self.subscribed = False  # somebody is, on a link that is up
        self.peripheral: Bearer | None = None
        self.handle = 0  # of its declaration

    @property
    def notifies(self) -> bool:
        """Whether one can subscribe to it."""
        return "notify" in self.flags or "indicate" in self.flags

    def notify(self, data: bytes) -> bool:
        """Notify, or indicate. Whether it went out on a link that is up, to a subscriber."""
        return self.subscribed and self.peripheral is not None and self.peripheral.send(self, data)

    def read(self) -> bytes:
        """Answer a read request; raises AttError."""
        if "read" not in self.flags:
            raise AttError(READ_NOT_PERMITTED)
        self._want_security("read")
        if self.on_read is not None:
            self.value = self.on_read()
        return self.value

    def write(self, data: bytes, with_response: bool) -> None:
        """Answer a write request (`with_response`) or take a write command; raises AttError."""
        if ("write" if with_response else "write-without-response") not in self.flags:
            raise AttError(WRITE_NOT_PERMITTED)
        self._want_security("write")
        if self.on_write is not None:
            self.on_write(data, with_response)
        else:
            self.value = data

    def subscribe(self, wanted: bool) -> None:
        """The subscription is written, or has ended with the link; raises AttError."""
        if wanted:
            self._want_security("notify")
        if wanted != self.subscribed:
            self.subscribed = wanted
            if self.on_subscribe is not None:
                self.on_subscribe(wanted)

    def _want_security(self, use: str) -> None:
        wanted = self.security.get(use, 0)
        if self.peripheral is not None and self.peripheral.security < wanted:
            raise AttError(INSUFFICIENT_AUTHENTICATION if self.peripheral.security else INSUFFICIENT_ENCRYPTION)


class Service:
    """A service of a peripheral."""

    def __init__(self, uuid: str, characteristics: Iterable[Characteristic] = (), primary: bool = True) -> None:
        self.uuid, self.characteristics, self.primary = uuid128(uuid), list(characteristics), primary
        self.handle = 0
