"""Balances and scales that speak MT-SICS (Mettler-Toledo and many others): asked for a weight once a period."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.codecs.mt_sics import decode_input, identity, weight
from gateway import Between, Duration, LinkError, Options, Polled, Quantity, Reading, SerialLink

END = b"\r\n"
ERRORS = tuple(Between(error, END, longest=16) for error in (b"ES", b"ET", b"EL"))
# What a reply begins with: a balance that is switched on says its serial number unasked, and that is no weight.
WEIGHT = (*(Between(begin, END, longest=64) for begin in (b"S S", b"S D", b"S I", b"S +", b"S -")), *ERRORS)


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
        reply = (await self.link.ask(request, WEIGHT, self.options.timeout)).decode("latin-1")
        readings = weight(reply)
        if not self.known:
            await self._identify()
        return readings

    async def _identify(self) -> None:
        """Asked once, after the first weight; one that does not say who it is weighs all the same."""
        self.known.update({"model": None, "serial": None})
        for command in (b"I2", b"I4"):
            reply = (Between(command + b" ", END, longest=256), *ERRORS)
            try:
                told = identity((await self.link.ask(command + END, reply, self.options.timeout)).decode("latin-1"))
            except LinkError:
                continue
            if told is not None:
                self.known[told[0]] = told[1] or None

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
