"""Blocks that heal: a device that refuses some registers, holes or long reads, and what is read of it all the same."""

import asyncio
from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs.read_plan import TRIED_AGAIN
from drivers.modbus import Modbus, ModbusOptions
from gateway import LinkError, Reading, Table
from gateway.errors import LabgateError


class Unit:
    """Register n holds n; refuses what it does not have, and reads longer than it likes, each with its exception."""

    name = "bus-1"
    trace = None

    def __init__(self, bad: Collection[int] = (), longest: int = 125, code: int = 2) -> None:
        self.bad, self.longest, self.code = set(bad), longest, code
        self.asked: list[tuple[int, int]] = []

    async def read_block(
        self,
        unit_id: int,
        table: Table,
        address: int,
        count: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the contract's
        pause: float | None = None,
    ) -> bytes:
        self.asked.append((address, count))
        if self.bad & set(range(address, address + count)):
            raise LinkError(f"exception {self.code}", "exception", self.code)
        if count > self.longest:
            raise LinkError("exception 3", "exception", 3)
        return b"".join(n.to_bytes(2) for n in range(address, address + count))

    async def close(self) -> None: ...


def device(unit: Unit, addresses: Collection[int], **options: object) -> Modbus:
    registers = [{"name": f"r{n}", "table": "holding", "address": n} for n in addresses]
    return Modbus(ModbusOptions.model_validate({"registers": registers, **options}), unit)


def values(readings: list[Reading]) -> dict[str, object]:
    return {reading.name: reading.value for reading in readings}


def expected(addresses: Collection[int]) -> dict[str, object]:
    return {f"r{n}": n for n in addresses}


def told(device: Modbus) -> str:
    trouble = device.trouble()
    assert isinstance(trouble, LabgateError)
    assert trouble.reason == "exception"
    return str(trouble)


async def test_one_bad_register_of_sixty_is_found_and_named() -> None:
    unit = Unit(bad=[37])
    meter = device(unit, range(60))
    assert values(await meter.read()) == expected(set(range(60)) - {37})
    assert told(meter) == (
        "the device refuses r37 (holding 37, exception 2: illegal data address): left out, and tried again now and "
        "then; correct the registers, or leave them out (only)"
    )
    assert len(unit.asked) <= 13
    unit.asked.clear()
    assert values(await meter.read()) == expected(set(range(60)) - {37})
    assert unit.asked == [(0, 37), (38, 22)]


async def test_it_is_tried_again_and_used_again() -> None:
    unit = Unit(bad=[3])
    meter = device(unit, range(6))
    for _ in range(3 * TRIED_AGAIN):
        assert values(await meter.read()) == expected({0, 1, 2, 4, 5})
    assert unit.asked.count((3, 1)) == 1 + 3
    unit.bad.clear()
    for _ in range(TRIED_AGAIN + 1):
        readings = await meter.read()
    assert values(readings) == expected(range(6))
    assert meter.trouble() is None
    assert unit.asked[-1] == (0, 6)


async def test_a_hole_between_registers_is_no_longer_read_across() -> None:
    unit = Unit(bad=[12])
    meter = device(unit, [10, 11, 14, 15, 30], max_gap=20)
    for _ in range(2):
        assert values(await meter.read()) == expected([10, 11, 14, 15, 30])
    assert meter.trouble() is None
    assert unit.asked[-2:] == [(10, 2), (14, 17)]


async def test_a_device_that_takes_shorter_reads_than_it_should_is_read_in_shorter_ones() -> None:
    unit = Unit(longest=20)
    meter = device(unit, range(60))
    for _ in range(3):
        assert values(await meter.read()) == expected(range(60))
        assert meter.trouble() is None
    unit.asked.clear()
    assert values(await meter.read()) == expected(range(60))
    assert sum(count for _, count in unit.asked) == 60
    assert len(unit.asked) <= 4


async def fails(meter: Modbus) -> LinkError:
    try:
        await meter.read()
    except LinkError as error:
        return error
    raise AssertionError("it did not fail")


async def test_a_device_that_refuses_everything_fails_until_it_answers() -> None:
    unit = Unit(bad=range(100))
    meter = device(unit, [1, 2, 3, 40])
    for _ in range(3):
        assert (await fails(meter)).reason == "exception"
    unit.bad.clear()
    await meter.read()
    assert values(await meter.read()) == expected([1, 2, 3, 40])
    assert meter.trouble() is None


async def test_a_table_the_device_does_not_have_is_left_out_at_once() -> None:
    unit = Unit(bad=range(50, 60), code=1)
    meter = device(unit, [*range(4), *range(50, 60)])
    assert values(await meter.read()) == expected(range(4))
    assert len(unit.asked) == 2
    assert "r50 (holding 50, exception 1: illegal function), r51" in told(meter)
    assert "6 more" in told(meter)


async def test_what_is_said_of_now_only_fails_the_poll() -> None:
    for code in (4, 5, 6, 8, 10, 11):
        unit = Unit(bad=[5], code=code)
        meter = device(unit, range(10))
        assert (await fails(meter)).code == code
        unit.bad.clear()
        assert values(await meter.read()) == expected(range(10))
        assert unit.asked == [(0, 10), (0, 10)]


@given(
    st.sets(st.integers(0, 60), min_size=1, max_size=40),
    st.sets(st.integers(0, 60), max_size=4),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(0, 5),
)
def test_all_good_registers_are_read_and_the_bad_ones_named(
    wanted: set[int], bad: set[int], longest: int, max_registers: int, max_gap: int
) -> None:
    async def run() -> None:
        unit = Unit(bad, longest)
        meter = device(unit, wanted, max_registers=max_registers, max_gap=max_gap)
        good = wanted - bad
        if not good:
            await fails(meter)
            return
        for _ in range(3):
            assert values(await meter.read()) == expected(good)
        assert set(meter.plan.refused) == {f"r{n}" for n in wanted & bad}
        assert all(count <= max_registers for _, count in unit.asked)
        before = len(unit.asked)
        await meter.read()
        read = [set(range(address, address + count)) for address, count in unit.asked[before:]]
        assert good <= set().union(*read)
        assert not bad & set().union(*read)

    asyncio.run(run())
