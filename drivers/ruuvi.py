"""Ruuvi's sensors: RuuviTag (formats 3 and 5) and Ruuvi Air (formats 6 and E1), from what they advertise."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from drivers.codecs import ruuvi_df3, ruuvi_df5, ruuvi_df6, ruuvi_e1
from drivers.codecs.advert_capture import advert_data, captured_advert, captured_data, with_name, with_rssi
from drivers.codecs.radio_peer import RadioOptions
from gateway import Advert, Adverts, DecodeError, Listener, Options, Quantity, RadioLink, Reading


class Format(Protocol):
    """What a codec of one format has."""

    def readings(self, data: bytes) -> list[Reading]:
        """All there is but the address."""

    def decode_input(self, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """One captured advert."""


COMPANY = 0x0499  # Ruuvi Innovations Ltd. in the Bluetooth SIG's assigned numbers
FORMATS: dict[int, Format] = {
    ruuvi_df3.FORMAT: ruuvi_df3,
    ruuvi_df5.FORMAT: ruuvi_df5,
    ruuvi_df6.FORMAT: ruuvi_df6,
    ruuvi_e1.FORMAT: ruuvi_e1,
}
AHEAD = 5  # measurements told in format 6 alone, after which format E1 is believed to be out of range
CLIMATE = {"temperature": Quantity("Cel"), "humidity": Quantity("%RH"), "pressure": Quantity("Pa")}
COUNTED = {"sequence": Quantity("count", "counter")}
TAG = COUNTED | {"movement_counter": Quantity("count", "counter")}
AIR = COUNTED | {"calibrating": Quantity(kind="state")}
KINDS = {ruuvi_df5.FORMAT: TAG, ruuvi_df6.FORMAT: AIR, ruuvi_e1.FORMAT: AIR}


@dataclass
class Heard:
    """What was heard last, to tell what is new."""

    format: int | None = None
    number: bytes | None = None  # of the measurement in formats 5 and E1; none in format 3
    short: int | None = None  # of the measurement in format 6
    extended: int | None = None  # the lowest byte of the number in the last advert of format E1
    address: str | None = None


@dataclass(frozen=True)
class Ruuvi(Listener):
    """Each measurement is a sample, however often it is sent; format 6 only where E1, which says more, is not heard."""

    options: RadioOptions
    link: RadioLink
    last: Heard = field(default_factory=Heard, init=False, compare=False, repr=False)

    @property
    def hear(self) -> Adverts:
        """Everything of Ruuvi's."""
        return Adverts(self.options.peer, companies=(COMPANY,))

    def decode(self, frame: Advert) -> list[Reading]:
        """The readings of a measurement that is new. Raises DecodeError."""
        data = advert_data(frame, COMPANY)
        if not self._new(data):
            return []
        readings = _codec(data).readings(data)
        self._remember(data)
        return with_rssi(readings, frame)

    def _new(self, data: bytes) -> bool:
        last = self.last
        if data[:1] == b"\x05":
            return data[ruuvi_df5.NUMBER] != last.number or data[16:18] == b"\xff\xff"
        if data[:1] == b"\xe1":
            return data[ruuvi_e1.NUMBER] != last.number or data[ruuvi_e1.NUMBER] == b"\xff\xff\xff"
        if data[:1] == b"\x06" and len(data) == ruuvi_df6.SIZE:
            number = data[ruuvi_df6.SEQUENCE]
            covered = last.extended is not None and (number - last.extended + 1) % 256 <= AHEAD
            return number != last.short and not covered
        return True

    def _remember(self, data: bytes) -> None:
        last = self.last
        last.format = data[0]
        match last.format:
            case ruuvi_df5.FORMAT:
                last.number, last.address = data[ruuvi_df5.NUMBER], ruuvi_df5.address(data)
            case ruuvi_e1.FORMAT:
                last.number, last.address = data[ruuvi_e1.NUMBER], ruuvi_e1.address(data)
                last.extended = data[ruuvi_e1.NUMBER][-1]
            case ruuvi_df6.FORMAT:
                last.short, last.extended = data[ruuvi_df6.SEQUENCE], None

    def identity(self) -> dict[str, str | None]:
        """Its address, as it says itself."""
        return {"serial": self.last.address} if self.last.address else {}

    def quantities(self) -> dict[str, Quantity]:
        """What all of them measure, and what is no measurement, once it is known which one it is."""
        return CLIMATE | KINDS.get(self.last.format or 0, {})

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """One captured advert of any format; `context` as in drivers/codecs/advert_capture.py."""
        found = _codec(captured_data(data, context, COMPANY)).decode_input(data, context)
        return with_name(found, captured_advert(data, context, COMPANY))


def _codec(data: bytes) -> Format:
    codec = FORMATS.get(data[0]) if data else None
    if codec is None:
        known = ", ".join(f"{number:02x}" for number in FORMATS)
        raise DecodeError(
            f"Ruuvi format {data[:1].hex() or 'missing'} is not known here, only {known}; update the firmware"
        )
    return codec
