"""A Modbus bus, over TCP, over a serial port, or RTU framed over TCP: turns, deadlines, and what counts as an answer.

RTU has no transaction number: an answer that comes after its time-out would pass for the answer to the next request,
and every later one likewise. So a turn ends only when its request is over, whatever became of the caller; when an
answer may still come the bus is quiet first (arbiter.py); and nothing is asked whose answer would look like one that is
still owed: a question of another shape comes before it (modbus_wire.Owed).
"""

import asyncio
from collections.abc import Callable
from functools import partial

from gateway.config import ModbusLinkConfig
from gateway.errors import LinkError
from gateway.links.arbiter import Arbiter
from gateway.links.base import Table, Told
from gateway.links.modbus_port import Port, crc_ok
from gateway.links.modbus_wire import Frame, Owed, Question, other_questions, rtu_frames, tcp_frames
from gateway.links.refusals import exception, gone, no_answer

UNANSWERED = 4  # requests in a row after which a TCP connection is given up: the other end may have restarted
FRAME = 5  # bytes of an RTU answer around its data
REQUEST = 8  # bytes of an RTU request
KEPT = 512  # bytes of what came since a question, for the text of an error


class ModbusBus:
    """One Modbus port, whose devices take turns; fulfils gateway.links.base.ModbusLink.

    `trace`, where set, is told each frame: `>>` and what was sent, `<<` and what came.
    """

    def __init__(self, name: str, config: ModbusLinkConfig) -> None:
        self.name = name
        self.trace: Told | None = None
        self._config = config
        self._turns = Arbiter()
        self._port: Port | None = None
        self._was_there = False
        self._question: Question | None = None  # on the wire now
        self._transaction = 0  # counted on from connection to connection: a box may outlive one
        self._answer: asyncio.Future[bytes] | None = None  # to that question
        self._odd = ""  # what came instead of it
        self._heard = b""  # all that came since it was asked
        self._untold, self._since = b"", 0.0  # what the trace was not told yet, and when that began to come
        self._begun = 0  # how much of it may be the begin of a frame
        self._unanswered = 0  # requests in a row
        self._rtu = config.kind != "tcp"
        self._owed = Owed(mixing=not self._rtu)
        bits = 1 + config.bytesize + (config.parity != "N") + config.stopbits
        self._byte_time = bits / config.baudrate if config.kind == "rtu" else 0.0
        # 3.5 characters, above 19200 baud 1.75 ms: Modbus over Serial Line V1.02, 2.5.1.1
        self._silence = max(3.5 * self._byte_time, 0.00175) if config.kind == "rtu" else 0.0
        self._pause = max(config.pause or 0.0, self._silence)

    async def close(self) -> None:
        """Let go of the port. Never raises; the next question opens it again."""
        port = self._port
        if port is not None:
            self._lost()
            port.close()
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
        within = self._config.timeout if timeout is None else timeout
        if pause is None or self._config.kind == "tcp":  # whoever makes the serial frames keeps a device's silence
            pause = self._pause
        pause = max(pause, self._silence)
        await self._turns.take(unit_id)
        self._free: Callable[[], None] = self._turns.free
        try:
            return await self._be_answered(Question(unit_id, table, address, count), within, pause)
        finally:
            self._free()

    async def _open(self, within: float) -> Port:
        port = Port(self.name, self._config, self._came, self._lost)
        try:
            await port.open(within)
        except LinkError as error:
            if self._was_there and error.reason == "missing":
                raise gone(self._config, self.name) from None  # one thing happened, and one thing is told
            raise
        self._was_there = True
        self._port, self._unanswered, self._begun = port, 0, 0
        self._turns.byte()  # whatever was on the wire before: the silence begins now
        return port

    # One turn

    async def _be_answered(self, question: Question, within: float, pause: float) -> bytes:
        """Ask so that no answer to an older question can pass for the answer to this one."""
        owed = self._owed.by(question.unit)
        if question.shape in owed:
            others = other_questions(question)
            other = next((o for o in others if o.shape not in owed), others[-1])
            try:
                await self._ask(other, within, pause)
            except LinkError as error:
                if not error.answered:
                    raise
                self._owed.settled(question.unit)
                self._owed.lost(question.unit, other.shape)  # had it been the answer to an older one
            if question.shape in self._owed.by(question.unit):
                text = f"old answers still come: unit {question.unit} on {self.name}; nothing is taken until they end"
                raise LinkError(text, "garbled")
        return await self._ask(question, within, pause)

    async def _ask(self, question: Question, within: float, pause: float) -> bytes:
        """One request. However it ends, the turn is over only when the request is."""
        port = self._port or await self._open(within)
        if pause:
            await self._turns.keep_silence(pause)
        loop = asyncio.get_running_loop()
        first = REQUEST * self._byte_time + within  # the device may take `within`; bytes on the wire take their time
        last = first + (FRAME + question.size) * self._byte_time
        self._heard = b""
        if not self._rtu:
            self._transaction = self._transaction % 0xFFFF + 1
        frame = port.frame(self._transaction, question.unit, question.pdu)
        self._question, self._odd, self._begun, began = question, "", 0, loop.time()
        answer = self._answer = loop.create_future()
        timers = [loop.call_at(began + last, _time_out, answer)]
        if self._byte_time:
            timers.append(loop.call_at(began + first, self._give_up_unheard, answer))
        try:
            self._turns.byte(len(frame) * self._byte_time)
            if self.trace is not None:
                self.trace(">>", frame, began)
            port.send(frame)
            pdu = await answer
        except asyncio.CancelledError:
            self._free = partial(self._outlive, port, question, began + last, within)
            raise
        except LinkError:  # the connection is lost
            self._owed.lost(question.unit, question.shape)
            raise
        except TimeoutError:
            self._unheard(question, within)
            self._unanswered += 1
            if self._unanswered >= UNANSWERED and self._config.kind != "rtu":
                await self.close()
            raise no_answer(self._odd, self._heard, question.unit, self.name, within, self._rtu) from None
        finally:
            for timer in timers:
                timer.cancel()
            self._tell_heard()
        self._unanswered = 0
        return self._data(question, pdu)

    def _data(self, question: Question, pdu: bytes) -> bytes:
        """The data of an answer, which may still say no. Who owes nothing else is settled with it."""
        owed = self._owed.by(question.unit)
        if pdu[0] & 0x80:
            error = exception(pdu[1], question.unit, self.name, question.table, question.address, question.quantity)
            if owed or not error.answered:
                self._owed.lost(question.unit, question.shape)  # what the device says to this may still come
            raise error
        if question.shape in owed:
            self._owed.came(question.unit, question.shape)
            self._owed.lost(question.unit, question.shape)  # this may be the older one's
        elif owed:
            self._owed.settled(question.unit)
        return pdu[2:]

    def _unheard(self, question: Question, within: float) -> None:
        """On RTU the answer may still come, and nothing in it says to what."""
        self._owed.lost(question.unit, question.shape)
        if self._rtu:
            self._free = partial(self._turns.free_when_quiet, question.unit, within)

    def _outlive(self, port: Port, question: Question, until: float, within: float) -> None:
        """The caller was cancelled; the request is on the wire all the same, and its turn lasts until it is over."""
        if self._port is not port:
            self._turns.free()
            return
        loop = asyncio.get_running_loop()
        answer = self._answer = loop.create_future()
        timer = loop.call_at(until, _time_out, answer)

        def over(answer: asyncio.Future[bytes]) -> None:
            timer.cancel()
            self._free = self._turns.free
            if answer.exception() is not None:
                self._unheard(question, within)
            self._free()

        answer.add_done_callback(over)

    # What comes

    def _came(self, data: bytes) -> int:
        """What is new, behind what was not done with before. Returns how much is done with now."""
        self._turns.byte()
        new, question = data[self._begun :], self._question
        self._heard = (self._heard + new)[-KEPT:]
        if self.trace is not None:
            self._since = self._since if self._untold else asyncio.get_running_loop().time()
            self._untold += new
        frames: list[Frame] = []
        done = len(data)
        try:
            if self._rtu:
                frames, done = rtu_frames(data, question, crc_ok)
            else:
                frames, done = tcp_frames(data)
        except ValueError as error:
            self._lost(LinkError(f"this is no Modbus TCP ({error}): link {self.name}; check the port", "garbled"))
        self._begun = len(data) - done
        for frame in frames:
            self._hear(frame)
        if self._untold and (self._answer is None or self._answer.done()):
            self._tell_heard()  # nobody waits for more of it
        return done

    def _hear(self, frame: Frame) -> None:
        """One answer, of whatever unit, to whatever question."""
        unit, transaction, pdu = frame
        question, answer = self._question, self._answer
        waiting = question is not None and answer is not None and not answer.done()
        if waiting and question and answer and unit == question.unit and transaction == self._transaction:
            if pdu[0] == question.function | 0x80 and len(pdu) == 2:
                answer.set_result(pdu)
                return
            size = len(pdu) - 2
            if pdu[0] == question.function and size == question.size == pdu[1]:
                answer.set_result(pdu)
                return
            self._odd = "an answer to another request"
            if pdu[0] == question.function and size >= 0:
                self._odd = f"{size} data bytes, byte count {pdu[1]}, {question.size} asked"
            self._owed.came(question.unit, (pdu[0], size))
            if not self._rtu:  # this transaction has no other answer
                _time_out(answer)
        elif waiting and not self._odd and (self._rtu or not transaction):
            self._odd = f"an answer of unit {unit}" if self._rtu else "an answer to another request"

    def _lost(self, error: LinkError | None = None) -> None:
        """Forget the connection; whoever waits for an answer of it is told at once."""
        port, self._port = self._port, None
        if error is not None and port is not None:
            port.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or gone(self._config, self.name))
            self._answer.exception()  # seen, also where nobody waits any more

    def _give_up_unheard(self, answer: asyncio.Future[bytes]) -> None:
        """Not a byte came in the time the device may take: no need to wait for the length of its answer as well."""
        if not self._heard:
            _time_out(answer)

    def _tell_heard(self) -> None:
        if self.trace is not None and self._untold:
            self.trace("<<", self._untold, self._since)
        self._untold = b""


def _time_out(answer: asyncio.Future[bytes]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
        answer.exception()  # seen, also where nobody waits
