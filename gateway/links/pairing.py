"""Who answers bluetoothd when a device pairs: the gateway for devices it is to read, a person for one named device.

Source: doc/org.bluez.Agent.rst of BlueZ. Knows no D-Bus library.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from gateway.links.dbus import Refused

_REJECTED = "org.bluez.Error.Rejected"


class Question(msgspec.Struct, frozen=True):
    """What bluetoothd wants to be told, or shown, while a device pairs."""

    address: str
    wanted: Literal["consent", "passkey", "pin", "compare", "type"]
    number: str = ""  # to be compared with what the device shows, or typed into it


Answer = Callable[[Question], Awaitable[str | None]]
"""A passkey or pin, or any text where a yes is wanted; None refuses. Raises nothing."""


class Agent:
    """Answers the methods of org.bluez.Agent1. `capability` is as doc/org.bluez.AgentManager.rst lists them."""

    def __init__(self, capability: str, answer: Answer) -> None:
        self.capability = capability
        self._answer = answer
        self._answering: asyncio.Task[Any] | None = None

    async def call(self, member: str, body: list[Any]) -> tuple[str, list[Any]]:
        """Signature and body of the answer. Raises Refused."""
        match member, body:
            case "Release", []:
                pass
            case "Cancel", []:
                if self._answering is not None:
                    self._answering.cancel()
            case "RequestAuthorization", [path]:
                await self._ask(path, "consent")
            case "AuthorizeService", [path, _]:
                await self._ask(path, "consent")
            case "RequestConfirmation", [path, number]:
                await self._ask(path, "compare", f"{number:06}")
            case "RequestPasskey", [path]:
                passkey = await self._ask(path, "passkey")
                if not (passkey.isdecimal() and len(passkey) <= 6):
                    raise Refused(_REJECTED, "a passkey has six digits")
                return "u", [int(passkey)]
            case "RequestPinCode", [path]:
                return "s", [await self._ask(path, "pin")]
            case "DisplayPasskey", [path, number, entered]:
                if not entered:  # told again after each digit that is typed
                    await self._ask(path, "type", f"{number:06}")
            case "DisplayPinCode", [path, pin]:
                await self._ask(path, "type", pin)
            case _:
                raise Refused("org.freedesktop.DBus.Error.UnknownMethod", f"an agent has no method {member}")
        return "", []

    async def _ask(
        self, path: str, wanted: Literal["consent", "passkey", "pin", "compare", "type"], number: str = ""
    ) -> str:
        self._answering = asyncio.current_task()
        try:
            answer = await self._answer(Question(address_of(path), wanted, number))
        finally:
            self._answering = None
        if answer is None:
            raise Refused(_REJECTED, "not wanted")
        return answer


def quiet_agent(allowed: Callable[[str], bool]) -> Agent:
    """Consents for the addresses that are `allowed`, where nothing need be typed or compared; refuses all else."""

    async def answer(question: Question) -> str | None:
        return "yes" if question.wanted == "consent" and allowed(question.address) else None

    return Agent("NoInputNoOutput", answer)


def address_of(path: str) -> str:
    """/org/bluez/hci0/dev_AA_BB_CC_DD_EE_FF -> AA:BB:CC:DD:EE:FF."""
    return path.rpartition("/dev_")[2][:17].replace("_", ":")
