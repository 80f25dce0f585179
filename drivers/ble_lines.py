"""A board that prints its values as lines over Bluetooth: Nordic UART Service, micro:bit, and services like it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from drivers.codecs.line_options import LinesOptions
from drivers.codecs.radio_peer import RadioOptions, Uuid
from drivers.codecs.serial_lines import LineDecoder, decode_lines, named_dialect
from gateway import Lines, Listener, Options, Peer, Quantity, RadioLink, Reading, Stream

NORDIC_UART = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"


class RadioLinesOptions(RadioOptions, LinesOptions):
    """Which board, and what its lines do not say themselves."""

    service: Uuid = NORDIC_UART  # what it prints comes from its characteristic that notifies or indicates

    @property
    def peer(self) -> Peer:
        """The board; where nobody says which, any that advertises the service."""
        return super().peer if self.address or self.match else Peer(service=self.service)


@dataclass(frozen=True)
class RadioLineBoard(Listener):
    """Each line that tells a value is a sample, as of drivers/lines.py; in how many pieces it came is the radio's."""

    options: RadioLinesOptions
    link: RadioLink

    @property
    def hear(self) -> Stream:
        """Lines from the service."""
        return Stream(self.options.peer, self.options.service, (Lines(),))

    @cached_property
    def decoder(self) -> LineDecoder:
        """What is known of the board: its dialect, the names of its columns."""
        return self.options.decoder()

    def decode(self, frame: bytes) -> list[Reading]:
        """Readings of one line; none of a log line, a boot message or a header. Raises DecodeError."""
        return self.decoder.decode(frame)

    def quantities(self) -> dict[str, Quantity]:
        """Those the configuration names; what a board prints is known when it has printed it."""
        return self.options.quantities()

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """A captured text; `context` as in drivers/codecs/serial_lines.py."""
        told = options if isinstance(options, LinesOptions) else LinesOptions(dialect=named_dialect(context))
        return decode_lines(told.decoder(), data, context)
