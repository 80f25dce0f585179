"""Heart rate, beats and where they are felt (Heart Rate Service 1.0, 3.1 and 3.2; GATT Specification Supplement)."""

from functools import partial
from itertools import accumulate

from drivers.codecs.radio_peer import long_uuid
from drivers.codecs.sig_octets import Characteristic, Octets, decode_captured, named_code, suspected
from gateway import DecodeError, Quantity, Reading

LOCATIONS = ("other", "chest", "wrist", "finger", "hand", "ear lobe", "foot")
FULL = 0xFFFF  # kJ: the counter stays there until it is reset


def measurement(data: bytes) -> list[Reading]:
    """Rate, contact with the skin, energy since its reset, and the intervals between the last beats (s).

    Each interval's `at` is when it ended, relative to the last beat. Raises DecodeError.
    """
    octets = Octets("heart rate", data)
    flags = octets.unsigned(1)
    rate = octets.unsigned(2 if flags & 1 else 1)
    tells_contact, contact = bool(flags & 4), bool(flags & 2)
    energy = octets.unsigned(2) if flags & 8 else None
    intervals = _intervals(octets.rest()) if flags & 16 else []
    found = suspected([Reading("heart_rate", rate, "beat/min"), *intervals], tells_contact and not contact)
    if tells_contact:
        found.insert(1, Reading("sensor_contact", contact))
    if energy is not None:
        found.append(Reading("energy_expended", energy * 1000, "J", "suspect" if energy == FULL else "good"))
    return found


def _intervals(data: bytes) -> list[Reading]:
    """RR intervals, 1/1024 s each, oldest first."""
    if len(data) % 2:
        raise DecodeError(f"heart rate: {len(data)} bytes of RR intervals, which have two each; it was cut on its way")
    counts = [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]
    # The last beat is the sample's; each one before it came by the intervals after it earlier.
    before = [0, *accumulate(reversed(counts[1:]))]
    return [
        Reading("rr_interval", count / 1024, "s", at=-ago / 1024 if ago else 0.0)
        for count, ago in zip(counts, reversed(before), strict=True)
    ]


def location(data: bytes) -> list[Reading]:
    """Where on the body the sensor is. Raises DecodeError."""
    if len(data) != 1:
        raise DecodeError(f"{len(data)} bytes are no body sensor location; it is one")
    return [named_code("sensor_location", LOCATIONS, data[0])]


CHARACTERISTICS = {
    long_uuid("2a37"): Characteristic(
        measurement,
        {
            "heart_rate": Quantity("beat/min"),
            "sensor_contact": Quantity(None, "state"),
            "rr_interval": Quantity("s"),
            "energy_expended": Quantity("J", "counter"),
        },
    ),
    long_uuid("2a38"): Characteristic(location, {"sensor_location": Quantity(None, "state")}),
}

decode_input = partial(decode_captured, CHARACTERISTICS)
