"""Balances and scales that speak MT-SICS (Mettler-Toledo and many others): asked for a weight once a period."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.codecs.mt_sics import decode_input, identity, weight
from gateway import Duration, Lines, LinkError, Options, Polled, Quantity, Reading, SerialLink

LINE = (Lines(),)
UNASKED = 3  # lines that may come before the reply: the serial number of a balance just switched on


class MtSicsOptions(Options):
    """What is asked of a balance."""

    stable: bool = False  # only a weight at rest: the balance answers when it has one
    timeout: Duration | None = None  # the link's own unless said; with `stable` the balance needs longer


@dataclass(frozen=True)
class MtSics(Polled):
    """One question (SI, or S) and one weight a period."""

    options: MtSicsOptions
    link: SerialLink
    known: dict[str, str | None] = field(default_factory=dict, init=False, compare=False, repr=False)

    async def read(self) -> list[Reading]:
        """The weight. Raises LinkError, and DecodeError for overload, underload, busy and errors."""
        request = b"S\r\n" if self.options.stable else b"SI\r\n"
        for _ in range(UNASKED):
            reply = (await self.link.ask(request, LINE, self.options.timeout)).decode("latin-1")
            unasked = identity(reply)
            if unasked is None:
                break
            self.known.clear()  # switched on just now, perhaps another one
        readings = weight(reply)
        if not self.known:
            await self._identify()
        return readings

    async def _identify(self) -> None:
        """Asked once, after the first weight; one that does not say who it is weighs all the same."""
        self.known.update({"model": None, "serial": None})
        for request in (b"I2\r\n", b"I4\r\n"):
            try:
                told = identity((await self.link.ask(request, LINE, self.options.timeout)).decode("latin-1"))
            except LinkError:
                continue
            if told is not None:
                self.known[told[0]] = told[1]

    def identity(self) -> dict[str, str | None]:
        """As the balance says after its first weight."""
        return dict(self.known)

    def quantities(self) -> dict[str, Quantity]:
        """The unit is what is chosen on the balance."""
        return {"weight": Quantity(), "stable": Quantity(kind="state")}

    def traffic(self) -> list[tuple[int, int]]:
        """SI and a reply of the fixed format."""
        return [(4, 18)]

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """Captured replies."""
        return decode_input(data, context)
