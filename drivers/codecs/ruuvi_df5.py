"""Ruuvi data format 5 (RAWv2): RuuviTag.

Source: docs.ruuvi.com, Communication, Bluetooth advertisements, Data format 5 (RAWv2). Big-endian; each field has a
code for "not available".
"""

import struct
from collections.abc import Mapping

from drivers.codecs.advert_capture import captured_data, mac
from gateway import DecodeError, Reading

COMPANY = 0x0499
FORMAT, SIZE = 5, 24
NUMBER = slice(16, 24)  # sequence number and address: the same in all adverts of one measurement
_FORM = struct.Struct(">xhHHhhhHBH6x")


def readings(data: bytes) -> list[Reading]:
    """All there is but the address. Raises DecodeError."""
    if len(data) != SIZE or data[0] != FORMAT:
        raise DecodeError(f"Ruuvi format 5: {len(data)} bytes that begin with {data[:1].hex()}, not {SIZE} with 05")
    temperature, humidity, pressure, x, y, z, power, movements, sequence = _FORM.unpack(data)
    found = []
    if temperature != -0x8000:
        found.append(Reading("temperature", temperature / 200, "Cel"))
    if humidity != 0xFFFF:
        found.append(Reading("humidity", humidity / 400, "%RH"))
    if pressure != 0xFFFF:
        found.append(Reading("pressure", pressure + 50000, "Pa"))
    if x != -0x8000:
        found.append(Reading("acceleration_x", x / 1000, "[g]"))
    if y != -0x8000:
        found.append(Reading("acceleration_y", y / 1000, "[g]"))
    if z != -0x8000:
        found.append(Reading("acceleration_z", z / 1000, "[g]"))
    if power >> 5 != 0x7FF:
        found.append(Reading("battery_voltage", ((power >> 5) + 1600) / 1000, "V"))
    if power & 0x1F != 0x1F:
        found.append(Reading("tx_power", 2 * (power & 0x1F) - 40, "dBm"))
    if movements != 0xFF:
        found.append(Reading("movement_counter", movements, "count"))
    if sequence != 0xFFFF:
        found.append(Reading("sequence", sequence, "count"))
    return found


def address(data: bytes) -> str | None:
    """The address the tag says it has."""
    return None if data[18:24] == b"\xff" * 6 else mac(data[18:24])


def decode_input(data: bytes, context: Mapping[str, str]) -> list[Reading]:
    """One captured advert; `context` as in drivers/codecs/advert_capture.py. Raises DecodeError."""
    data = captured_data(data, context, COMPANY)
    found, told = readings(data), address(data)
    return found if told is None else [*found, Reading("mac", told)]
