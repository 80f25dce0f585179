"""Oxygen in the blood, and pulse (Pulse Oximeter Service 1.0.1, 3.1 and 3.2; GATT Specification Supplement)."""

from functools import partial

from drivers.codecs.radio_peer import long_uuid
from drivers.codecs.sig_octets import Characteristic, Octets, available, decode_captured, suspected
from gateway import Quantity, Reading

# Measurement status: early estimate, for demonstration, for testing, being calibrated, unavailable, questionable,
# invalid.
DOUBTED = 1 << 6 | 0b111111 << 10
# Sensor status: all but that its display lags behind (0) and that it is still at work (9).
TROUBLED = 0xFFFF & ~(1 << 0 | 1 << 9)


def spot_check(data: bytes) -> list[Reading]:
    """One measurement: saturation, pulse, the device's time, what it says of both. Raises DecodeError."""
    octets = Octets("spot-check measurement", data)
    flags = octets.unsigned(1)
    values = _pair(octets, "")
    time = octets.date_time() if flags & 1 else None
    found = _with_status(octets, values, flags >> 1)
    unset = bool(flags & 16)
    found += suspected(available(("timestamp", time, None)), unset)
    return [*found, Reading("clock_set", not unset)] if flags & 17 else found


def continuous(data: bytes) -> list[Reading]:
    """What it measures now, averaged as usual, and where it tells so over shorter and longer. Raises DecodeError."""
    octets = Octets("continuous measurement", data)
    flags = octets.unsigned(1)
    values = _pair(octets, "")
    for bit, suffix in enumerate(("_fast", "_slow")):
        if flags >> bit & 1:
            values += _pair(octets, suffix)
    return _with_status(octets, values, flags >> 2)


def _pair(octets: Octets, suffix: str) -> list[Reading]:
    saturation, pulse = octets.sfloat(), octets.sfloat()
    return available((f"spo2{suffix}", saturation, "%"), (f"pulse_rate{suffix}", pulse, "beat/min"))


def _with_status(octets: Octets, values: list[Reading], flags: int) -> list[Reading]:
    """The values, then what `flags` say is there: measurement status, sensor status, pulse amplitude."""
    status = octets.unsigned(2) if flags & 1 else None
    sensor = octets.unsigned(3) if flags & 2 else None
    values += available(("pulse_amplitude", octets.sfloat() if flags & 4 else None, "%"))
    doubted = bool((status or 0) & DOUBTED or (sensor or 0) & TROUBLED)
    told = available(("measurement_status", status, None), ("sensor_status", sensor, None))
    return suspected(values, doubted) + told


_VALUES = {"spo2": Quantity("%"), "pulse_rate": Quantity("beat/min")}
_FAST_AND_SLOW = {f"{name}_{pace}": quantity for pace in ("fast", "slow") for name, quantity in _VALUES.items()}
_STATE = Quantity(None, "state")
_STATUS = {"pulse_amplitude": Quantity("%"), "measurement_status": _STATE, "sensor_status": _STATE}

CHARACTERISTICS = {
    long_uuid("2a5e"): Characteristic(spot_check, {**_VALUES, **_STATUS, "timestamp": _STATE, "clock_set": _STATE}),
    long_uuid("2a5f"): Characteristic(continuous, {**_VALUES, **_FAST_AND_SLOW, **_STATUS}),
}

decode_input = partial(decode_captured, CHARACTERISTICS)
