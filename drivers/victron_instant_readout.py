"""Victron's Smart devices as they advertise (Instant Readout): solar chargers, battery monitors, inverters …"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.codecs import victron_instant_readout as codec
from drivers.codecs.advert_capture import advert_data, with_rssi
from drivers.codecs.bindkey import KeyedRadioOptions
from gateway import Advert, Adverts, Listener, Options, Quantity, RadioLink, Reading


@dataclass(frozen=True)
class VictronInstantReadout(Listener):
    """Each record is a sample. The key of the device stands in VictronConnect, Product info, Instant readout."""

    options: KeyedRadioOptions
    link: RadioLink
    known: dict[str, str | None] = field(default_factory=dict, init=False, compare=False, repr=False)
    said: dict[str, Quantity] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def hear(self) -> Adverts:
        """Everything of Victron's; a repeat has the nonce of the one before."""
        return Adverts(self.options.peer, companies=(codec.COMPANY,))

    def decode(self, frame: Advert) -> list[Reading]:
        """The values of a record. Raises DecodeError."""
        data = advert_data(frame, codec.COMPANY)
        found = codec.readings(data, self.options.key)
        self.known["model"] = codec.product(data)
        self.said.update(codec.quantities(data))
        return with_rssi(found, frame) if found else []

    def identity(self) -> dict[str, str | None]:
        """The number of the product."""
        return dict(self.known)

    def quantities(self) -> dict[str, Quantity]:
        """What records of its kind say, once one was heard."""
        return dict(self.said)

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """One captured advert; `context` as in drivers/codecs/victron_instant_readout.py."""
        return codec.decode_input(data, context)
