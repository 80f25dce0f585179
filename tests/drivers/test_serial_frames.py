"""Meters and air sensors on a serial line, heard and asked over a real pseudo-terminal."""

import asyncio
import json
import os
import re
import tty
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drivers.asked_frames import AskedFrameOptions, AskedFrames
from drivers.codecs.frame_fields import FrameField, FrameOptions
from drivers.frames import Frames
from drivers.han import Han, HanOptions
from gateway import DecodeError, Listener, Reading
from gateway.config import load_profile, load_site
from gateway.config_serial import SerialLinkConfig
from gateway.links.serial import SerialLine

VECTORS = Path(__file__).parents[1] / "vectors"


def vectors(stem: str) -> dict[str, dict[str, Any]]:
    return {vector["id"]: vector for vector in json.loads((VECTORS / f"{stem}.json").read_text("utf-8"))["vectors"]}


P1, AIDON = vectors("p1-dsmr"), vectors("aidon-hdlc-se")
TELEGRAM = P1["p1-sagemcom"]["input_text"].encode()
LIST = bytes.fromhex(AIDON["aidon-hdlc-1"]["input_hex"])


class Port:
    """A pseudo-terminal: what a device says, and what it answers to each request."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.answers: dict[bytes, bytes] = {}
        self.asked: list[bytes] = []
        config = SerialLinkConfig.model_validate({"serial": os.ttyname(self.slave), "timeout": "2s"})
        self.line = SerialLine("desk", config)
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def _read(self) -> None:
        request = os.read(self.master, 1024)
        self.asked.append(request)
        os.write(self.master, self.answers.get(request, b""))

    async def close(self) -> None:
        await self.line.close()
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.master)
        os.close(self.slave)

    async def heard(self, driver: Listener, said: bytes, count: int) -> list[list[Reading] | DecodeError]:
        """What the driver makes of the first `count` frames in what the device says."""
        await self.line.frames("test", driver.hear, 0)
        os.write(self.master, said)
        found: list[list[Reading] | DecodeError] = []
        async with asyncio.timeout(5):
            while len(found) < count:
                for frame in await self.line.frames("test", driver.hear, 5):
                    try:
                        found.append(driver.decode(frame))
                    except DecodeError as error:
                        found.append(error)
        return found


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    made = Port()
    yield made
    await made.close()


def values(readings: list[Reading] | DecodeError) -> dict[str, Any]:
    assert isinstance(readings, list), readings
    return {reading.name: {"value": reading.value, "unit": reading.unit} for reading in readings}


# Meters


async def test_both_kinds_of_meter_are_recognised(port: Port) -> None:
    han = Han(HanOptions(), port.line)
    said = LIST[500:] + TELEGRAM + LIST + b"\x00\xff" + TELEGRAM
    first, second, third = await port.heard(han, said, 3)
    assert values(first) == P1["p1-sagemcom"]["expected"]
    assert values(second) == AIDON["aidon-hdlc-1"]["expected"]
    assert values(third) == values(first)


async def test_a_telegram_that_was_disturbed_is_dropped_and_the_next_is_good(port: Port) -> None:
    han = Han(HanOptions(), port.line)
    wrong, good = await port.heard(han, TELEGRAM.replace(b"1.727", b"7.727") + TELEGRAM, 2)
    assert isinstance(wrong, DecodeError)
    assert values(good) == P1["p1-sagemcom"]["expected"]


async def test_cut_telegrams_cost_themselves_only(port: Port) -> None:
    han = Han(HanOptions(), port.line)
    said = TELEGRAM[:400] + TELEGRAM + LIST[:300] + LIST + TELEGRAM[-100:] + TELEGRAM
    found = await port.heard(han, said, 2)
    found += await port.heard(han, LIST, 1) if len(found) < 3 else []
    assert values(found[0]) == P1["p1-sagemcom"]["expected"]
    assert AIDON["aidon-hdlc-1"]["expected"] in [values(one) for one in found if isinstance(one, list)]


async def test_a_meter_without_checksums_where_the_site_says_so(port: Port) -> None:
    said = P1["p1-no-crc"]["input_text"].encode()
    (refused,) = await port.heard(Han(HanOptions(), port.line), said, 1)
    assert isinstance(refused, DecodeError)
    (believed,) = await port.heard(Han(HanOptions(checksum=False), port.line), said, 1)
    assert values(believed) == P1["p1-no-crc"]["expected"]


def test_han_names_its_counters() -> None:
    kinds = {
        name: quantity.kind for name, quantity in Han(HanOptions(), None).quantities().items()
    }  # no link is needed
    assert kinds == {
        "0-0:1.0.0": "state",
        "1-0:1.8.0": "counter",
        "1-0:2.8.0": "counter",
        "1-0:3.8.0": "counter",
        "1-0:4.8.0": "counter",
    }


@pytest.mark.parametrize("vector", [*P1.values(), *AIDON.values()], ids=lambda vector: vector["id"])
def test_captures_of_either_kind(vector: dict[str, Any]) -> None:
    data = vector["input_text"].encode() if "input_text" in vector else bytes.fromhex(vector["input_hex"])
    options = HanOptions(checksum="checksum" not in vector["context"])
    if not vector["expected"]:
        with pytest.raises(DecodeError):
            Han.decode_input(options, data, {})
        return
    found = values(Han.decode_input(options, data, {}))
    assert vector["expected"].items() <= found.items()


# Air sensors


async def test_a_sensor_that_speaks_by_itself(port: Port) -> None:
    options = FrameOptions.model_validate(load_profile("sds011", Path()).options)
    frames = [bytes.fromhex(vector["input_hex"]) for vector in vectors("sds011").values()]
    warming = bytes.fromhex("aac000000000000000ab")
    found = await port.heard(Frames(options, port.line), b"\xc0\xab".join([*frames, warming, frames[0]]), 4)
    assert [values(one) if isinstance(one, list) else one for one in found] == [
        {"pm2_5": {"value": 0.6, "unit": "ug/m3"}, "pm10": {"value": 0.6, "unit": "ug/m3"}},
        {"pm2_5": {"value": 0.9, "unit": "ug/m3"}, "pm10": {"value": 0.9, "unit": "ug/m3"}},
        {},
        {"pm2_5": {"value": 0.6, "unit": "ug/m3"}, "pm10": {"value": 0.6, "unit": "ug/m3"}},
    ]


def asked(name: str, port: Port) -> AskedFrames:
    return AskedFrames(AskedFrameOptions.model_validate(load_profile(name, Path()).options), port.line)


async def test_a_sensor_that_is_asked(port: Port) -> None:
    request = bytes.fromhex("ff0186000000000079")
    sensor = asked("mh_z19", port)
    port.answers[request] = bytes.fromhex("ff86027c42000000ba")
    assert values(await sensor.read()) == {"co2": {"value": 636, "unit": "ppm"}}
    port.answers[request] = bytes.fromhex("ff860000000000007a")
    assert await sensor.read() == []
    assert port.asked == [request, request]
    assert sensor.traffic() == [(9, 9)]
    assert sensor.quantities()["co2"].unit == "ppm"


async def test_a_sensor_that_sleeps_is_started(port: Port) -> None:
    request, start = bytes.fromhex("7e000300fc7e"), bytes.fromhex("7e0000020103f97e")
    sensor = asked("sps30", port)
    port.answers = {request: bytes.fromhex("7e00034300b97e"), start: bytes.fromhex("7e00000000ff7e")}
    with pytest.raises(DecodeError, match="told to start"):
        await sensor.read()
    port.answers[request] = bytes.fromhex(vectors("sps30-shdlc")["sps30-1"]["input_hex"])
    assert values(await sensor.read())["pm10"]["value"] == pytest.approx(13.28, abs=0.006)
    assert port.asked == [request, start, request]


# drivers/README.md

README = (Path(__file__).parents[2] / "drivers/README.md").read_text("utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


def test_the_meter_of_the_readme(tmp_path: Path) -> None:
    (stanza,) = [text for text in BLOCKS if "driver: han" in text]
    (tmp_path / "gateway.yaml").write_text("gateway: {id: pi-7}\n" + stanza)
    site = load_site(tmp_path / "gateway.yaml")
    assert [problem for problem in site.problems if problem.severity == "error"] == []
    assert site.devices["house"].driver == "han"


def test_the_frame_profile_of_the_readme(tmp_path: Path) -> None:
    (text,) = [text for text in BLOCKS if text.startswith("driver: frames")]
    (tmp_path / "dust.yaml").write_text(text)
    profile = load_profile("dust.yaml", tmp_path)
    (vector,) = profile.vectors
    found = values(
        Frames.decode_input(FrameOptions.model_validate(profile.options), bytes.fromhex(vector["input_hex"]), {})
    )
    assert found["pm2_5"] == {"value": float(vector["expected"]["pm2_5"]["value"]), "unit": "ug/m3"}


def test_every_key_of_frames_is_explained() -> None:
    section = README.partition("## Binary frames")[2].partition("\n## ")[0]
    assert set(AskedFrameOptions.model_fields) | set(FrameField.model_fields) <= set(re.findall(r"\w+", section))


def test_what_is_wrong_is_told_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(
        "gateway: {id: pi-7}\n"
        "links: {desk: {serial: /dev/ttyUSB0}}\n"
        "devices:\n"
        "  a: {profile: sds011, link: desk, header: 42}\n"
        "  b: {profile: sds011, link: desk, fields: [{name: x, at: 9, type: uint16}]}\n"
        "  c: {profile: mh_z19, link: desk, every: 5s, checksum: sum9}\n"
        "  d: {driver: han, link: desk, checksum: maybe}\n"
    )
    site = load_site(tmp_path / "gateway.yaml")
    told = [str(problem).rpartition("gateway.yaml:")[2] for problem in site.problems if problem.severity == "error"]
    assert told == [
        '4:44: not bytes in hexadecimal; write them in quotes, like "42 4D 00 1C"',
        "5:44: x ends behind byte 9, the last; write a lower `at`",
        '6:57: "sum9" is not sum8, sum16, twos, inverted, xor_hex, crc16_modbus, crc16_arc or crc16_x25; did you mean'
        ' "sum8"?',
        '7:42: "maybe" is not true or false; write true or false',
    ]
