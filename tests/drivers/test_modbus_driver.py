"""The Modbus driver on a link that answers from a table: what it asks, what it makes of the answers, its options."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.modbus import Modbus, ModbusOptions
from gateway import DecodeError, LinkError, Quantity, Reading, Table
from gateway.driver import link_shape, load_driver, options_model
from gateway.links.base import ModbusLink

METER = [
    {"name": "voltage", "table": "input", "address": 0, "type": "float32", "unit": "V"},
    {"name": "power", "table": "input", "address": 12, "type": "float32", "unit": "W"},
    {
        "name": "energy",
        "table": "holding",
        "address": 20,
        "type": "uint32",
        "scale": "0.01",
        "unit": "kWh",
        "kind": "counter",
    },
    {"name": "mode", "table": "holding", "address": 22, "values": {0: "off", 1: "heating"}},
    {"name": "valve", "table": "coil", "address": 7},
]


class TableLink:
    """Answers every read with the same data a register, and keeps what was asked."""

    name = "bus-1"
    trace = None

    def __init__(self, answer: str = "", error: Exception | None = None) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answer, self.error = answer, error

    async def read_block(
        self,
        unit_id: int,
        table: Table,
        address: int,
        count: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the contract's
        pause: float | None = None,
    ) -> bytes:
        self.asked.append((unit_id, table, address, count, timeout, pause))
        if self.error:
            raise self.error
        data = bytes.fromhex(self.answer)
        return data or bytes((count + 7) // 8 if table == "coil" else 2 * count)

    async def close(self) -> None: ...


def options(**more: Any) -> ModbusOptions:
    return ModbusOptions.model_validate({"registers": METER, **more})


async def test_reads_block_by_block() -> None:
    link = TableLink()
    device = Modbus(options(unit_id=7, timeout="200ms", pause="60ms"), link)
    readings = await device.read()
    assert link.asked == [
        (7, "input", 0, 2, 0.2, 0.06),
        (7, "input", 12, 2, 0.2, 0.06),
        (7, "holding", 20, 3, 0.2, 0.06),
        (7, "coil", 7, 1, 0.2, 0.06),
    ]
    assert readings == [
        Reading("voltage", 0.0, "V"),
        Reading("power", 0.0, "W"),
        Reading("energy", 0.0, "kWh"),
        Reading("mode", "off"),
        Reading("valve", False),
    ]
    assert list(device.quantities()) == ["voltage", "power", "energy", "mode", "valve"]
    assert device.quantities()["energy"] == Quantity("kWh", "counter")
    # unit, function, address, count, checksum asked; unit, function, byte count, data, checksum answered
    assert device.traffic() == [(8, 9), (8, 9), (8, 11), (8, 6)]


async def test_the_links_own_time_out_and_pause_unless_said() -> None:
    link = TableLink()
    await Modbus(options(only=["valve"]), link).read()
    assert link.asked == [(1, "coil", 7, 1, None, None)]


async def test_a_wide_gap_joins_and_only_leaves_out() -> None:
    link = TableLink()
    device = Modbus(options(max_gap=10, only=["power", "voltage", "mode"]), link)
    assert [reading.name for reading in await device.read()] == ["voltage", "power", "mode"]
    assert [asked[1:4] for asked in link.asked] == [("input", 0, 14), ("holding", 22, 1)]
    assert list(device.quantities()) == ["voltage", "power", "mode"]


async def test_errors_of_the_wire_and_of_the_bytes_come_through() -> None:
    with pytest.raises(LinkError):
        await Modbus(options(), TableLink(error=LinkError("no answer", "timeout"))).read()
    with pytest.raises(DecodeError):
        await Modbus(options(), TableLink(answer="0000")).read()


async def test_nothing_available_is_no_reading() -> None:
    assert await Modbus(options(only=["voltage"]), TableLink(answer="7fc00000")).read() == []


def test_found_by_name() -> None:
    assert load_driver("modbus", Path()) is Modbus
    assert link_shape(Modbus) is ModbusLink
    assert options_model(Modbus) is ModbusOptions


@pytest.mark.parametrize(
    ("told", "place", "text"),
    [
        ({"unit_id": 0}, "unit_id", "unit 0 is everybody and nobody answers; write 1 to 247"),
        ({"unit_id": 248}, "unit_id", "there is no unit 248; write 1 to 247 (255 where a device is shipped so)"),
        ({"max_registers": 126}, "max_registers", "no read has 126 registers; write 1 to 125"),
        ({"max_gap": 125}, "max_gap", "no read spans 125 registers; write 0 to 124"),
        ({"registers": []}, "registers", "nothing to read; write at least one register"),
        (
            {"registers": [METER[0], METER[0]]},
            "registers",
            "two registers are named 'voltage'; write another name for one of them",
        ),
        (
            {"registers": [{**METER[3], "values": None, "bits": {0: "a"}}, {**METER[3], "name": "mode.a"}]},
            "registers",
            "two registers are named 'mode.a'; write another name for one of them",
        ),
        (
            {"max_registers": 3, "registers": [{"name": "x", "table": "input", "address": 4, "scale_register": 1}]},
            "registers",
            "x takes a read of 4 registers, max_registers is 3; write a shorter `length` or a larger `max_registers`",
        ),
        (
            {"max_registers": 1},
            "registers",
            "voltage takes a read of 2 registers, max_registers is 1; "
            "write a shorter `length` or a larger `max_registers`",
        ),
        ({"only": ["volts"]}, "only", "no register is named 'volts'; write voltage"),
        ({"only": ["x"]}, "only", "no register is named 'x'; write voltage, power, energy, mode, valve"),
        ({"only": []}, "only", "nothing to read; write the names to read, or leave `only` out"),
        ({"pause": "60"}, "pause", None),
        ({"registers": [{**METER[0], "address": 65536}]}, "registers.0.address", None),
    ],
)
def test_options_that_cannot_be(told: dict[str, Any], place: str, text: str | None) -> None:
    with pytest.raises(ValidationError) as caught:
        options(**told)
    (error,) = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == place
    message = error["msg"].removeprefix("Value error, ")
    assert re.fullmatch("[^\n]+; [^\n]+", message)
    assert text is None or message == text


def test_units_that_can_be() -> None:
    assert [options(unit_id=unit).unit_id for unit in (1, 247, 255)] == [1, 247, 255]


def test_old_register_numbers_are_a_warning() -> None:
    pump = options(registers=[METER[4], {"name": "flow", "table": "holding", "address": 40017}])
    assert pump.warnings() == [
        (
            ("registers", 1, "address"),
            "address 40017 with table holding looks like a register number",
            "write 16, addresses count from 0",
        )
    ]
    assert options().warnings() == []
