"""labgate's gateway: the daemon. This door is all a driver may import."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.amounts import Duration, DurationOrZero
    from gateway.config_models import Secret
    from gateway.driver import Driver, Listener, Options, Polled
    from gateway.errors import ConfigError, DecodeError, LabgateError, LinkError
    from gateway.links.air import Advert, Adverts, OnAir, Peer, Stream, Value, Values
    from gateway.links.base import MODBUS_EXCEPTIONS, Link, ModbusLink, RadioLink, SerialLink, Table
    from gateway.links.checksums import checksum
    from gateway.links.framing import Between, Checksum, Fixed, Framing, Headed, Lines, Quiet
    from gateway.links.parser import Parser
    from gateway.reading import Quantity, Reading

__all__ = [
    "MODBUS_EXCEPTIONS",
    "Advert",
    "Adverts",
    "Between",
    "Checksum",
    "ConfigError",
    "DecodeError",
    "Driver",
    "Duration",
    "DurationOrZero",
    "Fixed",
    "Framing",
    "Headed",
    "LabgateError",
    "Lines",
    "Link",
    "LinkError",
    "Listener",
    "ModbusLink",
    "OnAir",
    "Options",
    "Parser",
    "Peer",
    "Polled",
    "Quantity",
    "Quiet",
    "RadioLink",
    "Reading",
    "Secret",
    "SerialLink",
    "Stream",
    "Table",
    "Value",
    "Values",
    "checksum",
]


def __getattr__(name: str) -> Any:
    """The door opens when a driver asks: commands that only speak to the daemon do without pydantic (0.1 s)."""
    if name in __all__:
        for home in (
            "errors",
            "links.air",  # before reading, whose Value is another
            "reading",
            "links.base",
            "links.framing",
            "links.parser",
            "links.checksums",
            "amounts",
            "driver",
            "config_models",
        ):
            names = vars(import_module(f"gateway.{home}"))
            if name in names:
                return names[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
