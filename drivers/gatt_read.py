"""A Bluetooth device that is asked for what it measures: its characteristics are read each period (GATT)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from drivers.codecs.gatt_options import GattOptions, decode_value
from drivers.codecs.sig_characteristics import Identity
from gateway import DecodeError, LabgateError, LinkError, Options, Polled, Quantity, RadioLink, Reading


class _Seen:
    """What is known of a device after it was read."""

    def __init__(self) -> None:
        self.identity = Identity()
        self.quantities: dict[str, Quantity] = {}
        self.read_once = False
        self.wrong: DecodeError | None = None


@dataclass(frozen=True)
class GattRead(Polled):
    """All characteristics it has of those wanted are one sample. Several of one UUID are NAME, NAME.2 by handle."""

    options: GattOptions
    link: RadioLink

    @cached_property
    def seen(self) -> _Seen:
        """What its last reads have shown."""
        return _Seen()

    async def read(self) -> list[Reading]:
        """Its values. One that makes no sense is left out and told in `trouble`; DecodeError where all are such."""
        o, seen = self.options, self.seen
        wanted = o.characteristics if seen.read_once else (*o.read, *o.characteristics)
        try:
            values = await self.link.read_values(o.peer, wanted)
        except LinkError as error:
            # It says no to one of them: from now on without those that nothing is measured by.
            seen.read_once = seen.read_once or error.answered
            raise
        seen.read_once, seen.wrong = True, None
        counted = Counter[str]()
        found: list[Reading] = []
        for value in values:
            if seen.identity.learn(value.characteristic, value.data):
                continue
            counted[value.characteristic] += 1
            number, decoder = counted[value.characteristic], o.decoders[value.characteristic]
            seen.quantities |= {_numbered(name, number): quantity for name, quantity in decoder.quantities.items()}
            try:
                readings = decoder.decode(value.data)
            except DecodeError as error:
                seen.wrong = error
            else:
                found += [Reading(_numbered(r.name, number), r.value, r.unit, r.quality) for r in readings]
        if seen.wrong is not None and not found:
            raise seen.wrong
        return found

    def trouble(self) -> LabgateError | None:
        """The value that made no sense in the last read, if there was one."""
        return self.seen.wrong

    def quantities(self) -> dict[str, Quantity]:
        """What it was found to have; before it was read, what it must have."""
        return self.seen.quantities or (self.options.measured if len(self.options.characteristics) == 1 else {})

    def identity(self) -> dict[str, str | None]:
        """As in its Device Information Service, where that is read."""
        return self.seen.identity.told()

    @classmethod
    def decode_input(cls, options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
        """One captured value; `context` as in drivers/codecs/gatt_options.py."""
        return decode_value(options, data, context)


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}.{number}"
