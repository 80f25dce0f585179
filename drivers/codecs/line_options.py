"""What may be told of a board that prints lines, whatever wire they come over."""

from pydantic import Field, field_validator

from drivers.codecs.printed_units import stated
from drivers.codecs.serial_lines import Dialect, LineDecoder
from gateway import Options, Quantity


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

    def decoder(self) -> LineDecoder:
        """A decoder for one such board, that has heard nothing yet."""
        return LineDecoder(self.dialect, self.decimal_comma, self.missing, self.names, self.units)

    def quantities(self) -> dict[str, Quantity]:
        """Those that are named; what a board prints is known when it has printed it."""
        names = dict.fromkeys((*self.names, *self.units))
        return {name: Quantity(stated(self.units[name], name) if name in self.units else None) for name in names}
