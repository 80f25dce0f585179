"""The SunSpec driver on a real bus: a Modbus TCP device made of the words of public captures, by the specification."""

import json
import re
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.sunspec import SunSpec, SunSpecOptions
from gateway import DecodeError, LinkError, Quantity, Reading
from gateway.config import ModbusLinkConfig
from gateway.driver import link_shape, load_driver, options_model
from gateway.links import open_link
from gateway.links.base import ModbusLink
from simulators.modbus_slave import READ_HOLDING_REGISTERS, Given, Slave
from simulators.wire import Station, tcp_port

VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads((Path(__file__).parents[1] / "vectors/sunspec.json").read_text("utf-8"))["vectors"]
}


def captured(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name]["input_hex"])


def expected(name: str, prefix: str = "") -> dict[str, Any]:
    told = VECTORS[name]["expected"]
    return {prefix + point: reading["value"] for point, reading in told.items() if reading["value"] is not None}


def model(number: int, data: bytes) -> bytes:
    return struct.pack(">HH", number, len(data) // 2) + data


COMMON = model(1, captured("sunspec-common-test"))
INVERTER = model(103, captured("sunspec-103"))
METER = model(203, captured("sunspec-203"))
NO_NUMBER = model(1, b"SolarEdge".ljust(96, b"\0") + b"0".ljust(32, b"\0") + b"\0\7")  # 65 registers


class Memory:
    """Holding registers of a device. What it was asked for is kept."""

    def __init__(self, base: int, models: Iterable[bytes], end: bytes = b"\xff\xff\0\0") -> None:
        self.asked: list[tuple[int, int]] = []
        self.put(base, models, end)

    def put(self, base: int, models: Iterable[bytes], end: bytes = b"\xff\xff\0\0") -> None:
        self.base, self.words = base, b"SunS" + b"".join(models) + end

    def read(self, address: int, count: int) -> bytes | None:
        self.asked.append((address, count))
        start = 2 * (address - self.base)
        return self.words[start : start + 2 * count] if 0 <= start <= len(self.words) - 2 * count else None

    def given(self, address: int, count: int, data: bytes) -> Iterable[Given]:
        return ()


Device = Callable[..., Any]


@pytest.fixture
async def device() -> AsyncIterator[Device]:
    """`await device(memory, max_registers=…)`: a driver on a bus to a slave with these registers."""
    async with AsyncExitStack() as stack:

        async def start(memory: Memory, longest: int = 125, **options: Any) -> SunSpec:
            slave = Slave(1, {READ_HOLDING_REGISTERS: memory}, longest)
            url = await stack.enter_async_context(tcp_port({1: Station(slave)}))
            link = open_link("pv", ModbusLinkConfig.model_validate({"modbus": url, "timeout": "5s"}))
            stack.push_async_callback(link.close)
            return SunSpec(SunSpecOptions.model_validate(options), link)

        yield start


def values(readings: list[Reading]) -> dict[str, Any]:
    found = {reading.name: reading.value for reading in readings}
    assert len(found) == len(readings), "two readings of one name"
    return found


def holds(found: dict[str, Any], told: dict[str, Any]) -> bool:
    return all(
        found[name] == (value if isinstance(value, str) else pytest.approx(value, rel=2e-6))
        for name, value in told.items()
    )


@pytest.mark.parametrize("base", [40000, 50000, 0])
async def test_an_inverter(device: Device, base: int) -> None:
    memory = Memory(base, [COMMON, INVERTER])
    driver = await device(memory)
    assert driver.identity() == {}
    first = values(await driver.read())
    assert holds(first, expected("sunspec-103") | expected("sunspec-common-test"))
    assert driver.identity() == {"model": "SunSpecTest TestDevice-1", "serial": "sn-123456789", "firmware": "1.2.3"}
    memory.asked.clear()
    again = values(await driver.read())
    assert holds(again, expected("sunspec-103"))
    assert "Mn" not in again, "what does not change is told once"
    assert memory.asked == [(base + 2 + 68, 52)], "one poll is one read"
    assert driver.quantities()["WH"] == Quantity("Wh", "counter")
    assert driver.traffic() == [(8, 5 + 2 * 52)]


# findings: SolarEdge hides its meter behind a second common block of 65 registers, whose serial number is 0


async def test_an_inverter_with_a_meter_behind_it(device: Device) -> None:
    driver = await device(Memory(40000, [COMMON, INVERTER, NO_NUMBER, METER, METER]))
    found = values(await driver.read())
    assert holds(found, expected("sunspec-103") | expected("sunspec-common-test"))
    assert holds(found, expected("sunspec-203", "203."))
    assert holds(found, expected("sunspec-203", "203-2."))
    assert found["1-2.Mn"] == "SolarEdge"
    assert found["1-2.DA"] == 7
    assert "1-2.SN" not in found
    assert found["SN"] == "sn-123456789"


async def test_only_some_points(device: Device) -> None:
    memory = Memory(40000, [COMMON, INVERTER, NO_NUMBER, METER])
    driver = await device(memory, only=["W", "203.W", "SN"])
    assert values(await driver.read()) == {"SN": "sn-123456789", "W": 5520, "203.W": -18}
    memory.asked.clear()
    assert values(await driver.read()) == {"W": 5520, "203.W": -18}
    assert memory.asked == [(40070, 16), (40189, 23)]


async def test_a_device_that_takes_short_reads_only(device: Device) -> None:
    memory = Memory(40000, [COMMON, METER])
    driver = await device(memory, longest=40, max_registers=40)
    assert holds(values(await driver.read()), expected("sunspec-203"))
    assert max(count for _, count in memory.asked) <= 40


async def test_a_map_that_changed_is_walked_again_before_any_value_is_told(device: Device) -> None:
    memory = Memory(40000, [COMMON, INVERTER])
    driver = await device(memory)
    await driver.read()
    memory.put(40000, [COMMON, model(120, bytes(52)), INVERTER])  # as after an update
    found = values(await driver.read())
    assert holds(found, expected("sunspec-103") | expected("sunspec-common-test"))
    memory.put(40000, [COMMON, METER])
    assert holds(values(await driver.read()), expected("sunspec-203"))
    memory.put(50000, [COMMON, INVERTER])  # registers that are no longer there
    assert holds(values(await driver.read()), expected("sunspec-103"))


async def test_no_map(device: Device) -> None:
    driver = await device(Memory(30000, [COMMON]))
    with pytest.raises(DecodeError, match=r"^no SunSpec map at 40000, 50000, 0; write `base`, or another `unit_id`$"):
        await driver.read()
    there = await device(Memory(30000, [INVERTER]), base=30000)
    assert holds(values(await there.read()), expected("sunspec-103"))
    with pytest.raises(DecodeError, match=r"^nothing to read in this SunSpec device; its models: 1, 120$"):
        await (await device(Memory(40000, [COMMON, model(120, bytes(52))]))).read()


async def test_a_broken_map_is_refused(device: Device) -> None:
    for models in ([COMMON, model(103, b"")], [model(900, b"\0\0")] * 150):
        with pytest.raises(DecodeError, match=r"^broken SunSpec map: "):
            await (await device(Memory(40000, models))).read()


class Down:
    """A link that is down after so many reads of a device."""

    name, trace = "pv", None

    def __init__(self, memory: Memory, good: int, error: LinkError) -> None:
        self.memory, self.good, self.error = memory, good, error

    async def read_block(self, unit_id: int, table: str, address: int, count: int, *_: object) -> bytes:
        self.good -= 1
        if self.good < 0:
            raise self.error
        data = self.memory.read(address, count)
        if data is None:
            raise LinkError("exception 2", "exception", 2)
        return data

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    "error",
    [LinkError("no answer", "timeout"), LinkError("exception 6", "exception", 6), LinkError("gone", "network")],
)
async def test_a_wire_that_fails_is_told_and_forgets_nothing(error: LinkError) -> None:
    for good in range(6):
        memory = Memory(40000, [COMMON, INVERTER])
        link = Down(memory, good, error)
        driver = SunSpec(SunSpecOptions(), link)
        with pytest.raises(LinkError) as caught:
            await driver.read()
        assert caught.value is error
        link.good = 100
        assert holds(values(await driver.read()), expected("sunspec-103"))
        link.good = 0
        with pytest.raises(LinkError):
            await driver.read()
        link.good = 1  # one read is enough: the walk is remembered, and proved by the headers
        assert holds(values(await driver.read()), expected("sunspec-103"))


