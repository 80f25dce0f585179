"""A serial line: a port of this host, or a serial server over TCP.

Whoever listens has an ear of its own on the line; who asks takes turns, and hears the first frame that comes.
"""

import asyncio
import termios
from collections.abc import Callable
from functools import partial

from gateway.config_serial import SerialLinkConfig
from gateway.errors import LinkError
from gateway.links.arbiter import Arbiter
from gateway.links.base import Told
from gateway.links.ear import Ear
from gateway.links.framing import Framing
from gateway.links.parser import Parser
from gateway.links.ports import find_port
from gateway.links.refusals import connection_refused, port_refused
from gateway.links.serial_wire import Connection, Port

KEPT = 512  # bytes of what came unasked, for a text


class SerialLine:
    """One serial line; fulfils gateway.links.base.SerialLink."""

    def __init__(self, name: str, config: SerialLinkConfig) -> None:
        self.name = name
        self.trace: Told | None = None
        self._config = config
        self._turns = Arbiter()
        self._opening = asyncio.Lock()
        self._wire: Port | Connection | None = None
        self._was_there = False
        self._ears: dict[str, Ear] = {}
        self._parser: Parser | None = None  # of the answer that is waited for
        self._answer: asyncio.Future[bytes] | None = None
        self._heard = b""  # since the request

    async def close(self) -> None:
        """Let go of the port. Never raises; the next question opens it again."""
        if self._wire is not None:
            self._lost(None)
            await asyncio.sleep(0)  # a TCP transport closes its socket in the next round of the loop

    async def frames(self, ear: str, framings: tuple[Framing, ...], within: float) -> list[bytes]:
        """Frames for an ear, as gateway.links.base.SerialLink says."""
        mine = self._ears.get(ear)
        if mine is None:
            mine = self._ears[ear] = Ear(framings)
        if self._wire is None:
            await self._open()
        if frames := mine.fetch():
            return frames
        loop = asyncio.get_running_loop()
        mine.waiter = loop.create_future()
        timer = loop.call_later(within, mine.wake)
        try:
            await mine.waiter
        finally:
            timer.cancel()
            mine.waiter = None
        return mine.fetch()

    def counts(self, ear: str) -> dict[str, int]:
        """What an ear lost, as gateway.links.base.SerialLink says."""
        return self._ears[ear].counts() if ear in self._ears else {}

    async def forget(self, ear: str) -> None:
        """Nobody listens with this ear any more."""
        self._ears.pop(ear, None)

    async def ask(
        self,
        request: bytes,
        answer: tuple[Framing, ...],
        timeout: float | None = None,  # noqa: ASYNC109 - a plain value of the contract, kept by the arbiter
        pause: float | None = None,
    ) -> bytes:
        """One question, as gateway.links.base.SerialLink says."""
        within = self._config.timeout if timeout is None else timeout
        await self._turns.take(0)
        free: Callable[[], object] = self._turns.free
        try:
            if self._wire is None:
                await self._open()
            await self._turns.keep_silence(self._config.pause if pause is None else pause)
            loop = asyncio.get_running_loop()
            self._parser, self._heard = Parser(answer), b""
            mine: asyncio.Future[bytes] = loop.create_future()
            self._answer = mine
            until = loop.time() + within
            try:
                self._send(request)
                async with asyncio.timeout_at(until):
                    return await mine
            except TimeoutError:
                free = partial(self._turns.free_when_quiet, 0, within)
                raise self._no_answer(within) from None
            except asyncio.CancelledError:
                free = partial(loop.call_at, until, self._turns.free_when_quiet, 0, within)
                raise
            finally:
                self._parser = self._answer = None
        finally:
            free()

    def _send(self, request: bytes) -> None:
        if self._wire is None:
            raise self._gone()
        self._turns.byte()
        if self.trace is not None:
            self.trace(">>", request, asyncio.get_running_loop().time())
        try:
            self._wire.send(request)
        except OSError:
            error = self._gone()
            self._lost(error)
            raise error from None

    async def _open(self) -> None:
        async with self._opening:
            if self._wire is not None:
                return
            config = self._config
            try:
                if config.host is not None:
                    self._wire = await self._connect(config.host, config.port or 0)
                else:
                    where = config.serial
                    path = where if isinstance(where, str) else find_port(where, self.name)
                    self._wire = Port(path, config, self._came, lambda: self._lost(self._gone()))
            except (LinkError, OSError, ValueError, termios.error) as error:
                told = error if isinstance(error, LinkError) else port_refused(error, self.name, str(config.serial))
                if self._was_there and told.reason == "missing":
                    told = self._gone()  # it still is: one thing happened, and one thing is told
                raise told from None
            self._was_there = True
            for ear in self._ears.values():
                ear.opened()

    async def _connect(self, host: str, port: int) -> Connection:
        within = self._config.timeout
        try:
            async with asyncio.timeout(within):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self._came, lambda: self._lost(self._gone())), host, port
                )
        except OSError as error:
            raise connection_refused(error, self.name, host, port, within) from None
        return connection

    def _came(self, data: bytes) -> bool:
        """Returns whether what comes next may wait a moment: frames were heard, and nobody waits for an answer."""
        self._turns.byte()
        if self.trace is not None:
            self.trace("<<", data, asyncio.get_running_loop().time())
        done = [ear.hear(data) for ear in self._ears.values()]
        if self._parser is None or self._answer is None:
            return bool(done) and all(done)
        if not self._answer.done():
            self._heard = (self._heard + data)[-KEPT:]
            if frames := self._parser.feed(data):
                self._answer.set_result(frames[0])
        return False

    def _lost(self, error: LinkError | None) -> None:
        """Forget the port; whoever waits for anything of it is told at once."""
        wire, self._wire = self._wire, None
        if wire is None:
            return
        wire.close()
        for ear in self._ears.values():
            ear.wake(error or self._gone())
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or self._gone())

    def _gone(self) -> LinkError:
        where = self._config.serial
        if self._config.host is not None:
            text = f"{where} closed the connection: link {self.name}; it is opened again when it takes one"
            return LinkError(text, "network")
        return LinkError(f"{where} went away: link {self.name}; plug it in again", "unplugged")

    def _no_answer(self, within: float) -> LinkError:
        if self._heard:
            said = self._heard[:16].hex(" ") + (" …" if len(self._heard) > 16 else "")
            text = f"no answer can be made of what came ({said}): link {self.name}; check speed, parity and driver"
            return LinkError(text, "garbled")
        text = f"no answer within {within * 1000:g} ms: link {self.name}; check cable, speed, and that it is on"
        return LinkError(text, "timeout")
