"""Any board that prints its values as lines: JSON, SenML, CSV, label:value, sentences, plotter, Teleplot, Zephyr."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pydantic import Field, field_validator

from drivers.codecs.printed_units import stated
from drivers.codecs.serial_lines import Dialect, LineDecoder, decode_lines, named_dialect
from gateway import Framing, Lines, Listener, Options, Quantity, Reading, SerialLink


class LinesOptions(Options):
    """Nothing need be told; what is told is what the lines themselves do not say."""

    dialect: Dialect | None = None  # seen from the lines unless said
    decimal_comma: bool = False
    missing: tuple[float, ...] = ()  # values that mean there is none, like -127 and 85 of a DS18B20
    names: tuple[str, ...] = ()  # of the columns of a CSV whose header is not printed
    units: dict[str, str] = Field(default_factory=dict)  # of quantities that are printed without, by name as printed

    @field_validator("names")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not name or names.count(name) > 1:
                raise ValueError(f"{name!r} stands twice or is empty; write one name for each column")
        return names


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
        return _decoder(self.options)

    def decode(self, frame: bytes) -> list[Reading]:
        """Readings of one line; none of a log line, a boot message or a header. Raises DecodeError."""
        return self.decoder.decode(frame)

    def quantities(self) -> dict[str, Quantity]:
        """Those the configuration names; what a board prints is known when it has printed it."""
        o = self.options
        names = dict.fromkeys((*o.names, *o.units))
        return {name: Quantity(stated(o.units[name], name) if name in o.units else None) for name in names}

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """A captured text; `context` as in drivers/codecs/serial_lines.py."""
        told = options if isinstance(options, LinesOptions) else LinesOptions(dialect=named_dialect(context))
        return decode_lines(_decoder(told), data, context)


def _decoder(options: LinesOptions) -> LineDecoder:
    return LineDecoder(options.dialect, options.decimal_comma, options.missing, options.names, options.units)
