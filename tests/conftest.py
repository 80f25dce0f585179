"""Fixtures that tests of several parts share: a real mosquitto, and what arrives at it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiomqtt
import pytest

from tests.real_broker import HOST, HubMessages, Mosquitto

# Started in the background of a script we would ignore Ctrl-C, and so would every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Starts real brokers: `mosquitto("max_inflight_messages 5")` gives one that listens, see Mosquitto."""
    brokers: list[Mosquitto] = []

    def start(*lines: str) -> Mosquitto:
        brokers.append(Mosquitto(tmp_path, lines))
        return brokers[-1].start()

    yield start
    for broker in brokers:
        broker.kill()


@pytest.fixture
async def hub_messages() -> AsyncIterator[Callable[..., Awaitable[HubMessages]]]:
    """Subscribes: `hub = await hub_messages(broker.port, "lab/#")`, then `await hub.wait(3)`. See HubMessages."""
    tasks: list[asyncio.Task[None]] = []
    async with AsyncExitStack() as stack:

        async def subscribe(port: int, topic: str = "#", host: str = HOST) -> HubMessages:
            client = await stack.enter_async_context(aiomqtt.Client(host, port, protocol=aiomqtt.ProtocolVersion.V5))
            await client.subscribe(topic, qos=1)
            hub = HubMessages()
            tasks.append(asyncio.create_task(hub.read(client)))
            return hub

        yield subscribe
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
