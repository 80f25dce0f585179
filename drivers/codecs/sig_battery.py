"""Battery level of the Battery Service (Bluetooth SIG Battery Service 1.0, 3.1; GATT Specification Supplement)."""

from functools import partial

from drivers.codecs.radio_peer import long_uuid
from drivers.codecs.sig_octets import Characteristic, decode_captured
from gateway import DecodeError, Quantity, Reading


def level(data: bytes) -> list[Reading]:
    """Percent of full, 0 to 100 in one octet. Raises DecodeError."""
    if len(data) != 1 or data[0] > 100:
        raise DecodeError(f"{data.hex(' ') or 'nothing'} is no battery level; it is one byte, 0 to 100 (64)")
    return [Reading("battery", data[0], "%EL")]


CHARACTERISTICS = {long_uuid("2a19"): Characteristic(level, {"battery": Quantity("%EL")})}

decode_input = partial(decode_captured, CHARACTERISTICS)
