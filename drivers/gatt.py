"""A Bluetooth device that tells what it measures when it likes: by notifications and indications (GATT)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from drivers.codecs.device_clock import TimeZone, placed
from drivers.codecs.gatt_options import GattOptions, decode_value
from drivers.codecs.sig_characteristics import Identity
from drivers.codecs.sig_octets import short_uuid
from gateway import DecodeError, Listener, Options, Quantity, RadioLink, Reading, Value, Values


class SubscribedOptions(GattOptions):
    """The characteristics are those it is subscribed to."""

    time_zone: TimeZone | None = None  # of the clock of a device that says when it measured


class _Known:
    """What a device has said of itself after it was connected."""

    def __init__(self) -> None:
        self.identity = Identity()
        self.quantities: dict[str, Quantity] = {}  # of what is read once
        self.news: dict[str, Reading] = {}  # by name; in no sample yet


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
    def known(self) -> _Known:
        """What it has said of itself."""
        return _Known()

    def decode(self, frame: Value) -> list[Reading]:
        """Readings of one value. Those of what is read once stand before the next ones. Raises DecodeError."""
        known, uuid = self.known, frame.characteristic
        if known.identity.learn(uuid, frame.data):
            return []
        decoder = self.options.decoders.get(uuid)
        if decoder is None:
            raise DecodeError(f"nobody asked for characteristic {short_uuid(uuid)}; write it in `characteristics`")
        readings = decoder.decode(frame.data)
        if uuid not in self.options.characteristics:
            known.quantities.update(decoder.quantities)
            known.news.update((reading.name, reading) for reading in readings)
            return []
        if not readings:
            return []
        news = list(known.news.values())
        known.news.clear()
        return news + placed(readings, self.options.time_zone)

    def quantities(self) -> dict[str, Quantity]:
        """All its characteristics may tell; of those read once what it has told."""
        return self.options.measured | self.known.quantities

    def identity(self) -> dict[str, str | None]:
        """As in its Device Information Service, where that is read."""
        return self.known.identity.told()

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """One captured value; `context` as in drivers/codecs/gatt_options.py."""
        return decode_value(options, data, context)
