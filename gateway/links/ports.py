"""Serial ports of this host as the kernel and udev name them. Reads /sys, /dev and /proc; no library, sends nothing."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import LinkError

if TYPE_CHECKING:
    from gateway.config_serial import UsbPort

SYS, DEV, PROC = Path("/sys/class/tty"), Path("/dev"), Path("/proc")
_UNKNOWN_UART = "0"  # serial_core's type of a port for which no chip was found


@dataclass(frozen=True)
class Port:
    """A serial port. What the host does not know is None; `holder` is "process (pid)"."""

    path: str  # /dev/ttyUSB0
    by_id: str | None = None  # stays the same when plugged elsewhere
    by_path: str | None = None  # stays the same whatever is plugged in there
    usb_path: str | None = None  # "1-1.3": the socket it is plugged into
    interface: str | None = None  # "1.0": which of the adapter's
    vid: str | None = None  # four hexadecimal digits
    pid: str | None = None
    serial: str | None = None
    product: str | None = None
    holder: str | None = None
    shared: str | None = None  # the by-id name that it and another adapter here have; it leads to one of them

    @property
    def best(self) -> str:
        """The path to write into a configuration."""
        return self.by_id or self.path

    @property
    def where(self) -> str:
        """What to write into a configuration behind `serial:`."""
        return f'{{usb: {{path: "{self.usb_path}"}}}}' if self.shared else f'"{self.best}"'


def serial_ports() -> list[Port]:
    """Ports with hardware behind them, in the order of their names."""
    by_id, by_path = _names("by-id"), _names("by-path")
    ports = [_port(tty, by_id, by_path) for tty in _entries(SYS) if _has_hardware(tty)]
    told = [replace(port, shared=_shared(port, ports)) for port in ports]
    return sorted(told, key=lambda port: (len(port.path), port.path))


def sharing(path: str) -> list[Port]:
    """The ports whose by-id name that is, where several have it; else none."""
    if not path.startswith(str(DEV / "serial" / "by-id")):
        return []
    return [port for port in serial_ports() if port.shared == path]


def find_port(usb: "UsbPort", link: str) -> str:
    """The path of the one port that is meant. Raises LinkError where there is none, or more than one."""
    found = [
        port.path
        for port in serial_ports()
        if (usb.vid in (None, port.vid) and usb.pid in (None, port.pid))
        and (usb.serial in (None, port.serial) and usb.path in (None, port.usb_path))
        and port.usb_path is not None
    ]
    if len(found) > 1:
        text = f"{usb} is {' and '.join(found)}: link {link}; add path (`labgate scan` tells it)"
        raise LinkError(text, "configuration")
    if not found:
        raise LinkError(f"{usb} is not there: link {link}; plug it in, or correct it (`labgate scan`)", "missing")
    return found[0]


def _names(kind: str) -> dict[str, str]:
    return {os.path.realpath(link): str(link) for link in _entries(DEV / "serial" / kind)}


def _shared(port: Port, ports: list[Port]) -> str | None:
    """Adapters that say the same of themselves have one name, and udev lets it lead to one of them."""
    alike = [other for other in ports if _says(other) == _says(port)]
    names = [other.by_id for other in alike if other.by_id]
    return names[0] if len({other.usb_path for other in alike}) > 1 and len(names) == 1 else None


def _says(port: Port) -> tuple[str | None, ...]:
    return (port.vid, port.pid, port.serial, port.product, port.interface)


def _port(tty: Path, by_id: dict[str, str], by_path: dict[str, str]) -> Port:
    path = str(DEV / tty.name)
    device = (tty / "device").resolve()
    usb = next((f for f in device.parents if (f / "idVendor").exists()), None)
    below = device.relative_to(usb).parts[0] if usb else ""  # "1-1.3:1.0"
    return Port(
        path=path,
        by_id=by_id.get(path),
        by_path=by_path.get(path),
        usb_path=usb.name if usb else None,
        interface=below.partition(":")[2] or None,
        vid=_text(usb / "idVendor") if usb else None,
        pid=_text(usb / "idProduct") if usb else None,
        serial=_text(usb / "serial") if usb else None,
        product=_text(usb / "product") if usb else None,
        holder=_holder(path),
    )


def _has_hardware(tty: Path) -> bool:
    return (tty / "device").exists() and _text(tty / "type") != _UNKNOWN_UART


def _holder(path: str) -> str | None:
    """Who has the port open, as far as this user may know."""
    for process in _entries(PROC):
        if process.name.isdecimal() and process.name != str(os.getpid()):
            for fd in _entries(process / "fd"):
                try:
                    if str(fd.readlink()) == path:
                        return f"{_text(process / 'comm')} ({process.name})"
                except OSError:
                    continue  # closed meanwhile
    return None


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except OSError:
        return  # not there, or not for this user


def _text(file: Path) -> str | None:
    try:
        return file.read_text(errors="replace").strip() or None
    except OSError:
        return None
