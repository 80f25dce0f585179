"""Bluetooth through bleak, whose only user this is: the scan, connections, and what their errors mean.

Rule numbers are those of findings/ble.md, section 6: what BlueZ and bleak do that one does not expect.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, NoReturn

import bleak
import bleak.backends.bluezdbus.manager as bluez_manager
import msgspec
from bleak.args.bluez import BlueZScannerArgs, OrPattern
from bleak.assigned_numbers import AdvertisementDataType
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData as Sent
from bleak.exc import BleakBluetoothNotAvailableError, BleakDBusError, BleakDeviceNotFoundError, BleakError
from bleak.exc import BleakGATTProtocolError as GattError

from gateway.errors import LinkError, Reason

__all__ = ["BLEDevice", "Characteristic", "Client", "Heard", "Scanner", "Sent", "forget", "left_over"]

SCAN_WITHIN = 10.0  # s in which a scan has begun; it mostly has in 50 ms
STOP_WITHIN = 3.0  # s
CONNECT_WITHIN = 20.0  # s, services found included; the kernel gives a peer up after as many
SUBSCRIBE_WITHIN = 10.0  # s
CLOSE_WITHIN = 12.0  # s; 2.2 s on a real BlueZ, and bleak waits 10 s for a link that does not end (rule 6)
_MARGIN = 3.0  # s bleak has to clean up when its own limit is over

# What bleak raises beside its own errors when a link or bluetoothd is gone (rule 9); KeyError: objects that vanish
# while it lists them.
_LOST = (BleakError, OSError, EOFError, AssertionError, KeyError)
_FLAGS = (b"\x02", b"\x06", b"\x1a")  # of AD type 1, as most devices send them: a passive scan asks for them (rule 14)

# Of the last part of a D-Bus error's name.
_LINK_GONE = {"NotConnected", "ServiceUnknown", "UnknownObject", "UnknownMethod", "NoReply", "Disconnected", "NoServer"}
_PAIRING = {"NotPermitted", "NotAuthorized", "AuthenticationFailed", "AuthenticationCanceled"} | {
    "AuthenticationRejected",
    "AuthenticationTimeout",
}
_SECURITY = {0x05, 0x08, 0x0C, 0x0F}  # ATT: authentication, authorization, key size, encryption (Core 3 F 3.4.1.1)
_UNLIKELY = 0x0E  # ATT: with BlueZ, the link was lost meanwhile

Heard = Callable[[BLEDevice, Sent], None]


class Characteristic(msgspec.Struct, frozen=True):
    """A characteristic of a connected peer."""

    uuid: str
    handle: int
    service: str  # UUID
    notifies: bool  # or indicates
    readable: bool


class Scanner:
    """The scan of one adapter. `heard` is told adverts only: no callbacks for other changes of a device (rule 13)."""

    def __init__(self, index: str, passive: bool, link: str, heard: Heard) -> None:
        self._link, self._heard = link, heard
        self._states: dict[str, tuple[Any, ...]] = {}  # of devices, beside what they advertise
        mode: Literal["active", "passive"] = "passive" if passive else "active"
        # DuplicateData: an unchanged beacon is told once only by newer bluetoothd without it (rule 13).
        args: BlueZScannerArgs = {"adapter": index, "filters": {"Transport": "le", "DuplicateData": True}}
        if passive:
            args["or_patterns"] = [OrPattern(0, AdvertisementDataType.FLAGS, flags) for flags in _FLAGS]
        self._scanner = bleak.BleakScanner(self._came, scanning_mode=mode, bluez=args)

    async def start(self) -> None:
        """Begin. Raises LinkError."""
        try:
            async with asyncio.timeout(SCAN_WITHIN):
                await self._scanner.start()
        except _LOST as error:
            _refuse(error, f"the scan does not begin: link {self._link}", SCAN_WITHIN, "")

    async def stop(self) -> None:
        """End it. Never raises: bluetoothd may have forgotten it long ago (rule 2)."""
        manager = _manager()
        if manager is None or not manager._bus.connected:
            self._drop(manager)
            return
        with contextlib.suppress(*_LOST):
            async with asyncio.timeout(STOP_WITHIN):
                await self._scanner.stop()

    def _drop(self, manager: Any) -> None:
        """Hear no more without a word to bluetoothd.

        To call over a bus that is lost would take the descriptor from whoever has its number now (dbus-fast 5.2), and
        an answer would never come.
        """
        scan: Any = self._scanner._backend
        scan._stop = None
        if manager is not None:
            for callbacks in manager._advertisement_callbacks.values():
                callbacks[:] = [each for each in callbacks if each != scan._handle_advertising_data]
            removed = manager._device_removed_callbacks
            removed[:] = [each for each in removed if each.callback != scan._handle_device_removed]

    def _came(self, device: BLEDevice, data: Sent) -> None:
        props = data.platform_data[1]
        get = props.get
        state = (get("Connected"), get("ServicesResolved"), get("Paired"), get("Trusted"))
        before = self._states.get(device.address)
        if before != state:
            self._states[device.address] = state
            if before is not None or state[0]:
                return
        if "RSSI" in props:
            self._heard(device, data)

    def prune(self, keep: Callable[[str], bool]) -> None:
        """Forget the devices that need not be kept: addresses that change are not gathered for ever."""
        self._states = {address: state for address, state in self._states.items() if keep(address)}


class Client:
    """One connection to a peer, made once: for the next one there is a new Client (rule 4).

    `lost` is called when the link ends, by whomever. `disconnect` is called in any case, also after that.
    """

    def __init__(self, device: BLEDevice, link: str, lost: Callable[[], None]) -> None:
        self._where = f"{device.address} on {link}"
        self.address = device.address
        self._client = bleak.BleakClient(device, lambda _: lost(), timeout=CONNECT_WITHIN)
        self._backend: Any = self._client._backend
        self._found: dict[int, BleakGATTCharacteristic] = {}

    async def connect(self) -> list[Characteristic]:
        """Connect, and find what the peer has, by handle. Raises LinkError."""
        await self._within(CONNECT_WITHIN + _MARGIN, self._client.connect, "cannot be connected to")
        try:
            self._found = dict(sorted(self._client.services.characteristics.items()))
        except _LOST as error:
            self._refuse(error, "cannot be connected to", CONNECT_WITHIN)
        return [
            Characteristic(
                c.uuid,
                handle,
                c.service_uuid,
                bool({"notify", "indicate"} & set(c.properties)),
                "read" in c.properties,
            )
            for handle, c in self._found.items()
        ]

    async def read(self, handle: int, within: float) -> bytes:
        """Read a characteristic; one operation at a time is the caller's business (rule 8). Raises LinkError."""
        read = partial(self._client.read_gatt_char, self._found[handle])
        return bytes(await self._within(within, read, "cannot be read"))

    async def subscribe(self, handle: int, told: Callable[[bytes], None]) -> None:
        """Ask for what a characteristic notifies or indicates. Raises LinkError."""
        notify = partial(self._client.start_notify, self._found[handle], lambda _, data: told(bytes(data)))
        await self._within(SUBSCRIBE_WITHIN, notify, "cannot be subscribed to")

    async def disconnect(self) -> None:
        """End the connection, also one that was lost: it keeps a D-Bus connection until then (rule 4). Never raises."""
        with contextlib.suppress(*_LOST):
            if self._bus_lost:
                self._backend._on_disconnected()
            async with asyncio.timeout(CLOSE_WITHIN):
                await self._client.disconnect()

    @property
    def _bus_lost(self) -> bool:
        """Whether nothing can be said over the D-Bus connection of this client any more; see Scanner._drop."""
        return self._backend._bus is not None and not self._backend._bus.connected

    async def _within(self, limit: float, work: Callable[[], Awaitable[Any]], what: str) -> Any:
        try:
            if self._bus_lost:
                raise EOFError
            async with asyncio.timeout(limit):
                return await work()
        except _LOST as error:
            self._refuse(error, what, limit)

    def _refuse(self, error: BaseException, what: str, limit: float) -> NoReturn:
        _refuse(error, f"{self._where} {what}", limit, self.address)


