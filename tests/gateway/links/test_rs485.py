"""RS-485 direction: what the kernel is told, and a port that cannot do it."""

import fcntl
import struct
from collections.abc import Callable
from typing import Any

import pytest

from gateway.errors import LinkError
from gateway.links.modbus import ModbusBus
from gateway.links.rs485 import drive_direction
from tests.gateway.links.modbus_peers import Peer, framed


def seven(peer: Peer, request: bytes) -> None:
    peer.send(framed("0103020007"))


async def test_a_port_that_cannot_switch_is_told_and_let_go(bus: Callable[..., ModbusBus], serial: Any) -> None:
    peer = serial(seven)
    for _ in range(2):
        with pytest.raises(LinkError) as caught:
            await bus(peer.path, rs485=True).read_block(1, "holding", 0, 1)
        assert caught.value.reason == "configuration"
        assert str(caught.value).startswith(f"{peer.path} cannot switch the direction of RS-485: ")
        assert str(caught.value).endswith(
            ": link plc; leave out `rs485` (USB adapters switch by themselves), or use another port"
        )
    assert await bus(peer.path).read_block(1, "holding", 0, 1) == b"\0\7"


def test_the_kernel_is_told_to_raise_rts_while_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pseudo-terminal has no RTS, so the call itself is looked at. Figures of linux/serial.h and asm/ioctls.h."""
    told: list[tuple[int, int, bytes]] = []
    monkeypatch.setattr(fcntl, "ioctl", lambda *call: told.append(call))
    drive_direction(7, "bus-1", "/dev/ttyS0")
    assert told == [(7, 0x542F, struct.pack("=8I", 3, 0, 0, 0, 0, 0, 0, 0))]
