"""GattService1, GattCharacteristic1, GattDescriptor1: the services of a peripheral, as its host has found them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbus_fast import Variant

from simulators.bluez.calls import Call, Method, RefusedError
from simulators.bluez.gatt import CLIENT_CONFIGURATION, AttError, Characteristic, Descriptor, Service, uuid128
from simulators.bluez.model import Peripheral
from simulators.bluez.operations import Operations
from simulators.bluez.remote_characteristic import RemoteCharacteristic

if TYPE_CHECKING:
    from simulators.bluez.link import Link

SERVICE, DESCRIPTOR = "org.bluez.GattService1", "org.bluez.GattDescriptor1"
GENERIC_ACCESS = uuid128("1800")  # bluetoothd keeps it to itself


class Table:
    """The GATT objects of one device. They outlast the link, as bluetoothd's cache does."""

    def __init__(self, link: Link, peripheral: Peripheral) -> None:
        self.link, self.services, self._mtu = link, peripheral.table, peripheral.mtu
        self.characteristics: list[RemoteCharacteristic] = []
        self._paths: list[str] = []

    def show(self) -> None:
        """Add the objects, services before what they hold."""
        for service in self.services:
            if service.uuid != GENERIC_ACCESS:
                self._show_service(service)

    def _show_service(self, service: Service) -> None:
        device = self.link.device
        objects, exported = device.adapter.objects, device.adapter.bluez.exported
        operations = Operations(self.link)
        path = f"{device.path}/service{service.handle:04x}"
        self._paths.append(path)
        objects.add(
            path,
            {
                SERVICE: {
                    "UUID": Variant("s", service.uuid),
                    "Device": Variant("o", device.path),
                    "Primary": Variant("b", service.primary),
                    "Includes": Variant("ao", []),
                }
            },
        )
        for characteristic in service.characteristics:
            remote = RemoteCharacteristic(operations, characteristic, service, path, self._mtu)
            self.characteristics.append(remote)
            self._paths.append(remote.path)
            exported[remote.path] = remote
            remote.show()
            for descriptor in characteristic.descriptors:
                item = RemoteDescriptor(operations, descriptor, remote.path)
                self._paths.append(item.path)
                exported[item.path] = item
                item.show()

    def hide(self) -> None:
        """Remove the objects, the innermost first."""
        self.disconnected()
        adapter = self.link.device.adapter
        for path in reversed(self._paths):
            adapter.objects.remove(path)
            adapter.bluez.exported.pop(path, None)

    def remote(self, characteristic: Characteristic) -> RemoteCharacteristic:
        """The object of a characteristic."""
        return next(remote for remote in self.characteristics if remote.characteristic is characteristic)

    def connected(self, peripheral: Peripheral) -> None:
        """The link is there (again): who had subscribed still is."""
        for characteristic in self.characteristics:
            characteristic.connected(peripheral.mtu)

    def disconnected(self) -> None:
        """The link is gone."""
        for characteristic in self.characteristics:
            characteristic.disconnected()

    def client_left(self, name: str) -> None:
        """A client has left the bus: its subscriptions end."""
        for characteristic in self.characteristics:
            characteristic.client_left(name)


class RemoteDescriptor:
    """GattDescriptor1."""

    def __init__(self, operations: Operations, descriptor: Descriptor, characteristic_path: str) -> None:
        self.operations, self.descriptor = operations, descriptor
        self.characteristic_path = characteristic_path
        self.path = f"{characteristic_path}/desc{descriptor.handle:04x}"
        self.methods: dict[tuple[str, str], Method] = {
            (DESCRIPTOR, "ReadValue"): self.read,
            (DESCRIPTOR, "WriteValue"): self.write,
        }
        self.writable: dict[tuple[str, str], str] = {}

    def show(self) -> None:
        """Make it an object on the bus."""
        properties = {
            "UUID": Variant("s", self.descriptor.uuid),
            "Characteristic": Variant("o", self.characteristic_path),
        }
        self.operations.objects.add(self.path, {DESCRIPTOR: properties})

    def set_property(self, call: Call, name: str, value: Variant) -> None:
        """Nothing of it can be set."""
        raise NotImplementedError

    def read(self, call: Call) -> None:
        """GattDescriptor1.ReadValue."""

        def act() -> None:
            value = Variant("ay", self.descriptor.value)
            self.operations.objects.tell(self.path, DESCRIPTOR, "Value", value)
            call.reply("ay", self.descriptor.value)

        self.operations.run("read", self.path, call, act)

    def write(self, call: Call) -> None:
        """GattDescriptor1.WriteValue."""
        if self.descriptor.uuid == CLIENT_CONFIGURATION:
            raise RefusedError("NotPermitted", "Write not permitted")  # StartNotify does that

        def act() -> None:
            if len(call.body[0]) > 512:
                raise AttError(0x0D)
            self.descriptor.value = bytes(call.body[0])
            call.reply()

        self.operations.run("write", self.path, call, act)
