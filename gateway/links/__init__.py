"""Usable wires, one library each, imported when a link of that kind is opened."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.config import ModbusLinkConfig
    from gateway.links.base import Link


def open_link(name: str, config: "ModbusLinkConfig") -> "Link":
    """The link a configuration describes. It opens when first asked."""
    module = importlib.import_module("gateway.links.modbus")
    link: Link = module.ModbusBus(name, config)
    return link
