"""A driver with a name: its grid, its states, its names; drivers are scripted, everything else is real."""

import asyncio
import json
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import pace
from gateway.clock import Clock
from gateway.config import DeviceConfig
from gateway.device import Device
from gateway.driver import Options, Polled
from gateway.errors import DecodeError, LinkError
from gateway.links.arbiter import URGENT
from gateway.reading import Quantity, Reading, Sample
from tests.examples import examples

GOOD = [Reading("voltage", 230.2, "V"), Reading("power", 1500, "W")]
Answer = list[Reading] | Exception | Callable[[], Awaitable[list[Reading]]]


@dataclass(frozen=True)
class Scripted(Polled):
    """Gives one answer after the other, the last one for ever; `troubles` holds what it complains of, if anything."""

    options: Options = field(default_factory=Options)
    link: None = None
    troubles: list[LinkError] = field(default_factory=list)
    said: dict[str, str | None] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=lambda: [GOOD])
    known: dict[str, Quantity] = field(default_factory=dict)
    asked: list[float] = field(default_factory=list)

    def quantities(self) -> dict[str, Quantity]:
        return dict(self.known)

    def identity(self) -> dict[str, str | None]:
        return dict(self.said)

    def trouble(self) -> LinkError | None:
        return self.troubles[-1] if self.troubles else None

    async def read(self) -> list[Reading]:
        self.asked.append(asyncio.get_running_loop().time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return await answer() if callable(answer) else answer


class Bench:
    """A device, and what it gave and said."""

    def __init__(self, *answers: Answer, known: dict[str, Quantity] | None = None, **config: Any) -> None:
        self.samples: list[tuple[Sample, bytes]] = []
        self.said: list[dict[str, object]] = []
        self.driver = Scripted(answers=list(answers) or [GOOD], known=known or {})
        common = {
            "name": "meter-1",
            "driver": "modbus",
            "driver_class": Scripted,
            "profile": None,
            "version": None,
            "options": Options(),
            "link": "bus-1",
            "every": 0.05,
            "silent_after": None,
            "klass": "normal",
            "labels": {},
            "max_quantities": 64,
            "isolate": False,
        }
        self.device = Device(
            DeviceConfig(**(common | config)),
            self.driver,
            Clock(),
            lambda _, sample, body: self.samples.append((sample, body)),
            lambda device: self.said.append(device.status()),
        )

    async def asks(self, times: int) -> None:
        for _ in range(times):
            await self.device.ask()


# -- the grid


async def polled(bench: Bench, phase: float, seconds: float) -> list[float]:
    """When it was asked, in periods after the start, which is on the grid."""
    began = (now := asyncio.get_running_loop().time()) - now % bench.device.config.every + bench.device.config.every
    await asyncio.sleep(began - now)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bench.device.poll(phase), seconds)
    return [(at - began) / bench.device.config.every for at in bench.driver.asked]


@pytest.mark.parametrize("phase", [0.0, 0.1, 0.4, 0.5, 0.6, 0.9])
async def test_asked_at_once_then_on_a_grid_that_begins_in_its_phase(phase: float) -> None:
    asked = await polled(Bench(every=0.08), phase, 0.26)
    assert asked[0] == pytest.approx(0, abs=0.2)
    assert 0.49 <= asked[1] <= 1.6  # never a mere fraction of a period, and not much more than one
    for at in asked[1:]:
        assert (at - phase) % 1 == pytest.approx(0, abs=0.15) or (at - phase) % 1 > 0.99


async def test_the_grid_does_not_drift_however_long_a_read_takes() -> None:
    async def slow() -> list[Reading]:
        await asyncio.sleep(0.02)
        return GOOD

    asked = await polled(Bench(slow, every=0.05), 0.0, 0.52)
    assert len(asked) == 11
    assert asked[-1] == pytest.approx(10, abs=0.2)


async def test_of_what_a_slow_device_made_us_miss_only_the_last_is_taken_up() -> None:
    async def stuck() -> list[Reading]:
        await asyncio.sleep(0.13)
        return GOOD

    asked = await polled(Bench(GOOD, stuck, GOOD, every=0.05), 0.0, 0.33)
    assert asked == pytest.approx([0, 1, 3.6, 4, 5, 6], abs=0.35)


async def test_one_who_is_asked_for_more_than_it_can_do_never_rests() -> None:
    async def slow() -> list[Reading]:
        await asyncio.sleep(0.03)
        return GOOD

    asked = await polled(Bench(slow, every=0.02), 0.0, 0.5)
    assert max(b - a for a, b in pairwise(asked[1:])) * 0.02 < 0.03 + 0.02


# -- samples


async def test_a_good_answer_is_a_sample_with_its_stamp_and_body() -> None:
    bench = Bench()
    before = bench.device.clock.stamp()
    await bench.asks(1)
    ((sample, body),) = bench.samples
    assert (sample.device, sample.readings) == ("meter-1", GOOD)
    assert before.boot < sample.stamp.boot
    assert json.loads(body) == [{"n": "voltage", "u": "V", "v": 230.2}, {"n": "power", "u": "W", "v": 1500}]
    assert bench.device.last == sample.stamp


