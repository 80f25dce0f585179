"""What fails unexpectedly is told once and started again, later and later; what must be finished is."""

import asyncio
import logging
from collections.abc import Callable
from itertools import pairwise

import pytest

from gateway import supervisor
from gateway.supervisor import keep_running, undisturbed


@pytest.fixture(autouse=True)
def in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_PAUSE", (0.01, 0.08))
    monkeypatch.setattr(supervisor, "_CALM", 0.15)


class Part:
    """Fails with each of these errors in turn, then returns."""

    def __init__(self, *errors: BaseException, lasts: float = 0.0) -> None:
        self.errors, self.lasts = list(errors), lasts
        self.began: list[float] = []
        self.bugs: list[Exception] = []
        self.on_start: Callable[[int], None] = lambda n: None

    def be_calm(self) -> None:
        self.lasts, self.errors = 0.2, [ValueError("much later")]

    async def __call__(self) -> None:
        self.began.append(asyncio.get_running_loop().time())
        self.on_start(len(self.began))
        await asyncio.sleep(self.lasts)
        if self.errors:
            raise self.errors.pop(0)


async def test_what_returns_is_not_started_again() -> None:
    part = Part()
    await keep_running("part", part, part.bugs.append)
    assert (len(part.began), part.bugs) == (1, [])


async def test_what_fails_is_started_again_later_and_later_up_to_a_longest() -> None:
    part = Part(*[ValueError(n) for n in range(6)])
    await keep_running("part", part, part.bugs.append, first_pause=0.01)
    pauses = [b - a for a, b in pairwise(part.began)]
    assert [repr(bug) for bug in part.bugs] == [f"ValueError({n})" for n in range(6)]
    for pause, expected in zip(pauses, [0.01, 0.02, 0.04, 0.08, 0.08, 0.08], strict=True):
        assert 0.79 * expected <= pause <= 1.2 * expected + 0.03


async def test_after_a_calm_time_the_pause_is_short_again() -> None:
    part = Part(*[ValueError(n) for n in range(5)])
    running = asyncio.create_task(keep_running("part", part, part.bugs.append, first_pause=0.01))
    part.on_start = lambda n: part.be_calm() if n == 5 else None
    await running
    assert part.began[-1] - part.began[-2] < 0.2 + 0.05


async def test_the_same_bug_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    part = Part(ValueError("same"), ValueError("same"), TypeError("other"), ValueError("same"))
    with caplog.at_level(logging.ERROR):
        await keep_running("meter-1", part, part.bugs.append, first_pause=0.001)
    assert [r.getMessage() for r in caplog.records] == [
        "meter-1 failed with an error nobody expected; it is started again"
    ] * 2
    assert all(r.exc_info for r in caplog.records)
    assert len(part.bugs) == 4


@pytest.mark.parametrize("lasts", [0.0, 1.0])
async def test_a_cancelled_part_ends(lasts: float) -> None:
    part = Part(ValueError("x"), lasts=lasts)
    running = asyncio.create_task(keep_running("part", part, part.bugs.append, first_pause=10.0))
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_end_of_the_process_is_no_bug() -> None:
    part = Part(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        await keep_running("part", part, part.bugs.append)


async def test_undisturbed_work_is_done_although_it_is_cancelled_twice() -> None:
    done: list[int] = []

    async def work() -> None:
        for n in range(3):
            await asyncio.sleep(0.01)
            done.append(n)

    task = asyncio.create_task(undisturbed(work()))
    for _ in range(2):
        await asyncio.sleep(0.005)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [0, 1, 2]


async def test_undisturbed_work_tells_its_error_and_its_error_is_seen_when_cancelled() -> None:
    async def fails() -> None:
        await asyncio.sleep(0.005)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await undisturbed(fails())
    task = asyncio.create_task(undisturbed(fails()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