def test_found_by_name() -> None:
    assert load_driver("sunspec", Path()) is SunSpec
    assert link_shape(SunSpec) is ModbusLink
    assert options_model(SunSpec) is SunSpecOptions


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"unit_id": 0}, "unit 0 is everybody and nobody answers; write 1 to 247"),
        ({"unit_id": 300}, "there is no unit 300; write 1 to 247 (255 where a device is shipped so)"),
        ({"base": 65536}, "no map begins at 65536; write 40000, 50000 or 0, or leave it out"),
        (
            {"max_registers": 20},
            "reads of 20 registers do not do, a point may lie 33 from its scale factor; write 33 to 125",
        ),
        ({"max_registers": 126}, None),
        ({"only": []}, "nothing to read; write the names to read, or leave `only` out"),
        ({"only": ["PhVPhA"]}, "no point is named 'PhVPhA'; write PhVphA"),
        ({"only": ["203.Watts"]}, None),
        ({"only": ["watts_hours"]}, "no point is named 'watts_hours'; write names like W, PhVphA, WH"),
    ],
)
def test_options_that_cannot_be(told: dict[str, Any], text: str | None) -> None:
    with pytest.raises(ValidationError) as caught:
        SunSpecOptions.model_validate(told)
    (error,) = caught.value.errors()
    message = error["msg"].removeprefix("Value error, ")
    assert re.fullmatch("[^\n]+; [^\n]+", message)
    assert text is None or message == text
