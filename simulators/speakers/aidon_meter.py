"""Aidon electricity meter, Swedish list: an HDLC frame with 27 COSEM values every ten seconds.

Sources: Aidon HAN interface description (RJ12, Sweden) and the older document of Tekniska verken; ISO/IEC 13239 (frame
format 3, CRC-16/X-25), IEC 62056-6-2 (data types, scaler and unit), IEC 62056-7-5; public captures of the frame. The
clock is local normal time, its deviation from UTC "not specified" (8000h).
"""

import struct
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from simulators.settings import Settings, period
from simulators.speaker import Said, Speaker
from simulators.speakers import _house

SETTINGS = (*_house.SETTINGS, "every")

_FLAG = b"\x7e"
_HEADER = bytes.fromhex("41 0883 13")  # addresses of client and meter, control: unnumbered information
_NOTIFICATION = bytes.fromhex("e6e700 0f 40000000 00")  # LLC, data-notification, invoke id, no date-time
_LONG, _UNSIGNED, _UNSIGNED_LONG = 0x10, 0x12, 0x06
# data type, format, scaler, unit of IEC 62056-6-2 table 4, and what it is called
_KINDS = {
    "power": (_UNSIGNED_LONG, ">I", 0, 27, "W"),
    "reactive_power": (_UNSIGNED_LONG, ">I", 0, 29, "var"),
    "energy": (_UNSIGNED_LONG, ">I", 0, 30, "Wh"),
    "reactive_energy": (_UNSIGNED_LONG, ">I", 0, 32, "varh"),
    "current": (_LONG, ">h", -1, 33, "A"),
    "voltage": (_UNSIGNED, ">H", -1, 35, "V"),
}
_CODES = (
    *(f"{kind}.7.0" for kind in (1, 2, 3, 4, 31, 51, 71, 32, 52, 72)),
    *(f"{phase + kind}.7.0" for phase in (20, 40, 60) for kind in (1, 2, 3, 4)),
    *(f"{kind}.8.0" for kind in (1, 2, 3, 4)),
)


class AidonMeter(Speaker):
    """A meter in a house."""

    checked = True

    def __init__(self, seed: int, settings: Settings) -> None:
        self.period = period(settings, 10.0)
        self._house = _house.House(seed, settings)

    def speak(self, t: float) -> Iterable[Said]:
        """See Speaker."""
        clock = datetime.fromtimestamp(self.started + t, UTC) + timedelta(hours=1)
        when = struct.pack(
            ">HBBBBBBBhB", *clock.timetuple()[:3], clock.isoweekday(), *clock.timetuple()[3:6], 0xFF, -32768, 0xFF
        )
        items = [b"\x02\x02" + _obis(0, "1.0.0") + b"\x09\x0c" + when]
        given = [("0-0:1.0.0", "", f'"{clock:%Y-%m-%dT%H:%M:%S}"')]
        values = self._house.at(t)
        for code in _CODES:
            data_type, form, scaler, unit, name = _KINDS[_house.kind(code)]
            raw = round(values[code] / 10**scaler)
            scale = b"\x02\x02\x0f" + struct.pack(">b", scaler) + b"\x16" + bytes((unit,))
            items.append(b"\x02\x03" + _obis(1, code) + bytes((data_type,)) + struct.pack(form, raw) + scale)
            given.append((f"1-0:{code}", name, f"{raw / 10:.1f}" if scaler else str(raw)))
        body = _NOTIFICATION + b"\x01" + bytes((len(items),)) + b"".join(items)
        length = 2 + len(_HEADER) + 2 + len(body) + 2
        head = struct.pack(">H", 0xA000 | length) + _HEADER
        frame = head + _crc16(head) + body
        whole = _FLAG + frame + _crc16(frame) + _FLAG
        return [Said(whole, tuple(given), checked=(3, len(whole) - 3))]


def _obis(medium: int, code: str) -> bytes:
    numbers = [int(part) for part in code.split(".")]
    return b"\x09\x06" + bytes((medium, 0, *numbers, 0xFF))


def _crc16(data: bytes) -> bytes:
    """CRC-16/X-25: polynomial 1021h, lowest bit first, from FFFFh, inverted; low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return (crc ^ 0xFFFF).to_bytes(2, "little")


def build(seed: int, settings: Settings) -> AidonMeter:
    """A meter; phases are set as those of a three-phase meter."""
    return AidonMeter(seed, settings)
