"""Blood pressure (Blood Pressure Service 1.1.1, 3.1 and 3.2; GATT Specification Supplement)."""

from functools import partial

from drivers.codecs.radio_peer import long_uuid
from drivers.codecs.sig_octets import Characteristic, Octets, available, decode_captured, suspected
from gateway import Quantity, Reading

UNKNOWN_USER = 0xFF
DOUBTED = 1 << 0 | 1 << 1 | 1 << 5  # the body moved, the cuff was loose, or it was held in a wrong place

MEASURED = ("systolic", "diastolic", "mean_arterial")
INFLATING = ("cuff_pressure",)  # the other two are not a number while it measures


def measurement(data: bytes, names: tuple[str, ...] = MEASURED) -> list[Reading]:
    """Three pressures under `names` in mm[Hg] or Pa, the device's time, pulse, which user. Raises DecodeError."""
    octets = Octets("blood pressure", data)
    flags = octets.unsigned(1)
    unit, tens = ("Pa", 3) if flags & 1 else ("mm[Hg]", 0)  # kPa on the wire
    pressures = [octets.sfloat(tens) for _ in MEASURED]
    time = octets.date_time() if flags & 2 else None
    pulse = octets.sfloat() if flags & 4 else None
    user = octets.unsigned(1) if flags & 8 else UNKNOWN_USER
    status = octets.unsigned(2) if flags & 16 else None
    values = [(name, value, unit) for name, value in zip(names, pressures, strict=False)]
    return suspected(available(*values, ("pulse_rate", pulse, "beat/min")), bool((status or 0) & DOUBTED)) + available(
        ("timestamp", time, None),
        ("user", None if user == UNKNOWN_USER else user, None),
        ("measurement_status", status, None),
    )


_STATE = Quantity(None, "state")
_REST = {"pulse_rate": Quantity("beat/min"), "timestamp": _STATE, "user": _STATE, "measurement_status": _STATE}

CHARACTERISTICS = {
    long_uuid("2a35"): Characteristic(measurement, dict.fromkeys(MEASURED, Quantity("mm[Hg]")) | _REST),
    long_uuid("2a36"): Characteristic(
        partial(measurement, names=INFLATING), dict.fromkeys(INFLATING, Quantity("mm[Hg]")) | _REST
    ),
}

decode_input = partial(decode_captured, CHARACTERISTICS)
