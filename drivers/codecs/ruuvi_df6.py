"""Ruuvi data format 6: Ruuvi Air, for receivers without extended advertising.

Source: docs.ruuvi.com, Communication, Bluetooth advertisements, Data format 6. Big-endian; each field but the sequence
number has a code for "not available". What it shares with format E1 is here.
"""

import math
import struct
from collections.abc import Mapping

from drivers.codecs.advert_capture import captured_data, mac
from gateway import DecodeError, Reading

COMPANY = 0x0499
FORMAT, SIZE = 6, 20
SEQUENCE = 15  # the lowest byte of the number the same measurement has in format E1
_FORM = struct.Struct(">xhHHHH9x")
_LIGHT = [round(math.exp(code * math.log(65536) / 254) - 1, 2) for code in range(255)]  # lx, by code; 255 is none


def climate(temperature: int, humidity: int, pressure: int) -> list[Reading]:
    """Readings of the raw numbers that formats 6 and E1 begin with."""
    found = []
    if temperature != -0x8000:
        found.append(Reading("temperature", temperature / 200, "Cel"))
    if humidity != 0xFFFF:
        found.append(Reading("humidity", humidity / 400, "%RH"))
    if pressure != 0xFFFF:
        found.append(Reading("pressure", pressure + 50000, "Pa"))
    return found


def gases(co2: int, voc: int, nox: int, flags: int) -> list[Reading]:
    """Readings of the raw numbers; `voc` and `nox` are the upper eight of nine bits, the lowest are in the flags."""
    found = []
    if co2 != 0xFFFF:
        found.append(Reading("co2", co2, "ppm"))
    for name, upper, bit in (("voc_index", voc, 6), ("nox_index", nox, 7)):
        if (index := upper << 1 | flags >> bit & 1) != 0x1FF:
            found.append(Reading(name, index))
    return found


def readings(data: bytes) -> list[Reading]:
    """All there is but the end of the address. Raises DecodeError."""
    if len(data) != SIZE or data[0] != FORMAT:
        raise DecodeError(f"Ruuvi format 6: {len(data)} bytes that begin with {data[:1].hex()}, not {SIZE} with 06")
    temperature, humidity, pressure, pm2_5, co2 = _FORM.unpack(data)
    flags = data[16]
    found = climate(temperature, humidity, pressure)
    if pm2_5 != 0xFFFF:
        found.append(Reading("pm2_5", pm2_5 / 10, "ug/m3"))
    found += gases(co2, data[11], data[12], flags)
    if data[13] != 0xFF:
        found.append(Reading("illuminance", _LIGHT[data[13]], "lx"))
    found.append(Reading("sequence", data[SEQUENCE], "count"))
    found.append(Reading("calibrating", bool(flags & 1)))
    return found


def decode_input(data: bytes, context: Mapping[str, str]) -> list[Reading]:
    """One captured advert; `context` as in drivers/codecs/advert_capture.py. Raises DecodeError."""
    data = captured_data(data, context, COMPANY)
    found, suffix = readings(data), data[17:20]
    return found if suffix == b"\xff" * 3 else [*found, Reading("mac_suffix", mac(suffix))]
