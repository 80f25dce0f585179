"""Keeps a part running: an error nobody expected is logged once, and the part is started again, later and later."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

log = logging.getLogger("labgate.supervisor")

_PAUSE = (1.0, 300.0)  # s, first and longest
_AGAIN = 0.05  # s between two cancellations of a task that does not end
_CALM = 60.0  # s without an error after which the pause begins anew


async def undisturbed(work: Coroutine[Any, Any, object]) -> None:
    """Run `work` to its end also when the caller is cancelled meanwhile; the cancellation takes effect then."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.exception()  # seen
        raise cancelled
    task.result()


async def keep_running(
    name: str, part: Callable[[], Awaitable[None]], on_bug: Callable[[Exception], None], first_pause: float = _PAUSE[0]
) -> None:
    """Run `part` until it returns; start it again when it fails. Any error is caught here, else only around a frame."""
    loop = asyncio.get_running_loop()
    pause = 0.0
    told: set[str] = set()
    while True:
        began = loop.time()
        try:
            await part()
        except Exception as error:
            if repr(error) not in told:  # once: a bug that repeats must not fill the log
                log.exception("%s failed with an error nobody expected; it is started again", name)
                told.add(repr(error))
            on_bug(error)
        else:
            return
        pause = first_pause if loop.time() - began > _CALM else min(max(2 * pause, first_pause), _PAUSE[1])
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))


def background(name: str, part: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Keep `part` running beside its caller, who ends the task with `end`."""
    return asyncio.get_running_loop().create_task(keep_running(name, part, lambda _: None), name=name)


async def end(tasks: Iterable[asyncio.Task[Any]], within: float) -> None:
    """Cancel tasks until they have ended, at most `within` s.

    Once is not enough: on Python 3.11 `asyncio.wait_for` forgets a cancellation that meets the answer it waits for.
    """
    loop = asyncio.get_running_loop()
    pending, until = set(tasks), loop.time() + within
    while pending and loop.time() < until:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN)
