"""BTHome v2: Shelly BLU, thermometers with pvvx firmware, ESPHome and boards of one's own, plain or encrypted."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from drivers.codecs.advert_capture import advert_data, with_rssi
from drivers.codecs.bindkey import KeyedRadioOptions, key_of
from drivers.codecs.bthome_v2 import SERVICE, Receiver, decode_capture
from gateway import Advert, Adverts, Listener, Options, Quantity, RadioLink, Reading


@dataclass(frozen=True)
class Bthome(Listener):
    """Each packet is a sample, however often it is sent. Button and dimmer events are readings of kind event."""

    options: KeyedRadioOptions
    link: RadioLink

    @cached_property
    def receiver(self) -> Receiver:
        """What is known of the device."""
        return Receiver(self.options.key)

    @property
    def hear(self) -> Adverts:
        """All of it: a device need not number its packets, and then the same again may be a new measurement."""
        return Adverts(self.options.peer, services=(SERVICE,), repeats=True)

    def decode(self, frame: Advert) -> list[Reading]:
        """What was not said before. Raises DecodeError."""
        found = self.receiver.readings(advert_data(frame, service=SERVICE), frame.address)
        return with_rssi(found, frame) if found else []

    def identity(self) -> dict[str, str | None]:
        """Its firmware, where it says so."""
        return {"firmware": self.receiver.firmware} if self.receiver.firmware else {}

    def quantities(self) -> dict[str, Quantity]:
        """Those it has told so far: which it has is nowhere written."""
        return dict(self.receiver.quantities)

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """One captured advert; `context` as in drivers/codecs/bthome_v2.py."""
        return decode_capture(data, context, Receiver(key_of(context)))
