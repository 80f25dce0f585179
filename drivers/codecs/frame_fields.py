"""Binary frames that a list can describe: how they lie in the stream, and the numbers in them. For profiles."""

import re
import struct
from collections.abc import Callable
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator, model_validator

from drivers.codecs.captures import captured_frame
from drivers.codecs.float32 import shortest_one
from drivers.codecs.register_map import Exact, Kind, QuantityName
from drivers.codecs.register_values import EXACT, fraction
from gateway import Between, Checksum, DecodeError, Fixed, Framing, Headed, Options, Parser, Quantity, Reading

FieldType = Literal[
    "uint8", "int8", "uint16", "int16", "uint24", "int24", "uint32", "int32", "uint64", "int64", "float32"
]
LONGEST = 4096  # bytes of a frame


def _hex(value: Any) -> bytes:
    if not isinstance(value, str) or not value.strip() or not re.fullmatch(r"([0-9A-Fa-f]{2}\s*)+", value.strip()):
        raise ValueError('not bytes in hexadecimal; write them in quotes, like "42 4D 00 1C"')
    return bytes.fromhex(value)


Hex = Annotated[bytes, BeforeValidator(_hex, json_schema_input_type=str)]


class FrameField(BaseModel):
    """One number in a frame. value = raw * scale + offset, exactly."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: QuantityName
    at: int  # bytes after the begin of the frame, header included
    type: FieldType
    scale: Exact = Decimal(1)
    offset: Exact = Decimal(0)
    unit: str | None = None
    missing: tuple[int, ...] = ()  # raw codes for "not available"
    kind: Kind = "measurement"

    @field_validator("at")
    @classmethod
    def _at(cls, at: int) -> int:
        if not 0 <= at < LONGEST:
            raise ValueError(f"no frame has a byte {at}; write 0 (the first of the header) to {LONGEST - 1}")
        return at

    @field_validator("scale")
    @classmethod
    def _scale(cls, scale: Decimal) -> Decimal:
        if scale == 0:
            raise ValueError("scale 0 makes every value the same; write the step of one count, like 0.1")
        return scale

    @property
    def end(self) -> int:
        """Behind its last byte."""
        return self.at + int(re.sub(r"\D", "", self.type)) // 8

    def convert(self, little: bool) -> Callable[[bytes], float | int | None]:
        """Whole frame -> value; None: not available."""
        at, end, missing, order = self.at, self.end, self.missing, "little" if little else "big"
        a, b, divisor = fraction(self.scale, self.offset)
        if self.type == "float32":
            form = struct.Struct("<f" if little else ">f")

            def decimal(frame: bytes) -> float | None:
                value = shortest_one(form.unpack_from(frame, at)[0])
                if value is None or (a, b, divisor) == (1, 0, 1):
                    return value
                return float(EXACT.fma(Decimal(repr(value)), self.scale, self.offset))

            return decimal
        signed = self.type.startswith("int")

        def whole(frame: bytes) -> float | int | None:
            raw = int.from_bytes(frame[at:end], order, signed=signed)  # type: ignore[arg-type]  # one of two words
            if raw in missing:
                return None
            return raw * a + b if divisor == 1 else (raw * a + b) / divisor

        return whole


class FrameOptions(Options):
    """How the frames of a device lie in its stream, and what is in them."""

    header: Hex
    size: int | None = None  # bytes of a frame, all included; or:
    length_at: int | None = None  # where the frame says its length, high byte first
    length_size: Literal[1, 2] = 1
    length_adds: int = 0  # what the frame is longer than it says
    tail: Annotated[bytes, BeforeValidator(_hex, json_schema_input_type=str)] = b""
    escape: Hex | None = None  # the byte before one that is sent exclusive-or 20, as SHDLC and PPP do
    checksum: Checksum | None = None
    checked_from: int = 0  # the bytes the checksum is of: from here …
    checked_to: int = -1  # … to here, where it stands; negative: from the end
    byte_order: Literal["big", "little"] = "big"
    warming_up: tuple[int, int] | None = None  # from, to: while these bytes are all zero nothing is read
    fields: tuple[FrameField, ...]

    @field_validator("size", "length_at")
    @classmethod
    def _size(cls, size: int | None) -> int | None:
        if size is not None and not 0 < size <= LONGEST:
            raise ValueError(f"{size} bytes are no frame; write 1 to {LONGEST}")
        return size

    @field_validator("checked_from", "checked_to")
    @classmethod
    def _checked(cls, at: int, info: ValidationInfo) -> int:
        size = info.data.get("size") or LONGEST
        if not -size <= at < size or (at < 0 and info.field_name == "checked_from"):
            first = 0 if info.field_name == "checked_from" else -size
            raise ValueError(f"there is no byte {at} in a frame of {size}; write {first} to {size - 1}")
        return at

    @field_validator("fields")
    @classmethod
    def _fields(cls, fields: tuple[FrameField, ...], info: ValidationInfo) -> tuple[FrameField, ...]:
        names = [field.name for field in fields]
        if not names:
            raise ValueError("nothing to read; write at least one field")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two fields are named {name!r}; write another name for one of them")
        size = info.data.get("size") or LONGEST
        for field in fields:
            if field.end > size:
                raise ValueError(f"{field.name} ends behind byte {size - 1}, the last; write a lower `at`")
        return fields

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.size is None) == (self.length_at is None):
            raise ValueError("how long is a frame? write `size`, or `length_at` where it says so itself")
        if self.escape is not None and (not self.tail or self.size is None or len(self.escape) != 1):
            raise ValueError("`escape` is one byte, in frames with a `tail` and a `size`; write those too")
        return self

    @cached_property
    def plain(self) -> Fixed | Headed:
        """The frame as it is described: without escaped bytes."""
        if self.size is not None:
            return Fixed(self.header, self.size, self.tail, self.checksum, self.checked_from, self.checked_to)
        return Headed(
            self.header,
            self.length_at or 0,
            self.length_size,
            length_adds=self.length_adds,
            tail=self.tail,
            checksum=self.checksum,
            checked_from=self.checked_from,
            checked_to=self.checked_to,
        )

    @property
    def framing(self) -> Framing:
        """The frame as it is on the wire."""
        if self.escape is None or self.size is None:
            return self.plain
        return Between(self.header[:1], self.tail, longest=2 * self.size)

    @cached_property
    def _converters(self) -> list[tuple[FrameField, Callable[[bytes], float | int | None]]]:
        return [(field, field.convert(self.byte_order == "little")) for field in self.fields]

    def readings(self, frame: bytes) -> list[Reading]:
        """What a frame of `framing` says; nothing while the device is warming up. Raises DecodeError."""
        if self.escape is not None:
            frame = self._unescaped(frame)
        if self.warming_up is not None and not any(frame[slice(*self.warming_up)]):
            return []
        return [
            Reading(field.name, value, field.unit)
            for field, convert in self._converters
            if field.end <= len(frame) and (value := convert(frame)) is not None
        ]

    def _unescaped(self, frame: bytes) -> bytes:
        first, *rest = frame.split(self.escape)
        if not all(rest):
            raise DecodeError("frame: it ends in the middle of an escaped byte")
        parser = Parser([self.plain])
        found = parser.feed(first + b"".join(bytes([part[0] ^ 0x20]) + part[1:] for part in rest))
        if len(found) != 1 or parser.skipped:
            wrong = "its checksum is wrong" if parser.wrong else f"it does not begin with {self.header.hex()}"
            raise DecodeError(f"frame: {wrong}, or is not {self.size} bytes long")
        return found[0]

    @cached_property
    def quantities(self) -> dict[str, Quantity]:
        """Unit and kind of each field."""
        return {field.name: Quantity(field.unit, field.kind) for field in self.fields}


def decode_capture(options: Options | None, data: bytes) -> list[Reading]:
    """The readings of one captured frame. Raises DecodeError where there are none."""
    if not isinstance(options, FrameOptions):
        raise DecodeError("what is in a frame is known to profiles only; name the profile of the device")
    found = options.readings(captured_frame([options.framing], data))
    if not found:
        raise DecodeError("the frame is whole and tells nothing: the device is warming up; take a later one")
    return found
