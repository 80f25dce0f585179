"""Usable wires, one library each, imported when a link of that kind is opened."""

import importlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.config import ModbusLinkConfig
    from gateway.links.base import Link

log = logging.getLogger("labgate")


def open_link(name: str, config: "ModbusLinkConfig") -> "Link":
    """The link a configuration describes. It opens when first asked. The debug log shows its frames."""
    module = importlib.import_module("gateway.links.modbus")
    link: Link = module.ModbusBus(name, config)
    if log.isEnabledFor(logging.DEBUG):
        from gateway.trace import frame_log

        link.trace = frame_log(log, name)
    return link