@pytest.mark.parametrize("nothing", [[], [Reading("voltage", math.nan, "V")]])
async def test_an_answer_without_a_value_is_no_sample_and_no_failure(nothing: list[Reading]) -> None:
    bench = Bench(GOOD, nothing, GOOD, nothing)
    await bench.asks(4)
    assert [s.readings for s, _ in bench.samples] == [GOOD, GOOD]
    assert bench.device.state == "ok"
    assert bench.device.last == bench.samples[-1][0].stamp


async def test_what_is_no_value_makes_no_sample_but_a_state() -> None:
    bench = Bench([Reading("dial", [1, 2])])
    await bench.asks(1)
    assert bench.samples == []
    assert (bench.device.state, bench.device.reason) == ("degraded", "decode")
    assert bench.device.text.startswith("dial: list is no value")


# -- states


async def test_states_follow_the_answers_and_each_change_is_told_once() -> None:
    late = LinkError("no answer within 500 ms: unit 1 on bus-1", "timeout")
    bench = Bench(late, late, GOOD, GOOD, late, late, late, late, DecodeError("bad order"), GOOD)
    await bench.asks(10)
    said = [(s["state"], s.get("reason")) for s in bench.said]
    assert said == [
        ("unreachable", "timeout"),  # it never answered
        ("unreachable", "timeout"),  # its quantities are told, too
        ("ok", None),
        ("degraded", "timeout"),
        ("unreachable", "timeout"),  # three in a row
        ("degraded", "decode"),
        ("ok", None),
    ]
    assert bench.device.failures == 0


async def test_a_driver_that_lacks_something_is_degraded_though_it_gives_readings() -> None:
    bench = Bench(GOOD, LinkError("no answer", "timeout"), GOOD)
    await bench.asks(1)
    bench.driver.troubles.append(LinkError("the device refuses r37", "exception", 2))
    for _ in range(3):
        bench.device.got(GOOD)
    bench.driver.troubles.append(LinkError("the device refuses r37, r38", "exception", 2))
    bench.device.got(GOOD)
    await bench.asks(2)
    bench.driver.troubles.clear()
    bench.device.got(GOOD)
    assert [(said["state"], said.get("text")) for said in bench.said[1:]] == [  # the first tells of its quantities
        ("ok", None),
        ("degraded", "the device refuses r37"),
        ("degraded", "the device refuses r37, r38"),
        ("degraded", "no answer"),
        ("degraded", "the device refuses r37, r38"),
        ("ok", None),
    ]
    assert len(bench.samples) == 7
    assert bench.device.lost == {"timeout": 1}


async def test_one_who_cannot_keep_up_is_degraded_while_that_lasts() -> None:
    takes = [0.03]

    async def slow() -> list[Reading]:
        await asyncio.sleep(takes[0])
        return GOOD

    bench = Bench(slow, every=0.02)
    asyncio.get_running_loop().call_later(0.6, takes.__setitem__, 0, 0.001)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "_WINDOW", 0.25)  # seconds, not ten
        await polled(bench, 0.0, 1.5)
    assert [(said["state"], said.get("reason")) for said in bench.said[1:]] == [
        ("ok", None),
        ("degraded", "bus_full"),
        ("ok", None),
    ]
    assert re.fullmatch(
        r"asked every 0\.02 s, achieved every 0\.03\d* s: link bus-1 carries no more; "
        r"read less \(only\), less often \(every\), or at a higher baudrate",
        str(bench.said[2]["text"]),
    )


async def test_a_dead_device_is_asked_at_once_when_somebody_reads_it_and_it_answers() -> None:
    dead, given_up, back = LinkError("no answer", "timeout"), asyncio.Event(), asyncio.Event()

    async def fourth() -> list[Reading]:
        given_up.set()  # the fifth would come after a second
        raise dead

    async def well_again() -> list[Reading]:
        back.set()
        return GOOD

    bench = Bench(dead, dead, dead, fourth, GOOD, well_again, every=0.02)
    async with asyncio.TaskGroup() as group:
        polling = group.create_task(bench.device.poll(0.0))
        await given_up.wait()
        assert await bench.device.read() == GOOD
        async with asyncio.timeout(0.5):
            await back.wait()
        polling.cancel()


async def test_the_status_says_what_and_how_often_and_since_when() -> None:
    late = LinkError("no answer within 500 ms: unit 1 on bus-1", "timeout")
    bench = Bench(GOOD, late)
    await bench.asks(13)
    status = bench.device.status()
    assert status["state"] == "unreachable"
    assert status["reason"] == "timeout"
    assert status["text"] == "no answer within 500 ms: unit 1 on bus-1, 12 times"
    assert status["last"] <= status["since"]
    assert "last" not in Bench().device.status()
    assert Bench().device.status()["state"] == "starting"


