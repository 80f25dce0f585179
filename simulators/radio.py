"""A radio of its own: a private bus, a bluetoothd with one adapter, the peripherals in reach, and what goes wrong."""

import argparse
import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from simulators.catalog import kinds, load_peripheral
from simulators.faults import Fault, Outcome, of_unit, parse_fault
from simulators.settings import Settings
from simulators.truth import Truth

if TYPE_CHECKING:
    from simulators.bluez.adapter import Adapter
    from simulators.bluez.bluetoothd import FakeBluez
    from simulators.peripherals._sensor import Sensor

ADAPTER = "DC:A6:32:01:02:03"
_BEAT = 0.1  # s: what counts as a request for what goes wrong with the radio itself
_OF_PERIPHERALS = ("mute", "silent", "drop", "away")
_OF_THE_RADIO = ("off", "kill", "unplug", "deaf")


class Radio:
    """The peripherals, by kind; for each measurement of one a fault of theirs may strike, with a seed of its own."""

    def __init__(self, sensors: Iterable[tuple[str, "Sensor"]], faults: Sequence[str] = (), seed: int = 0) -> None:
        """Raises ValueError, with one line for people, for a fault that cannot be, and an address that two have."""
        self.sensors = list(sensors)
        self.truth: Truth | None = None
        self._seed = seed
        for address, devices in Counter(self.addresses).items():
            if devices > 1:
                raise ValueError(f"only one of {devices} devices can have the address {address}; leave it out")
        for text in faults:
            self._check(text)
        self._faults = _of(_OF_THE_RADIO, faults)
        for place, (_, sensor) in enumerate(self.sensors):
            sensor.trouble = partial(_strike, sensor, _of(_OF_PERIPHERALS, faults), Random(seed + place))

    def _check(self, text: str) -> None:
        if of_unit(text)[0] is not None:
            raise ValueError(f"fault {text!r}: there are no units on a radio; leave the unit out")
        fault, name = parse_fault(text), text.split()[0]
        outcome = Outcome()
        fault.strike(outcome)
        if name not in _OF_PERIPHERALS + _OF_THE_RADIO or outcome.mid or outcome.cut:
            raise ValueError(
                f"fault {text!r} makes no sense on a radio; try mute, drop, away, off, kill, unplug or deaf"
            )
        if outcome.drop and not any(sensor.connectable for _, sensor in self.sensors):
            raise ValueError(
                f"fault {text!r} needs a link, and there is none to what only advertises; try mute or away"
            )

    @property
    def addresses(self) -> list[str]:
        """Of the peripherals."""
        return [sensor.address for _, sensor in self.sensors]

    def introduction(self, bus: str) -> str:
        """How to reach it, for people: a line for the bus and one for each peripheral."""
        lines = [f"DBUS_SYSTEM_BUS_ADDRESS={bus}  adapter {ADAPTER}"]
        return "\n".join([*lines, *(f"{sensor.address}  {kind}  {sensor.name}" for kind, sensor in self.sensors)])

    @asynccontextmanager
    async def on_the_air(self) -> AsyncIterator[str]:
        """Runs it; gives the address of its bus. Raises ConnectionError where there can be no bus."""
        from simulators.bluez.bluetoothd import FakeBluez  # loaded for a radio only
        from simulators.bluez.bus import PrivateBus
        from simulators.bluez.systemd import Systemd

        async with AsyncExitStack() as stack:
            try:
                bus = await stack.enter_async_context(PrivateBus())
            except (RuntimeError, TimeoutError) as error:
                raise ConnectionError(str(error) or "dbus-daemon does not come up") from error
            bluez = await stack.enter_async_context(FakeBluez(bus.address, self._seed))
            await stack.enter_async_context(Systemd(bluez))
            adapter = bluez.add_adapter(ADAPTER)
            for _, sensor in self.sensors:
                sensor.truth = self.truth
                adapter.add(sensor)
            async with asyncio.TaskGroup() as group:
                outages = group.create_task(self._outages(bluez, adapter))
                yield bus.address
                outages.cancel()

    async def _outages(self, bluez: "FakeBluez", adapter: "Adapter") -> None:
        """What goes wrong with the radio itself; one thing at a time."""
        random, loop = Random(self._seed), asyncio.get_running_loop()
        while self._faults:
            await asyncio.sleep(_BEAT)
            outcome = _outcome(self._faults, loop.time(), random)
            adapter.deaf = outcome.deaf
            if outcome.off is not None:
                adapter.power_off()
                await asyncio.sleep(outcome.off)
                adapter.power_on()
            elif outcome.kill is not None:
                bluez.kill()
                await asyncio.sleep(outcome.kill)
                if not bluez.running:  # systemd was not asked for it meanwhile
                    await bluez.start()
            elif outcome.unplug is not None:
                adapter.unplug()
                await asyncio.sleep(outcome.unplug)
                adapter.plug()


def radio(options: argparse.Namespace, known: Settings, devices: int) -> Radio:
    """The radio that was asked for: `devices` of each kind. Raises ValueError with one line for people."""
    for given, option in (
        (options.port, "--port"), (options.rtu, "--rtu"), (options.link, "--link"), (options.unit_id, "--unit-id"),
        (options.baudrate, "--baudrate"),
    ):  # fmt: skip
        if given is not None and given is not False:  # port 0 is one
            raise ValueError(f"{option} is for a wire, and {options.name} has a radio; leave it out")
    seeds: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(options.seed))
    sensors = []
    for kind in kinds(options.name) * devices:
        simulator = load_peripheral(kind)
        own = {name: value for name, value in known.items() if name in simulator.SETTINGS}
        sensors.append((kind, simulator.build(next(seeds[kind]), own)))
    return Radio(sensors, options.fault, options.seed)


def _of(names: Sequence[str], texts: Iterable[str]) -> list[Fault]:
    return [parse_fault(text) for text in texts if text.split()[0] in names]


def _outcome(faults: Iterable[Fault], now: float, random: Random) -> Outcome:
    outcome = Outcome()
    for fault in faults:
        fault.apply(outcome, now, random)
    return outcome


def _strike(sensor: "Sensor", faults: Sequence[Fault], random: Random) -> None:
    """What goes wrong with one peripheral when it measures."""
    loop = asyncio.get_running_loop()
    outcome = _outcome(faults, loop.time(), random)
    sensor.silent = outcome.silent
    if outcome.drop:
        sensor.disconnect()
    if outcome.away is not None and sensor.in_range:
        sensor.go_out_of_range()
        loop.call_later(outcome.away, sensor.come_back)
