"""Shapes of links: what a driver may ask of a wire. Plain values only, no libraries.

Every method is one whole turn at the port's arbiter, has a deadline, and takes and returns only numbers, text,
bytes and lists of them: a stand-in of the same shape can live in another process.
"""

from collections.abc import Callable
from typing import Any, Literal, Protocol

from gateway.links.air import OnAir, Peer, Value
from gateway.links.framing import Framing

Table = Literal["holding", "input", "coil", "discrete"]

MODBUS_EXCEPTIONS = {  # Modbus Application Protocol V1.1b3, section 7
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}


Told = Callable[[str, bytes, float], None]


class Link(Protocol):
    """A usable wire. Opens when first asked, forgets itself when it breaks, opens again at the next question.

    `trace`, where set, is told every frame: `>>` and what was sent, in the task that asks; `<<` and what came,
    asked for or not; and when the first byte of it was on the wire (s, the loop's clock).
    """

    name: str
    trace: Told | None

    async def close(self) -> None:
        """Let go of the port. Never raises; the next question opens it again."""


class SerialLink(Link, Protocol):
    """A serial line: a port of this host, or a serial server (tcp://HOST:PORT)."""

    async def frames(self, ear: str, framings: tuple[Framing, ...], within: float) -> list[bytes]:
        """Frames heard since the last time this ear was asked for, oldest first; each listener has its own.

        Waits for the first at most `within` s; then there are none, and also when so much has come that a frame
        should have been in it. Raises LinkError.
        """
        ...

    def counts(self, ear: str) -> dict[str, int]:
        """What this ear lost: bytes `skipped`, frames `overlong`, of `wrong_checksum`, and `passed_over` unfetched."""
        ...

    async def forget(self, ear: str) -> None:
        """Nobody listens with this ear any more."""

    async def ask(
        self,
        request: bytes,
        answer: tuple[Framing, ...],
        timeout: float | None = None,  # noqa: ASYNC109 - a plain value of the contract, kept by the arbiter
        pause: float | None = None,
    ) -> bytes:
        """Send `request`, and return the first frame that comes.

        `timeout` (s) and `pause` (s of silence before the request) default to the link's own.
        Raises LinkError: `timeout`, `garbled`, or the wire's own.
        """
        ...


class ModbusLink(Link, Protocol):
    """A Modbus bus: serial RTU, TCP, or RTU framed over TCP."""

    async def read_block(
        self,
        unit_id: int,
        table: Table,
        address: int,
        count: int,
        timeout: float | None = None,  # noqa: ASYNC109 - a plain value of the contract, kept by the arbiter
        pause: float | None = None,
    ) -> bytes:
        """Read `count` registers or bits from `address` (counted from 0, as on the wire).

        Returns the data bytes of the answer as they were on the wire: two bytes a register, high byte first;
        for coils and discrete inputs eight a byte, the first point in the lowest bit.
        `timeout` (s) and `pause` (s of silence before the request) default to the link's own; over Modbus TCP it is
        always the link's own pause.
        Raises LinkError: `exception` with `.code` when the device refuses, `timeout`, `garbled`, or the wire's own.
        """
        ...


class RadioLink(Link, Protocol):
    """A Bluetooth adapter: adverts, and connections to peers."""

    async def frames(self, ear: str, hear: OnAir, within: float) -> list[Any]:
        """What this ear heard since the last time it was asked for, oldest first: as gateway.links.air says.

        Waits for the first at most `within` s; then there are none. Connects where values or a stream are wanted, and
        again at the next question. Raises LinkError.
        """
        ...

    def counts(self, ear: str) -> dict[str, int]:
        """What was heard and is no frame: adverts that are `repeats`; of streams as a SerialLink; `passed_over`."""
        ...

    async def forget(self, ear: str) -> None:
        """Nobody listens with this ear any more: its connection is closed."""

    async def read_values(
        self,
        peer: Peer,
        characteristics: tuple[str, ...],
        timeout: float | None = None,  # noqa: ASYNC109 - a plain value of the contract, kept by the link
    ) -> list[Value]:
        """Read these characteristics, all of each that the peer has, in the order of their handles.

        Connects where need be. `timeout` (s) is for each read, and defaults to the link's own. Raises LinkError.
        """
        ...
