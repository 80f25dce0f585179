"""Ruuvi data format 3 (RAWv1): RuuviTag with its first firmware.

Source: docs.ruuvi.com, Communication, Bluetooth advertisements, Data format 3 (RAWv1). Big-endian; it has neither
codes for "not available" nor a number of the measurement.
"""

import struct
from collections.abc import Mapping

from drivers.codecs.advert_capture import captured_data
from gateway import DecodeError, Reading

COMPANY = 0x0499
FORMAT, SIZE = 3, 14
_FORM = struct.Struct(">xBBBHhhhH")


def readings(data: bytes) -> list[Reading]:
    """All there is. Raises DecodeError."""
    if len(data) != SIZE or data[0] != FORMAT:
        raise DecodeError(f"Ruuvi format 3: {len(data)} bytes that begin with {data[:1].hex()}, not {SIZE} with 03")
    humidity, degrees, hundredths, pressure, x, y, z, battery = _FORM.unpack(data)
    if hundredths > 99:
        raise DecodeError(f"Ruuvi format 3: {hundredths} hundredths of a degree")
    temperature = (degrees & 0x7F) * 100 + hundredths  # sign and magnitude
    return [
        Reading("temperature", (-temperature if degrees & 0x80 else temperature) / 100, "Cel"),
        Reading("humidity", humidity / 2, "%RH"),
        Reading("pressure", pressure + 50000, "Pa"),
        Reading("acceleration_x", x / 1000, "[g]"),
        Reading("acceleration_y", y / 1000, "[g]"),
        Reading("acceleration_z", z / 1000, "[g]"),
        Reading("battery_voltage", battery / 1000, "V"),
    ]


def decode_input(data: bytes, context: Mapping[str, str]) -> list[Reading]:
    """One captured advert; `context` as in drivers/codecs/advert_capture.py. Raises DecodeError."""
    return readings(captured_data(data, context, COMPANY))
