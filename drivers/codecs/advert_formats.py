"""Adverts that a list can describe: several formats told apart, and what is in each. For profiles."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from drivers.codecs.advert_capture import advert_data, captured_advert, with_name
from drivers.codecs.advert_texts import TEXTS, TextType
from drivers.codecs.frame_fields import FrameField, Hex
from drivers.codecs.radio_peer import Company, RadioOptions, Uuid
from drivers.codecs.register_map import QuantityName
from drivers.codecs.register_values import fraction
from gateway import Advert, DecodeError, Options, Quantity, Reading

LONGEST = 255  # bytes of one structure in extended advertising

Read = Callable[[bytes], Reading | None]  # what a format's data say; None: not available
Identity = Literal["model", "serial", "firmware"]


class Bits(BaseModel):
    """Bits of one byte: whether those in `mask` are as in `equals`, all set unless said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: int = Field(ge=0, lt=LONGEST)
    mask: int = Field(default=0xFF, ge=1, le=0xFF)
    equals: int | None = Field(default=None, ge=0, le=0xFF)

    def hold(self, data: bytes) -> bool:
        """Whether it is so; false where the byte is not there."""
        wanted = self.mask if self.equals is None else self.equals
        return self.at < len(data) and data[self.at] & self.mask == wanted


class Number(FrameField):
    """One number; `at` counts from the first byte behind the company id or the UUID."""

    mask: int | None = Field(default=None, ge=1)  # the bits that are the number, shifted down to the lowest of them
    flag: int | None = Field(default=None, ge=1)  # true where one of these bits is set
    values: dict[int, str] | None = None  # texts for numbers
    when: Bits | None = None
    identity: Identity | None = None

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        bits = self.mask is not None or self.flag is not None or self.values is not None
        if bits and (self.type == "float32" or self.type.startswith("int")):
            raise ValueError(f"bits and codes are not of type {self.type}; write uint8, uint16, uint24 or uint32")
        scaled = self.scale != 1 or self.offset != 0
        if (self.flag is not None or self.values is not None) and scaled:
            raise ValueError("what is true or a text has no size; leave out `scale` and `offset`")
        if self.flag is not None and (self.values is not None or self.mask is not None):
            raise ValueError("a flag is true or false; leave out `mask` and `values`")
        return self

    @property
    def quantity(self) -> Quantity:
        """Unit and kind; a flag and a text are states unless said."""
        told = self.flag is not None or self.values is not None
        return Quantity(self.unit, "state" if told and self.kind == "measurement" else self.kind)

    def reader(self, little: bool) -> Read:
        """Whole data -> what this says."""
        name, unit, flag, values, mask = self.name, self.unit, self.flag, self.values, self.mask
        if self.type == "float32":
            convert = self.convert(little)
            return lambda data: None if (value := convert(data)) is None else Reading(name, value, unit)
        at, end, signed = self.at, self.end, self.type.startswith("int")
        order: Literal["little", "big"] = "little" if little else "big"
        most = (1 << 8 * (end - at) - signed) - 1
        missing = [code - 2 * (most + 1) if code > most else code for code in self.missing]  # 0x8000 fits int16 too
        shift = 0 if mask is None else (mask & -mask).bit_length() - 1
        a, b, divisor = fraction(self.scale, self.offset)

        def read(data: bytes) -> Reading | None:
            code = int.from_bytes(data[at:end], order, signed=signed)
            if mask is not None:
                code = (code & mask) >> shift
            if code in missing:
                return None
            if flag is not None:
                return Reading(name, code & flag != 0)
            if values is not None:
                text = values.get(code)
                return Reading(name, text) if text is not None else Reading(name, str(code), quality="suspect")
            return Reading(name, code * a + b if divisor == 1 else (code * a + b) / divisor, unit)

        return read


