"""GattCharacteristic1: read, write, subscribe, and pass on what the peripheral sends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from dbus_fast import Variant

from simulators.bluez.calls import Call, Method, RefusedError, failed, in_progress, not_supported
from simulators.bluez.gatt import AttError, Characteristic, Service, uuid128
from simulators.bluez.operations import Operations

CHARACTERISTIC = "org.bluez.GattCharacteristic1"
CLAIMED = (uuid128("180a"), uuid128("180f"))  # services that bluetoothd uses itself: nobody else writes there
LONGEST = 512  # bytes of a value: Core 5.4, volume 3, part F, 3.2.9


class RemoteCharacteristic:
    """One characteristic, as its host sees it. Its subscribers are clients on the bus, by unique name."""

    def __init__(
        self, operations: Operations, characteristic: Characteristic, service: Service, path: str, mtu: int
    ) -> None:
        self.operations, self.characteristic, self.service_path = operations, characteristic, path
        self.claimed = service.uuid in CLAIMED
        self.path = f"{path}/char{characteristic.handle:04x}"
        self.subscribers: dict[str, None] = {}
        self.mtu = mtu
        self._notify_socket: socket.socket | None = None
        self._write_socket: socket.socket | None = None
        self.methods: dict[tuple[str, str], Method] = {
            (CHARACTERISTIC, "ReadValue"): self.read,
            (CHARACTERISTIC, "WriteValue"): self.write,
            (CHARACTERISTIC, "StartNotify"): self.start_notify,
            (CHARACTERISTIC, "StopNotify"): self.stop_notify,
            (CHARACTERISTIC, "AcquireNotify"): self.acquire_notify,
            (CHARACTERISTIC, "AcquireWrite"): self.acquire_write,
        }
        self.writable: dict[tuple[str, str], str] = {}

    def show(self) -> None:
        """Make it an object on the bus."""
        flags = self.characteristic.flags
        properties = {
            "UUID": Variant("s", self.characteristic.uuid),
            "Service": Variant("o", self.service_path),
            "Flags": Variant("as", flags),
        }
        if self.characteristic.notifies:
            properties["Notifying"] = Variant("b", False)
        if "notify" in flags:
            properties["NotifyAcquired"] = Variant("b", False)
        if "write-without-response" in flags:
            properties["WriteAcquired"] = Variant("b", False)
        properties["MTU"] = Variant("q", self.mtu)
        self.operations.objects.add(self.path, {CHARACTERISTIC: properties})

    def set_property(self, call: Call, name: str, value: Variant) -> None:
        """Nothing of it can be set."""
        raise NotImplementedError

    def _put(self, name: str, value: Variant) -> None:
        self.operations.objects.set(self.path, CHARACTERISTIC, name, value)

    def _tell(self, data: bytes) -> None:
        self.operations.objects.tell(self.path, CHARACTERISTIC, "Value", Variant("ay", data))

    def connected(self, mtu: int) -> None:
        """The link is there: who still subscribes is subscribed again by bluetoothd."""
        self.mtu = mtu
        self._put("MTU", Variant("q", mtu))
        if self.subscribers:
            with contextlib.suppress(AttError):
                self.characteristic.subscribe(True)

    def disconnected(self) -> None:
        """The link is gone: sockets end, subscribers stay."""
        self._close_notify()
        self._close_write()
        self.operations.objects.interfaces(self.path).get(CHARACTERISTIC, {}).pop("MTU", None)  # nobody is told

    def client_left(self, name: str) -> None:
        """A client has left the bus."""
        if name in self.subscribers:
            self._unsubscribe(name)

    def read(self, call: Call) -> None:
        """ReadValue. What was read is told as Value, as a notification is."""
        options = call.body[0] if call.body else {}
        offset = options["offset"].value if "offset" in options else 0

        def act() -> None:
            value = self.characteristic.read()
            if offset > len(value):
                raise AttError(0x07)
            self._tell(value[offset:])
            call.reply("ay", value[offset:])

        self.operations.run("read", self.path, call, act)

    def write(self, call: Call) -> None:
        """WriteValue."""
        data, options = bytes(call.body[0]), call.body[1]
        kind = options["type"].value if "type" in options else None
        if self.claimed:
            raise RefusedError("NotAuthorized", "Operation Not Authorized")
        if kind is None:
            kind = "request" if "write" in self.characteristic.flags else "command"
        if kind == "command":
            self._command(call, data)
            return

        def act() -> None:
            if len(data) > LONGEST:
                raise AttError(0x0D)
            self.characteristic.write(data, with_response=True)
            call.reply()

        self.operations.run("write", self.path, call, act)

    def _command(self, call: Call, data: bytes) -> None:
        """A command has no answer of the peripheral: it is done when it is sent."""
        link = self.operations.link
        if not link.up:
            raise failed("Not connected")
        if len(data) > self.mtu - 3:
            raise failed("Failed to initiate write")
        self._send_command(data)
        call.reply()

    def _send_command(self, data: bytes) -> None:
        peripheral = self.operations.link.device.peripheral
        if peripheral is not None and peripheral.in_range:
            with contextlib.suppress(AttError):  # it cannot say so
                self.characteristic.write(data, with_response=False)

    def start_notify(self, call: Call) -> None:
        """StartNotify."""
        self._check_notifies()
        if self._notify_socket is not None:
            raise RefusedError("NotPermitted", "Notify acquired")
        if call.sender in self.subscribers:
            raise in_progress()

        def act() -> None:
            self.characteristic.subscribe(True)
            self.subscribers[call.sender] = None
            self._put("Notifying", Variant("b", True))
            call.reply()

        self.operations.run("subscribe", self.path, call, act)

    def leave_subscribed(self) -> None:
        """Somebody subscribed who stays on the bus and will not be heard of again."""
        self.subscribers["nobody"] = None
        self.characteristic.subscribe(True)
        self._put("Notifying", Variant("b", True))

    def stop_notify(self, call: Call) -> None:
        """StopNotify."""
        if call.sender not in self.subscribers:
            raise failed("No notify session started")
        self._unsubscribe(call.sender)
        call.reply()

    def _unsubscribe(self, name: str) -> None:
        del self.subscribers[name]
        if not self.subscribers:
            self._put("Notifying", Variant("b", False))
            if self.characteristic.subscribed:
                self.characteristic.subscribe(False)

    def _check_notifies(self) -> None:
        if not self.characteristic.notifies:
            raise not_supported()
        if not self.operations.link.up:
            raise failed("Not connected")

    def take(self, data: bytes) -> None:
        """The peripheral has sent this: once for each client that subscribed, or into the socket of one that acquired.

        A socket whose reader stalls loses it, as bluetoothd's does.
        """
        data = data[: self.mtu - 3]
        if self._notify_socket is not None:
            with contextlib.suppress(OSError):
                self._notify_socket.send(data)
        for _ in self.subscribers:
            self._tell(data)

    def acquire_notify(self, call: Call) -> None:
        """AcquireNotify: notifications go into a socket."""
        if "notify" not in self.characteristic.flags:
            raise not_supported()
        self._check_notifies()
        if self._notify_socket is not None:
            raise RefusedError("NotPermitted", "Notify acquired")
        if self.subscribers:
            raise in_progress()

        def act() -> None:
            self.characteristic.subscribe(True)
            self._put("NotifyAcquired", Variant("b", True))
            self._notify_socket = self._share(call, self._close_notify)

        self.operations.run("subscribe", self.path, call, act)

    def acquire_write(self, call: Call) -> None:
        """AcquireWrite: what is written into a socket is a command."""
        if "write-without-response" not in self.characteristic.flags:
            raise not_supported()
        if not self.operations.link.up:
            raise failed("Not connected")
        if self._write_socket is not None:
            raise RefusedError("NotPermitted", "Write acquired")
        self._put("WriteAcquired", Variant("b", True))
        self._write_socket = self._share(call, self._close_write)

    def _share(self, call: Call, ended: Callable[[], None]) -> socket.socket:
        """Answer with one end of a socket and the MTU; gives the other, `ended` when the client closes its own."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        sent = call.reply("hq", 0, self.mtu, fds=(theirs.fileno(),))
        if sent is None:
            theirs.close()
        else:
            sent.add_done_callback(lambda _: theirs.close())  # while ours is open the client never sees the end
        asyncio.get_running_loop().add_reader(ours, self._readable, ours, ended)
        return ours

    def _readable(self, ours: socket.socket, ended: Callable[[], None]) -> None:
        try:
            data = ours.recv(LONGEST)
        except OSError:
            data = b""
        if not data:
            ended()
        elif ours is self._write_socket:
            self._send_command(data)

    def _close_notify(self) -> None:
        if self._notify_socket is not None:
            close(self._notify_socket)
            self._notify_socket = None
            self._put("NotifyAcquired", Variant("b", False))
            if self.characteristic.subscribed:
                self.characteristic.subscribe(False)

    def _close_write(self) -> None:
        if self._write_socket is not None:
            close(self._write_socket)
            self._write_socket = None
            self._put("WriteAcquired", Variant("b", False))


def close(sock: socket.socket) -> None:
    """Out of the loop first: a stale entry breaks the next socket with its number."""
    asyncio.get_running_loop().remove_reader(sock)
    sock.close()
