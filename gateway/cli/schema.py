"""The JSON schema of the configuration, options of all built-in drivers included."""

from argparse import ArgumentParser, Namespace

import msgspec

EXAMPLE = "labgate schema > gateway.schema.json"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes: nothing."""


def run(_: Namespace) -> int:
    """Print it."""
    from gateway.config import schema

    print(msgspec.json.format(msgspec.json.encode(schema())).decode())
    return 0
