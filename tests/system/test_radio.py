"""Simulated peripherals on a simulated BlueZ, the real daemon with unmodified bleak, and what the hub receives."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.testbed import Gateway, Simulator
from gateway.testing import Hub

ADAPTER = "DC:A6:32:01:02:03"
WITHIN = 20.0  # s; what has not come by then never will

Record = dict[str, Any]


class Site:
    """A gateway beside a radio on which the named peripherals are, and what the hub has of its device `one`."""

    def __init__(self, radio: Simulator, gateway: Gateway, hub: Hub) -> None:
        self.radio, self.gateway, self.hub = radio, gateway, hub

    def samples(self, count: int, device: str = "one") -> list[list[Record]]:
        """The samples so far, at least `count`, each as its SenML records; the first holds what is of all of them."""
        deadline = time.monotonic() + WITHIN
        while len(found := self._samples(device)) < count:
            if time.monotonic() > deadline:
                log = self.gateway.log.read_text()
                pytest.fail(f"{len(found)} of {count} samples of {device} within {WITHIN:g} s: {log[-800:]}")
            time.sleep(0.02)
        return [found[key] for key in sorted(found)]

    def _samples(self, device: str) -> dict[tuple[str, int], list[Record]]:
        found: dict[tuple[str, int], list[Record]] = {}
        for pack in self.hub.messages(f"lab/test/{device}/data"):
            for record in pack:
                if "seq" in record:
                    sample = found.setdefault((record["run"], record["seq"]), [])
                    sample.clear()  # sent a second time
                sample.append(record)
        return found

    def given(self, like: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """What the peripheral says it gave, by quantity: as many of each as are in `like`, which it gave long ago."""
        deadline = time.monotonic() + WITHIN
        while True:
            found = defaultdict(list)
            for line in self.radio.truth.read_text().splitlines(keepends=True):
                if line.endswith("\n"):
                    told = json.loads(line)
                    found[told["name"]].append(told["value"])
            if all(len(found[name]) >= len(values) for name, values in like.items()):
                return {name: found[name][: len(values)] for name, values in like.items()}
            assert time.monotonic() < deadline, f"the hub has what nobody gave: {like}"
            time.sleep(0.05)

    def states(self, device: str = "one") -> list[str]:
        """Of the device, as the log tells them."""
        return [
            line.split(f" {device} is ")[1]
            for line in self.gateway.log.read_text().splitlines()
            if f" {device} is " in line
        ]


def values(samples: list[list[Record]], *without: str) -> dict[str, list[Any]]:
    """What samples hold, by quantity."""
    found = defaultdict(list)
    for record in (record for sample in samples for record in sample):
        if record["n"] not in without:
            found[record["n"]].append(record.get("v", record.get("vb", record.get("vs"))))
    return dict(found)


@pytest.fixture
def site(
    labgate_simulator: Callable[..., Simulator],
    labgate_gateway: Callable[[dict[str, Any]], Gateway],
    labgate_hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Site]]:
    """Starts a peripheral, and a gateway with a device `one` that reads it."""
    sites: list[Site] = []

    def start(peripheral: str, *arguments: str, others: dict[str, Any] | None = None, **device: Any) -> Site:
        radio = labgate_simulator(peripheral, *arguments)
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", radio.url)
        devices = {"one": {"link": "radio", **device}, **(others or {})}
        gateway = labgate_gateway({"links": {"radio": {"ble": ADAPTER}}, "devices": devices})
        sites.append(Site(radio, gateway, labgate_hub))
        return sites[-1]

    yield start
    for one in sites:
        one.gateway.kill()  # a link takes bluetoothd 2 s to end


def test_a_strap(site: Callable[..., Site]) -> None:
    here = site("ble_strap", "--set", "every=100ms", profile="heart_rate", match={"name": "Polar H10*"})
    samples = here.samples(25)
    told = values(samples, "sensor_location")
    assert told == here.given(told)
    assert told.keys() >= {"heart_rate", "sensor_contact", "rr_interval", "battery", "energy_expended"}
    assert [record["n"] for record in samples[0]][:3] == ["sensor_location", "battery", "heart_rate"]
    assert samples[0][0]["vs"] == "chest"
    for sample in samples:
        intervals = [record for record in sample if record["n"] == "rr_interval"]
        later = [0.0, *accumulate(record["v"] for record in reversed(intervals[1:]))]
        assert [record["t"] for record in intervals] == [
            -ago if ago else 0 for ago in reversed(later[: len(intervals)])
        ]
    (meta,) = here.hub.messages("lab/test/one/meta")[-1:]
    assert meta["identity"]["model"] == "Polar Electro Oy H10"
    assert meta["quantities"]["energy_expended"] == {"unit": "J", "kind": "counter"}
    assert here.gateway.stop() == 0


def test_a_strap_whose_link_is_lost_again_and_again(site: Callable[..., Site]) -> None:
    where = "C4:64:E3:00:00:07"
    here = site(
        "ble_strap", "--set", "every=50ms", "--set", f"address={where}", "--fault", "drop every 1s",
        profile="heart_rate", address=where.lower(),
    )  # fmt: skip
    samples = here.samples(60)
    assert [sample[0]["n"] for sample in samples].count("sensor_location") >= 2  # read after each connect
    told = values(samples, "sensor_location")
    assert told == here.given(told)


def test_a_thermometer_that_hangs_up(site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")  # of its clock; without summer time, whenever this test runs
    here = site(
        "ble_thermometer", "--set", "every=1s", "--set", "stored=8",
        profile="thermometer", match={"name": "Thermometer*"}, time_zone="Asia/Tokyo",
    )  # fmt: skip
    samples = here.samples(11)
    told = values(samples)
    assert told == here.given(told)
    assert {tuple(record["n"] for record in sample) for sample in samples} == {("temperature", "timestamp", "site")}
    for sample, time_told in zip(samples, told["timestamp"], strict=True):
        placed = datetime.fromisoformat(time_told).replace(tzinfo=ZoneInfo("Asia/Tokyo")).timestamp()
        assert sample[0]["clock"] == "device"
        assert sample[0]["bt"] == pytest.approx(placed, abs=0.001)
    assert len({sample[0]["bt"] for sample in samples}) == len(samples)
    assert here.states() == ["ok"]  # to hang up is no fault


def test_an_environmental_sensor(site: Callable[..., Site]) -> None:
    here = site(
        "ble_ess", "--set", "every=100ms", "--set", "outdoor=-10",
        profile="environmental_sensing", match={"name": "Weather*"}, every="100ms",
    )  # fmt: skip
    samples = here.samples(10)
    told = values(samples)
    assert told == here.given(told)
    assert {tuple(record["n"] for record in sample) for sample in samples} == {
        ("temperature", "temperature.2", "humidity", "pressure")
    }
    assert set(told["temperature.2"]) == {-10}
    (meta,) = here.hub.messages("lab/test/one/meta")[-1:]
    assert meta["quantities"].keys() == told.keys()


@pytest.mark.parametrize(("microbit", "name"), [(0, "UART*"), (1, "BBC micro:bit*")])
def test_a_board_that_prints(site: Callable[..., Site], microbit: int, name: str) -> None:
    here = site(
        "ble_uart", "--set", "every=50ms", "--set", f"microbit={microbit}", profile="uart", match={"name": name}
    )
    told = values(here.samples(10))
    assert len(told) > 1
    given = here.given({name: [None, *column] for name, column in told.items()})
    # What it printed first may have been the end of a line, for all that can be known.
    assert told == {name: column[1:] for name, column in given.items()}


def test_the_battery_of_a_strap_that_is_heard_too_and_nobody_wears(site: Callable[..., Site]) -> None:
    strap = {"link": "radio", "match": {"service": "180d"}}
    here = site(
        "ble_strap", "--set", "every=100ms", "--set", "battery=64", "--set", "contact=no",
        profile="battery", every="200ms", match=strap["match"], others={"strap": {"profile": "heart_rate", **strap}},
    )  # fmt: skip
    assert values(here.samples(5))["battery"][:5] == [64] * 5
    for sample in here.samples(10, "strap"):
        rate, contact = ([r for r in sample if r["n"] == name] for name in ("heart_rate", "sensor_contact"))
        assert (rate[0]["q"], contact[0]["vb"]) == ("suspect", False)
