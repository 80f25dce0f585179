"""A wire that answers what was recorded, and only to what was asked then: in place of a device, with no hardware."""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from gateway.errors import LinkError
from gateway.links.base import MODBUS_EXCEPTIONS, Table, Told
from gateway.links.checksums import checksum
from gateway.links.framing import Framing
from gateway.links.modbus_wire import Question, rtu_frames, tcp_frames
from gateway.links.parser import Parser
from gateway.transcript import Exchange


class Recorded:
    """The questions of gateway.links.base.SerialLink and ModbusLink, answered from a transcript, in its order.

    A question that was not the next one then has no answer (`timeout`), and the recording waits for the right one. On a
    Modbus bus others ask too: there what they asked is passed over.
    """

    def __init__(self, name: str, exchanges: Iterable[Exchange]) -> None:
        self.name = name
        self.trace: Told | None = None
        self.passed_over = 0  # exchanges of others
        self.asked_at = 0  # line of the first exchange that was asked for since this was 0
        self._left = deque(exchanges)

    @property
    def left(self) -> int:
        """Exchanges nobody has asked for yet."""
        return len(self._left)

    @property
    def line(self) -> int:
        """Where the next question stands in the transcript."""
        return self._left[0].line

    async def close(self) -> None:
        """There is nothing to let go of."""

    async def ask(
        self,
        request: bytes,
        answer: tuple[Framing, ...],
        timeout: float | None = None,  # noqa: ASYNC109 - of the contract; what was recorded is there at once
        pause: float | None = None,
    ) -> bytes:
        """The first frame of what came after `request`. Raises LinkError, `timeout` or `garbled`."""
        exchange = self._asked(request, lambda asked: asked == request, 1)
        came = _came(exchange)
        parser = Parser(answer)
        frames = parser.feed(came) or parser.quiet()
        if not frames:
            raise self._garbled(exchange, came)
        return frames[0]

    async def read_block(
        self,
        unit_id: int,
        table: Table,
        address: int,
        count: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
        pause: float | None = None,
    ) -> bytes:
        """The data bytes of what came after this read. Raises LinkError, also `exception`."""
        question = Question(unit_id, table, address, count)
        plain = bytes([unit_id]) + question.pdu
        rtu = plain + checksum("crc16_modbus", plain).to_bytes(2, "little")
        tcp = bytes([0, 0, 0, len(plain)]) + plain  # behind the transaction's number
        exchange = self._asked(rtu, lambda asked: asked == rtu or asked[2:] == tcp, len(self._left))
        came = _came(exchange)
        try:
            frames = rtu_frames(came, question, _crc_ok)[0] if exchange.request == rtu else tcp_frames(came)[0]
        except ValueError:
            frames = []
        transaction = 0 if exchange.request == rtu else int.from_bytes(exchange.request[:2])
        for frame in frames:
            if (frame.unit, frame.transaction) != (unit_id, transaction):
                continue
            if frame.pdu[0] == question.function and len(frame.pdu) == 2 + question.size == 2 + frame.pdu[1]:
                return frame.pdu[2:]
            if frame.pdu[0] == question.function | 0x80 and len(frame.pdu) == 2:
                code = frame.pdu[1]
                why = MODBUS_EXCEPTIONS.get(code, "unknown")
                raise LinkError(f"{self.name}: unit {unit_id} refuses: exception {code}, {why}", "exception", code)
        raise self._garbled(exchange, came)

    def _asked(self, request: bytes, same: Callable[[bytes], bool], ahead: int) -> Exchange:
        """The first of so many exchanges in which the same was asked, where it was answered."""
        if not self._left:
            raise LinkError(f"{self.name}: {request.hex(' ')} is asked behind the end of the recording", "timeout")
        exchange = self._left[0]
        others = next((i for i, e in enumerate(islice(self._left, ahead)) if same(e.request)), None)
        if others is None:
            text = f"line {exchange.line} asks {exchange.request.hex(' ')}, the driver asks {request.hex(' ')}"
            raise LinkError(f"{self.name}: {text}; was it recorded with this driver, profile and unit?", "timeout")
        for _ in range(others):
            self._left.popleft()
        self.passed_over += others
        exchange = self._left.popleft()
        self.asked_at = self.asked_at or exchange.line
        if not exchange.answers:
            raise LinkError(f"{self.name}: no answer was recorded to line {exchange.line}", "timeout")
        return exchange

    def _garbled(self, exchange: Exchange, came: bytes) -> LinkError:
        said = came[:16].hex(" ") + (" …" if len(came) > 16 else "")
        text = f"no answer can be made of what came after line {exchange.line} ({said})"
        return LinkError(f"{self.name}: {text}", "garbled")


def _came(exchange: Exchange) -> bytes:
    return b"".join(data for _, data in exchange.answers)


def _crc_ok(data: bytes, found: int) -> bool:
    return checksum("crc16_modbus", data).to_bytes(2, "little") == found.to_bytes(2, "big")
