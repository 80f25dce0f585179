"""A stand-in for systemd on the same bus, as far as it restarts the Bluetooth service.

async with Systemd(bluez) as systemd:
    systemd.refuses = True          # as polkit does without a rule
"""

from __future__ import annotations

from typing import Any

from dbus_fast import Message, MessageType

from simulators.bluez.bluetoothd import FakeBluez
from simulators.bluez.calls import DBUS_ERROR, Call, RefusedError
from simulators.bluez.connection import Connection

NAME, PATH, MANAGER = "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
UNITS = ("bluetooth.service", "dbus-org.bluez.service")  # its name, and the alias that D-Bus activates


class Systemd:
    """RestartUnit, StartUnit and StopUnit of one unit: org.freedesktop.systemd1(5)."""

    def __init__(self, bluez: FakeBluez) -> None:
        self.bluez = bluez
        self.refuses = False
        self.asked: list[tuple[str, str]] = []  # method and mode of each call
        self.connection = Connection(bluez.address, self._handle)
        self._jobs = 0

    async def __aenter__(self) -> Systemd:
        await self.connection.open(NAME)
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.connection.close()

    def _handle(self, message: Message) -> bool:
        if message.message_type is not MessageType.METHOD_CALL or message.interface != MANAGER:
            return False
        call = Call(message, self.connection.send)
        try:
            self._answer(message.member or "", call)
        except RefusedError as error:
            call.refuse(error)
        return True

    def _answer(self, member: str, call: Call) -> None:
        if member not in ("RestartUnit", "StartUnit", "StopUnit"):
            raise RefusedError(DBUS_ERROR + "UnknownMethod", f"Unknown method {member} or interface {MANAGER}.")
        unit, mode = call.body
        self.asked.append((member, mode))
        if unit not in UNITS:
            raise RefusedError("org.freedesktop.systemd1.NoSuchUnit", f"Unit {unit} not found.")
        if self.refuses:
            raise RefusedError(DBUS_ERROR + "InteractiveAuthorizationRequired", "Interactive authentication required.")
        self._jobs += 1
        job = f"{PATH}/job/{self._jobs}"
        call.reply("o", job)
        self.bluez.spawn(self._work(member, job, unit), lasting=True)

    async def _work(self, member: str, job: str, unit: str) -> None:
        if member != "StartUnit" and self.bluez.running:
            await self.bluez.stop()
        if member != "StopUnit" and not self.bluez.running:
            await self.bluez.start()
        body = [self._jobs, job, unit, "done"]
        self.connection.send(Message.new_signal(PATH, MANAGER, "JobRemoved", "uoss", body))
