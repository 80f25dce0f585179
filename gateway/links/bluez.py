"""bluetoothd, as its D-Bus interface shows it: whether it runs, adapters and their power, who is connected or bonded.

Source: doc/org.bluez.*.rst of BlueZ 5.66 … 5.87. Values only: nothing of D-Bus leaks out.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from gateway.errors import LinkError
from gateway.links.bluez_errors import NOT_RUNNING, START, UNIT, link_error, pairing_error, refusal, restart_error
from gateway.links.dbus import DAEMON, PROPERTIES, WITHIN, Bus, Heard, Refused
from gateway.links.pairing import Agent

BLUEZ = "org.bluez"
_ADAPTER, _DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
_AGENTS = "org.bluez.AgentManager1"
_OBJECTS = "org.freedesktop.DBus.ObjectManager"
_SYSTEMD, _SYSTEMD_PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
_DAEMON_PATH = "/org/freedesktop/DBus"
_AGENT_PATH = "/org/labgate/agent"
_LONG = 12.0  # s: an adapter may load its firmware, a device may not hear that we hang up


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

    def device(self, address: str) -> str:
        """The path of a device of this adapter."""
        return f"{self.path}/dev_{address.replace(':', '_')}"


class Bluez:
    """One connection to bluetoothd. `changed` is called after each change of `running` and `adapters`.

    Every method raises LinkError, where nothing else is said: `missing` without bus or bluetoothd, `unplugged` for an
    adapter that is gone, `refused`, `permission`, `timeout`.
    """

    def __init__(self, link: str, changed: Callable[[], None] = lambda: None) -> None:
        self.link, self._changed = link, changed
        self._bus = Bus(link, self._heard, self._asked, self._lost)
        self._opening = asyncio.Lock()
        self._owner = ""  # bluetoothd's unique name; it has a new one after each start
        self._watching = False  # what is told on this bus
        self._adapters: dict[str, dict[str, Any]] = {}  # path -> properties
        self._agent: Agent | None = None

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
            raise link_error(NOT_RUNNING, self.link, START)
        there = ", ".join(f"{a.address} ({a.index})" for a in adapters)
        if there:
            raise link_error(
                f"no Bluetooth adapter {wanted}", self.link, f"plug it in, or name one that is there: {there}"
            )
        raise link_error("no Bluetooth adapter here", self.link, "plug one in, or see `rfkill` and `dmesg`")

    async def open(self) -> None:
        """Connect where need be, and see what there is; call it again after a loss.

        A bluetoothd that does not run is asked for, the bus may start it; that it does not is no error.
        """
        async with self._opening:
            await self._bus.open()
            if not self._watching:
                await self._watch()
            if not self._owner:
                owner = await self._find_owner()
                self._owner = self._owner or owner  # a signal may have told a newer one meanwhile
            if self._owner and not self._adapters:
                await self._look()

    async def close(self) -> None:
        """Let go of the bus; bluetoothd forgets our agent with it. Never raises."""
        self._gone()
        await self._bus.close()

    async def set_powered(self, adapter: AdapterInfo, on: bool) -> None:
        """Switch an adapter on or off; back when it is."""
        what = f"adapter {adapter.index} cannot be switched {'on' if on else 'off'}"
        await self._set(adapter.path, f"{_ADAPTER}.Powered", on, what)

    async def connected(self, adapter: AdapterInfo) -> list[str]:
        """Addresses of the devices that are connected, by whomever."""
        objects = (await self._objects()).items()
        devices = [said.get(_DEVICE, {}) for path, said in objects if path.startswith(adapter.device(""))]
        return [device["Address"] for device in devices if device.get("Connected")]

    async def is_bonded(self, adapter: AdapterInfo, address: str) -> bool:
        """Whether the keys of a pairing with that device are kept."""
        what = f"bluetoothd does not tell about {address}"
        get = self._ask(adapter.device(address), f"{PROPERTIES}.GetAll", "s", _DEVICE, what=what)
        try:
            (said,) = await get
        except LinkError as error:
            if error.reason == "unplugged":  # not known
                return False
            raise
        return bool(said.get("Bonded", said.get("Paired", False)))  # before 5.65 there is no Bonded

    async def remove(self, adapter: AdapterInfo, address: str) -> None:
        """Forget a device: its services, and its pairing. One that is not known is fine."""
        what, method = f"{address} cannot be removed", f"{_ADAPTER}.RemoveDevice"
        await self._ask(adapter.path, method, "o", adapter.device(address), what=what, fine="DoesNotExist")

    async def disconnect(self, adapter: AdapterInfo, address: str) -> None:
        """End a connection, whoever made it."""
        what = f"{address} cannot be disconnected"
        await self._ask(adapter.device(address), f"{_DEVICE}.Disconnect", what=what, within=_LONG)

    async def restart_service(self) -> None:
        """Ask systemd to restart bluetoothd; it is back some time later. LinkError says why that cannot be."""
        try:
            method = f"{_SYSTEMD}.Manager.RestartUnit"
            await self._bus.call(_SYSTEMD, _SYSTEMD_PATH, method, "ss", UNIT, "replace")
        except Refused as refused:
            raise restart_error(refused, self.link) from None

    async def register_agent(self, agent: Agent) -> None:
        """Have `agent` answer on this host from now on, also after bluetoothd was restarted."""
        self._agent = agent
        if self.running:
            await self._register(agent)

    async def pair(self, adapter: AdapterInfo, address: str, within: float) -> None:
        """Pair with a device that is heard; our agent is asked what need be. One that is paired already is fine."""
        try:
            await self._bus.call(BLUEZ, adapter.device(address), f"{_DEVICE}.Pair", within=within)
        except Refused as refused:
            if refused.kind != "AlreadyExists":
                raise pairing_error(refused, address, self.link) from None
        except LinkError as error:
            if error.reason == "timeout":
                what = f"pairing with {address} cannot be ended"
                await self._ask(adapter.device(address), f"{_DEVICE}.CancelPairing", what=what, fine="DoesNotExist")
                raise pairing_error(Refused("org.bluez.Error.AuthenticationTimeout", ""), address, self.link) from None
            raise

    async def trust(self, adapter: AdapterInfo, address: str) -> None:
        """Have bluetoothd ask nobody when that device connects by itself."""
        await self._set(adapter.device(address), f"{_DEVICE}.Trusted", True, f"{address} cannot be trusted")

    async def _ask(
        self,
        path: str,
        method: str,
        signature: str = "",
        *body: Any,
        what: str,
        fine: str = "none",
        within: float = WITHIN,
    ) -> list[Any]:
        """Call bluetoothd. `what` failed, where it refuses with another error than `fine`."""
        try:
            return await self._bus.call(BLUEZ, path, method, signature, *body, within=within)
        except Refused as refused:
            if refused.kind == fine:
                return []
            raise refusal(refused, what, self.link) from None

    async def _set(self, path: str, name: str, value: bool, what: str) -> None:
        try:
            await self._bus.set_property(BLUEZ, path, name, "b", value, within=_LONG)
        except Refused as refused:
            raise refusal(refused, what, self.link) from None

    async def _objects(self) -> dict[str, dict[str, dict[str, Any]]]:
        what = "bluetoothd does not tell what it has"
        (found,) = await self._ask("/", f"{_OBJECTS}.GetManagedObjects", what=what)
        objects: dict[str, dict[str, dict[str, Any]]] = found
        return objects

    async def _watch(self) -> None:
        try:
            await self._bus.watch(sender=DAEMON, member="NameOwnerChanged", arg0=BLUEZ)
            await self._bus.watch(sender=BLUEZ, interface=_OBJECTS)
            await self._bus.watch(sender=BLUEZ, interface=PROPERTIES, arg0=_ADAPTER)  # not of devices: adverts
        except Refused as refused:
            raise refusal(refused, "the D-Bus system bus does not let us watch", self.link) from None
        self._watching = True

    async def _find_owner(self) -> str:
        """Who is bluetoothd, started where the bus can start it; empty where nobody is."""
        find = partial(self._bus.call, DAEMON, _DAEMON_PATH, f"{DAEMON}.GetNameOwner", "s", BLUEZ)
        with contextlib.suppress(Refused, LinkError):
            try:
                (owner,) = await find()
            except Refused:
                await self._bus.call(DAEMON, _DAEMON_PATH, f"{DAEMON}.StartServiceByName", "su", BLUEZ, 0)
                (owner,) = await find()
            return str(owner)
        return ""

    async def _look(self) -> None:
        """What there is now. A bluetoothd that is coming up, or going, tells the rest by signals."""
        try:
            objects = await self._objects()
            self._adapters = {path: said[_ADAPTER] for path, said in objects.items() if _ADAPTER in said}
            if self._agent is not None:
                await self._register(self._agent)
        except LinkError as error:
            if error.reason == "missing":
                self._owner = ""

    async def _register(self, agent: Agent) -> None:
        what, path = "bluetoothd takes no agent for pairing", "/org/bluez"
        taken = f"{_AGENTS}.RegisterAgent", "os", _AGENT_PATH, agent.capability
        await self._ask(path, *taken, what=what, fine="AlreadyExists")
        await self._ask(path, f"{_AGENTS}.RequestDefaultAgent", "o", _AGENT_PATH, what=what)

    def _heard(self, signal: Heard) -> None:
        if signal.sender not in (DAEMON, self._owner):
            return
        if signal.member.startswith("Interfaces") and _ADAPTER not in signal.body[1]:
            return  # a device: by far the most
        before = self.running, self.adapters()
        match signal.member, signal.body:
            case "NameOwnerChanged", [str(name), _, owner] if name == BLUEZ:
                self._owner, self._adapters = owner, {}
                if owner:
                    self._bus.start("bluetoothd", self._see)
            case "InterfacesAdded", [path, interfaces]:
                self._adapters[path] = interfaces[_ADAPTER]
                if self._agent is not None:  # it comes up slowly, and could not take it yet
                    self._bus.start("bluetoothd", self._see)
            case "InterfacesRemoved", [path, _]:
                self._adapters.pop(path, None)
            case "PropertiesChanged", [_, properties, _] if signal.path in self._adapters:
                self._adapters[signal.path] = self._adapters[signal.path] | properties
        if before != (self.running, self.adapters()):
            self._changed()

    async def _see(self) -> None:
        """A bluetoothd has just come up: what does it have?"""
        before = self.running, self.adapters()
        await self._look()
        if before != (self.running, self.adapters()):
            self._changed()

    def _lost(self) -> None:
        self._gone()
        self._changed()

    def _gone(self) -> None:
        self._owner, self._adapters, self._watching = "", {}, False

    async def _asked(self, call: Heard) -> tuple[str, list[Any]]:
        if self._agent is None or call.path != _AGENT_PATH or call.sender != self._owner:
            raise Refused("org.freedesktop.DBus.Error.AccessDenied", "only bluetoothd may ask")
        return await self._agent.call(call.member, call.body)
