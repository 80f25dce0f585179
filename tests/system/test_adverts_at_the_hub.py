"""Simulated tags and sensors that only advertise, the real daemon with unmodified bleak, and what the hub receives."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system import test_radio
from tests.system.test_radio import WITHIN, Site, values

KEY = "231d39c1d7cc1ab1aee224cd096db932"
site = test_radio.site  # the fixture

Measurement = dict[str, Any]


def heard(samples: list[list[test_radio.Record]], number: str) -> dict[int, Measurement]:
    """What the hub has, by the number of the measurement: each once."""
    found: dict[int, Measurement] = {}
    for sample in samples:
        one: Measurement = {name: column[0] for name, column in values([sample], "rssi").items()}
        assert one[number] not in found, "a measurement came twice"
        found[one[number]] = one
    return found


def given(here: Site, number: str, wanted: set[int]) -> dict[int, Measurement]:
    """What the peripheral says it gave, by the number of the measurement, as soon as all that are wanted are told."""
    deadline = time.monotonic() + WITHIN
    while True:
        found: dict[int, Measurement] = {}
        one: Measurement = {}
        for line in here.radio.truth.read_text().splitlines(keepends=True):
            if not line.endswith("\n"):
                break  # still being written
            told = json.loads(line)
            if told["name"] in one:
                found[one[number]] = one
                one = {}
            one[told["name"]] = told["value"]
        if wanted <= found.keys():
            return found
        assert time.monotonic() < deadline, f"the hub has what nobody gave: {wanted - found.keys()}"
        time.sleep(0.05)


def assert_all_and_only_what_was_given(here: Site, number: str, count: int, numbers: int) -> None:
    """Every measurement since the first one heard, each as it was given; behind number `numbers` - 1 comes 0."""
    told = heard(here.samples(count), number)
    truth = given(here, number, set(told))
    assert told == {key: truth[key] for key in told}
    first = next(iter(told))
    assert list(told) == [(first + n) % numbers for n in range(len(told))]


def test_a_tag(site: Callable[..., Site]) -> None:
    here = site("ble_tag", "--set", "every=100ms", profile="ruuvi", match={"name": "Ruuvi*"})
    assert_all_and_only_what_was_given(here, "sequence", 20, 0xFFFF)
    (meta,) = here.hub.messages("lab/test/one/meta")[-1:]
    assert len(meta["identity"]["serial"]) == len("CB:B8:33:4C:88:4F")
    assert meta["quantities"]["sequence"] == {"unit": "count", "kind": "counter"}
    assert all(-127 <= value <= 20 for value in values(here.samples(20))["rssi"])


def test_a_sensor(site: Callable[..., Site]) -> None:
    here = site("ble_sensor", "--set", "every=100ms", profile="bthome", match={"name": "ATC*"})
    assert_all_and_only_what_was_given(here, "packet_id", 20, 0x100)


def test_an_encrypted_sensor_and_its_key(site: Callable[..., Site], tmp_path: Path) -> None:
    for name, key in (("right", KEY), ("wrong", KEY[::-1])):
        (tmp_path / name).write_text(key + "\n")
        (tmp_path / name).chmod(0o600)
    match = {"name": "ATC*"}
    stranger = {"link": "radio", "profile": "bthome", "match": match, "bindkey_file": str(tmp_path / "wrong")}
    here = site(
        "ble_sensor", "--set", "every=100ms", "--set", f"bindkey={KEY}",
        profile="bthome", match=match, bindkey_file=str(tmp_path / "right"), others={"stranger": stranger},
    )  # fmt: skip
    assert_all_and_only_what_was_given(here, "packet_id", 20, 0x100)
    reasons = [status["reason"] for status in here.hub.messages("lab/test/stranger/status") if "reason" in status]
    assert set(reasons) == {"decode"}
    assert here.hub.messages("lab/test/stranger/data") == []


@pytest.mark.parametrize("key", [KEY, KEY[::-1]])
def test_no_key_is_in_the_log(key: str, site: Callable[..., Site], tmp_path: Path) -> None:
    (tmp_path / "key").write_text(key)
    (tmp_path / "key").chmod(0o600)
    here = site(
        "ble_sensor", "--set", "every=100ms", "--set", f"bindkey={KEY}",
        profile="bthome", match={"name": "ATC*"}, bindkey_file=str(tmp_path / "key"),
    )  # fmt: skip
    deadline = time.monotonic() + WITHIN
    while not here.states():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert key not in here.gateway.log.read_text()
    assert key not in json.dumps(here.hub.messages("lab/test/one/meta"))
