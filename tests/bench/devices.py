"""Many Modbus TCP devices in one cheap process: `devices.py COUNT [--float]`, a load generator, not a simulator.

Prints {"ports": […]} and then answers each command on standard input with one line of JSON: "truth" gives
[[device, n, ns], …], every answer it wrote since the start: the device's number, the answer's and its time on
CLOCK_MONOTONIC. The answer itself says so too: registers 0-3 hold the time (ns), 4-5 its number, both high word
first. The others wander around a value of their own. With --float every two registers are a float32 that wanders.
Ends with its standard input.
"""

import asyncio
import contextlib
import json
import random
import struct
import sys
import time

REGISTERS = 100
IMAGES = 64  # the wandering values repeat after so many answers
ILLEGAL_ADDRESS = 2

truth: list[tuple[int, int, int]] = []


def images(device: int, floats: bool) -> list[bytes]:
    """The registers of one device as they are in 64 successive answers."""
    rng = random.Random(device)
    if floats:
        middle = [rng.uniform(1, 1000) for _ in range(REGISTERS // 2)]
        return [struct.pack(f">{len(middle)}f", *(m * rng.uniform(0.99, 1.01) for m in middle)) for _ in range(IMAGES)]
    middle = [rng.randrange(100, 65_400) for _ in range(REGISTERS)]
    return [struct.pack(f">{REGISTERS}H", *(m + rng.randint(-20, 20) for m in middle)) for _ in range(IMAGES)]


class Device(asyncio.Protocol):
    """One connection to one device. Modbus Application Protocol V1.1b3, Modbus TCP Implementation Guide V1.0b."""

    def __init__(self, number: int, floats: bool, count: list[int], shown: list[bytes]) -> None:
        self.number, self.floats, self.count, self.shown = number, floats, count, shown
        self.inbox = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        data = self.inbox + data
        while len(data) >= 12:
            transaction, _, length, unit, function, address, count = struct.unpack_from(">HHHBBHH", data)
            if length != 6 or function not in (3, 4) or address + count > REGISTERS:
                self.transport.write(struct.pack(">HHHBBB", transaction, 0, 3, unit, 0x80 | function, ILLEGAL_ADDRESS))
            else:
                self.answer(transaction, unit, function, address, count)
            data = data[12:]
        self.inbox = data

    def answer(self, transaction: int, unit: int, function: int, address: int, count: int) -> None:
        n = self.count[0] = self.count[0] + 1
        now = time.monotonic_ns()
        words = self.shown[n % IMAGES]
        if not self.floats:
            words = struct.pack(">QI", now, n) + words[12:]
        size = 2 * count
        head = struct.pack(">HHHBBB", transaction, 0, 3 + size, unit, function, size)
        truth.append((self.number, n, now))
        self.transport.write(head + words[2 * address : 2 * address + size])


async def main(count: int, floats: bool) -> None:
    loop = asyncio.get_running_loop()
    servers = []
    for number in range(count):
        answered, shown = [0], images(number, floats)
        servers.append(
            await loop.create_server(lambda a=(number, floats, answered, shown): Device(*a), "127.0.0.1", 0, backlog=8)
        )
    print(json.dumps({"ports": [s.sockets[0].getsockname()[1] for s in servers]}), flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while (await commands.readline()).strip() == b"truth":
        print(json.dumps(truth), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]), "--float" in sys.argv))
