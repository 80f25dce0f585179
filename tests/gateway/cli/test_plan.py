"""What check reckons, against sums done by hand from the Modbus specification."""

from pathlib import Path

import pytest

from gateway.cli import plan
from gateway.config import Site, load_site
from gateway.pace import Pace

REGISTERS = "registers: [{name: a, table: holding, address: 0, type: float32}]"


def site(folder: Path, link: str, device: str) -> Site:
    file = folder / "gateway.yaml"
    file.write_text(
        "gateway: {id: bench-1}\n"
        f"links:\n  bus-1: {{modbus: /dev/ttyUSB0, {link}}}\n"
        f"devices:\n  d: {{driver: modbus, link: bus-1, {device}, {REGISTERS}}}\n"
    )
    found = load_site(file)
    assert not found.problems
    return found


# Asked: 8 bytes. Answered: 5 bytes around 4 of data. Then 3.5 characters of silence before and after, and the device.
@pytest.mark.parametrize(
    ("link", "device", "seconds"),
    [
        ("baudrate: 9600", "every: 1s", (8 + 9 + 7) * 10 / 9600),
        ("baudrate: 9600, parity: E", "every: 1s", (8 + 9 + 7) * 11 / 9600),
        ("baudrate: 2400, stopbits: 2", "every: 1s", (8 + 9 + 7) * 11 / 2400),
        ("baudrate: 115200", "every: 1s", (8 + 9) * 10 / 115200 + 2 * 0.00175),
        ("baudrate: 9600, pause: 60ms", "every: 1s", (8 + 9 + 3.5) * 10 / 9600 + 0.06),
        ("baudrate: 9600, pause: 60ms", "every: 1s, pause: 100ms", (8 + 9 + 3.5) * 10 / 9600 + 0.1),
        ("baudrate: 9600, pause: 60ms", "every: 1s, pause: 0s", (8 + 9 + 7) * 10 / 9600),
    ],
)
def test_time_of_a_turn(tmp_path: Path, link: str, device: str, seconds: float) -> None:
    (load,) = plan.bus_loads(site(tmp_path, link, device))
    assert load.cycle == pytest.approx(seconds + plan.ANSWER_TIME + plan.HANDLING)
    assert (load.turns, load.share) == (1, pytest.approx(load.cycle))


def test_the_devices_own_time_is_assumed_and_can_be_left_out(tmp_path: Path) -> None:
    found = site(tmp_path, "baudrate: 9600", "every: 1s")
    (load,) = plan.bus_loads(found, answer_time=0)
    assert load.cycle == pytest.approx((8 + 9 + 7) * 10 / 9600 + plan.HANDLING)


# A dead device costs the silence, its question, its time-out and 20 ms of quiet. It is asked every 30 times of that,
# at least every 10 s, at the next point of its own grid.
@pytest.mark.parametrize(
    ("timeout", "every", "cost", "again"),
    [
        ("timeout: 100ms", "every: 1s", 11.5 * 10 / 9600 + 0.1 + 0.02, 11),
        ("timeout: 500ms", "every: 1s", 11.5 * 10 / 9600 + 0.5 + 0.02, 17),
        ("timeout: 500ms", "every: 30s", 11.5 * 10 / 9600 + 0.5 + 0.02, 30),
        ("timeout: 500ms", "every: 1s, timeout: 1s", 11.5 * 10 / 9600 + 1 + 0.02, 32),
    ],
)
def test_what_a_dead_device_costs(tmp_path: Path, timeout: str, every: str, cost: float, again: float) -> None:
    (load,) = plan.bus_loads(site(tmp_path, timeout, every))
    (device,) = load.devices
    assert (device.dead, device.dead_every) == (pytest.approx(cost), pytest.approx(again))
    assert load.worst_dead is None  # nobody else is there


@pytest.mark.parametrize("every", [0.1, 1.0, 7.0, 60.0])
@pytest.mark.parametrize("dead", [0.13, 0.53, 1.03, 5.0])
def test_a_dead_device_is_asked_again_when_it_says(every: float, dead: float) -> None:
    pace, asked = Pace(every, alone=False, now=0.0), [0.0]
    for unanswered in range(1, 20):
        asked.append(pace.next(asked[-1], asked[-1] + dead, unanswered))
    assert asked[-1] - asked[-2] == pytest.approx(plan.Asked("d", every, (), 0.0, dead).dead_every)


@pytest.mark.parametrize("link", ["modbus: 'tcp://192.0.2.1'", "modbus: 'rtu+tcp://192.0.2.1:4001', baudrate: 1200"])
def test_nothing_is_said_of_what_is_behind_tcp(tmp_path: Path, link: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        f"gateway: {{id: bench-1}}\nlinks: {{box: {{{link}}}}}\n"
        f"devices: {{d: {{driver: modbus, link: box, every: 1ms, {REGISTERS}}}}}\n"
    )
    assert plan.bus_loads(load_site(file)) == []


def test_bytes_stored(tmp_path: Path) -> None:
    readings, stored = plan.traffic(site(tmp_path, "baudrate: 9600", "every: 100ms"))
    assert readings == pytest.approx(10)
    assert stored == pytest.approx(10 * len('[{"n":"a","v":230.25}]') * 0.4)
