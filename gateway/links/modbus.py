"""Modbus over TCP, over a serial port, and RTU framed over TCP. The only user of pymodbus.

pymodbus opens, frames and sends; turns, deadlines and what counts as an answer are decided here. RTU has no
transaction number: an answer that comes after its time-out would pass for the answer to the next request, and every
later one likewise. So a turn ends only when its request is over, whatever became of the caller, and when an answer
may still come the bus is quiet first (see arbiter.py).
"""

import asyncio
import errno
import logging
import os
import termios
from collections.abc import Callable
from functools import partial

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException
from pymodbus.framer import FramerType
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from gateway.config import ModbusLinkConfig
from gateway.errors import LinkError
from gateway.links.arbiter import Arbiter
from gateway.links.base import MODBUS_EXCEPTIONS, Table
from gateway.links.refusals import connection_refused, no_answer, port_refused

Client = AsyncModbusTcpClient | AsyncModbusSerialClient

REQUESTS: dict[Table, type[ModbusPDU]] = {
    "coil": ReadCoilsRequest,
    "discrete": ReadDiscreteInputsRequest,
    "holding": ReadHoldingRegistersRequest,
    "input": ReadInputRegistersRequest,
}
TABLES = {request.function_code: table for table, request in REQUESTS.items()}
ADVICE = {
    1: "it cannot read this table; correct `table`",
    2: "it has no such registers; correct addresses, max_gap or max_registers",
    3: "it refuses a read of this size; lower max_registers",
    10: "check the serial side of the gateway in between",
    11: "check the unit id, and the serial side of the gateway in between",
}
UNANSWERED = 4  # requests in a row after which a TCP connection is given up: the other end may have restarted
FRAME = 5  # bytes of an RTU answer around its data
REQUEST = 8  # bytes of an RTU request

# What pymodbus would log is told by our errors, once; its own lines carry dumps of frames.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)


class _Answer(ModbusPDU):
    """An answer's bytes from the function code on; making a list of numbers of them costs a third of a request."""

    rtu_byte_count_pos = 2

    def __init__(self, frame: bytes) -> None:
        self.function_code = frame[0]
        self.frame = frame


class _AnswerDecoder(DecodePDU):
    """Keeps answers as bytes; unlike its base never raises, which would end in asyncio with a traceback."""

    def lookupPduClass(self, data: bytes) -> type[ModbusPDU] | None:  # noqa: N802 - pymodbus' name
        if data[1] & 0x80:
            return ExceptionResponse
        return _Answer if data[1] in TABLES else None

    def decode(self, frame: bytes) -> ModbusPDU:
        return _Answer(frame)


