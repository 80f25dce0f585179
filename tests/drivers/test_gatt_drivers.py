"""Drivers of connected devices: what they ask of a radio, and what they make of the values that come."""

from pathlib import Path
from typing import Any

import pytest

from drivers.ble_lines import NORDIC_UART, RadioLineBoard, RadioLinesOptions
from drivers.codecs.radio_peer import long_uuid
from drivers.gatt import Gatt, SubscribedOptions
from drivers.gatt_read import GattOptions, GattRead
from gateway import DecodeError, Lines, LinkError, Peer, Reading, Stream, Value, Values
from gateway.config import load_profile
from gateway.errors import Reason

STRAP = "C0:FF:EE:00:00:01"


def value(uuid: str, data: str, handle: int = 12) -> Value:
    return Value(STRAP, long_uuid(uuid), handle, bytes.fromhex(data))


def strap(**told: Any) -> Gatt:
    return Gatt(SubscribedOptions.model_validate({"characteristics": ["2a37"], "address": STRAP.lower(), **told}), None)


class Peripheral:
    """A link on which a device holds these values, by handle."""

    name, trace = "radio", None

    def __init__(self, *values: Value) -> None:
        self.values = list(values)
        self.asked: list[tuple[Peer, tuple[str, ...]]] = []
        self.error: LinkError | None = None

    async def read_values(self, peer: Peer, characteristics: tuple[str, ...]) -> list[Value]:
        self.asked.append((peer, characteristics))
        if self.error is not None:
            raise self.error
        return [value for value in self.values if value.characteristic in characteristics]


def test_a_strap_is_subscribed_to_and_read_once() -> None:
    assert strap(read=["2a38", "2a24"]).hear == Values(
        Peer(STRAP), (long_uuid("2a37"),), (long_uuid("2a38"), long_uuid("2a24"))
    )


def test_values_are_samples_and_who_it_is_is_identity() -> None:
    device = strap(read=["2a38", "2a29", "2a24"])
    assert device.identity() == {}
    assert set(device.quantities()) == {"heart_rate", "sensor_contact", "rr_interval", "energy_expended"}
    assert device.decode(value("2a29", b"Polar".hex())) == []
    assert device.decode(value("2a24", b"H10".hex())) == []
    assert device.decode(value("2a38", "01")) == []
    assert device.decode(value("2a38", "02")) == []  # it was connected to again
    rate = Reading("heart_rate", 72, "beat/min")
    assert device.decode(value("2a37", "0048")) == [Reading("sensor_location", "wrist"), rate]
    assert device.decode(value("2a37", "0048")) == [rate]
    assert device.identity() == {"model": "Polar H10", "serial": None, "firmware": None}
    assert device.quantities()["energy_expended"].kind == "counter"
    assert device.quantities()["sensor_location"].kind == "state"


def test_what_is_read_once_waits_for_a_measurement_and_has_not_its_time() -> None:
    device = strap(characteristics=["2a1c"], read=["2a19"], time_zone="Europe/Stockholm")
    device.decode(value("2a19", "33"))
    assert device.decode(value("2a1c", "00ffff7f00")) == []  # no number
    with pytest.raises(DecodeError):
        device.decode(value("2a1c", "00"))
    battery, *measured = device.decode(value("2a1c", "02 6c0100ff ea07 0b 14 08 00 00"))
    assert (battery, {r.at for r in measured}) == (Reading("battery", 51, "%EL"), {1795158000.0})


def test_a_value_that_nobody_asked_for_is_refused() -> None:
    with pytest.raises(DecodeError, match="nobody asked"):
        strap().decode(value("2a19", "33"))


def test_a_backlog_has_the_device_s_own_times_where_its_zone_is_known() -> None:
    stored = [value("2a1c", f"02 6c0100ff ea07 0b 14 {hour:02x} 00 00") for hour in (8, 9)]
    here = strap(characteristics=["2a1c"], time_zone="Europe/Stockholm")
    assert [{r.at for r in here.decode(v)} for v in stored] == [
        {1795158000.0},
        {1795161600.0},
    ]  # 20 November 2026, UTC+1
    assert {r.at for v in stored for r in strap(characteristics=["2a1c"]).decode(v)} == {None}


