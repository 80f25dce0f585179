"""A Bluetooth device that tells what it measures when it likes: by notifications and indications (GATT)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from drivers.codecs.device_clock import TimeZone, placed
from drivers.codecs.gatt_options import GattOptions, decode_value
from drivers.codecs.sig_characteristics import Identity
from gateway import DecodeError, Listener, Options, Quantity, RadioLink, Reading, Value, Values


class SubscribedOptions(GattOptions):
    """The characteristics are those it is subscribed to."""

    time_zone: TimeZone | None = None  # of the clock of a device that says when it measured


@dataclass(frozen=True)
class Gatt(Listener):
    """Each value it sends is a sample. Of several characteristics of one UUID it does not know which is which."""

    options: SubscribedOptions
    link: RadioLink

    @property
    def hear(self) -> Values:
        """The values of its characteristics; after each connect those that are read once."""
        o = self.options
        return Values(o.peer, o.characteristics, o.read)

    @cached_property
    def known(self) -> Identity:
        """Who it says it is."""
        return Identity()

    @cached_property
    def found(self) -> dict[str, Quantity]:
        """What it has told that is not told again and again."""
        return {}

    def decode(self, frame: Value) -> list[Reading]:
        """Readings of one value; none where it says who it is. Raises DecodeError."""
        if self.known.learn(frame.characteristic, frame.data):
            return []
        decoder = self.options.decoders.get(frame.characteristic)
        if decoder is None:
            raise DecodeError(f"nobody asked for characteristic {frame.characteristic}; write it in `characteristics`")
        readings = decoder.decode(frame.data)
        if frame.characteristic not in self.options.characteristics:
            self.found.update(decoder.quantities)
        return placed(readings, self.options.time_zone)

    def quantities(self) -> dict[str, Quantity]:
        """All its characteristics may tell; of those read once what it has told."""
        return self.options.measured | self.found

    def identity(self) -> dict[str, str | None]:
        """As in its Device Information Service, where that is read."""
        return self.known.told()

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """One captured value; `context` as in drivers/codecs/gatt_options.py."""
        return decode_value(options, data, context)
