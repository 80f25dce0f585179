"""A Bluetooth adapter in gateway.yaml: by its address, so that it is the same one after it was pulled and returned."""

import re
from typing import ClassVar

from pydantic import Field, field_validator

from gateway.amounts import Duration
from gateway.config_models import Part
from gateway.links.base import RadioLink
from gateway.problem import show

_ADDRESS = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}")
_INDEX = re.compile(r"hci\d{1,2}")


class BleLinkConfig(Part):
    """A Bluetooth adapter: its address, or hciN, which may be another one after the next start."""

    shape: ClassVar[type] = RadioLink

    ble: str
    connections: int = Field(default=5, ge=1, le=20)  # at one time; controllers have 5 to 7
    timeout: Duration = 10.0  # of a read
    passive: bool = False  # listens without asking for scan responses; bluetoothd --experimental only

    @field_validator("ble")
    @classmethod
    def _ble(cls, where: str) -> str:
        if _INDEX.fullmatch(where):
            return where
        if not _ADDRESS.fullmatch(where.upper()):
            raise ValueError(f'{show(where)} is no Bluetooth adapter; write its address like "DC:A6:32:01:02:03"')
        return where.upper()

    @property
    def index(self) -> str | None:
        """`hciN`, where it is named so."""
        return self.ble if self.ble.startswith("hci") else None
