"""Characteristics of the Bluetooth SIG: their octets taken field by field, and which of a capture's is meant."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from drivers.codecs import ieee_11073_float, ieee_11073_sfloat
from drivers.codecs.radio_peer import BASE, long_uuid
from gateway import DecodeError, Quantity, Reading

MOST = 8  # UUIDs that a message names
FIRST_YEAR = 1582  # before it there is no calendar to count in (GATT Specification Supplement, Date Time)


class Characteristic(NamedTuple):
    """What is known of a characteristic: its value to readings, or DecodeError; and what they may be."""

    decode: Callable[[bytes], list[Reading]]
    quantities: Mapping[str, Quantity]


class Octets:
    """The value of a characteristic, field by field, little-endian. Each field raises DecodeError where it is cut off.

    What a later version of a service adds stands behind the fields of today, and nobody takes it.
    """

    def __init__(self, what: str, data: bytes) -> None:
        self._what, self._data, self._at = what, data, 0

    def take(self, count: int) -> bytes:
        """The next so many octets."""
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            text = f"{self._what}: its flags promise more than {len(self._data)} bytes"
            raise DecodeError(f"{text}; it was cut on its way, or is of another characteristic")
        self._at += count
        return taken

    def rest(self) -> bytes:
        """All that is left, at least one octet."""
        return self.take(max(1, len(self._data) - self._at))

    def unsigned(self, size: int) -> int:
        """A whole number of `size` octets."""
        return int.from_bytes(self.take(size), "little")

    def sfloat(self, tens: int = 0) -> float | None:
        """An SFLOAT times 10^`tens`; None for its special values: there is no number, or it is out of range."""
        value = ieee_11073_sfloat.read(self.take(2), tens)
        return None if isinstance(value, str) else value

    def float32(self) -> float | None:
        """A FLOAT; None as of sfloat."""
        value = ieee_11073_float.read(self.take(4))
        return None if isinstance(value, str) else value

    def date_time(self) -> str | None:
        """A date-time, `2012-12-05T11:50:27`, of a clock whose zone nobody knows.

        None where its year, month or day is 0, which is unknown, and where there is no such day or hour.
        """
        year, *others = self.unsigned(2), *self.take(5)
        month, day, hour, minute, second = others
        try:
            found = datetime(year, month, day, hour, minute, second)
        except ValueError:
            return None
        return found.isoformat() if year >= FIRST_YEAR else None


def available(*readings: tuple[str, float | str | None, str | None]) -> list[Reading]:
    """Readings of those (name, value, unit) that have a value."""
    return [Reading(name, value, unit) for name, value, unit in readings if value is not None]


def suspected(readings: list[Reading], suspect: bool) -> list[Reading]:
    """The same, of quality `suspect` where that is so."""
    return [Reading(r.name, r.value, r.unit, "suspect", r.at) for r in readings] if suspect else readings


def named_code(name: str, names: Mapping[int, str] | tuple[str, ...], code: int) -> Reading:
    """A code as its name; one that is not listed as its number in text, and suspect."""
    known = dict(enumerate(names)) if isinstance(names, tuple) else names
    return Reading(name, known[code]) if code in known else Reading(name, str(code), quality="suspect")


def short_uuid(uuid: str) -> str:
    """A UUID as people know it: of 16 bits where it is one of the SIG's."""
    return uuid.removeprefix("0000").removesuffix(BASE) if uuid.endswith(BASE) else uuid


def wanted(uuid: str | None, characteristics: Mapping[str, Characteristic]) -> Characteristic:
    """The one of `characteristics` (by 128-bit UUID) that a capture's context names, or the only one there is.

    Raises DecodeError.
    """
    names = [short_uuid(uuid) for uuid in characteristics]
    known = ", ".join(names if len(names) <= MOST else [*names[:MOST], "…"])
    if uuid is None and len(characteristics) == 1:
        return next(iter(characteristics.values()))
    if uuid is None:
        raise DecodeError(f"which characteristic? add --context characteristic_uuid=UUID, of {known}")
    try:
        found = characteristics.get(long_uuid(uuid))
    except ValueError as error:
        raise DecodeError(str(error)) from None
    if found is None:
        raise DecodeError(f"characteristic {uuid} is not known here, but {known}; name the profile of the device")
    return found


def decode_captured(
    characteristics: Mapping[str, Characteristic], data: bytes, context: Mapping[str, str]
) -> list[Reading]:
    """The readings of one captured value; `context` may hold its `characteristic_uuid`. Raises DecodeError."""
    return wanted(context.get("characteristic_uuid"), characteristics).decode(data)
