"""Symbolic links that name a pseudo-terminal, as /dev/serial/by-id names a port."""

import os
from pathlib import Path


def point(link: Path, target: str) -> None:
    """Makes `link` a symbolic link to `target` at one stroke; only an older link to a terminal makes way for it."""
    if link.is_symlink() and not str(link.readlink()).startswith("/dev/pts/"):
        raise FileExistsError(f"{link} is a link to {link.readlink()}; give another path or remove it")
    if link.exists() and not link.is_symlink():
        raise FileExistsError(f"{link} is there and is not a link; give another path or remove it")
    new = link.with_name(f".{link.name}.{os.getpid()}")
    new.symlink_to(target)
    new.replace(link)


def unlink(link: Path, target: str) -> None:
    """Removes `link` if it still is the one to `target`."""
    if link.is_symlink() and link.readlink() == Path(target):
        link.unlink()