class Text(BaseModel):
    """One text; `at` counts from the first byte behind the company id or the UUID."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: QuantityName
    at: int = Field(ge=0, lt=LONGEST)
    type: TextType
    length: int | None = Field(default=None, ge=1, lt=LONGEST)  # bytes; to the end unless said
    when: Bits | None = None
    identity: Identity | None = None

    @field_validator("length")
    @classmethod
    def _length(cls, length: int | None, info: ValidationInfo) -> int | None:
        kind = info.data.get("type")
        if length is not None and kind in TEXTS and TEXTS[kind][0] is not None:
            raise ValueError(f"a {kind} is {TEXTS[kind][0]} bytes long; leave out `length`")
        return length

    @property
    def end(self) -> int:
        """Behind its last byte, as far as it is known; one that goes to the end has one byte at least."""
        return self.at + (TEXTS[self.type][0] or self.length or 1)

    @property
    def quantity(self) -> Quantity:
        """A text is a state."""
        return Quantity(kind="state")

    def reader(self, little: bool) -> Read:
        """Whole data -> what this says; bytes of a text have their own order."""
        name, (size, read), at = self.name, TEXTS[self.type], self.at
        end = None if (size or self.length) is None else self.end
        return lambda data: Reading(name, read(data[at:end]))


def _kind(value: Any) -> str:
    told = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    return "number" if not isinstance(told, str) or told.startswith(("uint", "int", "float")) else "text"


AdvertField = Annotated[
    Annotated[Number, Tag("number")] | Annotated[Text, Tag("text")],
    Discriminator(_kind),
]


class AdvertFormat(BaseModel):
    """One format: how it is told from the others, and what is in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    header: Hex = b""  # what the data begin with
    size: tuple[int, ...] = ()  # bytes, header included; as many as the fields need, or more, unless said
    when: Bits | None = None
    byte_order: Literal["little", "big"] = "little"
    fields: tuple[AdvertField, ...] = ()
    refused: str | None = None  # why it tells nothing: what is wrong; what to do

    @field_validator("size", mode="before", json_schema_input_type=int | tuple[int, ...])
    @classmethod
    def _sizes(cls, size: Any) -> Any:
        return [size] if isinstance(size, int) else size

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.fields) == (self.refused is not None):
            raise ValueError("what is in it? write `fields`, or in `refused` why it tells nothing")
        names = [field.name for field in self.fields if field.when is None]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two fields are named {name!r}; write another name for one of them, or `when`")
        for field in self.fields:
            if self.size and field.end > min(self.size):
                raise ValueError(f"{field.name} ends behind byte {min(self.size) - 1}, the last; write a lower `at`")
        return self

    @cached_property
    def least(self) -> int:
        """Bytes it needs."""
        return max((field.end for field in self.fields), default=len(self.header))

    def fits(self, data: bytes) -> bool:
        """Whether data are of this format."""
        right = len(data) in self.size if self.size else len(data) >= self.least
        return right and data.startswith(self.header) and (self.when is None or self.when.hold(data))

    @cached_property
    def readers(self) -> list[tuple[Bits | None, Identity | None, Read]]:
        """Of each field: when it is there, what of the device it names, and its reader."""
        little = self.byte_order == "little"
        return [(field.when, field.identity, field.reader(little)) for field in self.fields]


class AdvertOptions(RadioOptions):
    """Whose data they are, and the formats they may have: the first that fits is read."""

    company: Company | None = None  # manufacturer data of this company id …
    service: Uuid | None = None  # … or service data of this UUID
    repeats: bool = False  # each advert is a sample, also one like that before: for what does not number its samples
    formats: tuple[AdvertFormat, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.company is None) == (self.service is None):
            raise ValueError("whose data are they? write `company` or `service`")
        return self

    def read(self, advert: Advert) -> tuple[list[Reading], dict[Identity, Reading]]:
        """What an advert says, and who the device is. Raises DecodeError."""
        data = advert_data(advert, self.company, self.service)
        found: list[Reading] = []
        known: dict[Identity, Reading] = {}
        for when, identity, read in self._format(data).readers:
            if (when is None or when.hold(data)) and (reading := read(data)) is not None:
                if identity is None:
                    found.append(reading)
                else:
                    known[identity] = reading
        return found, known

    def _format(self, data: bytes) -> AdvertFormat:
        for format_ in self.formats:
            if format_.fits(data):
                if format_.refused is not None:
                    raise DecodeError(format_.refused)
                return format_
        begin = f" that begin with {data[:2].hex()}" if data else ""
        raise DecodeError(f"advert: {len(data)} bytes{begin} are of no format known here; is it of another device?")

    @cached_property
    def quantities(self) -> dict[str, Quantity]:
        """Unit and kind of all that one of the formats says."""
        fields = [field for format_ in self.formats for field in format_.fields if field.identity is None]
        return {field.name: field.quantity for field in reversed(fields)}


def decode_capture(options: Options | None, data: bytes, context: Mapping[str, str]) -> list[Reading]:
    """Readings of one captured advert, who the device is among them. Raises DecodeError where there are none."""
    if not isinstance(options, AdvertOptions):
        raise DecodeError("what is in an advert is known to profiles only; name the profile of the device")
    advert = captured_advert(data, context, options.company, options.service)
    found, known = options.read(advert)
    if not found and not known:
        raise DecodeError("the advert is whole and says nothing: no value is available; take a later one")
    return with_name([*found, *known.values()], advert)