class ModbusBus:
    """One Modbus port, whose devices take turns; fulfils gateway.links.base.ModbusLink.

    `trace`, where set, is told each frame: `>>` and what was sent, `<<` and what came.
    """

    def __init__(self, name: str, config: ModbusLinkConfig) -> None:
        self.name = name
        self.trace: Callable[[str, bytes], None] | None = None
        self._config = config
        self._turns = Arbiter()
        self._client: Client | None = None
        self._heard = b""  # what came since the request
        self._unanswered = 0  # requests in a row
        self._rtu = config.kind != "tcp"
        bits = 1 + config.bytesize + (config.parity != "N") + config.stopbits
        self._byte_time = bits / config.baudrate if config.kind == "rtu" else 0.0
        # 3.5 characters, above 19200 baud 1.75 ms: Modbus over Serial Line V1.02, 2.5.1.1
        standard = max(3.5 * self._byte_time, 0.00175) if config.kind == "rtu" else 0.0
        self._pause = standard if config.pause is None else config.pause

    async def close(self) -> None:
        """Let go of the port. Never raises; the next question opens it again."""
        client = self._client
        if client is not None:
            self._lost()
            client.close()
            await asyncio.sleep(0)  # a TCP transport closes its socket in the next round of the loop

    async def read_block(
        self,
        unit_id: int,
        table: Table,
        address: int,
        count: int,
        timeout: float | None = None,  # noqa: ASYNC109 - a plain value of the contract, kept by the arbiter
        pause: float | None = None,
    ) -> bytes:
        """Read `count` registers or bits, as gateway.links.base.ModbusLink says."""
        timeout = self._config.timeout if timeout is None else timeout
        request = REQUESTS[table](address=address, count=count, dev_id=unit_id)
        size = (count + 7) // 8 if table in ("coil", "discrete") else 2 * count
        await self._turns.take(unit_id)
        try:
            client = self._client or await self._open(timeout)
            if pause := self._pause if pause is None else pause:
                await self._turns.keep_silence(pause)
        except BaseException:
            self._turns.free()
            raise
        return await self._ask(client, request, size, timeout)

    async def _ask(self, client: Client, request: ModbusPDU, size: int, within: float) -> bytes:
        """One request with the turn taken. However it ends, the next turn begins only when this request is over."""
        loop, context, free = asyncio.get_running_loop(), client.ctx, self._turns.free
        first = REQUEST * self._byte_time + within  # the device may take `within`; bytes on the wire take their time
        last = first + (FRAME + size) * self._byte_time
        self._tell_heard()  # what came unasked
        # As context.execute does it, but for its wait_for: one switch of tasks less is 5 % of a poll.
        request.transaction_id, began = context.getNextTID(), loop.time()
        answer = context.response_future = loop.create_future()
        timers = [loop.call_at(began + last, _time_out, answer)]
        if self._byte_time:
            timers.append(loop.call_at(began + first, self._give_up_unheard, answer))
        try:
            if context.transport is None:  # lost while the bus had to be silent
                raise ConnectionException
            context.pdu_send(request)
            data = self._data(await answer, request, size)
            self._unanswered = 0
            return data
        except asyncio.CancelledError:
            free = partial(self._outlive, client, request.dev_id, began + last, within)
            raise
        except TimeoutError:
            free = partial(self._free_late, request.dev_id, within)
            self._unanswered += 1
            if self._unanswered >= UNANSWERED and self._config.kind != "rtu":
                await self.close()
            raise no_answer(self._heard, request.dev_id, self.name, within, self._rtu) from None
        except ConnectionException:
            raise self._gone() from None
        except LinkError as error:
            if error.reason == "garbled":
                free = partial(self._free_late, request.dev_id, within)
            raise
        finally:
            for timer in timers:
                timer.cancel()
            self._tell_heard()
            free()

    def _data(self, answer: ModbusPDU, request: ModbusPDU, size: int) -> bytes:
        """The data bytes of the answer. pymodbus has checked unit and checksum, and leaves the rest to us."""
        assert isinstance(answer, _Answer)
        frame, where = answer.frame, f"unit {request.dev_id} on {self.name}"
        if frame[0] & 0x7F != request.function_code or answer.transaction_id != request.transaction_id:
            raise LinkError(f"an answer to another request: {where}; check that no other master asks here", "garbled")
        if frame[0] & 0x80:
            code = frame[1] if len(frame) > 1 else 0
            what = f"{TABLES[request.function_code]} {request.address}..{request.address + request.count - 1}"
            advice = f"; {ADVICE[code]}" if code in ADVICE else ""
            text = f"Modbus exception {code} ({MODBUS_EXCEPTIONS.get(code, 'unknown')}): {where}, {what}{advice}"
            raise LinkError(text, "exception", code)
        if len(frame) != size + 2 or frame[1] != size:
            text = f"{len(frame) - 2} data bytes, byte count {frame[1] if len(frame) > 1 else 'missing'}, {size} asked"
            raise LinkError(f"{text}: {where}; check that no other master asks here", "garbled")
        return frame[2:]

    async def _open(self, within: float) -> Client:
        config = self._config
        client = self._make_client()
        context = client.ctx
        context.framer.decoder = _AnswerDecoder(False)
        context.response_future.cancel()  # the one it is born with: nobody waits yet
        try:
            async with asyncio.timeout(within):
                context.transport, _ = await context.call_create()  # connect() would keep the reason to itself
                await asyncio.sleep(0)  # a serial port begins to listen in the next round of the loop
                if not context.transport or context.transport.is_closing():
                    raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        except (OSError, ValueError, termios.error) as error:
            if config.kind == "rtu":
                raise port_refused(error, self.name, config.modbus) from None
            raise connection_refused(error, self.name, config.host or "", config.port or 0, within) from None
        self._client, self._unanswered = client, 0
        return client

    def _make_client(self) -> Client:
        config = self._config
        if config.kind == "rtu":
            return AsyncModbusSerialClient(
                config.modbus,
                baudrate=config.baudrate,
                bytesize=config.bytesize,
                parity=config.parity,
                stopbits=config.stopbits,
                retries=0,
                reconnect_delay=0,
                trace_packet=self._tap,
                trace_connect=self._connected,
            )
        return AsyncModbusTcpClient(
            config.host or "",
            port=config.port or 0,
            framer=FramerType.RTU if self._rtu else FramerType.SOCKET,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._tap,
            trace_connect=self._connected,
        )

    # What pymodbus and the loop's clock call

    def _tap(self, sending: bool, data: bytes) -> bytes:
        self._turns.byte(len(data) * self._byte_time if sending else 0.0)
        if not sending:
            self._heard = data  # what is not consumed is given again with what follows
        elif self.trace is not None:
            self.trace(">>", data)
        return data

    def _connected(self, connected: bool) -> None:
        if not connected:
            self._lost()

    def _lost(self) -> None:
        """Forget the connection; whoever waits for an answer of it is told at once."""
        client, self._client = self._client, None
        if client is not None and not client.ctx.response_future.done():
            client.ctx.response_future.set_exception(ConnectionException("lost"))
            client.ctx.response_future.exception()  # seen, also where nobody waits any more

    def _give_up_unheard(self, answer: asyncio.Future[ModbusPDU]) -> None:
        """Not a byte came in the time the device may take: no need to wait for the length of its answer as well."""
        if not self._heard:
            _time_out(answer)

    # How a turn ends that had no answer

    def _free_late(self, unit_id: int, within: float) -> None:
        """On RTU the answer may still come, and nothing in it says to what."""
        if self._rtu:
            self._turns.free_when_quiet(unit_id, within)
        else:
            self._turns.free()

    def _outlive(self, client: Client, unit_id: int, until: float, within: float) -> None:
        """The caller was cancelled; the request is on the wire all the same, and its turn lasts until it is over."""
        if self._client is not client:
            self._turns.free()
            return
        loop = asyncio.get_running_loop()
        answer = client.ctx.response_future = loop.create_future()
        timer = loop.call_at(until, answer.cancel)

        def over(answer: asyncio.Future[ModbusPDU]) -> None:
            timer.cancel()
            if answer.cancelled():
                self._free_late(unit_id, within)
            else:
                answer.exception()  # of a lost connection; nobody is left to be told
                self._turns.free()

        answer.add_done_callback(over)

    # What people are told

    def _tell_heard(self) -> None:
        if self.trace is not None and self._heard:
            self.trace("<<", self._heard)
        self._heard = b""

    def _gone(self) -> LinkError:
        config = self._config
        if config.kind == "rtu":
            return LinkError(f"{config.modbus} went away: link {self.name}; plug it in again", "unplugged")
        text = f"{config.host}:{config.port} closed the connection: link {self.name}; the next request opens it again"
        return LinkError(text, "network")


def _time_out(answer: asyncio.Future[ModbusPDU]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
        answer.exception()  # seen, also where nobody waits
