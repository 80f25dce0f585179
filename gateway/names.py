"""Names of gateways, links and devices: what they may be made of. Pure."""

import re

from gateway.problem import show

MAX_NAME = 64
NAME_PATTERN = r"^(?!guest-)[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"  # the same rules for JSON schema
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ILLEGAL = re.compile(r"[^A-Za-z0-9._-]+")

# What images and installers call every machine; two such gateways would overwrite each other at the hub.
_FACTORY = (
    "raspberrypi raspberry raspbian rpi pi debian localhost ubuntu linux host hostname unknown none armbian dietpi"
    " orangepi bananapi odroid beaglebone homeassistant"
)
FACTORY = frozenset(_FACTORY.split())


def check_name(name: str | int) -> str:
    """The name itself. Raises ValueError whose text says what to write instead."""
    if not isinstance(name, str):
        raise ValueError(f'the name {name} is a number; write "{name}", in quotes')
    if name.startswith("guest-"):
        raise ValueError(f"{show(name)} begins with guest-, which is for guests; choose another name")
    if len(name) > MAX_NAME:
        raise ValueError(f"a name of {len(name)} characters is too long; write at most {MAX_NAME}")
    if not _NAME.fullmatch(name):
        legal = _ILLEGAL.sub("_", name).strip("._-")
        instead = f"write it like {legal}" if legal else "write it like meter-1"
        allowed = 'only A-Z, a-z, 0-9, "-", "_" and ".", beginning with a letter or digit'
        raise ValueError(f"{show(name)} cannot be a name ({allowed}); {instead}")
    return name


def check_gateway(name: str) -> str:
    """The name of a gateway, which must be its own. Raises ValueError whose text says what to write instead."""
    if name.split(".")[0].lower() in FACTORY:
        raise ValueError(
            f"{show(name)} is what many machines are called, two of them would mix at the hub;"
            " write gateway: {id: NAME} with a name of its own"
        )
    return check_name(name)
