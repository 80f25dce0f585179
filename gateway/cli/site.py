"""What commands that run without the daemon take from the configuration: its devices, on links of their own."""

from collections.abc import Callable
from pathlib import Path

from gateway.answer_rows import unknown_device
from gateway.clock import Clock
from gateway.config import DeviceConfig, Site, load_site
from gateway.device import Device, make_device
from gateway.errors import ConfigError
from gateway.links import open_link
from gateway.links.base import Link
from gateway.reading import Sample

Taken = Callable[[Device, Sample, bytes], None]
Told = Callable[[Device], None]


def usable_site(config: str) -> Site:
    """The configuration. Raises ConfigError when nothing can be done with it."""
    site = load_site(Path(config))
    if site.fatal:
        more = f" (and {len(site.fatal) - 1} more, see labgate check)" if len(site.fatal) > 1 else ""
        raise ConfigError(f"{site.fatal[0]}{more}")
    return site


def wanted(site: Site, name: str | None) -> list[DeviceConfig]:
    """The named device, or all. Raises ConfigError for a name that is not there, or is disabled."""
    if name is None:
        return list(site.devices.values())
    if name in site.disabled:
        raise ConfigError(str(site.disabled[name]))
    if name not in site.devices:
        raise ConfigError(unknown_device(name, site.devices))
    return [site.devices[name]]


def links_of(site: Site, devices: list[DeviceConfig]) -> dict[str, Link]:
    """The links these devices need. They open when first asked."""
    names = {device.link for device in devices if device.link is not None}
    return {name: open_link(name, site.links[name]) for name in names}


def make(config: DeviceConfig, links: dict[str, Link], taken: Taken, told: Told) -> Device:
    """A device as the daemon has it, whose samples nobody numbers."""
    return make_device(config, links, Clock(), taken, told)
