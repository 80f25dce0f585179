"""What a live connection tells to whom: what is read and notified, in whatever order bluetoothd says it."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.links import gatt
from gateway.links.air import Peer, Values
from gateway.links.ble import Characteristic
from gateway.links.gatt import Session
from gateway.links.radio_ears import Bell, ValueEar

LEVEL = "00002a19-0000-1000-8000-00805f9b34fb"
BATTERY = "0000180f-0000-1000-8000-00805f9b34fb"
HANDLE = 17


class Client:
    """A connection whose answers are given beforehand. `during` is done while a read waits for its answer."""

    address = "C0:FF:EE:00:00:01"

    def __init__(self) -> None:
        self.told: Callable[[bytes], None] = lambda data: None
        self.during: Callable[[], None] = lambda: None

    async def subscribe(self, handle: int, told: Callable[[bytes], None]) -> None:
        self.told = told

    async def read(self, handle: int, within: float) -> bytes:
        await asyncio.sleep(0)
        self.during()
        return b"\x5a"


@pytest.fixture
async def hearing() -> tuple[Client, Session, ValueEar]:
    client, ear = Client(), ValueEar(Values(Peer(), (LEVEL,)))
    found = [Characteristic(LEVEL, HANDLE, BATTERY, notifies=True, readable=True)]
    session = Session(client, found, Bell(), lambda: None, lambda: None)  # type: ignore[arg-type] - a stand-in
    await session.hear(ear, 1.0)
    return client, session, ear


Hearing = tuple[Client, Session, ValueEar]


def heard(ear: ValueEar) -> list[bytes]:
    return [value.data for value in ear.fetch()]


async def test_what_is_read_and_notified_before_the_answer(hearing: Hearing) -> None:
    client, session, ear = hearing
    client.during = lambda: client.told(b"\x5a")
    await session.read((LEVEL,), 1.0)
    client.told(b"\x5a")
    assert heard(ear) == [b"\x5a"]


async def test_what_is_read_and_notified_behind_the_answer(hearing: Hearing) -> None:
    client, session, ear = hearing
    for _ in range(3):
        await session.read((LEVEL,), 1.0)
    for data in (b"\x5a", b"\x59", b"\x5a", b"\x5a", b"\x5a"):
        client.told(data)
    assert heard(ear) == [b"\x59", b"\x5a"]


async def test_what_is_notified_long_after_a_read_is_told(hearing: Hearing, monkeypatch: pytest.MonkeyPatch) -> None:
    client, session, ear = hearing
    monkeypatch.setattr(gatt, "ECHO", 0.0)
    await session.read((LEVEL,), 1.0)
    client.told(b"\x5a")
    assert heard(ear) == [b"\x5a"]


async def test_what_is_notified_during_a_read_that_fails_is_told(hearing: Hearing) -> None:
    client, session, ear = hearing

    def lose() -> None:
        client.told(b"\x58")
        raise EOFError

    client.during = lose
    with pytest.raises(EOFError):
        await session.read((LEVEL,), 1.0)
    assert heard(ear) == [b"\x58"]
