"""Passive scanning: monitors that clients export, found when they register, told once of each device."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dbus_fast import Message, MessageFlag, MessageType, Variant

from simulators.bluez.calls import Call, does_not_exist
from simulators.bluez.connection import is_error
from simulators.bluez.model import Advert, Peripheral
from simulators.bluez.objects import OBJECT_MANAGER, PROPERTIES, Properties
from simulators.bluez.patterns import Pattern, matches

if TYPE_CHECKING:
    from simulators.bluez.adapter import Adapter

MANAGER, MONITOR = "org.bluez.AdvertisementMonitorManager1", "org.bluez.AdvertisementMonitor1"


@dataclass
class Monitor:
    """What one client wants to hear of, and the devices it was told of."""

    client: str
    path: str
    patterns: list[Pattern]
    found: set[str] = field(default_factory=set)


def monitor_properties() -> Properties:
    """Of AdvertisementMonitorManager1."""
    return {"SupportedMonitorTypes": Variant("as", ["or_patterns"]), "SupportedFeatures": Variant("as", [])}


class Monitors:
    """AdvertisementMonitorManager1 of one adapter. bluetoothd has it with --experimental only."""

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.roots: set[tuple[str, str]] = set()  # client, path below which its monitors are
        self.active: dict[tuple[str, str], Monitor] = {}  # by client and path

    def register(self, call: Call) -> None:
        """RegisterMonitor: looks for monitors at that path, now and when one is exported there later."""
        root = (call.sender, call.body[0])
        self.roots.add(root)
        call.reply()
        self.adapter.bluez.spawn(self._look(*root))

    def unregister(self, call: Call) -> None:
        """UnregisterMonitor."""
        root = (call.sender, call.body[0])
        if root not in self.roots:
            raise does_not_exist()
        self.roots.discard(root)
        for key in [key for key in self.active if key[0] == root[0] and key[1].startswith(root[1])]:
            del self.active[key]
        call.reply()

    async def _look(self, client: str, root: str) -> None:
        """What is exported there already. dbus-fast leaves out the root itself."""
        reply = await self.adapter.bluez.connection.call(Message(client, root, OBJECT_MANAGER, "GetManagedObjects"))
        if not is_error(reply):
            for path, interfaces in reply.body[0].items():
                self._take(client, path, interfaces)
        if (client, root) not in self.active:
            message = Message(client, root, PROPERTIES, "GetAll", signature="s", body=[MONITOR])
            reply = await self.adapter.bluez.connection.call(message)
            if not is_error(reply) and reply.body[0]:
                self._take(client, root, {MONITOR: reply.body[0]})

    def hear_signal(self, message: Message) -> None:
        """A client exports something."""
        if message.member == "InterfacesAdded" and message.interface == OBJECT_MANAGER and message.body:
            self._take(message.sender or "", *message.body)
        elif message.member == "InterfacesRemoved" and message.interface == OBJECT_MANAGER and message.body:
            self.active.pop((message.sender or "", message.body[0]), None)

    def _take(self, client: str, path: str, interfaces: dict[str, dict[str, Any]]) -> None:
        wanted = any(client == owner and path.startswith(root) for owner, root in self.roots)
        properties = interfaces.get(MONITOR)
        if not wanted or properties is None or (client, path) in self.active:
            return
        patterns = [(start, kind, bytes(data)) for start, kind, data in properties["Patterns"].value]
        if properties["Type"].value != "or_patterns" or not patterns:
            self._tell(client, path, "Release")
            return
        self.active[client, path] = Monitor(client, path, patterns)
        self._tell(client, path, "Activate")

    def hear(self, peripheral: Peripheral, advert: Advert) -> bool:
        """Report an advert, if a monitor matches; whether one does."""
        told = False
        for monitor in list(self.active.values()):
            if matches(advert, monitor.patterns):
                if not told:
                    self.adapter.devices.report(peripheral, advert, duplicates=False, all_rssi=False)
                told = True
                if peripheral.address not in monitor.found:
                    monitor.found.add(peripheral.address)
                    path = self.adapter.devices.of(peripheral).path
                    self._tell(monitor.client, monitor.path, "DeviceFound", "o", path)
        return told

    def client_left(self, name: str) -> None:
        """Its monitors end."""
        self.roots = {root for root in self.roots if root[0] != name}
        for key in [key for key in self.active if key[0] == name]:
            del self.active[key]

    def clear(self) -> None:
        """The adapter is gone, or the daemon: nobody is monitored for."""
        self.roots.clear()
        self.active.clear()

    def _tell(self, client: str, path: str, what: str, signature: str = "", *body: Any) -> None:
        message = Message(
            client, path, MONITOR, what, MessageType.METHOD_CALL, MessageFlag.NO_REPLY_EXPECTED,
            signature=signature, body=list(body),
        )  # fmt: skip
        self.adapter.bluez.send(message)
