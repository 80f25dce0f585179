"""The values that travel: Reading, Sample, Stamp, Quality. Frozen, cheap, without behaviour."""

from typing import Literal

import msgspec

Value = float | int | bool | str
Quality = Literal["good", "suspect"]
Kind = Literal["measurement", "counter", "state", "event"]
Class = Literal["alarm", "normal", "bulk"]


# A reading is its own SenML record, so a whole poll of plain numbers is encoded in one call (see payload.py).
_ABSOLUTE = 2**28  # s; below it a time is relative (RFC 8428, section 4.5.3)
_SENML = {"name": "n", "value": "v", "unit": "u", "quality": "q", "at": "t"}


class Reading(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename=_SENML):
    """One quantity of one device.

    `unit` is a SenML unit (RFC 8428 section 12.1, RFC 8798) or a UCUM unit where SenML has none.
    A value that is not available is no reading: leave it out.
    `at` is when the device itself says it measured (s): below 2^28 relative to the sample's instant, else Unix time.
    """

    name: str
    value: Value
    unit: str | None = None
    quality: Quality = "good"
    at: float | None = None

    @property
    def is_offset(self) -> bool:
        """Whether `at` is relative to the sample: one value of a series."""
        return self.at is not None and abs(self.at) < _ABSOLUTE


class Quantity(msgspec.Struct, frozen=True, gc=False):
    """What is known of a quantity before it is read: for the retained description of a device."""

    unit: str | None = None
    kind: Kind = "measurement"


class Stamp(msgspec.Struct, frozen=True, gc=False):
    """When: wall clock and boot clock, both in nanoseconds, and whether the wall clock was synchronised."""

    wall: int
    boot: int
    synced: bool


class Sample(msgspec.Struct, frozen=True):
    """The readings a device gave at one instant. Never empty. The buffer numbers it when it takes it.

    Where the device itself stated the instant, `received` is when it said so.
    """

    device: str
    stamp: Stamp
    readings: list[Reading]
    received: Stamp | None = None
