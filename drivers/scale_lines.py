"""Balances that print each weight by themselves, or at the press of their print key: Kern, G&G, Sartorius, A&D, CAS."""

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.codecs.scale_lines import decode_input, readings
from gateway import Framing, Lines, Listener, Options, Quantity, Reading, SerialLink


@dataclass(frozen=True)
class ScaleLines(Listener):
    """Each line with a weight and its unit is a sample."""

    options: Options
    link: SerialLink

    @property
    def hear(self) -> tuple[Framing, ...]:
        """Lines."""
        return (Lines(longest=128),)

    def decode(self, frame: bytes) -> list[Reading]:
        """The weight; nothing while the pan moves and no unit is printed. Raises DecodeError."""
        return readings(frame.decode("latin-1"))

    def quantities(self) -> dict[str, Quantity]:
        """The unit is what is chosen on the balance."""
        return {"weight": Quantity()}

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """Captured lines."""
        return decode_input(data, context)
