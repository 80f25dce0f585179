"""Inputs that no codec may fail at: truncations and byte flips of good ones, and random bytes."""

import random
from collections.abc import Iterator

from tests.examples import LONG

RANDOM = 100_000 if LONG else 2_000


def damaged(data: bytes, flips: int = 8) -> Iterator[bytes]:
    """Every truncation, and every byte with each of its bits turned and as 0 and 255."""
    yield from (data[:n] for n in range(len(data)))
    for i, byte in enumerate(data):
        for other in {byte ^ 1 << bit for bit in range(flips)} | {0, 255}:
            if other != byte:
                yield data[:i] + bytes([other]) + data[i + 1 :]


def random_inputs(chance: random.Random, longest: int = 120) -> Iterator[bytes]:
    """Random bytes of random lengths; the same ones each time."""
    for _ in range(RANDOM):
        yield chance.randbytes(chance.randrange(longest))
