"""BTHome v2 (service data 0xFCD2): objects in a row, plain or encrypted; what a device says anew.

Sources: bthome.io/format and bthome.io/encryption (AES-CCM, 13 bytes of nonce, 4 of message integrity check).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from drivers.codecs.advert_capture import advert_data, captured_advert, with_name
from drivers.codecs.bindkey import ccm_opened, key_of
from drivers.codecs.bthome_objects import FIRMWARE, FIRMWARE_SHORT, PACKET_ID, RAW, SIZES, TEXT, told
from drivers.codecs.radio_peer import long_uuid
from gateway import DecodeError, Quantity, Reading

SERVICE = long_uuid("fcd2")
VERSION = 2
_UUID_ON_AIR = b"\xd2\xfc"  # part of the nonce
_MIC = 4
_COUNTER = 4


class Receiver:
    """One device: its key, and what was heard of it, to tell what is new from repetitions, of its own or a stranger's.

    `quantities` are those it has told so far; `firmware` is its version, once it has said it.
    """

    def __init__(self, key: bytes | None) -> None:
        self.key = key
        self.quantities: dict[str, Quantity] = {}
        self.firmware: str | None = None
        self._counter = -1  # of the last encrypted advert that was genuine
        self._packet: bytes | None = None  # its id, of the last advert

    def readings(self, data: bytes, address: str) -> list[Reading]:
        """What an advert says that was not said before; nothing in a repeat. Raises DecodeError.

        `address` is the sender's. Of a quantity told more than once the names are numbered: temperature_1 …
        """
        body = self._body(data, address)
        if body is None:
            return []
        objects = list(_objects(body))
        if not objects:
            raise DecodeError(f"BTHome: no object is known in {body.hex() or 'an empty payload'}; update labgate")
        packet = next((raw for id_, raw in objects if id_ == PACKET_ID), None)
        repeated, self._packet = packet is not None and packet == self._packet, packet
        return [] if repeated else self._told(objects)

    def _body(self, data: bytes, address: str) -> bytes | None:
        """The objects, deciphered where they are encrypted; None in a repeat."""
        if not data or data[0] >> 5 != VERSION:
            raise DecodeError(
                f"BTHome: {data[:1].hex() or 'nothing'} is not of version {VERSION}; update one of the two"
            )
        info, rest = data[0], data[1:]
        sender = bytes.fromhex(address.replace(":", "")) if address else b""
        if info & 2:
            if len(rest) < 6:
                raise DecodeError("BTHome: cut off inside its address")
            sender, rest = rest[5::-1], rest[6:]
        if not info & 1:
            if self.key is not None:
                raise DecodeError(
                    "BTHome: not encrypted although there is a key for it: of another sender, or remove it"
                )
            return rest
        if self.key is None:
            raise DecodeError("BTHome: encrypted; write bindkey_file: NAME at the device")
        return self._opened(info, rest, sender)

    def _opened(self, info: int, rest: bytes, sender: bytes) -> bytes | None:
        end = len(rest) - _COUNTER - _MIC
        if end < 1:
            raise DecodeError(f"BTHome: {len(rest)} bytes are too few to be encrypted; it was cut off")
        if not sender:
            raise DecodeError("BTHome: who sent it is part of the cipher; add --context address=ADDRESS")
        counter = rest[end : end + _COUNTER]
        number = int.from_bytes(counter, "little")
        if number == self._counter:
            return None
        if number < self._counter:
            wrong = f"BTHome: counter {number} comes after {self._counter}: somebody repeats old adverts"
            raise DecodeError(f"{wrong}, or its battery was changed (then restart labgate)")
        nonce = sender + _UUID_ON_AIR + bytes([info]) + counter
        assert self.key is not None
        body = ccm_opened(self.key, nonce, rest[:end] + rest[end + _COUNTER :], _MIC)
        if body is None:
            raise DecodeError("BTHome: not encrypted with this key; compare the key in the file with the device's")
        self._counter = number
        return body

    def _told(self, objects: list[tuple[int, bytes]]) -> list[Reading]:
        said = [(id_, *one) for id_, raw in objects for one in told(id_, raw)]
        several = {name for name, n in Counter(name for _, name, _, _ in said).items() if n > 1}
        place: Counter[str] = Counter()
        found = []
        for id_, name, value, quantity in said:
            if name in several:
                place[name] += 1
                name = f"{name}_{place[name]}"
            if value is None:
                continue
            if id_ in (FIRMWARE, FIRMWARE_SHORT):
                self.firmware = str(value)
            self.quantities[name] = quantity
            found.append(Reading(name, value, quantity.unit))
        return found


def _objects(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Ids and their bytes, up to an id that is not known; the last is left out where it was cut off."""
    at = 0
    while at < len(body):
        id_ = body[at]
        at += 1
        if id_ in (TEXT, RAW):
            if at == len(body):
                return
            size = body[at]
            at += 1
        elif id_ in SIZES:
            size = SIZES[id_]
        else:
            return
        if at + size > len(body):
            return
        yield id_, body[at : at + size]
        at += size


def decode_input(data: bytes, context: Mapping[str, str]) -> list[Reading]:
    """One captured advert. Raises DecodeError.

    `context` as in drivers/codecs/advert_capture.py; `bindkey`; `previous_frames`, what was heard before it.
    """
    return decode_capture(data, context, Receiver(key_of(context)))


def decode_capture(data: bytes, context: Mapping[str, str], receiver: Receiver) -> list[Reading]:
    """What a receiver that has heard `previous_frames` finds in one captured advert. Raises DecodeError."""
    advert = captured_advert(data, context, service=SERVICE)
    for frame in re.findall(r"(?:[0-9A-Fa-f]{2})+", context.get("previous_frames", "")):
        receiver.readings(bytes.fromhex(frame), advert.address)
    found = receiver.readings(advert_data(advert, service=SERVICE), advert.address)
    if not found:
        raise DecodeError("BTHome: nothing new: a repeat, or no event; capture another")
    return with_name(found, advert)
