"""Fixtures of the link tests: buses that are closed, and a loop nothing unexpected may be told to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.config import ModbusLinkConfig
from gateway.links.modbus import ModbusBus
from tests.gateway.links.modbus_peers import ADDRESS, Peer, SerialPeer, TcpPeer

Script = Callable[[Peer, bytes], None]


@pytest.fixture
async def bus() -> AsyncIterator[Callable[..., ModbusBus]]:
    """`bus("tcp://127.0.0.1:502", timeout="50ms")`: a bus named plc that is closed in the end."""
    buses: list[ModbusBus] = []
    unexpected: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: unexpected.append(told))

    def make(where: str, name: str = "plc", **more: Any) -> ModbusBus:
        buses.append(ModbusBus(name, ModbusLinkConfig.model_validate({"modbus": where, "timeout": "5s", **more})))
        return buses[-1]

    yield make
    for one in buses:
        await one.close()
    assert not unexpected, "something ended in the loop, as a traceback in the log"


@pytest.fixture
async def tcp() -> AsyncIterator[Callable[..., Any]]:
    """`peer, where = await tcp(script)`: a scripted server and its URL."""
    peers: list[TcpPeer] = []

    async def start(script: Script, scheme: str = "tcp") -> tuple[TcpPeer, str]:
        peers.append(await TcpPeer(script).start())
        return peers[-1], f"{scheme}://{ADDRESS}:{peers[-1].port}"

    yield start
    for peer in peers:
        await peer.stop()


@pytest.fixture
async def serial() -> AsyncIterator[Callable[[Script], SerialPeer]]:
    """`peer = serial(script)`: a scripted device on a pseudo-terminal; its port is `peer.path`."""
    peers: list[SerialPeer] = []

    def start(script: Script) -> SerialPeer:
        peers.append(SerialPeer(script))
        return peers[-1]

    yield start
    for peer in peers:
        peer.unplug()
