"""One process a file: a lock beside it that ends with its process and names it."""

import fcntl
import os
from pathlib import Path
from typing import IO

from gateway.errors import ConfigError


def lock_file(path: Path) -> IO[str]:
    """Lock `PATH.lock`; closing what is returned unlocks it. Raises ConfigError when another holds it, and OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(path.name + ".lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise ConfigError(f"{path} is held by another labgate (process {holder}); stop it first") from None
    except OSError:
        lock.close()
        raise
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def holder(path: Path) -> int | None:
    """The process that has PATH locked now, as far as the kernel says; asking disturbs nobody."""
    try:
        lock = path.with_name(path.name + ".lock").stat()
        held = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return None
    # 1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF
    place = f"{os.major(lock.st_dev):02x}:{os.minor(lock.st_dev):02x}:{lock.st_ino}"
    return next((int(words[4]) for words in held if words[1] == "FLOCK" and words[5] == place), None)
