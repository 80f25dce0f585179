"""The hub on the command line, for commands that need no gateway file: its address, user, certificates, prefix."""

import contextlib
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import ConfigError, LinkError

if TYPE_CHECKING:
    from gateway.config_models import HubConfig

OPTIONS = {
    "username": ("NAME", "user name at the hub"),
    "password_file": ("FILE", "its password; nobody else may read the file"),
    "ca_file": ("FILE", "the authority that signed the hub's certificate; default: the system's"),
    "cert_file": ("FILE", "client certificate"),
    "key_file": ("FILE", "its private key"),
}
_KEY = re.compile(rf"\bhub\.(\w+)|\b({'|'.join(OPTIONS)}|url): ?")  # as the configuration calls them


def arguments(parser: ArgumentParser) -> None:
    """How to log in, and where gateways publish."""
    parser.add_argument("--prefix", metavar="TOPIC", default="lab", help="what all topics begin with (default: lab)")
    for key, (value, text) in OPTIONS.items():
        parser.add_argument(_option(key), metavar=value, help=text)


def config(args: Namespace) -> "HubConfig":
    """What was given, checked as the configuration's `hub:` is. Raises ConfigError."""
    from pydantic import ValidationError

    from gateway.config_models import HubConfig
    from gateway.validation import faults

    given = {key: getattr(args, key) for key in ("url", "prefix", *OPTIONS)}
    raw = {key: value for key, value in given.items() if value is not None}
    raw |= {key: str(Path(raw[key]).absolute()) for key in raw if key.endswith("_file") and raw[key]}
    try:
        return HubConfig.model_validate(raw, context={"base": Path.cwd()})
    except ValidationError as error:
        fault = faults(error, raw, HubConfig)[0]
        where = f"{_option(fault.path[0])}: " if fault.path else ""
        raise ConfigError(f"{where}{_as_options(f'{fault.text}; {fault.instead}')}") from None


@contextlib.contextmanager
def said_as_options() -> Iterator[None]:
    """Errors of the connection name the keys of a configuration; there is none here."""
    try:
        yield
    except LinkError as error:
        raise LinkError(_as_options(str(error)), error.reason, error.code) from None


def _option(key: str) -> str:
    return "--" + key.replace("_", "-")


def _as_options(text: str) -> str:
    return _KEY.sub(lambda found: _option(found[1]) if found[1] else f"{_option(found[2])} ", text)
