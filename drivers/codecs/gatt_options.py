"""What a device is read by over a connection: its characteristics, and what is in those the SIG has not defined."""

from collections.abc import Mapping
from functools import cached_property

from pydantic import ValidationInfo, field_validator

from drivers.codecs.gatt_fields import ValueField, described
from drivers.codecs.radio_peer import RadioOptions, Uuid
from drivers.codecs.sig_characteristics import CHARACTERISTICS, IDENTITY
from drivers.codecs.sig_octets import Characteristic, decode_captured, short_uuid
from gateway import Options, Peer, Quantity, Reading


class GattOptions(RadioOptions):
    """Which characteristics, and what is in them. Those of the SIG that are known here need no fields."""

    service: Uuid | None = None  # that devices of this kind advertise: `labgate scan` knows them by it
    fields: tuple[ValueField, ...] = ()
    characteristics: tuple[Uuid, ...]  # what is measured
    read: tuple[Uuid, ...] = ()  # once after each connect: who it is, where it sits

    @field_validator("fields")
    @classmethod
    def _fields(cls, fields: tuple[ValueField, ...]) -> tuple[ValueField, ...]:
        names = [field.name for field in fields]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two fields are named {name!r}; write another name for one of them")
        return fields

    @field_validator("characteristics", "read")
    @classmethod
    def _known(cls, uuids: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not uuids and info.field_name == "characteristics":
            raise ValueError('nothing to read; write at least one UUID, like ["2a19"]')
        known = CHARACTERISTICS.keys() | {field.characteristic for field in info.data.get("fields", ())}
        if info.field_name == "read":
            known |= IDENTITY.keys()
        for uuid in uuids:
            if uuid not in known:
                raise ValueError(f"what is in {short_uuid(uuid)} is not known here; write `fields` for it")
        return uuids

    @property
    def peer(self) -> Peer:
        """The device; where nobody says which, any that advertises the service."""
        return super().peer if self.address or self.match else Peer(service=self.service)

    @cached_property
    def decoders(self) -> Mapping[str, Characteristic]:
        """What each of its characteristics says, by UUID. Fields go before what the SIG says."""
        known = CHARACTERISTICS | described(self.fields)
        return {uuid: known[uuid] for uuid in (*self.characteristics, *self.read) if uuid in known}

    @cached_property
    def measured(self) -> dict[str, Quantity]:
        """Unit and kind of all that a device with all of `characteristics` may measure."""
        return {name: q for uuid in self.characteristics for name, q in self.decoders[uuid].quantities.items()}


def decode_value(options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
    """The readings of one captured value, of a profile's characteristics or of any that is known here.

    `context` names its `characteristic_uuid`, where the profile has several. Raises DecodeError.
    """
    if not isinstance(options, GattOptions):
        return decode_captured(CHARACTERISTICS, data, context)
    measured = {uuid: known for uuid, known in options.decoders.items() if uuid in options.characteristics}
    return decode_captured(options.decoders if "characteristic_uuid" in context else measured, data, context)
