"""Adapter1: a Bluetooth adapter of the host, the peripherals within its reach, and what goes wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from dbus_fast import Variant

from simulators.bluez.calls import Call, Method, RefusedError
from simulators.bluez.device import Device
from simulators.bluez.devices import Devices
from simulators.bluez.discovery import Discovery
from simulators.bluez.gatt import Characteristic
from simulators.bluez.model import Advert, Peripheral
from simulators.bluez.monitors import MANAGER, Monitors, monitor_properties
from simulators.bluez.objects import Objects, Properties

if TYPE_CHECKING:
    from simulators.bluez.bluetoothd import FakeBluez

ADAPTER = "org.bluez.Adapter1"


class Adapter:
    """`add` puts peripherals within its reach. What it is as hardware lasts when bluetoothd is killed or restarted.

    To be set at any time: `deaf` (it scans and hears nothing; links go on), `healed_by` what ends that; `blocked`
    (rfkill); `slots`, how many links it has at most, and `slots_error`; `start_in_progress` and `stop_in_progress`, how
    many StartDiscovery and StopDiscovery are refused.
    """

    def __init__(self, bluez: FakeBluez, address: str, index: int, powered: bool = True) -> None:
        self.bluez, self.address, self.index = bluez, address.upper(), index
        self.plugged = True
        self.powered = powered
        self.peripherals: dict[str, Peripheral] = {}
        self.devices = Devices(self)  # what bluetoothd knows
        self.discovery = Discovery(self)
        self.monitors: Monitors = Monitors(self)
        self.experimental = True  # whether bluetoothd offers passive scanning
        self.deaf = False
        self.healed_by: Literal["scan", "power", "restart"] | None = None
        self.blocked = False
        self.slots: int | None = None
        self.slots_error = "le-connection-concurrent-connection-limit"
        self.start_in_progress = self.stop_in_progress = 0
        self.methods: dict[tuple[str, str], Method] = {
            (ADAPTER, "StartDiscovery"): self.discovery.start,
            (ADAPTER, "StopDiscovery"): self.discovery.stop,
            (ADAPTER, "SetDiscoveryFilter"): self.discovery.set_filter,
            (ADAPTER, "GetDiscoveryFilters"): self.discovery.get_filters,
            (ADAPTER, "RemoveDevice"): self.devices.remove,
            (MANAGER, "RegisterMonitor"): self.monitors.register,
            (MANAGER, "UnregisterMonitor"): self.monitors.unregister,
        }
        names = ("Powered", "Alias", "Discoverable", "DiscoverableTimeout", "Pairable", "PairableTimeout")
        self.writable = {(ADAPTER, name): name for name in names}

    @property
    def path(self) -> str:
        """/org/bluez/hciN."""
        return f"/org/bluez/hci{self.index}"

    @property
    def objects(self) -> Objects:
        """All objects of the daemon."""
        return self.bluez.objects

    @property
    def links(self) -> int:
        """How many peripherals it has a link to."""
        return sum(peripheral.link is self for peripheral in self.peripherals.values())

    @property
    def has_free_slot(self) -> bool:
        """Whether one more link can be made."""
        return self.slots is None or self.links < self.slots

    def add(self, peripheral: Peripheral) -> None:
        """A peripheral comes within reach, and starts if it had not."""
        assert peripheral.address not in self.peripherals, f"{peripheral.address} is there already"
        self.peripherals[peripheral.address] = peripheral
        peripheral.put_on(self, self.bluez.seed)

    def remove(self, peripheral: Peripheral) -> None:
        """A peripheral is taken away; its link is lost."""
        self.lose(peripheral)
        del self.peripherals[peripheral.address]
        peripheral.take_off(self)

    # What the air does: model.Air

    def hear(self, peripheral: Peripheral, advert: Advert) -> bool:
        """An advert has come; whether somebody scans and is told."""
        if not (self.plugged and self.powered and self.bluez.running):
            return False
        device = self.devices.get(peripheral.address)
        if device is not None and device.link.connecting:
            device.link.try_now()
        if self.deaf:
            return False
        heard = self.discovery.hear(peripheral, advert)
        return self.monitors.hear(peripheral, advert) or heard

    def take(self, characteristic: Characteristic, data: bytes) -> bool:
        """A notification has come over a link; whether it arrived."""
        peripheral = characteristic.peripheral
        assert isinstance(peripheral, Peripheral)
        device = self.devices.get(peripheral.address)
        table = device.link.table if device is not None else None
        if table is None or (peripheral.faults.lose and self.bluez.random.random() < peripheral.faults.lose):
            return False
        twice = peripheral.faults.double and self.bluez.random.random() < peripheral.faults.double
        for _ in range(2 if twice else 1):
            table.remote(characteristic).take(data)
        return True

    def lose(self, peripheral: Peripheral) -> None:
        """The link to this peripheral is gone."""
        device = self.devices.get(peripheral.address)
        if device is not None and peripheral.link is self:
            device.link.lost()

    def leave_connected(self, peripheral: Peripheral) -> Device:
        """A link that a client of an earlier life has left: it is up, and nobody on the bus has asked for it."""
        device = self.devices.of(peripheral)
        if not device.shown:
            device.show()
        device.link.bring_up(lambda error: None)
        return device

    def leave_subscribed(self, characteristic: Characteristic) -> None:
        """A subscription that a client has left which is still on the bus: each notification comes once more."""
        peripheral = characteristic.peripheral
        assert isinstance(peripheral, Peripheral)
        table = self.devices[peripheral.address].link.table
        assert table is not None, "not connected"
        table.remote(characteristic).leave_subscribed()

    # On the bus

    def show(self) -> None:
        """Make it an object on the bus, with the devices that are known."""
        properties: Properties = {
            "Address": Variant("s", self.address),
            "AddressType": Variant("s", "public"),
            "Name": Variant("s", "labgate"),
            "Alias": Variant("s", "labgate"),
            "Class": Variant("u", 0),
            "Powered": Variant("b", self.powered),
            "PowerState": Variant("s", self._power_state),
            "Discoverable": Variant("b", False),
            "DiscoverableTimeout": Variant("u", 180),
            "Pairable": Variant("b", True),
            "PairableTimeout": Variant("u", 0),
            "Discovering": Variant("b", False),
            "UUIDs": Variant("as", []),
            "Modalias": Variant("s", "usb:v1D6Bp0246d0542"),
            "Roles": Variant("as", ["central", "peripheral"]),
            "Manufacturer": Variant("q", 15),
            "Version": Variant("y", 9),
        }
        self.bluez.exported[self.path] = self
        interfaces = {ADAPTER: properties}
        if self.experimental:
            interfaces[MANAGER] = monitor_properties()
        self.objects.add(self.path, interfaces)
        for device in self.devices.values():
            device.show()

    @property
    def _power_state(self) -> str:
        return "on" if self.powered else "off-blocked" if self.blocked else "off"

    def put(self, name: str, value: Variant) -> None:
        """Change one property."""
        self.objects.set(self.path, ADAPTER, name, value)

    def set_property(self, call: Call, name: str, value: Variant) -> None:
        """Properties.Set."""
        if name != "Powered":
            self.put(name, value)
            call.reply()
            return
        if value.value and self.blocked:
            raise RefusedError("Blocked", "Blocked through rfkill")
        if value.value == self.powered:
            call.reply()
        elif value.value:
            call.reply()
            self.power_on()
        else:
            self.devices.drop_links()
            call.reply()
            self._off()

    def power_on(self) -> None:
        """Switch it on."""
        self.powered = True
        self.heal("power")
        self.put("Powered", Variant("b", True))
        self.put("PowerState", Variant("s", self._power_state))

    def power_off(self) -> None:
        """Switch it off, as another program, or rfkill with `blocked`, does."""
        self.devices.drop_links()
        self._off()

    def _off(self) -> None:
        self.powered = False
        self.put("Powered", Variant("b", False))
        self.put("PowerState", Variant("s", self._power_state))
        self.discovery.forget()

    def heal(self, by: Literal["scan", "power", "restart"]) -> None:
        """Something was done that may end its deafness."""
        if self.healed_by == by:
            self.deaf = False

    def unplug(self) -> None:
        """It is pulled: links end, objects are removed, and no Connected=false is told before."""
        self.plugged = False
        self.cut()
        if self.bluez.running:
            self.hide()
        self.devices.died()

    def plug(self, index: int | None = None) -> None:
        """It is back, off and on again in between, under the same number or another."""
        self.index = self.index if index is None else index
        self.plugged = self.powered = True
        self.heal("power")
        if self.bluez.running:
            self.show()

    def hide(self) -> None:
        """Remove its objects from the bus."""
        for device in list(self.devices.values()):
            device.hide()
        self.objects.remove(self.path)
        self.bluez.exported.pop(self.path, None)

    def client_left(self, name: str) -> None:
        """A client has left the bus: its sessions end, links stay."""
        self.discovery.client_left(name)
        self.monitors.client_left(name)
        self.devices.client_left(name)

    def cut(self) -> None:
        """All links and sessions are gone, and nobody is told; devices that were never connected are forgotten."""
        self.discovery.sessions.clear()
        self.discovery.filters.clear()
        self.monitors.clear()
        self.devices.cut()
