"""SenML packs taken apart: packs written by hand after RFC 8428 and the contract, not by our encoder."""

import json

import pytest

from gateway.cli.received import Tally, samples

ONE = [
    {"bn": "pi-7/meter-1/", "bt": 1763636400.123, "bver": 26, "run": "8f3c1a77d02b", "seq": 4821,
     "n": "voltage", "u": "V", "v": 230.2},
    {"n": "energy", "u": "kWh", "v": 1180.5},
    {"n": "relay", "vb": True},
    {"n": "mode", "vs": "heating"},
    {"n": "load", "ucum": "[g]", "v": 1.5},
]  # fmt: skip
NEXT = [
    {
        "bn": "pi-7/meter-1/",
        "bt": 1763636401.123,
        "run": "8f3c1a77d02b",
        "seq": 4822,
        "late": True,
        "n": "voltage",
        "v": 1,
    }
]


def test_one_sample() -> None:
    (sample,) = samples(json.dumps(ONE).encode())
    assert (sample.device, sample.run, sample.seq, sample.time) == ("meter-1", "8f3c1a77d02b", 4821, 1763636400.123)
    assert sample.readings == {
        "voltage": {"value": 230.2, "unit": "V"},
        "energy": {"value": 1180.5, "unit": "kWh"},
        "relay": {"value": True, "unit": None},
        "mode": {"value": "heating", "unit": None},
        "load": {"value": 1.5, "unit": "[g]"},
    }


def test_joined_samples_restate_their_base() -> None:
    found = list(samples(json.dumps(ONE + NEXT).encode()))
    assert [(s.seq, s.time, len(s.readings)) for s in found] == [(4821, 1763636400.123, 5), (4822, 1763636401.123, 1)]


def test_nothing_in_it() -> None:
    assert list(samples(b"[]")) == []


def test_tally_counts_each_name_once() -> None:
    tally = Tally()
    first, second = samples(json.dumps(ONE + NEXT).encode())
    assert tally.count(first, first.time + 0.002) == pytest.approx(0.002, abs=1e-6)
    tally.count(first, first.time + 9)
    tally.count(second, second.time + 0.004)
    assert (tally.samples(), tally.readings, tally.duplicates) == (2, 6, 1)
    assert tally.latency() == pytest.approx((0.003, 0.004), abs=1e-6)
    assert tally.missing("meter-1", "8f3c1a77d02b", 4822) == list(range(1, 4821))
    assert tally.missing("other", "8f3c1a77d02b", 2) == [1, 2]
