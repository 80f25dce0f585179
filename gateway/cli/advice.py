"""What a serial bus cannot carry, and what would fit: reckoned, each proposal by itself enough."""

from collections.abc import Sequence

from gateway.cli import show
from gateway.cli.plan import ANSWER_TIME, FULL, Asked, Load, bus_load, silence, timeout
from gateway.config import DeviceConfig, ModbusLinkConfig, Place, Problem, Site
from gateway.problem import Fault, Way
from gateway.yamltext import Document

ADAPTER = 0.016  # s for which USB adapters hold bytes back: the latency timer as it is set at first (FTDI AN232B-04)
BAUDRATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
PAUSES = (0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01)  # s
_HANDSOME = (1, 1.5, 2, 3, 4, 5, 6, 8)
_NAMED = 4  # devices that a text names


def warnings(site: Site, docs: Sequence[Document], loads: Sequence[Load]) -> list[Problem]:
    """Devices that cannot be read as often as asked, buses asked for too much, time-outs too short for an answer."""
    found = []
    for load in loads:
        config = load.config
        for device in load.devices:
            if device.time > device.every:
                way: Way = ("devices", device.name, "every")
                found.append(_warning(docs, way, f"devices.{device.name}", *_slow(site, load, device)))
        slow = [d for d in load.devices if d.time > d.every]
        mended = sum(d.time / max(d.every, handsome(d.time / FULL)) for d in load.devices)
        if load.share > 1 and (not slow or mended > 1):
            found.append(_warning(docs, ("links", load.link), f"links.{load.link}", *_too_much(site, load)))
        found += _short(site, docs, load, config)
    files = [doc.file for doc in docs]
    return sorted(found, key=lambda p: (files.index(p.place.file), p.place.line, p.place.col))


def handsome(seconds: float) -> float:
    """As short as that or longer, and easily written: 150 ms, 2 s, 3 min."""
    if seconds > 60:
        return 60.0 * -(-seconds // 60)
    decade = 0.001
    while 10 * decade <= seconds:
        decade *= 10
    # 1000 * 0.001 is 1, and sums of it are not
    return next(round(m * decade, 6) for m in (*_HANDSOME, 10) if m * decade >= seconds * (1 - 1e-9))


def written(seconds: float) -> str:
    """As in the configuration: 150ms, 1.5s, 3min."""
    if seconds >= 60 and seconds % 60 == 0:
        return f"{seconds / 60:.0f}min"
    return f"{seconds:g}s" if seconds >= 1 else f"{1000 * seconds:g}ms"


def slower(devices: Sequence[Asked]) -> tuple[float, list[Asked]]:
    """The shortest `every` with which all fit, and who needs it: one device alone where it takes most of the bus."""
    every = handsome(min(d.every for d in devices))
    while sum(d.time / max(d.every, every) for d in devices) > FULL:
        every = handsome(1.01 * every)
    heavy = max(devices, key=lambda d: d.share)
    left = FULL - sum(d.share for d in devices if d is not heavy)
    if left > 0 and 2 * heavy.share >= sum(d.share for d in devices):
        alone = handsome(heavy.time / left)
        if alone <= 2 * every:
            return alone, [heavy]
    return every, [d for d in devices if d.every < every]


def _too_much(site: Site, load: Load) -> tuple[str, str]:
    config = load.config
    text = f'"{load.link}" is asked for {load.share:.3g} times of what {load.line} can carry'
    if load.pauses > load.share / 4:
        text += f" (pauses take {load.pauses:.2g} of it)"
    text += f", if a device begins its answer after {1000 * ANSWER_TIME:.0f} ms; its devices will lag"
    every, who = slower(load.devices)
    names = [device.name for device in who]
    told = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    if len(who) == len(load.devices) > 1:
        told = "each device"
    ways = [f"every: {written(every)} for {told}"]
    faster = _faster(config, _on(site, load))
    if faster:
        ways.append(f"baudrate: {faster} where the devices can")
    if (pause := _shorter_pause(load, silence(config))) is not None:
        ways.append(f"pause: {written(pause)} where the devices bear it")
    return text, f"write {', or '.join(ways)}" + ("" if faster else " (no baudrate alone is enough)")


def _slow(site: Site, load: Load, device: Asked) -> tuple[str, str]:
    turns = show.plural(len(device.turns), "turn")
    text = f"one read takes {show.seconds(device.time)} ({turns} at {load.line}), every is {written(device.every)}"
    ways = [f"every: {written(handsome(device.time / FULL))}"]
    if faster := _faster(load.config, [site.devices[device.name]]):
        ways.append(f"baudrate: {faster} where the device can")
    return text, f"write {', or '.join(ways)}, or read less (only)"


def _faster(config: ModbusLinkConfig, devices: list[DeviceConfig]) -> int | None:
    """The lowest higher baud rate at which these devices fit."""
    for baudrate in BAUDRATES:
        faster = config.model_copy(update={"baudrate": baudrate})
        if baudrate > config.baudrate and bus_load("", faster, devices).share <= FULL:
            return baudrate
    return None


def _shorter_pause(load: Load, least: float) -> float | None:
    """The longest pause before each request with which these devices fit."""
    for pause in PAUSES:
        saved = [max(0.0, d.pauses - len(d.turns) * max(0.0, pause - least)) / d.every for d in load.devices]
        if load.share - sum(saved) <= FULL:
            return pause
    return None


def _short(site: Site, docs: Sequence[Document], load: Load, config: ModbusLinkConfig) -> list[Problem]:
    """Time-outs in which hardly a device can begin its answer."""
    needs = silence(config) + ANSWER_TIME + ADAPTER
    instead = f"write timeout: {written(handsome(3 * needs))} or more"
    found: dict[Way, float] = {}
    for device in _on(site, load):
        if (within := timeout(device, config)) < needs:
            own = getattr(device.options, "timeout", None) is not None
            found[("devices", device.name, "timeout") if own else ("links", load.link, "timeout")] = within
    return [
        _warning(
            docs,
            way,
            ".".join(way[:2]),
            f"timeout {written(within)} is shorter than an answer may need to begin: {1000 * needs:.0f} ms"
            f" at {config.baudrate} baud (3.5 characters, a device's {1000 * ANSWER_TIME:.0f} ms,"
            f" a USB adapter's {1000 * ADAPTER:.0f} ms)",
            instead,
        )
        for way, within in found.items()
    ]


def _on(site: Site, load: Load) -> list[DeviceConfig]:
    return [device for device in site.devices.values() if device.link == load.link]


def _warning(docs: Sequence[Document], way: Way, part: str, text: str, instead: str) -> Problem:
    return Problem(place(docs, way), text, instead, "warning", part)


def place(docs: Sequence[Document], way: Way) -> Place:
    """Of a value that stands in one of the files, else of what it would stand in."""
    for end in range(len(way), 1, -1):
        for doc in docs:
            if way[:end] in doc.keys:
                return doc.place(Fault(way[:end], "", at_key=end < len(way) or end == 2))
    return Place(docs[0].file, 1, 1)
