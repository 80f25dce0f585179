"""Who answers bluetoothd when a device pairs, by the methods of org.bluez.Agent1 (doc/org.bluez.Agent.rst of BlueZ)."""

import asyncio
from typing import Any

import pytest

from gateway.links.dbus import Refused
from gateway.links.pairing import Agent, Question, address_of, quiet_agent

STRAP = "A0:9E:1A:00:00:01"
PATH = "/org/bluez/hci0/dev_A0_9E_1A_00_00_01"
OTHER = "/org/bluez/hci0/dev_CB_B8_33_4C_88_4F"
REJECTED = "org.bluez.Error.Rejected"


class Person:
    """Answers every question alike, and remembers them."""

    def __init__(self, answer: str | None) -> None:
        self.asked: list[Question] = []
        self.answer = answer

    async def __call__(self, question: Question) -> str | None:
        self.asked.append(question)
        return self.answer


@pytest.mark.parametrize(
    ("member", "body", "question", "answer", "returned"),
    [
        ("RequestPasskey", [PATH], ("passkey", ""), "000042", ("u", [42])),
        ("RequestPinCode", [PATH], ("pin", ""), "0000", ("s", ["0000"])),
        ("RequestConfirmation", [PATH, 42], ("compare", "000042"), "y", ("", [])),
        ("RequestAuthorization", [PATH], ("consent", ""), "y", ("", [])),
        ("AuthorizeService", [PATH, "0000180d-0000-1000-8000-00805f9b34fb"], ("consent", ""), "y", ("", [])),
        ("DisplayPasskey", [PATH, 7, 0], ("type", "000007"), "", ("", [])),
        ("DisplayPinCode", [PATH, "0000"], ("type", "0000"), "", ("", [])),
    ],
)
async def test_what_a_person_is_asked(
    member: str, body: list[Any], question: tuple[str, str], answer: str, returned: tuple[str, list[Any]]
) -> None:
    person = Person(answer)
    assert await Agent("KeyboardDisplay", person).call(member, body) == returned
    assert [(q.address, q.wanted, q.number) for q in person.asked] == [(STRAP, *question)]
    with pytest.raises(Refused, match=REJECTED):
        await Agent("KeyboardDisplay", Person(None)).call(member, body)


async def test_a_number_is_shown_once_however_often_a_digit_is_typed() -> None:
    person = Person("")
    agent = Agent("KeyboardDisplay", person)
    for entered in range(7):
        await agent.call("DisplayPasskey", [PATH, 123456, entered])
    assert len(person.asked) == 1


@pytest.mark.parametrize("said", ["12 34", "1234567", "-1", "", "pass"])
async def test_what_is_no_passkey_is_refused(said: str) -> None:
    with pytest.raises(Refused, match="six digits"):
        await Agent("KeyboardDisplay", Person(said)).call("RequestPasskey", [PATH])


async def test_the_daemon_s_agent_consents_for_its_own_devices_only() -> None:
    agent = quiet_agent({STRAP}.__contains__)
    assert agent.capability == "NoInputNoOutput"
    for member, more in (("RequestAuthorization", []), ("AuthorizeService", ["1800"])):
        assert await agent.call(member, [PATH, *more]) == ("", [])
        with pytest.raises(Refused, match=REJECTED):
            await agent.call(member, [OTHER, *more])
    for member, more in (("RequestPasskey", []), ("RequestPinCode", []), ("RequestConfirmation", [1])):
        with pytest.raises(Refused, match=REJECTED):  # nobody is here to type or compare
            await agent.call(member, [PATH, *more])


async def test_bluetoothd_gives_up_while_a_person_thinks() -> None:
    thinking, gave_up = asyncio.Event(), asyncio.Event()

    async def person(_: Question) -> str | None:
        thinking.set()
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            gave_up.set()

    agent = Agent("KeyboardDisplay", person)
    asked = asyncio.create_task(agent.call("RequestPasskey", [PATH]))
    await thinking.wait()
    assert await agent.call("Cancel", []) == ("", [])
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert gave_up.is_set()
    assert await agent.call("Cancel", []) == ("", [])  # nobody is asked any more
    assert await agent.call("Release", []) == ("", [])


@pytest.mark.parametrize(("member", "body"), [("Explode", []), ("RequestPasskey", []), ("Cancel", [PATH])])
async def test_a_method_an_agent_does_not_have(member: str, body: list[Any]) -> None:
    with pytest.raises(Refused, match="UnknownMethod"):
        await Agent("KeyboardDisplay", Person("")).call(member, body)


def test_the_address_in_a_path() -> None:
    assert address_of(PATH) == STRAP
    assert address_of(f"{PATH}/service000a/char000b") == STRAP
