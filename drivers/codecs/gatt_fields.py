"""Characteristics that a list can describe, by the numbers in their values: for profiles, and much of the SIG's."""

from collections.abc import Callable, Iterable, Sequence
from typing import Self

from pydantic import field_validator, model_validator

from drivers.codecs.frame_fields import LONGEST, FrameField
from drivers.codecs.ieee_11073_float import signed
from drivers.codecs.radio_peer import Uuid
from drivers.codecs.sig_octets import Characteristic
from gateway import DecodeError, Quantity, Reading


class ValueField(FrameField):
    """One number in the value of a characteristic, little-endian; `at` counts from its first byte."""

    characteristic: Uuid
    at: int = 0
    hundredths_at: int | None = None  # of a number sent as two: the byte that is its hundredths, of its sign

    @field_validator("hundredths_at")
    @classmethod
    def _hundredths_at(cls, at: int | None) -> int | None:
        if at is not None and not 0 <= at < LONGEST:
            raise ValueError(f"no value has a byte {at}; write 0 (the first) to {LONGEST - 1}")
        return at

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.hundredths_at is not None and (self.type == "float32" or self.scale != 1 or self.offset != 0):
            raise ValueError("hundredths belong to a whole number; write no `scale`, no `offset`, and no float32")
        return self

    @property
    def last(self) -> int:
        """Behind the last byte that is needed."""
        return max(self.end, 0 if self.hundredths_at is None else self.hundredths_at + 1)

    def converted(self) -> Callable[[bytes], float | int | None]:
        """Whole value -> number; None: not available."""
        convert, hundredths = self.convert(little=True), self.hundredths_at
        if hundredths is None:
            return convert

        def joined(data: bytes) -> float | None:
            whole, rest = convert(data), signed(data[hundredths], 8)
            if abs(rest) > 99:
                raise DecodeError(f"{self.name}: {rest} is no number of hundredths; the device is of another kind")
            return None if whole is None else (whole * 100 + rest) / 100

        return joined


def described(fields: Iterable[ValueField], exact: bool = False) -> dict[str, Characteristic]:
    """What fields say of characteristics, by UUID. `exact`: the fields are all there is in a value."""
    by_uuid: dict[str, list[ValueField]] = {}
    for field in fields:
        by_uuid.setdefault(field.characteristic, []).append(field)
    return {
        uuid: Characteristic(_decoder(of_one, exact), {f.name: Quantity(f.unit, f.kind) for f in of_one})
        for uuid, of_one in by_uuid.items()
    }


def _decoder(fields: Sequence[ValueField], exact: bool) -> Callable[[bytes], list[Reading]]:
    needed, names = max(field.last for field in fields), " and ".join(field.name for field in fields)
    converters = [(field.name, field.unit, field.converted()) for field in fields]

    def decode(data: bytes) -> list[Reading]:
        if len(data) < needed or (exact and len(data) > needed):
            raise DecodeError(f"{names}: {len(data)} bytes, not {needed}; the device is of another kind, or it was cut")
        return [
            Reading(name, value, unit) for name, unit, convert in converters if (value := convert(data)) is not None
        ]

    return decode
