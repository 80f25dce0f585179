"""Any device that says what it measures in its adverts, where a profile says what is in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.codecs.advert_capture import with_rssi
from drivers.codecs.advert_formats import AdvertOptions, decode_capture
from gateway import Advert, Adverts, Listener, Options, Quantity, RadioLink, Reading


@dataclass(frozen=True)
class AdvertListener(Listener):
    """Each advert with something new in it is a sample; where `repeats` is set, each advert."""

    options: AdvertOptions
    link: RadioLink
    known: dict[str, str | None] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def hear(self) -> Adverts:
        """Those of the company or service."""
        o = self.options
        companies = () if o.company is None else (o.company,)
        return Adverts(o.peer, companies, () if o.service is None else (o.service,), o.repeats)

    def decode(self, frame: Advert) -> list[Reading]:
        """What an advert says. Raises DecodeError."""
        found, known = self.options.read(frame)
        self.known.update((of, str(reading.value)) for of, reading in known.items())
        return with_rssi(found, frame) if found else []

    def identity(self) -> dict[str, str | None]:
        """What fields with `identity` say."""
        return dict(self.known)

    def quantities(self) -> dict[str, Quantity]:
        """Unit and kind of each field."""
        return self.options.quantities

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """One captured advert; `context` as in drivers/codecs/advert_capture.py."""
        return decode_capture(options, data, context)
