"""Meters and air sensors against simulators written from the vendors' documents, through noise and damage."""

import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from drivers.asked_frames import AskedFrameOptions, AskedFrames
from drivers.frames import Frames
from drivers.han import Han, HanOptions
from gateway import DecodeError, Listener, Parser, Reading
from gateway.config import load_profile
from gateway.driver import load_driver, options_model
from simulators.catalog import load_speaker
from simulators.speaker import Said, Speaker

CLOCK = "0-0:1.0.0"
SPEAKERS: list[tuple[str, str, dict[str, str]]] = [
    ("han", "p1_meter", {"brand": "kamstrup"}),
    ("han", "p1_meter", {"brand": "landis", "units": "W"}),
    ("han", "p1_meter", {"brand": "sagemcom", "letter": "S"}),
    ("han", "aidon_meter", {}),
    ("sds011", "sds011", {}),
    ("pms5003", "pms5003", {}),
]


def listener(name: str) -> Listener:
    if name == "han":
        return Han(HanOptions(), None)  # no link is needed
    profile = load_profile(name, Path())
    made = load_driver(profile.driver, Path())
    assert made is Frames
    return made(options_model(made).model_validate(profile.options), None)


def speaker(name: str, seed: int, settings: dict[str, str]) -> Speaker:
    device = load_speaker(name).build(seed, settings)
    device.started = 1_763_721_125.25
    list(device.boot(0.0))
    return device


def truth(said: Said) -> dict[str, tuple[Any, str]]:
    units = {"/dL": "1/dl"}  # two ways to write it in UCUM; SenML's liter is l
    return {name: (json.loads(text), units.get(unit, unit)) for name, unit, text in said.given}


def told(readings: list[Reading]) -> dict[str, tuple[Any, str]]:
    return {reading.name: (reading.value, reading.unit or "") for reading in readings}


@pytest.mark.parametrize(("driver", "name", "settings"), SPEAKERS, ids=str)
def test_every_frame_says_what_the_device_gave(driver: str, name: str, settings: dict[str, str]) -> None:
    one, device = listener(driver), speaker(name, 7, settings)
    said = [frame for t in range(40) for frame in device.speak(float(10 * t))]
    heard = [told(one.decode(frame)) for frame in Parser(one.hear).feed(b"".join(frame.frame for frame in said))]
    assert heard == [truth(frame) for frame in said]
    assert any(heard)


@pytest.mark.parametrize(("driver", "name", "settings"), SPEAKERS, ids=str)
def test_through_noise_and_damage_only_what_was_given(driver: str, name: str, settings: dict[str, str]) -> None:
    one, device, chance = listener(driver), speaker(name, 8, settings), random.Random(8)
    stream, given, whole = b"", [], []
    for t in range(200):
        for said in device.speak(float(10 * t)):
            frame, given = said.frame, [*given, truth(said)]
            match chance.randrange(6):
                case 0:
                    frame = frame[: chance.randrange(len(frame))]
                case 1:
                    at = chance.randrange(len(frame))
                    frame = frame[:at] + bytes([frame[at] ^ 1 << chance.randrange(8)]) + frame[at + 1 :]
                case 2:
                    frame = chance.randbytes(chance.randrange(30)) + frame
                case _:
                    whole.append(truth(said))
            stream += frame
    parser, heard = Parser(one.hear), []
    while stream:
        piece, stream = stream[: (n := chance.randrange(1, 90))], stream[n:]
        for found in parser.feed(piece):
            with contextlib.suppress(DecodeError):
                heard.append(told(one.decode(found)))
    assert all(sample in given for sample in heard)
    assert sum(sample in heard for sample in whole) >= 0.95 * len(whole)


@pytest.mark.parametrize("letter", ["W", "S"])
def test_the_clock_of_the_meter_is_in_utc_whatever_its_letter(letter: str) -> None:
    (said,) = speaker("p1_meter", 1, {"letter": letter}).speak(0.0)
    (frame,) = Parser(listener("han").hear).feed(said.frame)
    assert listener("han").decode(frame)[0] == Reading(CLOCK, "2025-11-21T10:32:05Z")


class Asked:
    """A wire on which a simulated device answers at once."""

    name, trace = "desk", None

    def __init__(self, device: Speaker) -> None:
        self.device, self.given = device, [()]
        self.t = 0.0

    async def ask(self, request: bytes, answer: Any, within: float | None = None) -> bytes:
        self.t += 5
        (whole,), _ = self.device.split(request)
        (said,) = self.device.answer(whole, self.t)
        self.given.append(truth(said))  # of whatever was said last
        (frame,) = Parser(answer).feed(said.frame)
        return frame


async def test_a_sensor_that_is_asked_says_what_it_gives() -> None:
    wire = Asked(speaker("mh_z19", 3, {}))
    sensor = AskedFrames(
        AskedFrameOptions.model_validate(load_profile("mh_z19", Path()).options), wire
    )  # only what it uses
    heard = []
    for _ in range(50):
        heard.append(told(await sensor.read()))
        assert heard[-1] == wire.given[-1]
    assert heard[0] == {}
    assert len([sample for sample in heard if sample]) == 48