async def left_over(index: str) -> list[BLEDevice]:
    """Devices of an adapter that are connected, as bleak knows them: by another program, or by us before (rule 7)."""
    try:
        async with asyncio.timeout(SCAN_WITHIN):
            manager = await bluez_manager.get_global_bluez_manager()
    except _LOST:
        return []
    below = f"/org/bluez/{index}/"  # bleak's own list leaves out those whose services it does not know
    return [
        BLEDevice(props["Address"], props.get("Name"), {"path": path, "props": props})
        for path, props in manager._iter_device_props()
        if path.startswith(below) and props.get("Connected")
    ]


def forget() -> None:
    """Make bleak forget what bluetoothd told it: its clients learn at once that their links are lost (rule 3).

    bleak does not notice that bluetoothd has gone; it does notice that its bus has. Once for each loss is enough,
    whoever finds it: a bus that is closed already is left alone.
    """
    manager = _manager()
    if manager is not None and manager._bus.connected:
        manager._bus.disconnect()


def _manager() -> Any:
    """What bleak knows of bluetoothd, once it has a bus."""
    manager = bluez_manager._global_instances.get(asyncio.get_running_loop())
    return manager if manager is not None and manager._bus is not None else None


class _ForgottenOnPurpose(logging.Filter):
    """Keeps bleak from warning of the loss of a bus that was closed here."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("D-Bus connection to BlueZ was lost (None)")


bluez_manager.logger.addFilter(_ForgottenOnPurpose())


def _refuse(error: BaseException, what: str, limit: float, address: str) -> NoReturn:
    reason, why = _meaning(error, limit, address)
    raise LinkError(f"{what}: {why}", reason) from None


def _meaning(error: BaseException, limit: float, address: str) -> tuple[Reason, str]:
    """Reason, and why with what to do, of what bleak raises."""
    if isinstance(error, TimeoutError):
        return "timeout", f"not done within {limit:g} s; it may be too far away, or busy with another host"
    if isinstance(error, BleakBluetoothNotAvailableError):
        return "missing", f"{error.args[0]}; see `bluetoothctl list`"
    if isinstance(error, BleakDeviceNotFoundError):
        return "silent", "it is not in the air any more; wake it, or bring it nearer"
    if isinstance(error, GattError):
        if int(error.code) in _SECURITY:
            return "refused", _pair(address)
        if int(error.code) == _UNLIKELY:
            return "network", "the connection was lost; it is made again"
        return "exception", f"it refuses with ATT error 0x{int(error.code):02x}; check that it is the model configured"
    if isinstance(error, BleakDBusError):
        return _meaning_of_answer(error.dbus_error.rpartition(".")[2], str(error.dbus_error_details or ""), address)
    if isinstance(error, BleakError) and "not found" in str(error):  # raised before bluetoothd is asked
        if not address:
            return "unplugged", "the adapter is gone; plug it in again"
        return "silent", "it is not in the air any more; wake it, or bring it nearer"
    if "passive scanning" in str(error):
        return "refused", "bluetoothd does not scan passively; start it with --experimental, or leave out `passive`"
    if isinstance(error, BleakError):
        return "network", f"{error}; it is tried again"
    return "network", "the connection was lost; it is made again"


def _meaning_of_answer(name: str, text: str, address: str) -> tuple[Reason, str]:
    """The same, of an error answer of bluetoothd."""
    if address and name in _PAIRING and "acquired" not in text:
        return "refused", _pair(address)
    if name in _LINK_GONE or text == "Not connected":
        return "network", "the connection was lost; it is made again"
    if name == "NotReady":
        return "refused", "the adapter is off; `bluetoothctl power on`"
    if name == "AccessDenied":
        return "permission", "this user may not use Bluetooth; add it to the group bluetooth"
    if name == "InProgress":
        return "busy", "bluetoothd is busy with another one; it is tried again"
    if name == "NotSupported":
        return "garbled", "it does not do what its services say; check that it is the model configured"
    return "network", f"{text or name}; it is tried again"


def _pair(address: str) -> str:
    return f"it wants to be paired; `labgate pair {address}`"
