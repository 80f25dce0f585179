"""Who has one of few connections, and for how long."""

import asyncio
from typing import Any

import pytest

from gateway.links import slots
from gateway.links.slots import Slot, Slots
from tests.radio import until


class Holders:
    """`asked` are those that were asked to give up, in order."""

    def __init__(self, size: int) -> None:
        self.slots, self.asked = Slots(size), list[str]()

    async def take(self, name: str) -> Slot:
        slot = await self.slots.take(lambda: self.asked.append(name))
        self.slots.connected(slot)
        return slot


async def test_who_asked_first_is_first() -> None:
    holders = Holders(1)
    first = await holders.take("first")
    got: list[str] = []

    async def wait(name: str) -> None:
        slot = await holders.take(name)
        got.append(name)
        holders.slots.free(slot)

    async with asyncio.TaskGroup() as group:
        for name in ("a", "b", "c"):
            group.create_task(wait(name))
        await asyncio.sleep(0)
        holders.slots.free(first)
    assert got == ["a", "b", "c"]


async def test_nobody_is_asked_while_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SHARE", 0.0)
    holders = Holders(2)
    one = await holders.take("one")
    holders.slots.served(one)
    await holders.take("two")
    assert holders.asked == []


async def test_who_was_served_is_asked_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SHARE", 0.02)
    monkeypatch.setattr(slots, "PATIENCE", 30.0)
    holders = Holders(2)
    await holders.take("quiet")
    served = await holders.take("served")
    waiting = asyncio.ensure_future(holders.take("late"))
    await asyncio.sleep(0.04)
    assert holders.asked == []  # neither has told anything yet
    holders.slots.served(served)
    assert holders.asked == ["served"]
    holders.slots.free(served)
    await waiting


async def test_who_tells_nothing_is_asked_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "PATIENCE", 0.02)
    holders = Holders(1)
    quiet = await holders.take("quiet")
    waiting = asyncio.ensure_future(holders.take("late"))
    await until(lambda: holders.asked)
    await asyncio.sleep(0.03)
    assert holders.asked == ["quiet"], "once"
    holders.slots.free(quiet)
    await waiting


async def test_who_connects_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "PATIENCE", 0.0)
    asked: list[Any] = []
    one = Slots(1)
    slot = await one.take(lambda: asked.append(1))
    waiting = asyncio.ensure_future(one.take(lambda: None))
    await asyncio.sleep(0.01)
    assert not asked
    one.connected(slot)
    assert asked
    one.free(slot)
    await waiting


async def test_who_is_cancelled_leaves_the_queue_and_what_it_was_just_given() -> None:
    holders = Holders(1)
    first = await holders.take("first")
    waiting = [asyncio.ensure_future(holders.take(name)) for name in ("a", "b", "c")]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    holders.slots.free(first)  # b has it
    waiting[1].cancel()  # and does not know yet
    await asyncio.wait(waiting, timeout=5)
    assert [task.cancelled() for task in waiting] == [True, True, False]
