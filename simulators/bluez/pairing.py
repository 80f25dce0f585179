"""Pairing: the agents that clients register, what they are asked, and the keys that are kept or not.

Who asks whom for a passkey follows from what both have for their users: Core 5.4, volume 3, part H, table 2.8.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dbus_fast import Message, MessageFlag, Variant

from simulators.bluez.calls import Call, Method, RefusedError, does_not_exist, in_progress
from simulators.bluez.connection import is_error
from simulators.bluez.gatt import Security
from simulators.bluez.model import Pairing, Peripheral

if TYPE_CHECKING:
    from simulators.bluez.bluetoothd import FakeBluez
    from simulators.bluez.device import Device

MANAGER, AGENT = "org.bluez.AgentManager1", "org.bluez.Agent1"
CAPABILITIES = ("NoInputNoOutput", "DisplayOnly", "KeyboardOnly", "DisplayYesNo", "KeyboardDisplay")
ANSWER_WITHIN = 60.0  # s, of an agent
KEYS = ("KeyboardOnly", "KeyboardDisplay")
COMPARES = ("DisplayYesNo", "KeyboardDisplay")


def authentication_failed() -> RefusedError:
    """Pairing did not come about."""
    return RefusedError("AuthenticationFailed", "Authentication Failed")


def association(ours: str, theirs: str) -> Literal["just works", "compare", "we type", "they type"]:
    """How two devices with these capabilities make sure of each other."""
    if "NoInputNoOutput" in (ours, theirs):
        return "just works"
    if ours in COMPARES and theirs in COMPARES:
        return "compare"
    if ours in KEYS and (theirs != "KeyboardOnly" or ours == "KeyboardOnly"):
        return "we type"
    return "they type" if theirs in KEYS else "just works"


@dataclass(frozen=True)
class Agent:
    """Where a client wants to be asked."""

    owner: str
    path: str
    capability: str


class Pairings:
    """AgentManager1, and what goes on with devices.

    `refused_reads_hang`: a read that wants keys and gets none is not answered, as of bluetoothd 5.66 without an agent.
    """

    path = "/org/bluez"

    def __init__(self, bluez: FakeBluez) -> None:
        self.bluez = bluez
        self.refused_reads_hang = False
        self.agents: dict[str, Agent] = {}  # by owner
        self.default: list[Agent] = []  # the last is asked where nobody else is concerned
        self._tasks: dict[Device, asyncio.Task[None]] = {}
        self.methods: dict[tuple[str, str], Method] = {
            (MANAGER, "RegisterAgent"): self._register,
            (MANAGER, "UnregisterAgent"): self._unregister,
            (MANAGER, "RequestDefaultAgent"): self._request_default,
        }
        self.writable: dict[tuple[str, str], str] = {}

    def set_property(self, call: Call, name: str, value: Variant) -> None:
        """Nothing of it can be set."""
        raise NotImplementedError

    # Agents

    def _register(self, call: Call) -> None:
        path, capability = call.body
        if call.sender in self.agents:
            raise RefusedError("AlreadyExists", "Already Exists")
        if capability not in ("", *CAPABILITIES):
            raise RefusedError("InvalidArguments", "Invalid arguments in method call")
        self.agents[call.sender] = Agent(call.sender, path, capability or "KeyboardDisplay")
        call.reply()

    def _unregister(self, call: Call) -> None:
        agent = self.agents.get(call.sender)
        if agent is None or agent.path != call.body[0]:
            raise does_not_exist()
        self._forget(agent)
        call.reply()

    def _request_default(self, call: Call) -> None:
        agent = self.agents.get(call.sender)
        if agent is None or agent.path != call.body[0]:
            raise does_not_exist()
        self.default = [other for other in self.default if other is not agent] + [agent]
        call.reply()

    def _forget(self, agent: Agent) -> None:
        del self.agents[agent.owner]
        self.default = [other for other in self.default if other is not agent]

    def client_left(self, name: str) -> None:
        """Its agent is gone."""
        if name in self.agents:
            self._forget(self.agents[name])

    def release(self) -> None:
        """The daemon ends in good order: agents are told."""
        for agent in self.agents.values():
            self._tell(agent, "Release")

    def clear(self) -> None:
        """The daemon ends."""
        self.agents.clear()
        self.default.clear()
        self._tasks.clear()

    # Devices

    def pair(self, device: Device, call: Call) -> None:
        """Device1.Pair: connects first, where need be, and answers when services are resolved."""
        if device in self._tasks or device.link.connecting:
            raise in_progress()
        if device.paired:
            raise RefusedError("AlreadyExists", "Already Exists")
        agent = self.agents.get(call.sender) or (self.default[-1] if self.default else None)
        was_up = device.link.up

        def paired(error: RefusedError | None) -> None:
            if error is not None and not was_up:
                device.link.lost()
            if error is not None or was_up:
                call.finish(error)
            else:
                device.link.resolve(call.finish)

        def linked(error: RefusedError | None) -> None:
            if error is not None:
                call.refuse(error)
            else:
                self._begin(device, agent, True, paired)

        device.link.bring_up(linked, resolve=False)

    def cancel(self, device: Device, call: Call) -> None:
        """Device1.CancelPairing."""
        task = self._tasks.get(device)
        if task is None:
            raise does_not_exist()
        task.cancel()
        call.reply()

    def link_lost(self, device: Device) -> None:
        """There is nobody to pair with any more."""
        if device in self._tasks:
            self._tasks[device].cancel()

    def elevate(self, device: Device, then: Callable[[bool], None]) -> None:
        """A request wants an encrypted link: with the keys there are, else by pairing as the default agent allows."""
        peripheral = device.peripheral
        assert peripheral is not None
        if device.paired or device in self._tasks:
            then(self.encrypt(device, peripheral))
            return
        agent = self.default[-1] if self.default else None
        self._begin(device, agent, False, lambda error: then(error is None))

    def encrypt(self, device: Device, peripheral: Peripheral) -> bool:
        """Use the keys that both sides have kept; whether they have."""
        if device.paired and peripheral.bonded:
            peripheral.security = device.bond
            return True
        return False

    def _begin(
        self, device: Device, agent: Agent | None, wanted: bool, done: Callable[[RefusedError | None], None]
    ) -> None:
        async def run() -> None:
            error: RefusedError | None = authentication_failed()
            try:
                async with asyncio.timeout(ANSWER_WITHIN):
                    error = await self._exchange(device, agent, wanted)
            except TimeoutError:
                error = RefusedError("AuthenticationTimeout", "Authentication Timeout")
            except asyncio.CancelledError:
                if not self.bluez.running:
                    raise
                if agent is not None:
                    self._tell(agent, "Cancel")
                error = RefusedError("AuthenticationCanceled", "Authentication Canceled")
            finally:
                self._tasks.pop(device, None)
            done(error)

        self._tasks[device] = self.bluez.spawn(run())

    async def _exchange(self, device: Device, agent: Agent | None, wanted: bool) -> RefusedError | None:
        """Make keys with the peripheral; `wanted`: somebody has called Pair. Returns why not."""
        peripheral = device.peripheral
        if peripheral is None or peripheral.pairing is None or peripheral.pairing.refuses:
            return authentication_failed()
        level = await self._agree(device, agent, peripheral.pairing, wanted)
        if not device.link.up:
            return RefusedError("AuthenticationCanceled", "Authentication Canceled")
        if not level:
            return authentication_failed()
        peripheral.bonded, peripheral.security = True, level
        device.set_bond(level)
        return None

    async def _agree(self, device: Device, agent: Agent | None, theirs: Pairing, wanted: bool) -> Security:
        """What the agent says to the peripheral's way of pairing; the security that comes of it."""
        how = association(agent.capability if agent is not None else "NoInputNoOutput", theirs.capability)
        if how == "just works" and wanted:
            return 1  # who calls Pair has said yes: bluetoothd since 5.55
        if agent is None:
            return 0
        match how:
            case "just works":
                return 1 if await self._ask(agent, "RequestAuthorization", "o", device.path) else 0
            case "compare":
                said = await self._ask(agent, "RequestConfirmation", "ou", device.path, theirs.passkey)
                return 2 if said else 0
            case "we type":
                said = await self._ask(agent, "RequestPasskey", "o", device.path)
                return 2 if said and said.body[0] == theirs.passkey else 0
            case "they type":
                passkey = self.bluez.random.randrange(1_000_000)
                return 2 if await self._ask(agent, "DisplayPasskey", "ouq", device.path, passkey, 0) else 0

    async def _ask(self, agent: Agent, question: str, signature: str, *body: Any) -> Message | None:
        """The agent's answer; None when it refuses, is gone, or does not know the question."""
        message = Message(agent.owner, agent.path, AGENT, question, signature=signature, body=list(body))
        self.bluez.objects.flush()
        reply = await self.bluez.connection.call(message)
        return None if is_error(reply) else reply

    def _tell(self, agent: Agent, what: str) -> None:
        message = Message(agent.owner, agent.path, AGENT, what, flags=MessageFlag.NO_REPLY_EXPECTED)
        self.bluez.send(message)
