"""RS-485 direction by the kernel: the port raises RTS while it sends. Source: Linux, include/uapi/linux/serial.h."""

import fcntl
import os
import struct

from gateway.errors import LinkError

TIOCSRS485 = 0x542F  # asm-generic/ioctls.h
ENABLED, RTS_ON_SEND = 1 << 0, 1 << 1
SERIAL_RS485 = struct.Struct("8I")  # flags, two delays of RTS in ms, padding


def drive_direction(port: int, name: str, path: str) -> None:
    """Switch it on for an open port (file descriptor). Raises LinkError where the port cannot do it."""
    try:
        fcntl.ioctl(port, TIOCSRS485, SERIAL_RS485.pack(ENABLED | RTS_ON_SEND, *[0] * 7))
    except OSError as error:
        text = f"{path} cannot switch the direction of RS-485: {os.strerror(error.errno or 0)}: link {name}"
        advice = "leave out `rs485` (USB adapters switch by themselves), or use another port"
        raise LinkError(f"{text}; {advice}", "configuration") from None
