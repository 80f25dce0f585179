"""gateway.yaml and devices.d/ -> checked values. Public names of the configuration."""

from pathlib import Path
from typing import Any

from gateway.config_devices import DeviceConfig
from gateway.config_models import BufferConfig, GatewayConfig, HubConfig, ModbusLinkConfig
from gateway.config_site import Site, SiteReader
from gateway.errors import ConfigError
from gateway.problem import Fault, Place, Problem
from gateway.profile import Profile, load_profile, profile_names
from gateway.yamltext import Document, read_yaml

__all__ = [
    "BufferConfig",
    "DeviceConfig",
    "GatewayConfig",
    "HubConfig",
    "ModbusLinkConfig",
    "Place",
    "Problem",
    "Profile",
    "Site",
    "load_profile",
    "load_site",
    "profile_names",
    "schema",
]

DEVICES_FOLDER = "devices.d"


def schema() -> dict[str, Any]:
    """The JSON schema of the whole configuration; imports all drivers."""
    from gateway import config_schema  # only one command needs it

    return config_schema.schema()


def load_site(path: Path) -> Site:
    """Read a configuration and all it names. Raises ConfigError only when there is no readable file."""
    docs = [read_yaml(path)]
    folder = path.parent / DEVICES_FOLDER
    try:
        files = sorted(f for f in folder.iterdir() if not f.name.startswith(".")) if folder.is_dir() else []
    except OSError as error:
        files = []
        docs.append(
            Document(str(folder), faults=[Fault((), f"cannot be read: {error.strerror}", "see its permissions")])
        )
    for file in files:
        if file.suffix == ".yml":
            odd = Fault((), "this file is not read", "give it a name that ends in .yaml", warning=True)
            docs.append(Document(str(file), faults=[odd]))
        elif file.suffix == ".yaml":
            try:
                docs.append(read_yaml(file))
            except ConfigError as error:
                docs.append(Document(str(file), faults=[Fault((), str(error).removeprefix(f"{file}: "))]))
    return SiteReader(path, docs).read()
