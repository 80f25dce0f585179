"""What a configuration asks of the buffer and of each serial bus, reckoned before anything runs. Pure."""

import math
from dataclasses import dataclass

from gateway.config import DeviceConfig, ModbusLinkConfig, Site
from gateway.driver import Driver, Polled
from gateway.links.arbiter import REST
from gateway.pace import most_pause
from gateway.payload import to_json
from gateway.reading import Reading
from gateway.rows import STORED_RATIO

TYPICAL = 230.25  # as long as most values are when written
ANSWER_TIME = 0.02  # s; what a device takes to begin its answer, assumed (meters 5 to 60 ms)
HANDLING = 0.0015  # s a turn: measured on paced lines, 1.4 to 2 ms; waits end with the next tick of a clock
FULL = 0.9  # of a bus: what is proposed fits with a tenth to spare
_REQUEST = 8  # bytes of a read, as an RTU frame
_FAST = 0.00175  # s; the least silence between frames above 19200 baud: Modbus over Serial Line V1.02, 2.5.1.1


@dataclass(frozen=True)
class Asked:
    """What one device asks of its bus: its period, and what each turn of a read takes (s), pauses included."""

    name: str
    every: float
    turns: tuple[float, ...]
    pauses: float  # of all turns, beyond the silence that the protocol demands
    dead: float  # what a question costs the bus when the device does not answer

    @property
    def time(self) -> float:
        """Seconds of the bus that one read takes."""
        return sum(self.turns)

    @property
    def share(self) -> float:
        """Of the time of the bus."""
        return self.time / self.every

    @property
    def dead_every(self) -> float:
        """Seconds between two questions, in the end, when it does not answer while others share the bus."""
        asked_again = self.dead + most_pause(self.dead, alone=False)
        return (math.floor(asked_again / self.every) + 1) * self.every


@dataclass(frozen=True)
class Load:
    """A serial bus with its devices, each of which a round asks once."""

    link: str
    config: ModbusLinkConfig
    devices: tuple[Asked, ...]

    @property
    def line(self) -> str:
        """Like "9600 8N1"."""
        c = self.config
        return f"{c.baudrate} {c.bytesize}{c.parity}{c.stopbits}"

    @property
    def turns(self) -> int:
        """Of a round."""
        return sum(len(device.turns) for device in self.devices)

    @property
    def cycle(self) -> float:
        """Seconds that a round takes."""
        return sum(device.time for device in self.devices)

    @property
    def share(self) -> float:
        """Of the time of the bus that is asked; above 1 it cannot be given."""
        return sum(device.share for device in self.devices)

    @property
    def pauses(self) -> float:
        """Of the time of the bus, what its devices want to be left alone."""
        return sum(device.pauses / device.every for device in self.devices)

    @property
    def worst_dead(self) -> Asked | None:
        """The device that costs the others most when it does not answer; None where there are no others."""
        return max(self.devices, key=lambda d: d.dead / d.dead_every) if len(self.devices) > 1 else None


def traffic(site: Site) -> tuple[float, float]:
    """Readings a second, and bytes a second they take on disk while the hub is away."""
    readings = body = 0.0
    for device in site.devices.values():
        records = [Reading(name, TYPICAL, q.unit) for name, q in _driver(device).quantities().items()]
        if device.every:  # who speaks by itself does not say how often
            readings += len(records) / device.every
            body += len(to_json(records)) / device.every
    return readings, body * STORED_RATIO


def bus_loads(site: Site, answer_time: float = ANSWER_TIME) -> list[Load]:
    """Each serial bus that has devices. Of a serial line behind a TCP box the speed is not known: none of these."""
    found = []
    for name, config in site.links.items():
        devices = [d for d in site.devices.values() if d.link == name]
        if isinstance(config, ModbusLinkConfig) and config.kind == "rtu" and devices:
            found.append(bus_load(name, config, devices, answer_time))
    return found


def bus_load(
    name: str, config: ModbusLinkConfig, devices: list[DeviceConfig], answer_time: float = ANSWER_TIME
) -> Load:
    """What these devices ask of the bus with this configuration."""
    return Load(name, config, tuple(_asked(device, config, answer_time) for device in devices))


def silence(config: ModbusLinkConfig) -> float:
    """Seconds that end a frame: 3.5 characters, above 19200 baud 1.75 ms."""
    return max(3.5 * _byte_time(config), _FAST)


def timeout(device: DeviceConfig, config: ModbusLinkConfig) -> float:
    """Seconds that a device on this link may take to begin its answer."""
    own = getattr(device.options, "timeout", None)
    return config.timeout if own is None else own


def _asked(device: DeviceConfig, config: ModbusLinkConfig, answer_time: float) -> Asked:
    """Each turn is both frames, the silence that ends the request, the device's and our own time, the pause before."""
    driver = _driver(device)
    frames = driver.traffic() if isinstance(driver, Polled) else []
    byte, least = _byte_time(config), silence(config)
    pause = getattr(device.options, "pause", None)
    pause = config.pause if pause is None else pause
    rest = max(pause or 0.0, least)
    return Asked(
        device.name,
        device.every,
        tuple(rest + (asked + answered) * byte + least + answer_time + HANDLING for asked, answered in frames),
        (rest - least) * len(frames),
        rest + _REQUEST * byte + timeout(device, config) + REST,
    )


def _byte_time(config: ModbusLinkConfig) -> float:
    return (1 + config.bytesize + (config.parity != "N") + config.stopbits) / config.baudrate


def _driver(device: DeviceConfig) -> Driver:
    return device.driver_class(device.options, None)
