"""Peripherals as they are without any host: what they advertise, what they offer, and whether they are in reach.

A simulated device is a `Peripheral`, or a subclass of it that starts its timers in `start`. It knows no D-Bus: what it
is within reach of is an `Air`. Times are s of the running loop; nothing here may be used outside of one.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol

from simulators.bluez.faults import Faults
from simulators.bluez.gatt import AttError, Characteristic, Descriptor, Security, Service, uuid128

__all__ = ["Advert", "Air", "AttError", "Characteristic", "Descriptor", "Pairing", "Peripheral", "Service", "uuid128"]

ADVERTISING_DELAY = 0.010  # s; each interval is longer by a random part of it: Core 5.4, volume 6, part B, 4.4.2.2.1


@dataclass
class Pairing:
    """How a peripheral pairs. `capability` is what it has for its user, as agents name it: Core 5.4, 3 H 2.3.2.

    With a display and no keys `passkey` stands on it; with keys its user types what we show; with both yes and no
    buttons its user compares. `refuses`: it says no to every attempt.
    """

    capability: Literal["NoInputNoOutput", "DisplayOnly", "KeyboardOnly", "DisplayYesNo", "KeyboardDisplay"] = (
        "NoInputNoOutput"
    )
    passkey: int = 123456
    refuses: bool = False


@dataclass(frozen=True)
class Advert:
    """One advertisement with its scan response, as it went out."""

    name: str | None
    flags: int | None  # AD type 0x01
    uuids: tuple[str, ...]
    manufacturer_data: Mapping[int, bytes]
    service_data: Mapping[str, bytes]
    tx_power: int | None  # dBm
    appearance: int | None
    rssi: int  # dBm, as it arrives


class Air(Protocol):
    """What a peripheral is within reach of: the adapter of a host."""

    def hear(self, peripheral: "Peripheral", advert: Advert) -> bool:
        """An advert went out; whether somebody scans and heard it."""
        ...

    def take(self, characteristic: Characteristic, data: bytes) -> bool:
        """A notification went out on the link; whether it arrived."""
        ...

    def lose(self, peripheral: "Peripheral") -> None:
        """The link of this peripheral is gone: it hung up, or is out of reach."""
        ...


class Peripheral:
    """A device with a radio: what it advertises, its services, and the one link it may have.

    What it advertises may be changed at any time and goes out with the next advert. A subclass starts its timers in
    `start` and overrides `on_connect`, `on_disconnect`, `on_advert`; others may set these three.
    """

    def __init__(
        self,
        address: str,
        name: str | None = None,
        *,
        address_type: Literal["random", "public"] = "random",
        services: Iterable[Service] = (),
        manufacturer_data: Mapping[int, bytes] | None = None,
        service_data: Mapping[str, bytes] | None = None,
        uuids: Iterable[str] = (),
        tx_power: int | None = None,
        appearance: int | None = None,
        flags: int | None = 0x06,
        rssi: int = -60,
        interval: float = 1.0,
        connectable: bool = True,
        pairing: Pairing | None = None,
    ) -> None:
        self.address, self.name, self.address_type = address.upper(), name, address_type
        self.manufacturer_data, self.service_data = dict(manufacturer_data or {}), dict(service_data or {})
        self.uuids, self.tx_power, self.appearance, self.flags = tuple(uuids), tx_power, appearance, flags
        self.rssi, self.interval, self.connectable, self.pairing = rssi, interval, connectable, pairing
        self.advertising = True
        self.in_range = True
        self.supervision = 0.42  # s after which a link that is out of reach counts as lost: the kernel's default
        self.mtu = 247  # it agrees to
        self.bonded = False  # it has kept keys
        self.security: Security = 0  # of the link that is up
        self.faults = Faults()
        self.random = Random(address)
        self.link: Air | None = None
        self._airs: list[Air] = []
        self._timer: asyncio.TimerHandle | None = None
        self._losing: asyncio.TimerHandle | None = None
        self.table: list[Service] = []  # GATT: its services, after those that every device must have
        self.services = list(services)

    def start(self) -> None:
        """It is put on the air: the loop runs."""

    def stop(self) -> None:
        """It is taken off the air."""

    def on_connect(self) -> None:
        """A link to it has come up."""

    def on_disconnect(self) -> None:
        """Its link has ended, from whichever side; all subscriptions have ended before."""

    def on_advert(self) -> None:
        """A scanner has heard an advert of it, and tells its host."""

    @property
    def services(self) -> list[Service]:
        """What it offers. New ones are seen by who connects after they were set."""
        return self._services

    @services.setter
    def services(self, services: list[Service]) -> None:
        self._services = services
        self.table = [*self._mandatory(), *services]
        handle = 1
        for service in self.table:
            service.handle, handle = handle, handle + 1
            for characteristic in service.characteristics:
                characteristic.peripheral = self
                characteristic.handle, handle = handle, handle + 2  # its declaration, its value
                for descriptor in characteristic.descriptors:
                    descriptor.handle, handle = handle, handle + 1

    def _mandatory(self) -> list[Service]:
        """Core 5.4, volume 3: part C, 12 (Generic Access) and part G, 7 (Generic Attribute)."""
        name = Characteristic("2a00", ["read"], on_read=lambda: (self.name or "").encode())
        appearance = Characteristic("2a01", ["read"], on_read=lambda: (self.appearance or 0).to_bytes(2, "little"))
        changed = Characteristic("2a05", ["indicate"])
        return [Service("1800", [name, appearance]), Service("1801", [changed])]

    @property
    def characteristics(self) -> list[Characteristic]:
        """All of its services, by handle."""
        return [characteristic for service in self.services for characteristic in service.characteristics]

    def characteristic(self, uuid: str) -> Characteristic:
        """The first with this UUID."""
        return next(c for c in self.characteristics if c.uuid == uuid128(uuid))

    @property
    def connected(self) -> bool:
        """Whether it has a link."""
        return self.link is not None

    def advert(self) -> Advert:
        """What it would send now."""
        return Advert(
            self.name, self.flags, tuple(map(uuid128, self.uuids)), dict(self.manufacturer_data),
            {uuid128(uuid): data for uuid, data in self.service_data.items()},
            self.tx_power, self.appearance, self.rssi,
        )  # fmt: skip

    def advertise_now(self) -> bool:
        """Send one advert with what is set now, also while `advertising` is off. Whether somebody scans and heard it.

        What can be connected to sends none while it is.
        """
        if not self.in_range or (self.connectable and self.connected):
            return False
        advert = self.advert()
        heard = [air.hear(self, advert) for air in self._airs]
        if any(heard):
            self.on_advert()
        return any(heard)

    def send(self, characteristic: Characteristic, data: bytes) -> bool:
        """A notification of a subscribed characteristic; whether it arrived."""
        return self.in_range and self.link is not None and self.link.take(characteristic, data)

    def disconnect(self) -> None:
        """It hangs up."""
        if self.link is not None:
            self.link.lose(self)

    def go_out_of_range(self) -> None:
        """Nothing of it is heard any more; a link is lost when `supervision` has passed."""
        self.in_range = False
        if self.link is not None and self._losing is None:
            self._losing = asyncio.get_running_loop().call_later(self.supervision, self._lose)

    def come_back(self) -> None:
        """It is in reach again; a link that was not lost yet goes on."""
        self.in_range = True
        if self._losing is not None:
            self._losing.cancel()
            self._losing = None

    def _lose(self) -> None:
        self._losing = None
        self.disconnect()

    # For an adapter

    def put_on(self, air: Air, seed: int | str) -> None:
        """It comes within reach of an adapter; the first starts it. Randomness is that of seed and address."""
        self._airs.append(air)
        if len(self._airs) == 1:
            self.random = Random(f"{seed} {self.address}")
            self._next_advert(self.random.uniform(0, min(self.interval, ADVERTISING_DELAY)))
            self.start()

    def take_off(self, air: Air) -> None:
        """It is no longer within reach of this adapter, and has no link with it; the last stops it."""
        self._airs.remove(air)
        if not self._airs:
            for timer in (self._timer, self._losing):
                if timer is not None:
                    timer.cancel()
            self._losing = None
            self.stop()

    def link_up(self, air: Air) -> None:
        """A link has been made with this adapter."""
        self.link, self.security = air, 0
        self.on_connect()

    def link_down(self) -> None:
        """The link has ended."""
        self.link, self.security = None, 0
        if self._losing is not None:
            self._losing.cancel()
            self._losing = None
        for service in self.table:
            for characteristic in service.characteristics:
                characteristic.subscribe(False)
        self.on_disconnect()

    def _next_advert(self, after: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(after, self._advertise)

    def _advertise(self) -> None:
        self._next_advert(self.interval + self.random.uniform(0, ADVERTISING_DELAY))
        if self.advertising:
            self.advertise_now()
