"""Serial ports of this host as the kernel and udev name them. Reads /sys, /dev and /proc; no library, sends nothing."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
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
    usb_path: str | None = None  # "1-1.3": the socket it is plugged into
    vid: str | None = None  # four hexadecimal digits
    pid: str | None = None
    serial: str | None = None
    product: str | None = None
    holder: str | None = None

    @property
    def best(self) -> str:
        """The path to write into a configuration."""
        return self.by_id or self.path


def serial_ports() -> list[Port]:
    """Ports with hardware behind them, in the order of their names."""
    by_id = {os.path.realpath(link): str(link) for link in _entries(DEV / "serial" / "by-id")}
    ports = [_port(tty, by_id) for tty in _entries(SYS) if _has_hardware(tty)]
    return sorted(ports, key=lambda port: (len(port.path), port.path))


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


def _port(tty: Path, by_id: dict[str, str]) -> Port:
    path = str(DEV / tty.name)
    usb = next((f for f in (tty / "device").resolve().parents if (f / "idVendor").exists()), None)
    return Port(
        path=path,
        by_id=by_id.get(path),
        usb_path=usb.name if usb else None,
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
