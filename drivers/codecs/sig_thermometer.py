"""Body temperature (Health Thermometer Service 1.0, 3.1 to 3.3; GATT Specification Supplement)."""

from functools import partial

from drivers.codecs.radio_peer import long_uuid
from drivers.codecs.sig_octets import Characteristic, Octets, available, decode_captured, named_code
from gateway import DecodeError, Quantity, Reading

SITES = {
    1: "armpit", 2: "body", 3: "ear", 4: "finger", 5: "gastro", 6: "mouth", 7: "rectum", 8: "toe", 9: "tympanum",
}  # fmt: skip


def measurement(data: bytes, name: str = "temperature") -> list[Reading]:
    """Temperature under `name`, the device's time, and where it was measured. Raises DecodeError."""
    octets = Octets("temperature", data)
    flags = octets.unsigned(1)
    temperature = octets.float32()
    time = octets.date_time() if flags & 2 else None
    found = available((name, temperature, "[degF]" if flags & 1 else "Cel"), ("timestamp", time, None))
    return [*found, named_code("site", SITES, octets.unsigned(1))] if flags & 4 else found


def site(data: bytes) -> list[Reading]:
    """Where it always measures. Raises DecodeError."""
    if len(data) != 1:
        raise DecodeError(f"{len(data)} bytes are no temperature type; it is one")
    return [named_code("site", SITES, data[0])]


_SITE = {"site": Quantity(None, "state")}
_REST = {"timestamp": Quantity(None, "state"), **_SITE}

CHARACTERISTICS = {
    long_uuid("2a1c"): Characteristic(measurement, {"temperature": Quantity("Cel"), **_REST}),
    long_uuid("2a1d"): Characteristic(site, _SITE),
    long_uuid("2a1e"): Characteristic(  # what it shows while it measures
        partial(measurement, name="intermediate_temperature"), {"intermediate_temperature": Quantity("Cel"), **_REST}
    ),
}

decode_input = partial(decode_captured, CHARACTERISTICS)
