"""What is heard over a radio, and what is wanted of it: as data."""

import msgspec

from gateway.links.framing import Framing


class Advert(msgspec.Struct, frozen=True, gc=False):
    """One advertisement. UUIDs are 128-bit text in lower case, the address is upper case."""

    address: str  # CB:B8:33:4C:88:4F
    name: str | None = None
    rssi: int | None = None  # dBm
    company: dict[int, bytes] = {}  # manufacturer data by company id
    service: dict[str, bytes] = {}  # service data by UUID
    services: tuple[str, ...] = ()  # UUIDs of services it says it has


class Value(msgspec.Struct, frozen=True, gc=False):
    """What a characteristic of a connected device holds, or has just sent."""

    address: str  # of the device
    characteristic: str  # UUID
    handle: int  # tells several characteristics of one UUID apart
    data: bytes


class Peer(msgspec.Struct, frozen=True):
    """Which device is meant: by its address, else by all that is said here of what it advertises."""

    address: str | None = None
    name: str | None = None  # shell pattern, like "Polar H10*"
    service: str | None = None  # UUID of a service it advertises, or has data of
    company: int | None = None  # of manufacturer data


class Adverts(msgspec.Struct, frozen=True, tag=True):
    """Adverts of a peer that carry one of these; a frame is an Advert.

    An advert whose payload is that of the one before it is a repeat: counted as `repeats`, and no frame, unless
    `repeats` asks for each (for formats that do not number their measurements).
    """

    peer: Peer
    companies: tuple[int, ...] = ()  # company ids of manufacturer data …
    services: tuple[str, ...] = ()  # … or UUIDs of service data
    repeats: bool = False


class Values(msgspec.Struct, frozen=True, tag=True):
    """What a connected peer sends from these characteristics; a frame is a Value.

    Those the peer has are subscribed to as soon as it is connected, and one at least must be there. `read` are read
    once after each connect, where it has them, and come before all else.
    """

    peer: Peer
    characteristics: tuple[str, ...]
    read: tuple[str, ...] = ()


class Stream(msgspec.Struct, frozen=True, tag=True):
    """Bytes that a connected peer sends from a service, as from a serial line; a frame is as `framings` say.

    Of the service's characteristics the one that notifies or indicates is heard, whatever its UUID.
    """

    peer: Peer
    service: str
    framings: tuple[Framing, ...]


OnAir = Adverts | Values | Stream
