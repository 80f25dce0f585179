"""Times that devices state themselves, as in the contract: SenML, `clock`, `rt`, and no two samples of one time."""

import json
import math
from typing import Any

import pytest

from gateway.answer_rows import sample_row, senml_row
from gateway.clock import Clock
from gateway.errors import DecodeError
from gateway.payload import body, inner, pack
from gateway.reading import Reading, Sample, Stamp
from gateway.stated import REMEMBERED, StatedTimes
from tests.gateway.test_device import Bench

NOW = Stamp(1_793_500_000_123_456_000, 5_000_000_000, True)
MONDAY, TUESDAY = 1_793_000_000.0, 1_793_086_400.0


def sent(sample: Sample) -> list[dict[str, Any]]:
    """The records at the hub."""
    stamp = sample.stamp
    packed = pack([inner("pi-7", sample.device, stamp.wall, stamp.synced, "8f3c", 1, None, False, body(sample))])
    records: list[dict[str, Any]] = json.loads(packed)
    return records


def of(*readings: Reading, now: Stamp = NOW) -> list[Sample]:
    return StatedTimes().samples("strap", list(readings), now)


def test_a_stated_time_is_the_sample_s_and_the_time_of_reception_stands_beside_it() -> None:
    (sample,) = of(Reading("temperature", 36.6, "Cel", at=MONDAY), Reading("site", "ear", at=MONDAY))
    first, second = sent(sample)
    assert first == {
        "bn": "pi-7/strap/", "bt": MONDAY, "run": "8f3c", "seq": 1, "clock": "device", "rt": 1793500000.123456,
        "n": "temperature", "u": "Cel", "v": 36.6,
    }  # fmt: skip
    assert second == {"n": "site", "vs": "ear"}


def test_base_version_and_device_clock_in_one_pack() -> None:
    (sample,) = of(Reading("pressure", 1013.2, "hPa", at=MONDAY))
    (record,) = sent(sample)
    assert (record["bver"], record["clock"], record["u"], record["bt"]) == (26, "device", "hPa", MONDAY)


def test_reception_is_not_told_while_our_own_clock_cannot_be_trusted() -> None:
    (sample,) = of(Reading("temperature", 36.6, "Cel", at=MONDAY), now=Stamp(NOW.wall, NOW.boot, False))
    (record,) = sent(sample)
    assert record["clock"] == "device"
    assert "rt" not in record


def test_times_relative_to_the_sample_are_offsets_of_records_of_one_name() -> None:
    (sample,) = of(Reading("rate", 72, "1/min"), Reading("rr", 0.812, "s", at=-0.8), Reading("rr", 0.8, "s", at=0))
    assert sample.stamp == NOW
    assert [(r["n"], r.get("t")) for r in sent(sample)] == [("rate", None), ("rr", -0.8), ("rr", 0)]
    assert "clock" not in sent(sample)[0]


def test_a_backlog_is_a_sample_for_each_time_oldest_first_and_what_states_none_is_of_now() -> None:
    readings = [Reading("t", 2, at=TUESDAY), Reading("battery", 80, "%EL"), Reading("t", 1, at=MONDAY)]
    samples = of(*readings)
    assert [(s.stamp.wall / 1e9, [r.name for r in s.readings]) for s in samples] == [
        (MONDAY, ["t"]),
        (TUESDAY, ["t"]),
        (NOW.wall / 1e9, ["battery"]),
    ]
    assert [s.received for s in samples] == [NOW, NOW, None]


def test_a_record_told_again_is_no_sample_and_another_one_of_that_time_has_a_time_of_its_own() -> None:
    times = StatedTimes()
    first, again, other = [Reading("t", 1, at=MONDAY)], [Reading("t", 1, at=MONDAY)], [Reading("t", 9, at=MONDAY)]
    walls = [s.stamp.wall for r in (first, again, other) for s in times.samples("ear", r, NOW)]
    assert walls == [int(MONDAY * 1e9), int(MONDAY * 1e9) + 1000]  # a microsecond, the resolution of bt


def test_a_clock_that_is_far_ahead_is_not_believed_by_one_that_can_be_trusted() -> None:
    ahead = NOW.wall / 1e9 + 90_000
    (sample,) = of(Reading("t", 36.6, "Cel", at=ahead))
    assert (sample.stamp, sample.received) == (NOW, None)
    assert "t" not in sent(sample)[0]
    (sample,) = of(Reading("t", 36.6, "Cel", at=ahead), now=Stamp(NOW.wall, NOW.boot, False))
    assert sample.received is not None  # who knows which of the two is wrong


def test_what_is_remembered_is_bounded() -> None:
    times = StatedTimes()
    for n in range(2 * REMEMBERED):
        assert len(times.samples("ear", [Reading("t", 1, at=MONDAY + 60 * n)], NOW)) == 1
    assert (len(times._told), len(times._walls)) == (REMEMBERED, REMEMBERED)


@pytest.mark.parametrize("at", [math.nan, math.inf, -math.inf, -float(2**28)])
def test_what_is_no_time_is_refused_in_words(at: float) -> None:
    with pytest.raises(DecodeError, match=r"rr: .* is no time; a driver gives seconds"):
        of(Reading("rr", 0.8, "s", at=at))


async def test_a_device_hands_over_a_sample_for_each_time_it_stated() -> None:
    backlog = [Reading("t", 36.6, "Cel", at=MONDAY), Reading("t", 36.9, "Cel", at=TUESDAY)]
    bench = Bench(backlog)
    await bench.asks(2)  # the second time it tells the same records
    assert [s.stamp.wall / 1e9 for s, _ in bench.samples] == [MONDAY, TUESDAY]
    assert all(b'"clock":"device"' in encoded for _, encoded in bench.samples)
    assert bench.device.state == "ok"
    last = bench.device.last
    assert last is not None
    assert last.wall > TUESDAY * 1e9  # its age is of when it was heard


async def test_names_of_several_times_stay_and_of_one_time_are_told_apart() -> None:
    bench = Bench([Reading("rr", 0.8, at=-0.8), Reading("rr", 0.9, at=0.0), Reading("t", 1), Reading("t", 2)])
    await bench.asks(1)
    assert [r.name for r in bench.samples[0][0].readings] == ["rr", "rr", "t", "t.2"]


def test_text_that_looks_like_a_time_is_text() -> None:
    bench = Bench([Reading("note", '"t":1793000000', at=None)])
    bench.device.got([Reading("note", '"t":1793000000')])
    assert [s.received for s, _ in bench.samples] == [None]


def test_rows_for_people_list_the_values_of_one_name() -> None:
    row = sample_row("strap", NOW.wall, [Reading("rr", 0.8, "s", at=-0.8), Reading("rr", 0.9, "s", at=0)])
    assert row["readings"] == {"rr": {"value": [0.8, 0.9], "unit": "s"}}
    (sample,) = of(Reading("t", 36.6, "Cel", at=MONDAY))
    assert json.loads(senml_row("pi-7", sample)["senml"])[0]["rt"] == 1793500000.123456


def test_a_stated_time_stands_whatever_our_clock_learns_later() -> None:
    (sample,) = of(Reading("t", 36.6, "Cel", at=MONDAY), now=Stamp(NOW.wall, NOW.boot, False))
    clock = Clock()
    assert clock.placed(sample.stamp, clock.boot_id) == (int(MONDAY * 1e9), True)
