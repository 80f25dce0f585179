"""Pairing on the bus: agents are asked what their capabilities allow, and keys decide what may be read."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from dbus_fast import DBusError, Message, MessageType, Variant

from simulators.bluez.model import Characteristic, Pairing, Peripheral, Service
from simulators.bluez.pairing import association
from tests.radio import Radio, until
from tests.simulators.bluez.watcher import ADAPTER, CHARACTERISTIC, DEVICE, HCI0, Watcher

SCALE = "24:AC:AC:05:A9:EB"
AGENT = "/agent"
MANAGER, AGENT_INTERFACE = "org.bluez.AgentManager1", "org.bluez.Agent1"
NOT_PAIRED = ("org.bluez.Error.NotPermitted", "Not paired")
FAILED = ("org.bluez.Error.AuthenticationFailed", "Authentication Failed")


class Agent:
    """An agent of a client: `answers` what to return by question, or an error; `asked` what it was."""

    def __init__(self, watcher: Watcher, capability: str, **answers: Any) -> None:
        self.watcher, self.capability, self.answers = watcher, capability, answers
        self.asked: list[tuple[Any, ...]] = []
        self.held: list[Message] = []  # questions that are not answered

    async def register(self, default: bool = True) -> "Agent":
        self.watcher.bus.add_message_handler(self._hear)
        await self.watcher.value("/org/bluez", MANAGER, "RegisterAgent", "os", AGENT, self.capability)
        if default:
            await self.watcher.value("/org/bluez", MANAGER, "RequestDefaultAgent", "o", AGENT)
        return self

    def _hear(self, message: Message) -> Message | bool:
        if message.message_type is not MessageType.METHOD_CALL or message.interface != AGENT_INTERFACE:
            return False
        self.asked.append((message.member, *message.body))
        answer = self.answers.get(message.member or "", "refuse")
        if answer == "hold":
            self.held.append(message)
            return True
        if answer == "refuse":
            raise DBusError("org.bluez.Error.Rejected", "no")
        return Message.new_method_return(
            message, "u" if answer is not None else "", [answer] if answer is not None else []
        )


@pytest.fixture
async def client(radio: Radio) -> AsyncIterator[Watcher]:
    async with Watcher(radio.bus.address) as watcher:
        yield watcher


@pytest.fixture
async def scale(radio: Radio) -> Callable[..., Peripheral]:
    def make(pairing: Pairing | None, flag: str = "encrypt-read") -> Peripheral:
        weight = Characteristic("2a9d", [flag, "indicate"], b"\x00\x01")
        it = Peripheral(SCALE, "scale", interval=0.02, services=[Service("181d", [weight])], pairing=pairing)
        radio.add(it)
        return it

    return make


async def read(client: Watcher, path: str) -> Any:
    reply = await client.call(f"{path}/service000a/char000b", CHARACTERISTIC, "ReadValue", "a{sv}", {})
    return reply.body[0] if reply.message_type is MessageType.METHOD_RETURN else (reply.error_name, reply.body[0])


@pytest.mark.parametrize(  # Core 5.4, volume 3, part H, table 2.8, LE Secure Connections
    ("theirs", "row"),
    [
        ("DisplayOnly", ["just works", "just works", "we type", "just works", "we type"]),
        ("DisplayYesNo", ["just works", "compare", "we type", "just works", "compare"]),
        ("KeyboardOnly", ["they type", "they type", "we type", "just works", "they type"]),
        ("NoInputNoOutput", ["just works"] * 5),
        ("KeyboardDisplay", ["they type", "compare", "we type", "just works", "compare"]),
    ],
)
def test_association(theirs: str, row: list[str]) -> None:
    ours = ["DisplayOnly", "DisplayYesNo", "KeyboardOnly", "NoInputNoOutput", "KeyboardDisplay"]
    assert [association(capability, theirs) for capability in ours] == row


async def test_flags_do_not_say_that_keys_are_wanted(client: Watcher, scale: Callable[..., Peripheral]) -> None:
    scale(None)
    path = await client.connect(SCALE)
    objects = await client.value("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    flags = objects[f"{path}/service000a/char000b"][CHARACTERISTIC]["Flags"].value
    assert flags == ["read", "indicate"]


async def test_without_agent_a_read_is_refused(radio: Radio, client: Watcher, scale: Callable[..., Peripheral]) -> None:
    scale(Pairing())
    path = await client.connect(SCALE)
    assert await read(client, path) == NOT_PAIRED
    radio.bluez.pairing.refused_reads_hang = True  # as it is with bluetoothd 5.66
    radio.bluez.times.att = 0.05
    assert await read(client, path) == ("org.bluez.Error.Failed", "Operation failed with ATT error: 0x0e")


async def test_an_agent_may_allow_a_read_to_pair(client: Watcher, scale: Callable[..., Peripheral]) -> None:
    it = scale(Pairing())
    agent = await Agent(client, "NoInputNoOutput").register()
    path = await client.connect(SCALE)
    assert await read(client, path) == NOT_PAIRED
    assert agent.asked == [("RequestAuthorization", path)]
    agent.answers["RequestAuthorization"] = None
    client.told.clear()
    assert await read(client, path) == b"\x00\x01"
    assert client.told == [
        ("changed", "dev_24_AC_AC_05_A9_EB", {"Paired": True, "Bonded": True}, []),
        ("changed", "char000b", {"Value": b"\x00\x01"}, []),
        ("reply",),
    ]
    it.disconnect()
    await client.heard("Connected", False)
    await client.value(path, DEVICE, "Connect")
    await client.heard("ServicesResolved", True)
    assert await read(client, path) == b"\x00\x01"  # keys are kept: nobody is asked again
    assert len(agent.asked) == 2


async def test_only_the_default_agent_is_asked_for_a_read(client: Watcher, scale: Callable[..., Peripheral]) -> None:
    scale(Pairing())
    agent = await Agent(client, "NoInputNoOutput", RequestAuthorization=None).register(default=False)
    path = await client.connect(SCALE)
    assert await read(client, path) == NOT_PAIRED
    assert not agent.asked


async def test_pair_asks_nobody_where_there_is_nothing_to_ask(
    client: Watcher, scale: Callable[..., Peripheral]
) -> None:
    it = scale(Pairing())
    path = await client.find(SCALE)
    await client.value(path, DEVICE, "Pair")
    told = [told[2] for told in client.told if told[0] == "changed" and told[1].startswith("dev")]
    assert told[0] == {"Connected": True}
    assert told[1] == {"Paired": True, "Bonded": True}
    assert told[2]["ServicesResolved"] is True
    assert client.told[-1] == ("reply",)
    assert it.bonded
    assert await read(client, path) == b"\x00\x01"
    assert await client.refusal(path, DEVICE, "Pair") == ("org.bluez.Error.AlreadyExists", "Already Exists")


@pytest.mark.parametrize(
    ("theirs", "ours", "question", "good", "bad"),
    [
        ("DisplayOnly", "KeyboardDisplay", "RequestPasskey", 4711, 4712),
        ("DisplayYesNo", "KeyboardDisplay", "RequestConfirmation", None, "refuse"),
        ("DisplayYesNo", "", "RequestConfirmation", None, "refuse"),  # as KeyboardDisplay
        ("KeyboardOnly", "DisplayOnly", "DisplayPasskey", None, "refuse"),
    ],
)
async def test_what_an_agent_is_asked(
    client: Watcher, scale: Callable[..., Peripheral], theirs: str, ours: str, question: str, good: Any, bad: Any
) -> None:
    it = scale(Pairing(theirs, passkey=4711), "encrypt-authenticated-read")
    agent = await Agent(client, ours, **{question: bad}).register(default=False)  # the caller's own is asked
    path = await client.find(SCALE)
    assert await client.refusal(path, DEVICE, "Pair") == FAILED
    assert not it.bonded
    await until(lambda: not it.connected)
    agent.answers[question] = good
    await client.value(path, DEVICE, "Pair")
    assert [asked[:2] for asked in agent.asked] == [(question, path)] * 2
    if question == "RequestConfirmation":
        assert agent.asked[0][2] == 4711
    if question == "DisplayPasskey":
        assert 0 <= agent.asked[0][2] < 1_000_000
        assert agent.asked[0][3] == 0
    assert await read(client, path) == b"\x00\x01"


async def test_keys_without_a_passkey_are_not_good_enough(client: Watcher, scale: Callable[..., Peripheral]) -> None:
    scale(Pairing("DisplayOnly"), "encrypt-authenticated-read")
    await Agent(client, "NoInputNoOutput").register()
    path = await client.find(SCALE)
    await client.value(path, DEVICE, "Pair")
    assert await read(client, path) == NOT_PAIRED


@pytest.mark.parametrize("pairing", [None, Pairing(refuses=True)])
async def test_a_peripheral_that_refuses(
    client: Watcher, scale: Callable[..., Peripheral], pairing: Pairing | None
) -> None:
    scale(pairing)
    await Agent(client, "KeyboardDisplay", RequestAuthorization=None).register()
    path = await client.find(SCALE)
    assert await client.refusal(path, DEVICE, "Pair") == FAILED
    await client.value(path, DEVICE, "Connect")
    await client.heard("ServicesResolved", True)
    assert await read(client, path) == NOT_PAIRED


@pytest.mark.parametrize("end", ["cancelled", "link lost", "agent gone"])
async def test_a_question_without_answer(
    radio: Radio, client: Watcher, scale: Callable[..., Peripheral], end: str
) -> None:
    it = scale(Pairing("DisplayOnly"))
    path = await client.find(SCALE)
    async with Watcher(radio.bus.address) as other:
        agent = await Agent(other, "KeyboardOnly", RequestPasskey="hold").register()
        asking = asyncio.ensure_future(client.refusal(path, DEVICE, "Pair"))
        await until(lambda: agent.held)
        assert (await other.refusal(path, DEVICE, "Pair"))[0] == "org.bluez.Error.InProgress"
        if end == "cancelled":
            await other.value(path, DEVICE, "CancelPairing")
        elif end == "link lost":
            it.disconnect()
        if end != "agent gone":
            assert await asking == ("org.bluez.Error.AuthenticationCanceled", "Authentication Canceled")
            await until(lambda: ("Cancel",) in agent.asked)
    if end == "agent gone":
        assert await asking == FAILED
    assert (await client.refusal(path, DEVICE, "CancelPairing"))[0] == "org.bluez.Error.DoesNotExist"
    await until(lambda: not it.connected)


async def test_removing_a_device_forgets_its_keys(client: Watcher, scale: Callable[..., Peripheral]) -> None:
    scale(Pairing())
    path = await client.find(SCALE)
    await client.value(path, DEVICE, "Pair")
    await client.value(HCI0, ADAPTER, "RemoveDevice", "o", path)
    client.paths.clear()
    path = await client.connect(SCALE)
    assert await read(client, path) == NOT_PAIRED
    await client.value(path, DEVICE, "Pair")  # anew
    assert await read(client, path) == b"\x00\x01"


async def test_keys_outlast_the_daemon(radio: Radio, client: Watcher, scale: Callable[..., Peripheral]) -> None:
    scale(Pairing())
    path = await client.find(SCALE)
    await client.value(path, DEVICE, "Pair")
    await client.set(path, DEVICE, "Trusted", Variant("b", True))
    radio.bluez.kill()
    await radio.bluez.start()
    objects = await client.value("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    assert [objects[path][DEVICE][name].value for name in ("Paired", "Bonded", "Trusted", "Connected")] == [
        True, True, True, False,
    ]  # fmt: skip
    await client.connect(SCALE)
    assert await read(client, path) == b"\x00\x01"


async def test_agents_come_and_go(radio: Radio, client: Watcher) -> None:
    agent = await Agent(client, "NoInputNoOutput").register()
    register = ("/org/bluez", MANAGER, "RegisterAgent", "os", AGENT)
    assert await client.refusal(*register, "DisplayOnly") == ("org.bluez.Error.AlreadyExists", "Already Exists")
    await client.value("/org/bluez", MANAGER, "UnregisterAgent", "o", AGENT)
    for member in ("UnregisterAgent", "RequestDefaultAgent"):
        assert (await client.refusal("/org/bluez", MANAGER, member, "o", AGENT))[0] == "org.bluez.Error.DoesNotExist"
    assert (await client.refusal(*register, "Telepathy"))[0] == "org.bluez.Error.InvalidArguments"
    async with Watcher(radio.bus.address) as other:
        await Agent(other, "NoInputNoOutput").register()
        assert radio.bluez.pairing.default
    await until(lambda: not radio.bluez.pairing.default)
    await client.value(*register, "DisplayOnly")
    agent.asked.clear()
    await radio.bluez.stop()
    await until(lambda: agent.asked == [("Release",)])


async def test_a_link_lost_before_services_are_found_ends_pair(
    client: Watcher, scale: Callable[..., Peripheral]
) -> None:
    it = scale(Pairing())
    it.faults.never_resolves = True
    path = await client.find(SCALE)
    asking = asyncio.ensure_future(client.refusal(path, DEVICE, "Pair"))
    await until(lambda: it.bonded)
    it.disconnect()
    assert await asking == ("org.bluez.Error.Failed", "le-connection-abort-by-remote")
