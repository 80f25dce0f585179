"""A bluetoothd of our own on a private bus: adapters, peripherals within their reach, and what goes wrong with them."""

from simulators.bluez.bluetoothd import FakeBluez
from simulators.bluez.bus import PrivateBus

__all__ = ["FakeBluez", "PrivateBus"]
