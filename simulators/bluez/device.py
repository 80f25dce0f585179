"""Device1: what bluetoothd knows of one peripheral, from its adverts and from connecting to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbus_fast import Variant

from simulators.bluez.calls import Call, Method
from simulators.bluez.gatt import Security
from simulators.bluez.link import Link
from simulators.bluez.model import Advert, Peripheral
from simulators.bluez.objects import Properties

if TYPE_CHECKING:
    from simulators.bluez.adapter import Adapter

DEVICE = "org.bluez.Device1"
RSSI_STEP = 8  # dB that count as news from 5.88 on, unless the filter has RSSI or Pathloss: bluez/bluez#2314


class Device:
    """One device of an adapter. `temporary` while it was never connected: such are forgotten."""

    def __init__(self, adapter: Adapter, address: str, address_type: str) -> None:
        self.adapter, self.address = adapter, address
        self.temporary = True
        self.trusted = False
        self.bond: Security = 0  # what its keys are worth
        self.last_heard = 0.0
        self.link = Link(self)
        self._state: Properties = {  # what every device has
            "Address": Variant("s", address),
            "AddressType": Variant("s", address_type),
            "Alias": Variant("s", address.replace(":", "-")),
            "Paired": Variant("b", False),
            "Bonded": Variant("b", False),
            "Trusted": Variant("b", False),
            "Blocked": Variant("b", False),
            "LegacyPairing": Variant("b", False),
            "Connected": Variant("b", False),
            "ServicesResolved": Variant("b", False),
            "UUIDs": Variant("as", []),
        }
        self.methods: dict[tuple[str, str], Method] = {
            (DEVICE, "Connect"): self.link.connect,
            (DEVICE, "Disconnect"): self.link.disconnect,
            (DEVICE, "Pair"): self.link.pair,
            (DEVICE, "CancelPairing"): self.link.cancel_pairing,
        }
        self.writable = {(DEVICE, name): name for name in ("Trusted", "Blocked", "Alias")}

    @property
    def path(self) -> str:
        """/org/bluez/hciN/dev_AA_BB_CC_DD_EE_FF."""
        return f"{self.adapter.path}/dev_{self.address.replace(':', '_')}"

    @property
    def peripheral(self) -> Peripheral | None:
        """The device itself, if it is on the air here."""
        return self.adapter.peripherals.get(self.address)

    @property
    def shown(self) -> bool:
        """Whether it is an object on the bus."""
        return self.path in self.adapter.objects

    def show(self) -> None:
        """Make it an object on the bus."""
        self._state["Adapter"] = Variant("o", self.adapter.path)
        self.adapter.objects.add(self.path, {DEVICE: self._state})
        self.adapter.bluez.exported[self.path] = self

    def hide(self) -> None:
        """Remove its objects from the bus."""
        self.link.hide_services()
        self.adapter.objects.remove(self.path)
        self.adapter.bluez.exported.pop(self.path, None)
        self._state |= {"Connected": Variant("b", False), "ServicesResolved": Variant("b", False)}  # when it is back

    def died(self) -> None:
        """The daemon was killed: it will know less of it when it starts again."""
        self.link.table = None
        for name in ("RSSI", "TxPower", "ManufacturerData", "ServiceData", "AdvertisingFlags"):
            self._state.pop(name, None)
        for name in ("Connected", "ServicesResolved"):
            self._state[name] = Variant("b", False)

    def put(self, name: str, value: Variant, always: bool = False) -> None:
        """Change one property."""
        if self.shown:
            self.adapter.objects.set(self.path, DEVICE, name, value, always)
        else:
            self._state[name] = value

    def set_property(self, call: Call, name: str, value: Variant) -> None:
        """Properties.Set."""
        if name == "Trusted":
            self.trusted = value.value
        self.put(name, value)
        call.reply()

    def heard(self, advert: Advert, duplicates: bool, all_rssi: bool) -> None:
        """Take what an advert says; tell what is new of it, or with `duplicates` all.

        Data of another company or service than before is added to what there was, except with `duplicates`: bluetoothd
        cannot know whether a device says it in turns.
        """
        if not self.shown:
            for name in ("ManufacturerData", "ServiceData"):
                self._state.pop(name, None)
            self._take(advert, duplicates=True, all_rssi=True)
            self.show()
        else:
            self._take(advert, duplicates, all_rssi)

    def _take(self, advert: Advert, duplicates: bool, all_rssi: bool) -> None:
        before = self._state.get("RSSI")
        if before is None or all_rssi or abs(before.value - advert.rssi) >= RSSI_STEP:
            self.put("RSSI", Variant("n", advert.rssi), always=all_rssi)
        if advert.name is not None:
            self.put("Name", Variant("s", advert.name))
            self.put("Alias", Variant("s", advert.name))
        if advert.flags is not None:
            self.put("AdvertisingFlags", Variant("ay", bytes([advert.flags])))
        if advert.tx_power is not None:
            self.put("TxPower", Variant("n", advert.tx_power))
        if advert.appearance is not None:
            self.put("Appearance", Variant("q", advert.appearance))
        self.add_uuids(advert.uuids)
        company = {key: Variant("ay", data) for key, data in advert.manufacturer_data.items()}
        service = {key: Variant("ay", data) for key, data in advert.service_data.items()}
        self._add_data("ManufacturerData", "a{qv}", company, duplicates)
        self._add_data("ServiceData", "a{sv}", service, duplicates)

    def _add_data(self, name: str, signature: str, data: dict[Any, Variant], duplicates: bool) -> None:
        if data:
            before = self._state.get(name)
            kept = {} if before is None or duplicates else before.value
            self.put(name, Variant(signature, {**kept, **data}), always=duplicates)

    def add_uuids(self, uuids: tuple[str, ...]) -> None:
        """Services it says it has, or was found to have."""
        known = self._state["UUIDs"].value
        self.put("UUIDs", Variant("as", sorted({*known, *uuids})))

    def scan_ended(self) -> None:
        """Nobody scans any more: how loud it is, is not known."""
        for name in ("RSSI", "TxPower"):
            self.adapter.objects.drop(self.path, DEVICE, name)

    @property
    def paired(self) -> bool:
        """Whether there are keys."""
        return self.bond > 0

    def set_bond(self, level: Security) -> None:
        """Keys were made."""
        self.bond = level
        self.put("Paired", Variant("b", True))
        self.put("Bonded", Variant("b", True))
