"""Pairing: agents that clients register, and what they are asked before keys are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dbus_fast import Variant

from simulators.bluez.calls import Call, Method

if TYPE_CHECKING:
    from simulators.bluez.bluetoothd import FakeBluez
    from simulators.bluez.device import Device


class Pairings:
    """AgentManager1 and what goes on with devices."""

    path = "/org/bluez"

    def __init__(self, bluez: FakeBluez) -> None:
        self.bluez = bluez
        self.methods: dict[tuple[str, str], Method] = {}
        self.writable: dict[tuple[str, str], str] = {}

    def set_property(self, call: Call, name: str, value: Variant) -> None:
        """Nothing of it can be set."""
        raise NotImplementedError

    def pair(self, device: Device, call: Call) -> None:
        """Device1.Pair."""
        raise NotImplementedError

    def cancel(self, device: Device, call: Call) -> None:
        """Device1.CancelPairing."""
        raise NotImplementedError

    def elevate(self, device: Device, then: Callable[[bool], None]) -> None:
        """A request wants an encrypted link."""
        then(False)

    def client_left(self, name: str) -> None:
        """Its agent is gone."""

    def clear(self) -> None:
        """The daemon ends."""
