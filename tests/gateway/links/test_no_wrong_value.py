"""Several devices on a bus that answer late, short, corrupt, in another's name or not at all: never a wrong value.

The devices' registers hold numbers made of unit and address, so that each value shows whose it is, and all reads are
of one size, so that a late answer fits the next question. LABGATE_LONG=1 polls 100,000 times.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from drivers.modbus import Modbus, ModbusOptions
from gateway.clock import Clock
from gateway.config import DeviceConfig
from gateway.device import Device
from gateway.links.modbus import ModbusBus
from gateway.reading import Sample
from tests.examples import LONG
from tests.gateway.links.modbus_peers import Peer, TcpPeer, framed, mbap

log = logging.getLogger(__name__)  # told with --log-cli-level=INFO

POLLS = 100_000 if LONG else 500
UNITS = range(1, 9)
STARTS = (0, 10, 30, 70)  # of a device's reads, of eight registers each
TIMEOUT = 0.015
FAULTY = 0.06  # of all answers


def value(unit: int, address: int) -> int:
    return (unit * 7919 + address * 104729) % 65536


def answer(unit: int, pdu: bytes) -> bytes:
    first, count = int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5])
    data = b"".join(value(unit, n).to_bytes(2) for n in range(first, first + count))
    return bytes((pdu[0], len(data))) + data


class Faulty:
    """All the devices of a bus. Each answers in the order it was asked, however late."""

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.random = kind, Random(seed)
        self.due: dict[int, float] = {}
        self.shifted: dict[int, list[bytes]] = {}  # units that answer each question when the next one comes
        self.faults = Counter[str]()

    def __call__(self, peer: Peer, request: bytes) -> None:
        head, unit, pdu = (
            (request[:2], request[6], request[7:]) if self.kind == "tcp" else (b"", request[0], request[1:6])
        )
        fault = self.random.choice(FAULTS) if self.random.random() < FAULTY else ""
        self.faults[fault] += bool(fault)
        reply = answer(unit, pdu)
        if unit in self.shifted:
            self.shifted[unit].append(reply)
            reply = self.shifted[unit].pop(0) if len(self.shifted[unit]) > 1 else b""
            if self.random.random() < 0.1:
                del self.shifted[unit]
        elif fault == "shift":
            self.shifted[unit] = [reply]
            return
        if fault == "mute" or not reply:
            return
        if fault == "short":
            reply = bytes((reply[0], reply[1] - 2)) + reply[2:-2]
        if fault == "exception":
            reply = bytes((reply[0] | 0x80, self.random.choice((5, 6, 10, 11))))
        other = unit % 8 + 1
        frame = self.framed(head, unit, reply)
        if fault == "bit" and self.kind != "tcp":  # a Modbus TCP frame has no checksum: TCP has
            at = self.random.randrange(len(frame))
            frame = frame[:at] + bytes((frame[at] ^ 1 << self.random.randrange(8),)) + frame[at + 1 :]
        if fault == "cut":
            frame = frame[: self.random.randrange(1, len(frame))]
        if fault == "noise":
            frame = self.random.randbytes(self.random.randrange(1, 12)) + frame
        if fault in ("foreign", "another first"):
            peer.send(self.framed(head, other, answer(other, pdu)))
        if fault == "foreign":
            return
        now = asyncio.get_running_loop().time()
        late = self.random.choice((0.2, 1.1, 1.5, 2.5, 10.0, 30.0)) * TIMEOUT if fault == "late" else 0.0
        self.due[unit] = max(self.due.get(unit, 0.0), now + late)
        if self.due[unit] > now:
            peer.later(self.due[unit] - now, frame)
        else:
            peer.send(frame)
        if isinstance(peer, TcpPeer) and fault in ("cut", "drop"):
            asyncio.get_running_loop().call_soon(peer.hang_up)

    def framed(self, head: bytes, unit: int, reply: bytes) -> bytes:
        body = f"{unit:02x}{reply.hex()}"
        return mbap(int.from_bytes(head), body) if self.kind == "tcp" else framed(body)


FAULTS = (
    "late",
    "late",
    "shift",
    "mute",
    "short",
    "exception",
    "foreign",
    "bit",
    "cut",
    "noise",
    "another first",
    "drop",
)


@pytest.mark.parametrize("kind", ["rtu", "rtu+tcp", "tcp"])
async def test_no_wrong_value(bus: Callable[..., ModbusBus], serial: Any, tcp: Any, kind: str) -> None:
    faulty = Faulty(kind, seed=5)
    where = serial(faulty).path if kind == "rtu" else (await tcp(faulty, kind))[1]
    link = bus(where, timeout=f"{TIMEOUT * 1000:g}ms", baudrate=115200)
    polls, samples, wrong = Counter[int](), Counter[int](), []

    def taken(device: Device, sample: Sample, _: bytes) -> None:
        unit = int(device.name)
        samples[unit] += 1
        wrong.extend((unit, r.name) for r in sample.readings if r.value != value(unit, int(r.name[1:])))

    def device(unit: int) -> Device:
        registers = [{"name": f"r{n}", "table": "holding", "address": n} for s in STARTS for n in range(s, s + 8)]
        options = ModbusOptions.model_validate({"unit_id": unit, "registers": registers})
        common = {"profile": None, "version": None, "silent_after": None, "klass": "normal", "labels": {}}
        config = DeviceConfig(
            name=str(unit), driver="modbus", driver_class=Modbus, options=options, link="plc", every=1.0,
            max_quantities=64, isolate=False, **common,
        )  # fmt: skip
        return Device(config, Modbus(options, link), Clock(), taken, lambda _: None)

    async def ask(device: Device) -> None:
        while polls.total() < POLLS:
            polls[int(device.name)] += 1
            await device.ask()

    devices = [device(unit) for unit in UNITS]
    async with asyncio.TaskGroup() as group:
        for one in devices:
            group.create_task(ask(one))
    assert not wrong
    for one in devices:
        assert samples[int(one.name)] + one.lost.total() == polls[int(one.name)]
    lost = sum((one.lost for one in devices), Counter[str]())
    assert set(lost) <= {"timeout", "garbled", "exception", "network"}
    assert min(faulty.faults[fault] for fault in set(FAULTS)) > 0
    assert lost.total() > faulty.faults.total() / 4  # the faults did strike
    assert samples.total() > POLLS / 2
    log.info("%s: %d polls; lost %s; faults %s", kind, polls.total(), dict(lost), dict(faulty.faults))