async def test_what_is_read_each_period() -> None:
    link = Peripheral(
        value("2a24", b"ESS".hex(), 5), value("2a6e", "6408", 8), value("2a6e", "18fc", 11), value("2a6f", "8813", 14)
    )
    told = {"characteristics": ["2a6e", "2a6f", "2a6d"], "read": ["2a24"], "address": STRAP}
    sensor = GattRead(GattOptions.model_validate(told), link)
    assert sensor.quantities() == {}  # of several it has some
    everything = [
        Reading("temperature", 21.48, "Cel"), Reading("temperature.2", -10.0, "Cel"), Reading("humidity", 50.0, "%RH"),
    ]  # fmt: skip
    assert await sensor.read() == everything
    assert await sensor.read() == everything
    measured = (long_uuid("2a6e"), long_uuid("2a6f"), long_uuid("2a6d"))
    assert link.asked == [(Peer(STRAP), (long_uuid("2a24"), *measured)), (Peer(STRAP), measured)]
    assert sensor.identity()["model"] == "ESS"
    assert {name: q.unit for name, q in sensor.quantities().items()} == {r.name: r.unit for r in everything}


async def test_the_second_of_a_kind_keeps_its_name_while_the_first_has_no_value() -> None:
    link = Peripheral(value("2a6e", "0080", 8), value("2a6e", "18fc", 11))
    sensor = GattRead(GattOptions.model_validate({"characteristics": ["2a6e"], "address": STRAP}), link)
    assert await sensor.read() == [Reading("temperature.2", -10.0, "Cel")]


@pytest.mark.parametrize(("reason", "asked"), [("silent", 2), ("exception", 1)])
async def test_what_it_says_no_to_is_not_asked_for_again(reason: Reason, asked: int) -> None:
    link = Peripheral(value("2a19", "33", 8))
    told = {"characteristics": ["2a19"], "read": ["2a25"], "address": STRAP}
    battery = GattRead(GattOptions.model_validate(told), link)
    assert set(battery.quantities()) == {"battery"}
    link.error = LinkError("it does not", reason)
    with pytest.raises(LinkError):
        await battery.read()
    link.error = None
    assert await battery.read() == [Reading("battery", 51, "%EL")]
    assert [len(uuids) for _, uuids in link.asked] == [2, asked]


async def test_a_value_that_makes_no_sense_costs_only_itself() -> None:
    link = Peripheral(value("2a6e", "6408", 8), value("2a6f", "88", 11))
    sensor = GattRead(GattOptions.model_validate({"characteristics": ["2a6e", "2a6f"], "address": STRAP}), link)
    assert await sensor.read() == [Reading("temperature", 21.48, "Cel")]
    trouble = sensor.trouble()
    assert isinstance(trouble, DecodeError)
    assert "humidity" in str(trouble)
    link.values = link.values[1:]
    with pytest.raises(DecodeError, match="humidity"):
        await sensor.read()
    link.values = [value("2a6f", "8813", 11)]
    assert await sensor.read() == [Reading("humidity", 50.0, "%RH")]
    assert sensor.trouble() is None


def test_lines_over_a_radio_are_told_as_over_a_wire() -> None:
    told = {"address": STRAP, "names": ["t", "h"], "units": {"t": "°C"}, "missing": [85]}
    board = RadioLineBoard(RadioLinesOptions.model_validate(told), None)
    assert board.hear == Stream(Peer(STRAP), NORDIC_UART, (Lines(),))
    assert board.decode(b"21.5,40\r\n") == [Reading("t", 21.5, "Cel"), Reading("h", 40)]
    assert board.decode(b"85,40\n") == [Reading("h", 40)]
    assert set(board.quantities()) == {"t", "h"}


def test_a_board_by_its_service_where_nobody_says_which() -> None:
    own = "6e400001-0000-0000-0000-e50e24dcca9e"
    board = RadioLineBoard(RadioLinesOptions.model_validate({"service": own.upper()}), None)
    assert board.hear == Stream(Peer(service=own), own, (Lines(),))


@pytest.mark.parametrize(
    "name",
    [
        "heart_rate",
        "thermometer",
        "oximeter",
        "weight_scale",
        "blood_pressure",
        "environmental_sensing",
        "battery",
        "thingy52",
    ],
)
def test_a_profile_says_what_is_advertised_and_knows_what_it_measures(name: str) -> None:
    options = SubscribedOptions.model_validate(load_profile(name, Path()).options)
    assert options.service
    assert options.peer == Peer(service=options.service)
    assert set(options.characteristics) <= options.decoders.keys()
    assert set(options.characteristics).isdisjoint(options.read)


@pytest.mark.parametrize("name", ["thermometer", "oximeter", "weight_scale", "blood_pressure"])
def test_devices_that_hang_up_may_be_away_for_days(name: str) -> None:
    silent_after = load_profile(name, Path()).silent_after
    assert silent_after is not None
    assert silent_after >= 7 * 86400
