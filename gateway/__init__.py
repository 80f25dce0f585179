"""labgate's gateway: the daemon. This door is all a driver may import."""

from gateway.amounts import Duration, DurationOrZero
from gateway.driver import Driver, Options, Polled
from gateway.errors import ConfigError, DecodeError, LinkError
from gateway.links.base import Link, ModbusLink, Table
from gateway.reading import Quantity, Reading

__all__ = [
    "ConfigError",
    "DecodeError",
    "Driver",
    "Duration",
    "DurationOrZero",
    "Link",
    "LinkError",
    "ModbusLink",
    "Options",
    "Polled",
    "Quantity",
    "Reading",
    "Table",
]
