"""Which simulators there are, and how one is built: Modbus slaves in devices/, others in speakers/ and peripherals/."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from simulators.modbus_slave import Slave
from simulators.settings import Settings, closest
from simulators.speaker import Speaker

if TYPE_CHECKING:
    from simulators.peripherals._sensor import Sensor  # brings dbus_fast, which only a radio needs


class Described(Protocol):
    """What every simulator gives, beside the first line of its docstring."""

    SETTINGS: Sequence[str]  # names that --set knows


class Simulator(Described, Protocol):
    """What a file in devices/ gives."""

    def build(self, unit_id: int, seed: int, settings: Settings) -> Slave:
        """One device. Raises ValueError, with one line for people, for a setting that cannot be."""
        ...


class SpeakerSimulator(Described, Protocol):
    """What a file in speakers/ gives."""

    def build(self, seed: int, settings: Settings) -> Speaker:
        """One device. Raises ValueError, with one line for people, for a setting that cannot be."""
        ...


class PeripheralSimulator(Described, Protocol):
    """What a file in peripherals/ gives."""

    def build(self, seed: int, settings: Settings) -> "Sensor":
        """One peripheral. Raises ValueError, with one line for people, for a setting that cannot be."""
        ...


def slaves() -> list[str]:
    """The names of all Modbus slaves."""
    return _files("devices")


def speakers() -> list[str]:
    """The names of all devices that speak by themselves, or answer in a way of their own."""
    return _files("speakers")


def peripherals() -> list[str]:
    """The names of all peripherals of a radio."""
    return _files("peripherals")


def simulators() -> list[str]:
    """The names of all simulators."""
    return sorted(slaves() + speakers() + peripherals())


def kinds(name: str) -> list[str]:
    """The peripherals of a radio that `name` says, as ble_tag+ble_strap; none where it says another simulator.

    Raises ValueError where one of several is no peripheral.
    """
    names = name.split("+")
    for one in names if len(names) > 1 else ():
        if one not in peripherals():
            raise ValueError(f"{one!r} is no peripheral, which + puts on one radio; {closest(one, peripherals())}")
    return names if names[0] in peripherals() else []


class _Together:
    """Several peripherals on one radio."""

    def __init__(self, names: Sequence[str]) -> None:
        settings = dict.fromkeys(setting for name in names for setting in load_peripheral(name).SETTINGS)
        self.SETTINGS: Sequence[str] = list(settings)


def described(name: str) -> Described:
    """The simulator `name`, or several peripherals. Raises ValueError where there is none."""
    if len(kinds(name)) > 1:
        return _Together(kinds(name))
    if name in peripherals():
        return load_peripheral(name)
    return load_speaker(name) if name in speakers() else load(name)


def load(name: str) -> Simulator:
    """The Modbus slave `name`. Raises ValueError where there is none."""
    if name not in slaves():
        raise _unknown(name)
    return cast(Simulator, import_module(f"simulators.devices.{name}"))


def load_speaker(name: str) -> SpeakerSimulator:
    """The device `name` that speaks. Raises ValueError where there is none."""
    if name not in speakers():
        raise _unknown(name)
    return cast(SpeakerSimulator, import_module(f"simulators.speakers.{name}"))


def load_peripheral(name: str) -> PeripheralSimulator:
    """The peripheral `name`. Raises ValueError where there is none."""
    if name not in peripherals():
        raise _unknown(name)
    return cast(PeripheralSimulator, import_module(f"simulators.peripherals.{name}"))


def _files(folder: str) -> list[str]:
    return sorted(file.stem for file in (Path(__file__).parent / folder).glob("[!_]*.py"))


def _unknown(name: str) -> ValueError:
    return ValueError(f"there is no simulator {name!r}; {closest(name, simulators())}")
