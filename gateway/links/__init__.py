"""Usable wires, one library each, imported when a link of that kind is opened."""

import importlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.config_devices import LinkConfig
    from gateway.links.base import Link

log = logging.getLogger("labgate")

_MADE_BY = {
    "ModbusLink": ("gateway.links.modbus", "ModbusBus"),
    "SerialLink": ("gateway.links.serial", "SerialLine"),
    "RadioLink": ("gateway.links.radio", "Radio"),
}


def open_link(name: str, config: "LinkConfig") -> "Link":
    """The link a configuration describes. It opens when first asked. The debug log shows its frames."""
    module, kind = _MADE_BY[config.shape.__name__]
    link: Link = getattr(importlib.import_module(module), kind)(name, config)
    if log.isEnabledFor(logging.DEBUG):
        from gateway.trace import frame_log

        link.trace = frame_log(log, name)
    return link
