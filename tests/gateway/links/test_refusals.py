"""What the operating system says, told so that a person knows what to do."""

import errno
import socket
import termios

import pytest

from gateway.links.refusals import connection_refused, port_refused

PORT = "/dev/ttyUSB0"


@pytest.mark.parametrize(
    ("error", "reason", "text"),
    [
        (
            OSError(errno.EACCES, "could not open port: [Errno 13] Permission denied"),
            "permission",
            f"{PORT} cannot be opened: Permission denied: link bus-1; "
            "add this user to the group dialout and log in again",
        ),
        (
            OSError(errno.EAGAIN, "Could not exclusively lock port"),
            "busy",
            f"{PORT} cannot be opened: Resource temporarily unavailable: link bus-1; "
            "another program holds it: stop that",
        ),
        (
            OSError(errno.EIO, "x"),
            "unplugged",
            f"{PORT} cannot be opened: Input/output error: link bus-1; plug it in again",
        ),
        (
            termios.error(errno.EINVAL, "Invalid argument"),
            "configuration",
            f"{PORT} cannot be opened: Invalid argument: link bus-1; "
            "the port cannot do these settings: correct baudrate, bytesize, parity, stopbits",
        ),
        (
            ValueError("Failed to set custom baud rate (250000): [Errno 25]"),
            "configuration",
            f"{PORT} cannot be opened: Failed to set custom baud rate (250000): [Errno 25]: link bus-1; "
            "the port cannot do these settings: correct baudrate, bytesize, parity, stopbits",
        ),
        (
            OSError(errno.EISDIR, "x"),
            "configuration",
            f"{PORT} cannot be opened: Is a directory: link bus-1; this is no serial port: correct the path",
        ),
        (
            OSError(errno.EMFILE, "x"),
            "missing",
            f"{PORT} cannot be opened: Too many open files: link bus-1; check the port",
        ),
    ],
)
def test_port_refused(error: Exception, reason: str, text: str) -> None:
    refusal = port_refused(error, "bus-1", PORT)
    assert (refusal.reason, str(refusal)) == (reason, text)


@pytest.mark.parametrize(
    ("error", "host", "reason", "text"),
    [
        (
            TimeoutError(),
            "192.0.2.20",
            "timeout",
            "no connection to 192.0.2.20:502 within 500 ms: link plc; check power, cable and address",
        ),
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "x"),
            "fe80::1",
            "refused",
            "[fe80::1]:502 refuses the connection: link plc; check the port, and that the device's server is on",
        ),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "plc.example",
            "network",
            "no address for the name plc.example: link plc; correct it, or check name resolution",
        ),
        (
            OSError(errno.EHOSTUNREACH, "x"),
            "192.0.2.20",
            "network",
            "no connection to 192.0.2.20:502: No route to host: link plc; check cable, address and network",
        ),
        (  # asyncio.BaseEventLoop.create_connection, of a name with several addresses
            OSError(
                "Multiple exceptions: [Errno 111] Connect call failed ('::1', 502), [Errno 111] Connect call failed"
            ),
            "localhost",
            "refused",
            "localhost:502 refuses the connection: link plc; check the port, and that the device's server is on",
        ),
    ],
)
def test_connection_refused(error: Exception, host: str, reason: str, text: str) -> None:
    refusal = connection_refused(error, "plc", host, 502, 0.5)
    assert (refusal.reason, str(refusal)) == (reason, text)
