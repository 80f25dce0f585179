"""The devices that bluetoothd knows of on one adapter: found by their adverts, kept when connected, else forgotten."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from simulators.bluez import faults
from simulators.bluez.calls import Call, does_not_exist, failed, not_ready
from simulators.bluez.device import Device
from simulators.bluez.model import Advert, Peripheral

if TYPE_CHECKING:
    from simulators.bluez.adapter import Adapter


class Devices(dict[str, Device]):
    """By address."""

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()
        self.adapter = adapter

    def report(self, peripheral: Peripheral, advert: Advert, duplicates: bool, all_rssi: bool) -> None:
        """An advert is told on the bus, as a new device or as what has changed of one."""
        self.of(peripheral).heard(advert, duplicates, all_rssi)

    def of(self, peripheral: Peripheral) -> Device:
        """What is known of a peripheral that was heard now; it need not be an object on the bus yet."""
        device = self.get(peripheral.address)
        if device is None:
            device = self[peripheral.address] = Device(self.adapter, peripheral.address, peripheral.address_type)
            self.adapter.bluez.later(self.adapter.bluez.times.temporary, self._expire, device)
        device.last_heard = asyncio.get_running_loop().time()
        return device

    def _expire(self, device: Device) -> None:
        """Forget a device that was never connected, some time after its last advert."""
        if self.get(device.address) is not device or not device.temporary:
            return
        left = device.last_heard + self.adapter.bluez.times.temporary - asyncio.get_running_loop().time()
        if device.link.connecting:
            left = max(left, self.adapter.bluez.times.temporary)
        if left > 0:
            self.adapter.bluez.later(left, self._expire, device)
        else:
            self.forget(device)

    def forget(self, device: Device) -> None:
        """Remove a device with its objects; its link and its keys are gone."""
        device.link.stop_connecting(failed(faults.CANCELLED))
        device.link.lost()
        device.hide()
        del self[device.address]

    def remove(self, call: Call) -> None:
        """Adapter1.RemoveDevice."""
        if not self.adapter.powered:
            raise not_ready()
        device = next((device for device in self.values() if device.path == call.body[0]), None)
        if device is None or not device.shown:
            raise does_not_exist()
        self.forget(device)
        call.reply()

    def drop_links(self) -> None:
        """The adapter goes off: devices that were never connected are removed, the others lose their links."""
        for device in list(self.values()):
            device.link.stop_connecting(failed(faults.ABORTED_BY_LOCAL))
            if device.temporary:
                self.forget(device)
        for device in self.values():
            device.link.lost()

    def cut(self) -> None:
        """All links are gone, and nobody is told."""
        for device in self.values():
            device.link.cut()

    def died(self) -> None:
        """The daemon was killed, or the adapter pulled: those are stored that were connected once."""
        for device in list(self.values()):
            if device.temporary:
                del self[device.address]
            else:
                device.died()

    def client_left(self, name: str) -> None:
        """A client has left the bus: its subscriptions end, links stay."""
        for device in self.values():
            if device.link.table is not None:
                device.link.table.client_left(name)
