"""The daemon: org.bluez on a private bus, with adapters that outlast it.

    async with PrivateBus() as bus, FakeBluez(bus.address, seed=0) as bluez:
        adapter = bluez.add_adapter("DC:A6:32:01:02:03")
        adapter.add(Peripheral("CB:B8:33:4C:88:4F", "tag", interval=0.1, manufacturer_data={0x0499: b"…"}))
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address      # what bleak, and the gateway, look at

What goes wrong is done by `kill`, `stop`, `start`, `restart` here, by attributes and methods of an Adapter (`deaf`,
`slots`, `power_off`, `unplug` …) and by `peripheral.faults`, `disconnect`, `go_out_of_range`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from dbus_fast import Message, MessageType, Variant

from simulators.bluez.adapter import Adapter
from simulators.bluez.calls import DBUS_ERROR, Call, Method, RefusedError, unknown_object
from simulators.bluez.connection import Connection
from simulators.bluez.objects import INTROSPECTABLE, OBJECT_MANAGER, PROPERTIES, Objects
from simulators.bluez.pairing import Pairings

NAME = "org.bluez"
NEWER = (5, 87)  # of BlueZ, where it differs from 5.66


@dataclass
class Times:
    """How long things take on a real host, s. `disconnect` is what makes tests slow."""

    disconnect: float = 2.0  # Device1.Disconnect, before anything happens
    connect: float = 40.0  # before Connect gives up
    att: float = 30.0  # before a request without an answer ends the link
    temporary: float = 30.0  # a device that was never connected is known after its last advert
    first_report: float = 0.02  # after StartDiscovery
    late_objects: float = 0.05  # after ServicesResolved, with the fault `resolves_early`


class Exported(Protocol):
    """What has methods on the bus."""

    path: str
    methods: dict[tuple[str, str], Method]  # (interface, member)
    writable: dict[tuple[str, str], str]  # (interface, property) -> its name

    def set_property(self, call: Call, name: str, value: Variant) -> None:
        """Answer Properties.Set."""
        ...


class FakeBluez:
    """Owns org.bluez while it runs. All randomness comes from `seed`; `version` is the BlueZ it behaves like."""

    def __init__(self, address: str, seed: int = 0, version: tuple[int, int] = (5, 66)) -> None:
        self.address, self.seed = address, seed
        self.signals_first = version >= NEWER  # Disconnect tells before it answers
        self.quiet_rssi = version > NEWER  # RSSI is told only when it has moved
        self.times = Times()
        self.random = Random(seed)
        self.adapters: list[Adapter] = []
        self.connection = Connection(address, self._handle, self._lost_bus)
        self.objects = Objects(self.connection.send)
        self.exported: dict[str, Any] = {}  # path -> Exported
        self.pairing = Pairings(self)
        self.running = False
        self.restarts = 0  # times it was started after the first
        self._timers: set[asyncio.TimerHandle] = set()
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> FakeBluez:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        await self.start()
        self.restarts = 0
        return self

    async def __aexit__(self, *exc: Any) -> None:
        for adapter in self.adapters:
            for peripheral in list(adapter.peripherals.values()):
                adapter.remove(peripheral)
        self.kill()
        if self._group is not None:
            await self._group.__aexit__(*exc)

    def add_adapter(self, address: str, index: int | None = None, powered: bool = True) -> Adapter:
        """One more adapter, hciN with the next free number."""
        if index is None:
            index = max((adapter.index for adapter in self.adapters), default=-1) + 1
        adapter = Adapter(self, address, index, powered)
        self.adapters.append(adapter)
        if self.running:
            adapter.show()
        return adapter

    # Its life

    async def start(self, slow: float = 0.0) -> None:
        """Start it (again): devices that were connected once are known, not connected. `slow`: s without any object."""
        await self.connection.open(NAME)
        self.running = True
        self.restarts += 1
        self.objects.add("/org/bluez", {"org.bluez.AgentManager1": {}})
        self.exported["/org/bluez"] = self.pairing
        if slow:
            self.later(slow, self._show)
        else:
            self._show()

    def _show(self) -> None:
        for adapter in self.adapters:
            adapter.heal("restart")
            if adapter.plugged:
                adapter.show()

    async def stop(self) -> None:
        """End it in good order, as systemctl stop does: links end, everybody is told, then the name goes."""
        self.pairing.release()
        for adapter in self.adapters:
            if adapter.plugged and adapter.powered:
                adapter.power_off()
                adapter.powered = True  # as hardware it will be on again
        self.objects.flush()
        self.kill()

    def kill(self) -> None:
        """kill -9: nothing is told; links end, because their sockets do."""
        self.running = False
        for task in self._tasks:
            task.cancel()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for adapter in self.adapters:
            adapter.cut()
            adapter.devices.died()
        self.pairing.clear()
        self.objects.clear()
        self.exported.clear()
        self.connection.close()

    async def restart(self, slow: float = 0.0) -> None:
        """systemctl restart bluetooth."""
        if self.running:
            await self.stop()
        await self.start(slow)

    def _lost_bus(self) -> None:
        """Without a bus bluetoothd ends."""
        self.kill()

    def later(self, delay: float, act: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        """Do something after some s, if it still lives then."""

        def due() -> None:
            self._timers.discard(timer)
            act(*args)

        timer = asyncio.get_running_loop().call_later(delay, due)
        self._timers.add(timer)
        return timer

    def cancel(self, timer: asyncio.TimerHandle | None) -> None:
        """Do not do it."""
        if timer is not None:
            timer.cancel()
            self._timers.discard(timer)

    def spawn(self, work: Any, lasting: bool = False) -> asyncio.Task[None]:
        """Run a coroutine until it is done or, unless it is `lasting`, the daemon dies."""
        group: asyncio.TaskGroup | None = self._group
        assert group is not None, "not entered"
        task: asyncio.Task[None] = group.create_task(work)
        if not lasting:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return task

    # What clients say

    def send(self, message: Message) -> Any:
        """Send a message after all that has changed before it."""
        self.objects.flush()
        return self.connection.send(message)

    def _handle(self, message: Message) -> bool:
        if message.message_type is MessageType.SIGNAL:
            self._hear(message)
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        call = Call(message, self.send)
        try:
            return self._answer(message, call)
        except RefusedError as error:
            call.refuse(error)
            return True

    def _hear(self, message: Message) -> None:
        if message.member == "NameOwnerChanged" and message.sender == "org.freedesktop.DBus":
            name, _, new = message.body
            if name.startswith(":") and not new:
                self._client_left(name)
        else:
            for adapter in self.adapters:
                adapter.monitors.hear_signal(message)

    def _client_left(self, name: str) -> None:
        self.pairing.client_left(name)
        for adapter in self.adapters:
            adapter.client_left(name)

    def _answer(self, message: Message, call: Call) -> bool:
        path, interface, member = message.path or "", message.interface or "", message.member or ""
        if (interface, member) == (OBJECT_MANAGER, "GetManagedObjects") and path == "/":
            call.reply("a{oa{sa{sv}}}", self.objects.managed())
            return True
        if interface in (INTROSPECTABLE, "org.freedesktop.DBus.Peer"):
            return False  # dbus-fast answers
        target: Exported | None = self.exported.get(path)
        if interface == PROPERTIES and path in self.objects:
            self._properties(call, path, member, target)
            return True
        if target is None:
            if path in self.objects:
                raise RefusedError(DBUS_ERROR + "UnknownMethod", f"Method {member} does not exist")
            raise unknown_object(path)
        method = target.methods.get((interface, member)) if interface in self.objects.interfaces(path) else None
        if method is None:
            raise RefusedError(
                DBUS_ERROR + "UnknownMethod",
                f'Method "{member}" with signature "{message.signature}" on interface "{interface}" doesn\'t exist',
            )
        method(call)
        return True

    def _properties(self, call: Call, path: str, member: str, target: Exported | None) -> None:
        properties = self.objects.interfaces(path).get(call.body[0])
        if properties is None:
            raise RefusedError(DBUS_ERROR + "InvalidArgs", f"No such interface '{call.body[0]}'")
        if member == "GetAll":
            call.reply("a{sv}", properties)
            return
        name = call.body[1]
        if member == "Set" and target is not None and (call.body[0], name) in target.writable:
            target.set_property(call, name, call.body[2])
        elif name not in properties:
            raise RefusedError(DBUS_ERROR + "InvalidArgs", f"No such property '{name}'")
        elif member == "Get":
            call.reply("v", properties[name])
        else:
            raise RefusedError(DBUS_ERROR + "PropertyReadOnly", f"Property '{name}' is not writable")
