"""Weight of a person (Weight Scale Service 1.0.1, 3.2; GATT Specification Supplement)."""

from functools import partial

from drivers.codecs.radio_peer import long_uuid
from drivers.codecs.sig_octets import Characteristic, Octets, available, decode_captured
from gateway import Quantity, Reading

FAILED = 0xFFFF
UNKNOWN_USER = 0xFF


def measurement(data: bytes) -> list[Reading]:
    """Weight, the device's time, which of its users, and what it reckons of their height. Raises DecodeError."""
    octets = Octets("weight", data)
    flags = octets.unsigned(1)
    raw, imperial = octets.unsigned(2), flags & 1
    weight = None if raw == FAILED else raw / 100 if imperial else raw * 5 / 1000
    time = octets.date_time() if flags & 2 else None
    user = octets.unsigned(1) if flags & 4 else UNKNOWN_USER
    found = available(
        ("weight", weight, "[lb_av]" if imperial else "kg"),
        ("timestamp", time, None),
        ("user", None if user == UNKNOWN_USER else user, None),
    )
    if flags & 8:
        bmi, height = octets.unsigned(2) / 10, octets.unsigned(2)
        of_height = (height / 10, "[in_i]") if imperial else (height / 1000, "m")
        found += available(("bmi", bmi, "kg/m2"), ("height", *of_height))
    return found


CHARACTERISTICS = {
    long_uuid("2a9d"): Characteristic(
        measurement,
        {
            "weight": Quantity("kg"),
            "timestamp": Quantity(None, "state"),
            "user": Quantity(None, "state"),
            "bmi": Quantity("kg/m2"),
            "height": Quantity("m"),
        },
    )
}

decode_input = partial(decode_captured, CHARACTERISTICS)
