"""What commands on a radio share: which adapter is meant, and whether it can be used."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway.cli import site
from gateway.config import Site
from gateway.config_ble import BleLinkConfig
from gateway.errors import ConfigError, LinkError
from gateway.links.air import Peer
from gateway.links.bluez import AdapterInfo, Bluez
from gateway.problem import or_known

NEW = "radio"  # the name a link is given that has none yet


@dataclass(frozen=True)
class Station:
    """A radio a command uses: `name` is its link's, if it has one."""

    config: BleLinkConfig
    name: str | None = None
    devices: dict[str, Peer] = field(default_factory=dict)  # configured on it, by name

    @property
    def link(self) -> str:
        """What its link is called, or would be."""
        return self.name or NEW


def configured(found: Site, name: str) -> Station:
    """The radio link of that name. Raises ConfigError."""
    config = found.links.get(name)
    if config is None:
        raise ConfigError(f"no link {name!r}; {or_known(name, found.links) or 'none is configured'}")
    if not isinstance(config, BleLinkConfig):
        raise ConfigError(f"{name} is no radio link; name one with a key `ble`")
    peers = {d.name: getattr(d.options, "peer", None) for d in found.devices.values() if d.link == name}
    return Station(config, name, {device: peer for device, peer in peers.items() if isinstance(peer, Peer)})


def only_configured(path: str) -> Station | None:
    """The radio link of a configuration that has one; None without configuration or link. Raises ConfigError."""
    if not Path(path).exists():
        return None
    found = site.usable_site(path)
    names = [name for name, link in found.links.items() if isinstance(link, BleLinkConfig)]
    if len(names) > 1:
        raise ConfigError(f"which radio? write --link {' or --link '.join(names)}")
    return configured(found, names[0]) if names else None


@contextlib.asynccontextmanager
async def bluetoothd(link: str) -> AsyncIterator[Bluez]:
    """A connection to bluetoothd, while a command runs. Raises LinkError."""
    bluez = Bluez(link)
    try:
        await bluez.open()
        yield bluez
    finally:
        await bluez.close()


def usable(bluez: Bluez, wanted: str | None) -> AdapterInfo:
    """The adapter of that address or index, else the first that is on. Raises LinkError where it cannot be used."""
    adapters = bluez.adapters()
    if wanted is None and adapters:
        adapter = next((a for a in adapters if a.powered), adapters[0])
    else:
        adapter = bluez.find(wanted or "")
    if not adapter.powered:
        what = "blocked by rfkill" if adapter.blocked else "off"
        do = "`sudo rfkill unblock bluetooth`" if adapter.blocked else "`bluetoothctl power on`"
        where = f"{adapter.index} ({adapter.address})"
        raise LinkError(f"the Bluetooth adapter is {what}: {where}; switch it on: {do}", "refused")
    return adapter
