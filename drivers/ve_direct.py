"""Victron devices on their VE.Direct port: solar chargers, battery monitors, inverters. They send text each second."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.codecs.ve_direct import blocks, decode_input, identity, readings
from gateway import Framing, Listener, Options, Quiet, Reading, SerialLink

# A block ends in a checksum that may be any byte, also a line end: what tells blocks apart is the pause after them.
PAUSE = 0.1  # s; a second has a block or two of 0.1 s each


@dataclass(frozen=True)
class VeDirect(Listener):
    """What is sent at once is a sample: a battery monitor sends two blocks."""

    options: Options
    link: SerialLink
    known: dict[str, str | None] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def hear(self) -> tuple[Framing, ...]:
        """Bursts."""
        return (Quiet(PAUSE),)

    def decode(self, frame: bytes) -> list[Reading]:
        """The values of the blocks in a burst. Raises DecodeError."""
        found: list[Reading] = []
        for block in blocks(frame):
            self.known.update(identity(block))
            found += readings(block, static=False)
        return found

    def identity(self) -> dict[str, str | None]:
        """As the blocks say."""
        return dict(self.known)

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """Captured blocks."""
        return decode_input(data, context)
