"""JSON schema of the whole configuration, built-in drivers' options included."""

from typing import Any


def schema() -> dict[str, Any]:
    """Later."""
    return {}
