"""Adverts as bytes, as monitors match them: AD structures of Core Specification Supplement 11, part A."""

import struct
from collections.abc import Iterable, Iterator

from simulators.bluez.gatt import BASE_UUID
from simulators.bluez.model import Advert

FLAGS, UUIDS_16, UUIDS_128, NAME, TX_POWER = 0x01, 0x03, 0x07, 0x09, 0x0A
SERVICE_DATA_16, APPEARANCE, SERVICE_DATA_128, MANUFACTURER_DATA = 0x16, 0x19, 0x21, 0xFF

Pattern = tuple[int, int, bytes]  # position, AD type, bytes that are there


def uuid_bytes(uuid: str) -> bytes:
    """Little-endian, two bytes where these suffice."""
    short = uuid[4:8]
    if BASE_UUID.format(short) == uuid:
        return bytes.fromhex(short)[::-1]
    return bytes.fromhex(uuid.replace("-", ""))[::-1]


def structures(advert: Advert) -> Iterator[tuple[int, bytes]]:
    """AD type and data of each structure."""
    if advert.flags is not None:
        yield FLAGS, bytes([advert.flags])
    uuids = [uuid_bytes(uuid) for uuid in advert.uuids]
    for size, kind in ((2, UUIDS_16), (16, UUIDS_128)):
        if any(len(uuid) == size for uuid in uuids):
            yield kind, b"".join(uuid for uuid in uuids if len(uuid) == size)
    if advert.name is not None:
        yield NAME, advert.name.encode()
    if advert.tx_power is not None:
        yield TX_POWER, struct.pack("b", advert.tx_power)
    if advert.appearance is not None:
        yield APPEARANCE, struct.pack("<H", advert.appearance)
    for uuid, data in advert.service_data.items():
        key = uuid_bytes(uuid)
        yield SERVICE_DATA_16 if len(key) == 2 else SERVICE_DATA_128, key + data
    for company, data in advert.manufacturer_data.items():
        yield MANUFACTURER_DATA, struct.pack("<H", company) + data


def matches(advert: Advert, patterns: Iterable[Pattern]) -> bool:
    """Whether one of the patterns is in one of the structures."""
    parts = list(structures(advert))
    return any(
        kind == wanted and data[position : position + len(what)] == what
        for position, wanted, what in patterns
        for kind, data in parts
    )
