"""Tasks end when they are told to, also those that lose the first cancellation."""

import asyncio
import time

from gateway.supervisor import end


async def stubborn(times: int, lost: list[int], release: asyncio.Event) -> None:
    """Loses `times` cancellations, as asyncio.wait_for does on Python 3.11 when they meet the answer."""
    while not release.is_set():
        try:
            await release.wait()
        except asyncio.CancelledError:
            if len(lost) == times:
                raise
            lost.append(1)


async def test_a_task_that_loses_a_cancellation_is_told_again() -> None:
    async with asyncio.TaskGroup() as group:
        lost: list[list[int]] = [[], [], []]
        tasks = [group.create_task(stubborn(n, lost[n], asyncio.Event())) for n in range(3)]
        await asyncio.sleep(0)
        began = time.monotonic()
        await end(tasks, within=5.0)
        assert all(task.cancelled() for task in tasks)
        assert [len(one) for one in lost] == [0, 1, 2]
        assert time.monotonic() - began < 1.0


async def test_nobody_waits_for_ever() -> None:
    async with asyncio.TaskGroup() as group:
        release = asyncio.Event()
        forever = group.create_task(stubborn(1_000_000, [], release))
        await asyncio.sleep(0)
        await end([forever], within=0.12)
        assert not forever.done()
        release.set()


async def test_nothing_to_end() -> None:
    await end([], within=1.0)
