"""Bluetooth through bleak, whose only user this is: the scan, connections, and what their errors mean.

Rule numbers are those of README.md, A Bluetooth radio: what BlueZ and bleak do that one does not expect.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, NoReturn
from weakref import WeakKeyDictionary

import bleak
import bleak.backends.bluezdbus.manager as bluez_manager
import msgspec
from bleak.args.bluez import BlueZDiscoveryFilters, BlueZScannerArgs, OrPattern
from bleak.assigned_numbers import AdvertisementDataType
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData as Sent
from bleak.exc import BleakBluetoothNotAvailableError, BleakDBusError, BleakDeviceNotFoundError, BleakError
from bleak.exc import BleakGATTProtocolError as GattError

from gateway.errors import LinkError, Reason
from gateway.links.ble_errors import GONE, LOST, answer, att_error
from gateway.links.bus_rest import BusRest

__all__ = ["BLEDevice", "Characteristic", "Client", "Heard", "Scanner", "Sent", "drain", "forget", "left_over"]

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

logging.getLogger("bleak").setLevel(logging.ERROR)  # what it warns of is a state of ours, told once and better

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
        self._index, self._link, self._heard = index, link, heard
        self._states: dict[str, tuple[Any, ...]] = {}  # of devices, beside what they advertise
        self._rest: BusRest | None = None  # of the connection over which adverts come
        mode: Literal["active", "passive"] = "passive" if passive else "active"
        # What has not changed is told once only, by bluetoothd after 5.87, but for these two (rule 13): DuplicateData
        # of what carries data, and a limit of RSSI, here the lowest there is, of all others (bluez/bluez#2314).
        filters: BlueZDiscoveryFilters = {"Transport": "le", "DuplicateData": True, "RSSI": -127}
        args: BlueZScannerArgs = {"adapter": index, "filters": filters}
        if passive:
            args["or_patterns"] = [OrPattern(0, AdvertisementDataType.FLAGS, flags) for flags in _FLAGS]
        self._scanner = bleak.BleakScanner(self._came, scanning_mode=mode, bluez=args)

    async def start(self) -> None:
        """Begin. Raises LinkError."""
        manager = _manager()
        if manager is not None and manager._advertisement_callbacks.get(f"/org/bluez/{self._index}"):  # rule 1
            text = f"another link uses {self._index}, too: link {self._link}; put all its devices on one link"
            raise LinkError(text, "configuration")
        try:
            async with asyncio.timeout(SCAN_WITHIN):
                await self._scanner.start()
        except _LOST as error:
            _refuse(error, f"the scan does not begin: link {self._link}", SCAN_WITHIN, "")
        self._rest = _rest_of_bus()

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
            if self._rest is not None:
                self._rest.signal(self._rest.loop.time())

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
        rest = _rests.get(asyncio.get_running_loop())
        # bleak takes a peer for lost whose Connected=true comes, over another connection, after the answer to Connect.
        with contextlib.nullcontext() if rest is None else rest.awake():
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


async def left_over(index: str) -> list[tuple[BLEDevice, Sent]]:
    """Devices of an adapter that are connected, by another program or by us before, with what is known (rule 7)."""
    try:
        async with asyncio.timeout(SCAN_WITHIN):
            manager = await bluez_manager.get_global_bluez_manager()
    except _LOST:
        return []
    below = f"/org/bluez/{index}/"  # bleak's own list leaves out those whose services it does not know
    found = []
    for path, props in manager._iter_device_props():
        if path.startswith(below) and props.get("Connected"):
            device = BLEDevice(props["Address"], props.get("Name"), {"path": path, "props": props})
            company = {key: bytes(data) for key, data in props.get("ManufacturerData", {}).items()}
            service = {key: bytes(data) for key, data in props.get("ServiceData", {}).items()}
            sent = Sent(props.get("Name"), company, service, props.get("UUIDs", []), None, -127, (path, props))
            found.append((device, sent))
    return found


def forget() -> None:
    """Make bleak forget what bluetoothd told it: its clients learn at once that their links are lost (rule 3).

    bleak does not notice that bluetoothd has gone; it does notice that its bus has. Once for each loss is enough,
    whoever finds it: a bus that is closed already is left alone.
    """
    manager = _manager()
    if manager is not None and manager._bus.connected:
        manager._bus.disconnect()


def drain() -> None:
    """Take what bluetoothd has told bleak already: values that came before a link was lost, for one."""
    rest = _rests.get(asyncio.get_running_loop())
    if rest is not None:
        rest.drain()


def _manager() -> Any:
    """What bleak knows of bluetoothd, once it has a bus."""
    manager = bluez_manager._global_instances.get(asyncio.get_running_loop())
    return manager if manager is not None and manager._bus is not None else None


_rests = WeakKeyDictionary[asyncio.AbstractEventLoop, BusRest]()


def _rest_of_bus() -> BusRest:
    """One for all scans of a loop: they share bleak's connection."""
    bus, loop = _manager()._bus, asyncio.get_running_loop()
    rest = _rests.get(loop)
    if rest is None or rest.bus is not bus:
        rest = _rests[loop] = BusRest(bus)
    return rest


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
        return GONE
    if isinstance(error, GattError):
        return att_error(int(error.code), address)
    if isinstance(error, BleakDBusError):
        return answer(error.dbus_error.rpartition(".")[2], str(error.dbus_error_details or ""), address)
    if isinstance(error, BleakError) and "not found" in str(error):  # raised before bluetoothd is asked
        return GONE if address else ("unplugged", "the adapter is gone; plug it in again")
    if "passive scanning" in str(error):
        return "refused", "bluetoothd does not scan passively; start it with --experimental, or leave out `passive`"
    if isinstance(error, BleakError):
        return "network", f"{error}; it is tried again"
    return LOST
