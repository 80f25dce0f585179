"""BTHome v2 thermometer: temperature, humidity and battery in adverts, plain or encrypted (bindkey, 32 hex digits).

Source: bthome.io/format and bthome.io/encryption: service data of 0xFCD2, a byte of device information, then objects by
rising id, low byte first. Encrypted: AES-CCM by a nonce of address, UUID, device information and a counter that grows,
which is sent before a check of 4 bytes.
"""

import re
import time
from random import Random

from simulators.mains import pinned_or, wander
from simulators.modbus_slave import Given
from simulators.peripherals._sensor import COMMON, Sensor, address, address_type, name, scaled
from simulators.settings import Settings, number, period

SETTINGS = ("temperature", "humidity", "battery", "bindkey", *COMMON)

_BTHOME = "fcd2"
_PLAIN, _ENCRYPTED = b"\x40", b"\x41"  # version 2, sends again and again
_ADVERTS = 4  # of each measurement
_EVERY = 10.0  # s


class BthomeSensor(Sensor):
    """Hangs on a wall."""

    def __init__(self, seed: int, settings: Settings) -> None:
        where = address(settings, "ble_sensor", seed)
        self.every = period(settings, _EVERY)
        called = name(settings, f"ATC_{where[-8:].replace(':', '')}")
        super().__init__(
            where, called, address_type=address_type(where), interval=self.every / _ADVERTS, connectable=False
        )
        random = Random(seed)
        self._temperature = pinned_or(number(settings, "temperature", -327.68, 327.67), wander(random, 21.0, 2.0))
        self._humidity = pinned_or(number(settings, "humidity", 0, 100), wander(random, 45.0, 8.0))
        self._battery = pinned_or(number(settings, "battery", 0, 100), wander(random, 80.0, 15.0))
        self._key = _bindkey(settings)
        self._packet = random.randrange(0x100)
        self._counter = int(time.time())  # goes on growing when it is started again

    def measure(self, t: float) -> None:
        """See Sensor."""
        self._packet, self._counter = (self._packet + 1) % 0x100, self._counter + 1
        temperature, humidity = round(100 * self._temperature(t)), round(100 * self._humidity(t))
        said, given = objects(self._packet, round(self._battery(t)), temperature, humidity)
        mac = bytes.fromhex(self.address.replace(":", ""))
        data = _PLAIN + said if self._key is None else encrypted(self._key, mac, self._counter, said)
        self.service_data = {_BTHOME: data}
        self.advertises(given)


def objects(packet: int, battery: int, temperature: int, humidity: int) -> tuple[bytes, list[Given]]:
    """Objects 00, 01, 02 and 03, and what they say. `battery` in %, `temperature` 0.01 Cel, `humidity` 0.01 %RH."""
    data = bytes((0x00, packet, 0x01, battery, 0x02)) + temperature.to_bytes(2, "little", signed=True)
    return data + b"\x03" + humidity.to_bytes(2, "little"), [
        ("packet_id", "count", str(packet)),
        ("battery", "%EL", str(battery)),
        ("temperature", "Cel", scaled(temperature, "0.01")),
        ("humidity", "%RH", scaled(humidity, "0.01")),
    ]


def encrypted(key: bytes, mac: bytes, counter: int, objects: bytes) -> bytes:
    """The service data of encrypted objects; `mac` as it is written."""
    from cryptography.hazmat.primitives.ciphers.aead import AESCCM  # loaded only where there is a key

    count = counter.to_bytes(4, "little")
    sealed = AESCCM(key, tag_length=4).encrypt(mac + b"\xd2\xfc" + _ENCRYPTED + count, objects, None)
    return _ENCRYPTED + sealed[:-4] + count + sealed[-4:]


def _bindkey(settings: Settings) -> bytes | None:
    if "bindkey" not in settings:
        return None
    if not re.fullmatch("[0-9a-fA-F]{32}", settings["bindkey"]):
        raise ValueError("bindkey must be 32 hexadecimal digits")
    return bytes.fromhex(settings["bindkey"])


def build(seed: int, settings: Settings) -> BthomeSensor:
    """A sensor; in Cel, %RH and %; a measurement each `every` (10s or as set) goes out four times."""
    return BthomeSensor(seed, settings)