async def test_a_bug_of_the_driver_is_a_state_of_the_device() -> None:
    bench = Bench(GOOD, ZeroDivisionError("division by zero"))
    await bench.asks(1)
    with pytest.raises(ZeroDivisionError) as caught:
        await bench.asks(1)
    bench.device.broken(caught.value)
    bench.device.broken(caught.value)
    assert (bench.device.state, bench.device.reason) == ("degraded", "bug")
    assert "ZeroDivisionError: division by zero" in bench.device.text
    assert [s.get("reason") for s in bench.said].count("bug") == 1


async def test_reading_beside_the_polls_goes_before_them() -> None:
    waited_for: list[bool] = []

    async def note() -> list[Reading]:
        waited_for.append(URGENT.get())
        return GOOD

    bench = Bench(note)
    await bench.asks(1)
    await bench.device.read()
    await bench.asks(1)
    assert waited_for == [False, True, False]


async def test_reading_beside_the_polls_hands_nothing_over() -> None:
    bench = Bench([Reading("a b", 1)], LinkError("no", "timeout"), ZeroDivisionError("x"))
    assert await bench.device.read() == [Reading("a_b", 1)]
    with pytest.raises(LinkError, match="no"):
        await bench.device.read()
    with pytest.raises(LinkError, match="the driver failed: ZeroDivisionError"):
        await bench.device.read()
    assert (bench.samples, bench.device.state) == ([], "starting")


# -- names, units, quantities

LEGAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


@examples(150)
@given(
    st.lists(
        st.lists(st.one_of(st.text(max_size=70), st.sampled_from(["a", "a.2", "°C", ""])), max_size=12), max_size=3
    )
)
def test_names_are_legal_and_different_and_the_devices_own_are_told(polls: list[list[str]]) -> None:
    bench = Bench(max_quantities=10)
    for names in polls:
        bench.device.got([Reading(name, i) for i, name in enumerate(names)])
    named = {r.name for sample, _ in bench.samples for r in sample.readings}
    assert all(LEGAL.fullmatch(name) for name in named)
    assert len(named) <= 10
    assert named <= bench.device.quantities.keys()
    for sample, _ in bench.samples:
        assert len({r.name for r in sample.readings}) == len(sample.readings)
    quantities: Any = bench.device.meta()["quantities"]
    for name, own in bench.device.renamed.items():
        assert name not in quantities or quantities[name]["name"] == own


async def test_a_driver_may_know_its_quantities_only_after_the_first_read() -> None:
    bench = Bench([Reading("WH", 1180, "Wh")])
    bench.driver.known["WH"] = Quantity("Wh", "counter")
    await bench.asks(1)
    assert bench.device.meta()["quantities"] == {"WH": {"unit": "Wh", "kind": "counter"}}


async def test_one_value_too_many_is_passed_over_and_the_first_ones_stay() -> None:
    bench = Bench([Reading(f"q{i}", i) for i in range(5)], [Reading(f"q{i}", i) for i in range(4, -1, -1)])
    bench = Bench(*bench.driver.answers, max_quantities=3)
    await bench.asks(2)
    assert [[r.name for r in s.readings] for s, _ in bench.samples] == [["q0", "q1", "q2"], ["q2", "q1", "q0"]]


async def test_several_values_of_one_name_keep_their_order() -> None:
    bench = Bench([Reading("rr", 1), Reading("rr", 2), Reading("rr", 3)])
    await bench.asks(2)
    assert [[r.name for r in s.readings] for s, _ in bench.samples] == [["rr", "rr.2", "rr.3"]] * 2


async def test_meta_follows_what_the_device_really_gives() -> None:
    known = {"voltage": Quantity("V", "measurement"), "energy": Quantity("kWh", "counter")}
    bench = Bench(GOOD, [Reading("energy", 1.5, "Wh")], known=known, profile="sdm", version="1", silent_after=10.0)
    assert bench.device.meta() == {
        "driver": "modbus",
        "profile": "sdm",
        "version": "1",
        "link": "bus-1",
        "labels": {},
        "quantities": {
            "voltage": {"unit": "V", "kind": "measurement"},
            "energy": {"unit": "kWh", "kind": "counter"},
        },
        "every": 0.05,
        "silent_after": 10.0,
    }
    await bench.asks(1)
    assert bench.device.meta()["quantities"]["power"] == {"unit": "W", "kind": "measurement"}
    told = len(bench.said)
    await bench.asks(1)
    assert bench.device.meta()["quantities"]["energy"] == {"unit": "Wh", "kind": "counter"}
    assert len(bench.said) == told + 1


async def test_meta_says_who_the_device_is_when_it_has_said_so() -> None:
    bench = Bench(GOOD)
    await bench.asks(1)
    assert "identity" not in bench.device.meta()
    told = len(bench.said)
    bench.driver.said.update(model="ACME X1", serial="21480031")
    bench.device.got([*GOOD, Reading("SN", "21480031")])
    assert bench.device.meta()["identity"] == {"model": "ACME X1", "serial": "21480031", "firmware": None}
    assert len(bench.said) == told + 1
    bench.driver.said["serial"] = "21480099"
    bench.device.got(GOOD)
    bench.device.got([*GOOD, Reading("SN", "21480099")])
    assert len(bench.said) == told + 2
