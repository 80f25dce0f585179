"""Any board that prints its values as lines: JSON, SenML, CSV, label:value, sentences, plotter, Teleplot, Zephyr."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from drivers.codecs.line_options import LinesOptions
from drivers.codecs.serial_lines import LineDecoder, decode_lines, named_dialect
from gateway import Framing, Lines, Listener, Options, Quantity, Reading, SerialLink


@dataclass(frozen=True)
class LineBoard(Listener):
    """Each line that tells a value is a sample."""

    options: LinesOptions
    link: SerialLink

    @property
    def hear(self) -> tuple[Framing, ...]:
        """Lines."""
        return (Lines(),)

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
