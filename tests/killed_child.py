"""A gateway that is going to be killed: takes samples and talks to a scripted hub until SIGKILL, or until all is told.

    python -m tests.killed_child FILE RUN SEED live|drain

What reaches the hub, and what was taken, is written to standard output as it happens: a pipe keeps it when we die.
"""

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from gateway import uplink
from gateway.errors import LinkError
from tests.rig import Hub, Life, Publish

COMMIT_EVERY = 0.1


def tell(kind: str, *what: Any) -> None:
    os.write(1, json.dumps([kind, *what]).encode() + b"\n")


class TellingHub(Hub):
    """The audit is done by the parent."""

    def hear(self, p: Publish) -> None:
        tell(p.kind, p.payload.decode())


async def main(path: Path, run: str, seed: int, drain: bool) -> None:
    r, hub = random.Random(seed), TellingHub(window=20)
    uplink.mqtt.connect = hub.connect
    uplink._RETRY = (0.001, 0.005)
    life = Life(hub, path, run, COMMIT_EVERY)
    await life.writer.open({})
    tell("open", life.writer.previous)
    life.tasks = [asyncio.create_task(life.writer.run()), asyncio.create_task(life.uplink.run())]
    if drain:
        hub.automatic = True
        await hub.until(lambda: life.idle, 20)
        await life.stop()
        tell("end")
        return
    now, last = time.monotonic, time.monotonic()
    while True:
        lag, last = now() - last - 0.002, now()
        if max(lag, life.writer.commit_seconds - COMMIT_EVERY / 2) > 0.002:
            tell("lag", 2 * max(lag, 0.0) + max(2 * life.writer.commit_seconds - COMMIT_EVERY, 0.0))
        device, life_takes = r.choice("abc"), r.randint(0, 3)
        for _ in range(life_takes):
            book = life.buffer.books.get(device)
            tell("taken", device, book.taken + 1 if book else 1, now())
            life.take(device)
        if r.random() < 0.02:
            hub.refuses = LinkError("away", "refused") if hub.refuses is None else None
            if hub.session is not None:
                hub.session.lose(read=r.randint(0, len(hub.session.waiting)))
        elif hub.session is not None and hub.session.waiting and r.random() < 0.7:
            hub.session.answer(r.choice(hub.session.waiting), r.choice([0, 0, 0, 0, 0, 0, 0x95, 0x83]))
        await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "drain"))
