"""What every driver of a unit on a Modbus bus may be told."""

from pydantic import field_validator

from gateway import Duration, DurationOrZero, Options


class UnitOptions(Options):
    """Which unit, and how it wants to be asked."""

    unit_id: int = 1
    timeout: Duration | None = None  # the link's own unless said
    pause: DurationOrZero | None = None  # silence before each request; the link's own unless said

    @field_validator("unit_id")
    @classmethod
    def _unit_id(cls, unit_id: int) -> int:
        if unit_id == 0:
            raise ValueError("unit 0 is everybody and nobody answers; write 1 to 247")
        if not 1 <= unit_id <= 247 and unit_id != 255:
            raise ValueError(f"there is no unit {unit_id}; write 1 to 247 (255 where a device is shipped so)")
        return unit_id
