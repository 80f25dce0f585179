"""Ruuvi data format E1 (extended v1): Ruuvi Air, in extended advertising of Bluetooth 5.

Source: docs.ruuvi.com, Communication, Bluetooth advertisements, Data format E1. Big-endian; each field has a code for
"not available".
"""

import struct
from collections.abc import Mapping

from drivers.codecs import ruuvi_df6
from drivers.codecs.advert_capture import captured_data, mac
from gateway import DecodeError, Reading

COMPANY = 0x0499
FORMAT, SIZE = 0xE1, 40
NUMBER = slice(25, 28)  # sequence number
_FORM = struct.Struct(">xhHHHHHHH23x")


def readings(data: bytes) -> list[Reading]:
    """All there is but the address. Raises DecodeError."""
    if len(data) != SIZE or data[0] != FORMAT:
        raise DecodeError(f"Ruuvi format E1: {len(data)} bytes that begin with {data[:1].hex()}, not {SIZE} with e1")
    temperature, humidity, pressure, *dust, co2 = _FORM.unpack(data)
    flags, light, sequence = data[28], int.from_bytes(data[19:22]), int.from_bytes(data[NUMBER])
    found = ruuvi_df6.climate(temperature, humidity, pressure)
    for name, raw in zip(("pm1_0", "pm2_5", "pm4_0", "pm10"), dust, strict=True):
        if raw != 0xFFFF:
            found.append(Reading(name, raw / 10, "ug/m3"))
    found += ruuvi_df6.gases(co2, data[17], data[18], flags)
    if light != 0xFFFFFF:
        found.append(Reading("illuminance", light / 100, "lx"))
    if sequence != 0xFFFFFF:
        found.append(Reading("sequence", sequence, "count"))
    found.append(Reading("calibrating", bool(flags & 1)))
    return found


def address(data: bytes) -> str | None:
    """The address the device says it has."""
    return None if data[34:40] == b"\xff" * 6 else mac(data[34:40])


def decode_input(data: bytes, context: Mapping[str, str]) -> list[Reading]:
    """One captured advert; `context` as in drivers/codecs/advert_capture.py. Raises DecodeError."""
    data = captured_data(data, context, COMPANY)
    found, told = readings(data), address(data)
    return found if told is None else [*found, Reading("mac", told)]
