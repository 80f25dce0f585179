"""bluetoothd, as its D-Bus interface shows it: whether it runs, adapters and their power, who is connected or bonded.

Source: doc/org.bluez.*.rst of BlueZ 5.66 … 5.87. Values only: nothing of D-Bus leaks out.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from gateway.errors import LinkError, Reason
from gateway.links.dbus import DAEMON, PROPERTIES, Bus, Heard, Refused

BLUEZ = "org.bluez"
_ADAPTER, _DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
_AGENTS = "org.bluez.AgentManager1"
_OBJECTS = "org.freedesktop.DBus.ObjectManager"
_SYSTEMD = "org.freedesktop.systemd1"
_AGENT_PATH = "/org/labgate/agent"
_POWER_WITHIN = 10.0  # s; an adapter may load its firmware
_UNIT = "bluetooth.service"

_SAYS: dict[str, tuple[Reason, str]] = {  # by the last part of an error's name
    "ServiceUnknown": ("missing", "bluetoothd does not run; `sudo systemctl enable --now bluetooth`"),
    "NameHasNoOwner": ("missing", "bluetoothd does not run; `sudo systemctl enable --now bluetooth`"),
    "NoReply": ("missing", "bluetoothd ended; see `systemctl status bluetooth`"),
    "UnknownObject": ("unplugged", "it is not there; plug it in"),
    "UnknownMethod": ("unplugged", "it is not there; plug it in"),
    "AccessDenied": ("permission", "this user may not; add it to the group bluetooth"),
    "NotReady": ("refused", "the adapter is off; `bluetoothctl power on`"),
    "Blocked": ("refused", "Bluetooth is blocked by rfkill; `sudo rfkill unblock bluetooth`"),
}


class AdapterInfo(msgspec.Struct, frozen=True):
    """A Bluetooth adapter as bluetoothd has it now."""

    path: str  # /org/bluez/hci0
    address: str  # DC:A6:32:01:02:03
    powered: bool
    name: str = ""
    blocked: bool = False  # by rfkill, as far as this bluetoothd tells

    @property
    def index(self) -> str:
        """`hci0`; it may be another one after the next start."""
        return self.path.rpartition("/")[2]


class Agent(Protocol):
    """Who answers bluetoothd when a device pairs."""

    capability: str  # NoInputNoOutput, KeyboardDisplay …

    async def answer(self, member: str, body: list[Any]) -> tuple[str, list[Any]]:
        """The answer to a method of org.bluez.Agent1: signature and body. Raises Refused."""
        ...


class Bluez:
    """One connection to bluetoothd. `changed` is called after each change of `running` and `adapters`."""

    def __init__(self, link: str, changed: Callable[[], None] = lambda: None) -> None:
        self.link, self._changed = link, changed
        self._bus = Bus(link, self._heard, self._asked, self._lost)
        self._opening = asyncio.Lock()
        self._owner = ""  # bluetoothd's unique name; it has a new one after each start
        self._adapters: dict[str, dict[str, Any]] = {}  # path -> properties
        self._agent: Agent | None = None
        self._registered = False  # the agent, with the bluetoothd that runs now

    @property
    def running(self) -> bool:
        """Whether bluetoothd is on the bus."""
        return bool(self._owner) and self._bus.connected

    def adapters(self) -> list[AdapterInfo]:
        """The adapters there are now, in the order of their names."""
        return [
            AdapterInfo(
                path,
                said.get("Address", ""),
                bool(said.get("Powered")),
                said.get("Alias") or said.get("Name") or "",
                said.get("PowerState") == "off-blocked",
            )
            for path, said in sorted(self._adapters.items(), key=lambda item: (len(item[0]), item[0]))
        ]

    def find(self, wanted: str) -> AdapterInfo:
        """The adapter of that address or index. Raises LinkError: `missing`."""
        adapters = self.adapters()
        for adapter in adapters:
            if wanted in (adapter.address, adapter.index):
                return adapter
        if not self.running:
            raise self._error("bluetoothd does not run", "`sudo systemctl enable --now bluetooth`")
        there = ", ".join(f"{a.address} ({a.index})" for a in adapters)
        if there:
            raise self._error(f"no Bluetooth adapter {wanted}", f"plug it in, or name one that is there: {there}")
        raise self._error("no Bluetooth adapter here", "plug one in, or see `rfkill` and `dmesg`")

    async def open(self) -> None:
        """Connect where need be, and see what there is; call it again after a loss. A bluetoothd that does not run is
        asked for: the bus starts it where it can. Raises LinkError where there is no bus.
        """
        async with self._opening:
            if not self._bus.connected:
                await self._bus.open()
                await self._watch()
            if not self._owner:
                owner = await self._find_owner()
                self._owner = self._owner or owner  # a signal may have told a newer one meanwhile
                await self._look()

    async def close(self) -> None:
        """Let go of the bus; bluetoothd forgets our agent with it. Never raises."""
        self._owner, self._registered = "", False
        self._adapters.clear()
        await self._bus.close()

    async def set_powered(self, adapter: AdapterInfo, on: bool) -> None:
        """Switch an adapter on or off; back when it is. Raises LinkError: `refused`, `unplugged` …"""
        try:
            await self._bus.set_property(BLUEZ, adapter.path, f"{_ADAPTER}.Powered", "b", on, within=_POWER_WITHIN)
        except Refused as refused:
            raise self._refusal(
                refused, f"adapter {adapter.index} cannot be switched {'on' if on else 'off'}"
            ) from None

    async def connected(self, adapter: AdapterInfo) -> list[str]:
        """Addresses of the devices that are connected, by whomever. Raises LinkError."""
        below = f"{adapter.path}/dev_"
        found = [
            said[_DEVICE]
            for path, said in (await self._objects()).items()
            if path.startswith(below) and _DEVICE in said
        ]
        return [device["Address"] for device in found if device.get("Connected")]

    async def is_bonded(self, adapter: AdapterInfo, address: str) -> bool:
        """Whether the keys of a pairing with that device are kept. Raises LinkError."""
        said = await self._device(adapter, address)
        return bool(said.get("Bonded", said.get("Paired", False)))  # before 5.65 there is no Bonded

    async def remove(self, adapter: AdapterInfo, address: str) -> None:
        """Forget a device: its services, and its pairing. One that is not known is fine. Raises LinkError."""
        path = _device_path(adapter, address)
        try:
            await self._bus.call(BLUEZ, adapter.path, f"{_ADAPTER}.RemoveDevice", "o", path)
        except Refused as refused:
            if not refused.name.endswith(".DoesNotExist"):
                raise self._refusal(refused, f"{address} cannot be removed from {adapter.index}") from None

    async def _objects(self) -> dict[str, dict[str, dict[str, Any]]]:
        try:
            (found,) = await self._bus.call(BLUEZ, "/", f"{_OBJECTS}.GetManagedObjects")
        except Refused as refused:
            raise self._refusal(refused, "bluetoothd does not tell what it has") from None
        objects: dict[str, dict[str, dict[str, Any]]] = found
        return objects

    async def _device(self, adapter: AdapterInfo, address: str) -> dict[str, Any]:
        """Properties of a device; none where bluetoothd does not know it."""
        path = _device_path(adapter, address)
        try:
            (said,) = await self._bus.call(BLUEZ, path, f"{PROPERTIES}.GetAll", "s", _DEVICE)
        except Refused as refused:
            if refused.name.rpartition(".")[2] in ("UnknownObject", "UnknownMethod", "InvalidArgs"):
                return {}
            raise self._refusal(refused, f"bluetoothd does not tell about {address}") from None
        properties: dict[str, Any] = said
        return properties

    async def _watch(self) -> None:
        try:
            await self._bus.watch(sender=DAEMON, member="NameOwnerChanged", arg0=BLUEZ)
            await self._bus.watch(sender=BLUEZ, interface=_OBJECTS)
            await self._bus.watch(sender=BLUEZ, interface=PROPERTIES, arg0=_ADAPTER)  # not of devices: adverts
        except Refused as refused:
            await self._bus.close()
            raise self._refusal(refused, "the D-Bus system bus does not let us watch") from None

    async def _find_owner(self) -> str:
        """Who is bluetoothd, started where the bus can start it; empty where nobody is."""
        path, start = "/org/freedesktop/DBus", False
        with contextlib.suppress(LinkError):
            for start in (True, False):
                try:
                    (owner,) = await self._bus.call(DAEMON, path, f"{DAEMON}.GetNameOwner", "s", BLUEZ)
                    return str(owner)
                except Refused:
                    if not start:
                        break
                with contextlib.suppress(Refused):
                    await self._bus.call(DAEMON, path, f"{DAEMON}.StartServiceByName", "su", BLUEZ, 0)
        return ""

    async def _look(self) -> None:
        """What there is now."""
        try:
            objects = await self._objects()
        except LinkError as error:  # it is just coming up, or going; what it gets is told by signals
            if error.reason == "missing":
                self._owner = ""
            return
        self._adapters = {path: said[_ADAPTER] for path, said in objects.items() if _ADAPTER in said}

    def _heard(self, signal: Heard) -> None:
        if signal.member.startswith("Interfaces") and _ADAPTER not in signal.body[1]:
            return  # a device: by far the most
        before = (self.running, self.adapters())
        match signal.member, signal.body:
            case "NameOwnerChanged", [_, _, str(owner)] if signal.sender == DAEMON:
                self._owner, self._registered = owner, False
                self._adapters = {}
                if owner:
                    self._bus.start("bluetoothd", self._see)
            case _ if signal.sender != self._owner:
                return
            case "InterfacesAdded", [path, interfaces]:
                self._adapters[path] = interfaces[_ADAPTER]
            case "InterfacesRemoved", [path, _]:
                self._adapters.pop(path, None)
            case "PropertiesChanged", [_, properties, _] if signal.path in self._adapters:
                self._adapters[signal.path] = self._adapters[signal.path] | properties
        if before != (self.running, self.adapters()):
            self._changed()

    async def _see(self) -> None:
        """A bluetoothd has just come up: what does it have?"""
        before = self.adapters()
        await self._look()
        if self.adapters() != before:
            self._changed()

    def _lost(self) -> None:
        self._owner, self._registered = "", False
        self._adapters.clear()
        self._changed()

    async def _asked(self, call: Heard) -> tuple[str, list[Any]]:
        if self._agent is None or call.path != _AGENT_PATH or call.sender != self._owner:
            raise Refused("org.freedesktop.DBus.Error.AccessDenied", "only bluetoothd may ask")
        return await self._agent.answer(call.member, call.body)

    def _refusal(self, refused: Refused, what: str) -> LinkError:
        """What an error answer means for people."""
        kind = refused.name.rpartition(".")[2]
        if "rfkill" in refused.text.lower():
            kind = "Blocked"
        reason, do = _SAYS.get(kind, ("refused", f"bluetoothd says {refused.text or kind}"))
        return self._error(what, do, reason)

    def _error(self, what: str, do: str, reason: Reason = "missing") -> LinkError:
        return LinkError(f"{what}: link {self.link}; {do}", reason)


def _device_path(adapter: AdapterInfo, address: str) -> str:
    return f"{adapter.path}/dev_{address.replace(':', '_')}"
