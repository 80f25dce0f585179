"""Why a port or a connection cannot be opened, or nobody answers on it -> LinkError with what to do."""

import errno
import os
import socket

from gateway.config import ModbusLinkConfig
from gateway.errors import LinkError, Reason
from gateway.links.base import MODBUS_EXCEPTIONS, Table

_PORTS: dict[int, tuple[Reason, str]] = {
    errno.ENOENT: ("missing", "plug it in, or correct the path (`labgate scan` lists the ports)"),
    errno.ENODEV: ("missing", "plug it in, or correct the path (`labgate scan` lists the ports)"),
    errno.ENXIO: ("missing", "plug it in, or correct the path (`labgate scan` lists the ports)"),
    errno.EIO: ("unplugged", "plug it in again"),
    errno.EACCES: ("permission", "add this user to the group dialout and log in again"),
    errno.EPERM: ("permission", "add this user to the group dialout and log in again"),
    errno.EAGAIN: ("busy", "another program holds it: stop that"),
    errno.EBUSY: ("busy", "another program holds it: stop that"),
    errno.EISDIR: ("configuration", "this is no serial port: correct the path"),
    errno.ENOTTY: ("configuration", "this is no serial port: correct the path"),
    errno.EINVAL: ("configuration", "the port cannot do these settings: correct baudrate, bytesize, parity, stopbits"),
}


def port_refused(error: Exception, name: str, path: str) -> LinkError:
    """Of opening a serial port; `error` is an OSError or what the settings were refused with."""
    number = _number(error)
    reason, advice = _PORTS.get(number or errno.EINVAL, ("missing", "check the port"))
    said = os.strerror(number) if number else str(error)
    return LinkError(f"{path} cannot be opened: {said}: link {name}; {advice}", reason)


def connection_refused(error: Exception, name: str, host: str, port: int, within: float) -> LinkError:
    """Of a TCP connection; TimeoutError: not made within `within` seconds."""
    where = f"{host}:{port}" if ":" not in host else f"[{host}]:{port}"
    if isinstance(error, TimeoutError):
        text = f"no connection to {where} within {within * 1000:g} ms: link {name}; check power, cable and address"
        return LinkError(text, "timeout")
    # A name with several addresses: asyncio joins their errors to one text without a number.
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        text = f"{where} refuses the connection: link {name}; check the port, and that the device's server is on"
        return LinkError(text, "refused")
    if isinstance(error, socket.gaierror):
        text = f"no address for the name {host}: link {name}; correct it, or check name resolution"
        return LinkError(text, "network")
    number = _number(error)
    said = os.strerror(number) if number else str(error)
    return LinkError(f"no connection to {where}: {said}: link {name}; check cable, address and network", "network")


def no_answer(odd: str, heard: bytes, unit_id: int, name: str, within: float, rtu: bool) -> LinkError:
    """Of a request to a Modbus unit that took `within` seconds.

    `odd` is what the answer was that came instead, `heard` the bytes that came, if any.
    """
    where = f"unit {unit_id} on {name}"
    if odd:
        return LinkError(f"{odd}: {where}; check that no other master asks here", "garbled")
    if heard:
        advice = "check speed, parity, A/B wires, termination" if rtu else "check the unit id"
        said = heard[:16].hex(" ") + (" …" if len(heard) > 16 else "")
        return LinkError(f"no answer can be made of what came ({said}): {where}; {advice}", "garbled")
    advice = "check A/B wires, unit id, speed" if rtu else "check the unit id, and that the device is well"
    return LinkError(f"no answer within {within * 1000:g} ms: {where}; {advice}", "timeout")


_ADVICE = {
    1: "it cannot read this table; correct `table`",
    2: "it has no such registers; correct addresses, max_gap or max_registers",
    3: "it refuses a read of this size; lower max_registers",
    10: "check the serial side of the gateway in between",
    11: "check the unit id, and the serial side of the gateway in between",
}


def exception(code: int, unit_id: int, name: str, table: Table, address: int, count: int) -> LinkError:
    """Of a Modbus unit that says no to a read."""
    what = f"{table} {address}..{address + count - 1}"
    advice = f"; {_ADVICE[code]}" if code in _ADVICE else ""
    said = MODBUS_EXCEPTIONS.get(code, "unknown")
    return LinkError(f"Modbus exception {code} ({said}): unit {unit_id} on {name}, {what}{advice}", "exception", code)


def gone(config: ModbusLinkConfig, name: str) -> LinkError:
    """Of a port or connection that was there."""
    if config.kind == "rtu":
        return LinkError(f"{config.modbus} went away: link {name}; plug it in again", "unplugged")
    text = f"{config.host}:{config.port} closed the connection: link {name}; the next request opens it again"
    return LinkError(text, "network")


def _number(error: BaseException) -> int | None:
    """The errno; termios.error has it too, but is no OSError. pyserial keeps some only as what led to its error."""
    number = next((arg for arg in error.args[:1] if isinstance(arg, int)), None)
    return _number(error.__context__) if number is None and error.__context__ is not None else number
