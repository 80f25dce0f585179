"""A client that writes down all it hears of org.bluez, in the order in which it comes."""

from typing import Any

from dbus_fast import Message, MessageType, Variant, unpack_variants
from dbus_fast.aio import MessageBus

from tests.radio import until

BLUEZ, ADAPTER, DEVICE = "org.bluez", "org.bluez.Adapter1", "org.bluez.Device1"
CHARACTERISTIC, PROPERTIES = "org.bluez.GattCharacteristic1", "org.freedesktop.DBus.Properties"
HCI0 = "/org/bluez/hci0"

Told = tuple[Any, ...]


def device_path(address: str, adapter: str = HCI0) -> str:
    return f"{adapter}/dev_{address.replace(':', '_')}"


class Watcher:
    """`told`: ("reply",), ("error", name, text), ("added", object, interfaces), ("removed", object), and
    ("changed", object, properties, names that are gone). An object is the last part of its path."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.told: list[Told] = []
        self.paths: list[str] = []  # of objects that were added, in order

    async def __aenter__(self) -> "Watcher":
        self.bus = MessageBus(bus_address=self.address, negotiate_unix_fd=True)
        await self.bus.connect()
        self.bus.add_message_handler(self._hear)
        await self._bus_call("AddMatch", "s", f"type='signal',sender='{BLUEZ}'")
        await self._bus_call("AddMatch", "s", "type='signal',member='NameOwnerChanged',arg0='org.bluez'")
        self.told.clear()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.bus.connected:
            self.bus.disconnect()
            await self.bus.wait_for_disconnect()

    async def _bus_call(self, member: str, signature: str, *body: Any) -> None:
        name = "org.freedesktop.DBus"
        await self.bus.call(Message(name, "/org/freedesktop/DBus", name, member, signature=signature, body=list(body)))

    def _hear(self, message: Message) -> None:
        match message.message_type, message.member:
            case MessageType.METHOD_RETURN, _:
                self.told.append(("reply",))
            case MessageType.ERROR, _:
                self.told.append(("error", message.error_name, message.body[0]))
            case MessageType.SIGNAL, "PropertiesChanged":
                _, changed, gone = message.body
                self.told.append(("changed", last(message.path), unpack_variants(changed), gone))
            case MessageType.SIGNAL, "InterfacesAdded":
                path, interfaces = message.body
                self.paths.append(path)
                self.told.append(("added", last(path), unpack_variants(interfaces)))
            case MessageType.SIGNAL, "InterfacesRemoved":
                self.told.append(("removed", last(message.body[0])))
            case MessageType.SIGNAL, "NameOwnerChanged":
                self.told.append(("owner", bool(message.body[2])))

    async def call(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> Message:
        """A method of org.bluez; gives its answer, a return or an error."""
        return await self.bus.call(Message(BLUEZ, path, interface, member, signature=signature, body=list(body)))

    async def value(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> Any:
        """What a method returns; fails on an error."""
        reply = await self.call(path, interface, member, signature, *body)
        assert reply.message_type is MessageType.METHOD_RETURN, f"{reply.error_name}: {reply.body}"
        return reply.body[0] if reply.body else None

    async def refusal(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> tuple[str, str]:
        """Name and text of the error that a method answers."""
        reply = await self.call(path, interface, member, signature, *body)
        assert reply.message_type is MessageType.ERROR, reply.body
        return reply.error_name or "", reply.body[0]

    async def set(self, path: str, interface: str, name: str, value: Variant) -> Message:
        return await self.call(path, PROPERTIES, "Set", "ssv", interface, name, value)

    async def start_discovery(self, **options: Variant) -> None:
        await self.value(HCI0, ADAPTER, "SetDiscoveryFilter", "a{sv}", options or {"Transport": Variant("s", "le")})
        self.told.clear()
        await self.value(HCI0, ADAPTER, "StartDiscovery")

    async def find(self, address: str) -> str:
        """Scan until the device is an object, if it is none yet; gives its path."""
        self.paths.extend(await self.value("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"))
        await self.start_discovery()
        await until(lambda: device_path(address) in self.paths)
        await self.value(HCI0, ADAPTER, "StopDiscovery")
        await until(lambda: ("changed", "hci0", {"Discovering": False}, []) in self.told)
        self.told.clear()
        return device_path(address)

    async def connect(self, address: str) -> str:
        """Find and connect; gives the path when services are resolved."""
        path = await self.find(address)
        await self.value(path, DEVICE, "Connect")
        await self.heard("ServicesResolved", True)
        self.told.clear()
        return path

    async def heard(self, name: str, value: Any) -> None:
        """Wait for a property to become this."""
        await until(lambda: any(t[0] == "changed" and t[2].get(name) == value for t in self.told))

    def kinds(self) -> list[str]:
        """What was told, without details: "reply", "added char0002" …"""
        return [" ".join(filter(None, (t[0], t[1] if t[0] in ("added", "removed") else ""))) for t in self.told]


def last(path: str | None) -> str:
    return (path or "").rpartition("/")[2]
