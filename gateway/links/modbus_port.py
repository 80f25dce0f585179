"""The way to a Modbus bus, a serial port or a TCP connection. The only user of pymodbus: it opens, frames and sends."""

import asyncio
import errno
import logging
import os
import termios
from collections.abc import Callable

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.framer import FramerRTU, FramerType
from pymodbus.transport.serialtransport import SerialTransport

from gateway.config import ModbusLinkConfig
from gateway.errors import LinkError
from gateway.links.refusals import connection_refused, gone, port_refused
from gateway.links.rs485 import drive_direction

# What pymodbus would log is told by our errors, once; its own lines carry dumps of frames.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)

crc_ok = FramerRTU.check_CRC


class Port:
    """An open port or connection.

    `came(data)` gets what was received and not done with before, and returns how many bytes are done with;
    `lost()` is called when the port or connection goes away.
    """

    def __init__(
        self, name: str, config: ModbusLinkConfig, came: Callable[[bytes], int], lost: Callable[[], None]
    ) -> None:
        self._name, self._config = name, config
        self._client = _client(config, lambda connected: None if connected else lost())
        self._context = self._client.ctx
        self._context.response_future.cancel()  # the one it is born with: nobody waits for it

        def receive(data: bytes, addr: object = None) -> int:  # noqa: ARG001 - pymodbus' signature
            return came(data)

        # pymodbus takes one frame of what came at once, and for RTU drops the rest
        self._context.callback_data = receive  # type: ignore[method-assign] # there is no other way in

    async def open(self, within: float) -> None:
        """Open it, within so many seconds. Raises LinkError."""
        config, context = self._config, self._context
        try:
            async with asyncio.timeout(within):
                context.transport, _ = await context.call_create()  # connect() would keep the reason to itself
                await asyncio.sleep(0)  # a serial port begins to listen in the next round of the loop
                if not context.transport or context.transport.is_closing():
                    raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            if config.rs485 and isinstance(context.transport, SerialTransport):
                drive_direction(context.transport.sync_serial.fileno(), self._name, config.modbus)
        except LinkError:
            self.close()
            raise
        except (OSError, ValueError, termios.error) as error:
            if config.kind == "rtu":
                raise port_refused(error, self._name, config.modbus) from None
            raise connection_refused(error, self._name, config.host or "", config.port or 0, within) from None

    def frame(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        """A request as it is sent; RTU has no transactions."""
        return self._context.framer.encode(pdu, unit, transaction)

    def send(self, frame: bytes) -> None:
        """Send a request; what was received and not done with is forgotten. Raises LinkError."""
        if self._context.transport is None:
            raise gone(self._config, self._name)
        self._context.send(frame)

    def close(self) -> None:
        """Let go. Never raises."""
        self._client.close()


def _client(
    config: ModbusLinkConfig, connected: Callable[[bool], None]
) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
    if config.kind == "rtu":
        return AsyncModbusSerialClient(
            config.modbus,
            baudrate=config.baudrate,
            bytesize=config.bytesize,
            parity=config.parity,
            stopbits=config.stopbits,
            retries=0,
            reconnect_delay=0,
            trace_connect=connected,
        )
    return AsyncModbusTcpClient(
        config.host or "",
        port=config.port or 0,
        framer=FramerType.RTU if config.kind == "rtu+tcp" else FramerType.SOCKET,
        retries=0,
        reconnect_delay=0,
        trace_connect=connected,
    )
