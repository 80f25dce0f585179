"""Winsen MH-Z19B CO2 sensor: answers FF 01 86, with zero ppm while it warms up.

Source: MH-Z19B manual V1.0 (Winsen), "Serial port (UART)": a request is FF 01, command, five bytes, checksum; 0x86
reads the gas: FF 86, high byte, low byte, four more, checksum. Checksum: two's complement of the sum of bytes 1 to 7;
9600 8N1. Byte 4 is the temperature + 40, which the manual does not say (revspace.nl/MHZ19).
"""

from collections.abc import Iterable
from random import Random

from simulators.mains import pinned_or, wander
from simulators.settings import Settings, number
from simulators.speaker import Said, Speaker

SETTINGS = ("co2", "warm_up")
_SIZE = 9  # bytes of a request, and of an answer
_READ = 0x86
_WARM = 26 + 40


class MhZ19(Speaker):
    """A sensor in a room."""

    checked = True
    can_happen = ("novalue",)

    def __init__(self, seed: int, settings: Settings) -> None:
        self._co2 = pinned_or(number(settings, "co2", 0, 5000), wander(Random(seed), 620, 180))
        self._warm_up = number(settings, "warm_up", 0, 1000)
        self._cold = 0.0

    def boot(self, t: float) -> Iterable[Said]:
        """Nothing; the lamp starts."""
        self._cold = 2 if self._warm_up is None else self._warm_up
        return ()

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """See Speaker; what is before FF is no request."""
        requests = []
        while (start := data.find(0xFF)) >= 0 and len(data) >= start + _SIZE:
            requests.append(data[start : start + _SIZE])
            data = data[start + _SIZE :]
        return requests, data[start:] if start >= 0 else b""

    def answer(self, request: bytes, t: float) -> Iterable[Said]:
        """See Speaker; a request that is wrong, or another one than 0x86, has no answer."""
        if request[1:3] != bytes((0x01, _READ)) or sum(request[1:]) & 0xFF:
            return []
        warm = self._cold <= 0 and not self.happens
        self._cold -= 1
        co2 = round(self._co2(t)) if warm else 0
        body = bytes((_READ, co2 >> 8, co2 & 0xFF, _WARM if warm else 0, 0, 0, 0))
        frame = b"\xff" + body + bytes((-sum(body) & 0xFF,))
        return [Said(frame, (("co2", "ppm", str(co2)),) if warm else (), checked=(1, 9))]


def build(seed: int, settings: Settings) -> MhZ19:
    """A sensor; `co2` (ppm) can be pinned, the first `warm_up` answers (2 or as set) are zero."""
    return MhZ19(seed, settings)
