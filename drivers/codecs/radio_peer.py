"""Which Bluetooth device is meant: the options all radio drivers share, and UUIDs as people write them."""

import re
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from gateway import Options, Peer

BASE = "-0000-1000-8000-00805f9b34fb"  # Bluetooth Core Specification, Volume 3, Part B, 2.5.1
ADDRESS = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}")
_SHORT = re.compile(r"(0x)?([0-9a-f]{4}|[0-9a-f]{8})")
_LONG = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def long_uuid(text: str) -> str:
    """A UUID of 16, 32 or 128 bits -> 128-bit text in lower case: `180D` -> `0000180d-0000-1000-8000-00805f9b34fb`.

    Raises ValueError whose text says what to write instead.
    """
    lower = text.strip().lower()
    if _LONG.fullmatch(lower):
        return lower
    if short := _SHORT.fullmatch(lower):
        return f"{short[2]:0>8}{BASE}"
    raise ValueError(f'{text!r} is not a UUID; write "180d", or all 128 bits: "{long_uuid("180d")}"')


def _uuid(value: Any) -> str:
    if not isinstance(value, str):  # 1809 in YAML is decimal, and a number of another service
        raise ValueError('not a UUID; write it in quotes, like "180d"')
    return long_uuid(value)


Uuid = Annotated[str, BeforeValidator(_uuid), WithJsonSchema({"type": "string", "examples": ["180d"]})]
"""A field of options that is a UUID: 16, 32 or 128 bits as written, 128 bits in lower case as read."""


def _address(address: str) -> str:
    if not ADDRESS.fullmatch(address.upper()):
        raise ValueError(f'{address!r} is not the address of a Bluetooth device; write it like "CB:B8:33:4C:88:4F"')
    return address.upper()


def _company(company: int) -> int:
    if not 0 <= company <= 0xFFFF:
        raise ValueError(f"{company} is no company id; write 0 to 0xFFFF, as the Bluetooth SIG assigned it")
    return company


Address = Annotated[str, AfterValidator(_address)]
Company = Annotated[int, AfterValidator(_company)]


def _name(name: str) -> str:
    if not name.strip("*"):
        raise ValueError(f'{name!r} is every name; write what the wanted ones have in common, like "Polar H10*"')
    return name


class Match(BaseModel):
    """A device by what it advertises; all that is said here must fit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, AfterValidator(_name)] | None = None  # shell pattern: * any text, ? any character
    service: Uuid | None = None
    company: Company | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.name is None and self.service is None and self.company is None:
            raise ValueError('nothing to match; write {name: "Polar H10*"}, or `service` or `company`')
        return self


class RadioOptions(Options):
    """Which device is meant, for drivers on a RadioLink. A device of a configuration says it; a profile need not."""

    address: Address | None = None
    match: Match | None = None

    @model_validator(mode="after")
    def _meant(self, info: ValidationInfo) -> Self:
        if info.context and "base" in info.context and self.address is None and self.match is None:
            text = "which device is meant? every one of its kind in the air would be heard as this one"
            raise ValueError(f'{text}; write address: "CB:B8:33:4C:88:4F", or match: {{name: "Polar H10*"}}')
        return self

    @property
    def peer(self) -> Peer:
        """The device, as the link wants it told."""
        match = self.match or Match.model_construct()
        return Peer(self.address, match.name, match.service, match.company)
