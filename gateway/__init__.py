"""labgate's gateway: the daemon. This door is all a driver may import."""

from gateway.amounts import Duration, DurationOrZero
from gateway.driver import Driver, Options, Polled
from gateway.errors import ConfigError, DecodeError, LinkError
from gateway.links.base import MODBUS_EXCEPTIONS, Link, ModbusLink, Table
from gateway.reading import Quantity, Reading

__all__ = [
    "MODBUS_EXCEPTIONS",
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
