"""What a configuration asks of the buffer and of each serial bus, reckoned before anything runs."""

from dataclasses import dataclass

from gateway.config import DEVICES_FOLDER, DeviceConfig, ModbusLinkConfig, Place, Problem, Site
from gateway.driver import Driver, Polled
from gateway.payload import to_json
from gateway.problem import Fault
from gateway.reading import Reading
from gateway.rows import STORED_RATIO
from gateway.yamltext import read_yaml

TYPICAL = 230.25  # as long as most values are when written
ANSWER_TIME = 0.02  # s; what a device takes to begin its answer, assumed (meters 5 to 60 ms)


@dataclass(frozen=True)
class Load:
    """A serial bus: how long one round through all its devices takes (s), and the share of its time that is asked."""

    link: str
    line: str  # "9600 8N1"
    turns: int
    cycle: float
    share: float
    asked: tuple[str, ...]  # "meter-1 every 1 s"


def traffic(site: Site) -> tuple[float, float]:
    """Readings a second, and bytes a second they take on disk while the hub is away."""
    readings = body = 0.0
    for device in site.devices.values():
        records = [Reading(name, TYPICAL, q.unit) for name, q in _driver(device).quantities().items()]
        readings += len(records) / device.every
        body += len(to_json(records)) / device.every
    return readings, body * STORED_RATIO


def bus_loads(site: Site) -> list[Load]:
    """Each serial bus that has devices."""
    found = []
    for name, config in site.links.items():
        devices = [d for d in site.devices.values() if d.link == name]
        if config.kind == "rtu" and devices:
            times = [_turns(d, config) for d in devices]
            found.append(
                Load(
                    link=name,
                    line=f"{config.baudrate} {config.bytesize}{config.parity}{config.stopbits}",
                    turns=sum(map(len, times)),
                    cycle=sum(map(sum, times)),
                    share=sum(sum(t) / d.every for t, d in zip(times, devices, strict=True)),
                    asked=tuple(f"{d.name} every {d.every:g} s" for d in devices),
                )
            )
    return found


def overload(site: Site, load: Load) -> Problem | None:
    """A warning where a bus is asked for more than it can carry."""
    if load.share <= 1:
        return None
    text = f'"{load.link}" is asked for {load.share:.1f} times of what {load.line} can carry; devices will lag'
    instead = "read less (only), less often (every), or at a higher baudrate"
    return Problem(_place(site, load.link), text, instead, "warning", f"links.{load.link}")


def _place(site: Site, link: str) -> Place:
    for file in (site.path, *sorted((site.path.parent / DEVICES_FOLDER).glob("*.yaml"))):
        document, way = read_yaml(file), ("links", link)
        if way in document.keys:
            return document.place(Fault(way, "", at_key=True))
    return Place(str(site.path), 1, 1)


def _turns(device: DeviceConfig, config: ModbusLinkConfig) -> list[float]:
    """Seconds each turn of one read takes: both frames, the silence around them, the device's own time."""
    driver = _driver(device)
    if not isinstance(driver, Polled):
        return []
    bits = 1 + config.bytesize + (config.parity != "N") + config.stopbits
    byte = bits / config.baudrate
    silence = max(3.5 * byte, 0.00175)  # Modbus over Serial Line V1.02, 2.5.1.1
    pause = getattr(device.options, "pause", None)
    pause = config.pause if pause is None else pause
    rest = max(silence if pause is None else pause, silence)
    return [(asked + answered) * byte + silence + rest + ANSWER_TIME for asked, answered in driver.traffic()]


def _driver(device: DeviceConfig) -> Driver:
    return device.driver_class(device.options, None)
