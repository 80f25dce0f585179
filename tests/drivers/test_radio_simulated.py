"""Peripherals written from their documents, heard over a real link by their profiles: what was given is told."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway import DecodeError, Listener, Polled, Reading
from gateway.config import load_profile
from gateway.driver import load_driver, options_model
from gateway.links.radio import Radio as RadioLink
from simulators.catalog import load_peripheral
from simulators.peripherals._sensor import Sensor
from simulators.truth import Truth
from tests.gateway.links.radio_rig import Links, links
from tests.radio import Radio, radio

__all__ = ["links", "radio"]

WITHIN = 5.0  # s
ADDRESS = "C0:00:00:00:00:07"
KEY = "231d39c1d7cc1ab1aee224cd096db932"
Told = dict[str, tuple[list[Any], str]]
"""Values and unit by quantity."""


def driver(profile: str, link: RadioLink, **options: Any) -> Any:
    found = load_profile(profile, Path())
    made = load_driver(found.driver, Path())
    return made(options_model(made).model_validate({"address": ADDRESS, **found.options, **options}), link)


def given(file: Path, wanted: str) -> list[Told]:
    """What went out together, in the order of that; only what has the quantity `wanted`."""
    groups: dict[float, Told] = {}
    for line in map(json.loads, file.read_text().splitlines()):
        values, _ = groups.setdefault(line["t"], {}).setdefault(line["name"], ([], line["unit"]))
        values.append(line["value"])
    return [group for group in groups.values() if wanted in group]


def told(readings: list[Reading]) -> Told:
    found: Told = {}
    for reading in readings:
        found.setdefault(reading.name, ([], reading.unit or ""))[0].append(reading.value)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "truth.jsonl"


def put(radio: Radio, file: Path, name: str, **settings: str) -> tuple[Sensor, Truth]:
    sensor = load_peripheral(name).build(3, {"address": ADDRESS, **settings})
    sensor.truth = Truth(file)
    radio.add(sensor)
    return sensor, sensor.truth


@pytest.mark.parametrize(
    ("name", "profile", "settings", "options", "wanted"),
    [
        ("ble_tag", "ruuvi", {"every": "50ms"}, {}, "sequence"),
        ("ble_sensor", "bthome", {"every": "50ms"}, {}, "temperature"),
        ("ble_sensor", "bthome", {"every": "50ms", "bindkey": KEY}, {"bindkey_file": KEY}, "temperature"),
        ("ble_strap", "heart_rate", {"every": "20ms"}, {}, "heart_rate"),
        ("ble_strap", "heart_rate", {"every": "20ms", "contact": "unsupported", "heart_rate": "280"}, {}, "heart_rate"),
        ("ble_thermometer", "thermometer", {"every": "10s", "stored": "20"}, {}, "temperature"),
        ("ble_uart", "uart", {"every": "20ms"}, {}, "temperature"),
        ("ble_uart", "uart", {"every": "20ms", "microbit": "1", "dialect": "senml"}, {}, "temperature"),
    ],
    ids=str,
)
async def test_what_was_given_is_what_is_told(
    radio: Radio, links: Links, file: Path, name: str, profile: str, settings: dict[str, str],
    options: dict[str, Any], wanted: str,
) -> None:  # fmt: skip
    sensor, truth = put(radio, file, name, **settings)
    one = driver(profile, links(), **options)
    assert isinstance(one, Listener)
    samples: list[Told] = []
    async with asyncio.timeout(WITHIN):
        while len(samples) < 15:
            for frame in await one.link.frames("one", one.hear, WITHIN):
                try:
                    sample = told(one.decode(frame))
                except DecodeError:
                    assert not samples  # the rest of the line in which it was subscribed to
                    continue
                samples += [sample] if any(key.endswith(wanted) for key in sample) else []
    sensor.truth = None
    truth.close()
    groups = given(file, wanted) or given(file, f"urn:dev:mac:0024befffe804ff1:{wanted}")
    begin = next(place for place, group in enumerate(groups) if is_told(group, samples[0]))
    assert begin <= 1  # of lines the first one is not believed
    assert len(groups) >= begin + len(samples)
    assert all(map(is_told, groups[begin:], samples))


def is_told(group: Told, sample: Told) -> bool:
    return all(sample.get(name) == value for name, value in group.items())


async def test_what_is_read_is_what_was_given(radio: Radio, links: Links, file: Path) -> None:
    sensor, truth = put(radio, file, "ble_ess", every="20ms")
    one = driver("environmental_sensing", links())
    assert isinstance(one, Polled)
    samples = [told(await one.read()) for _ in range(3)]
    sensor.truth = None
    truth.close()
    names = ("temperature", "temperature.2", "humidity", "pressure")
    for name in names:
        groups = [group[name] for group in given(file, name)]
        assert [sample[name] for sample in samples] == groups
