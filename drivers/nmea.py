"""NMEA 0183: GNSS receivers, wind, depth and heading instruments that send sentences by themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.codecs.nmea_0183 import decode_input, readings, sentence
from drivers.codecs.nmea_epoch import Epoch
from gateway import Framing, Lines, Listener, Options, Reading, SerialLink


@dataclass(frozen=True)
class Nmea(Listener):
    """The sentences of one instant are one sample."""

    options: Options
    link: SerialLink
    epoch: Epoch = field(default_factory=Epoch, init=False, compare=False, repr=False)

    @property
    def hear(self) -> tuple[Framing, ...]:
        """Lines."""
        return (Lines(longest=512),)

    def decode(self, frame: bytes) -> list[Reading]:
        """The readings of an instant when its last sentence has come. Raises DecodeError."""
        if frame.lstrip().startswith(b"!"):
            return []  # ships' AIS messages
        kind, fields = sentence(frame)
        return self.epoch.add(kind, fields, readings(kind, fields))

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """Captured sentences, each for itself."""
        return decode_input(data, context)
