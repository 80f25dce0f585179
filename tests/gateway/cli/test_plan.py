"""What check reckons, against sums done by hand from the Modbus specification."""

from pathlib import Path

import pytest

from gateway.cli import plan
from gateway.config import Site, load_site

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
    assert load.cycle == pytest.approx(seconds + plan.ANSWER_TIME)
    assert (load.turns, load.share) == (1, pytest.approx(load.cycle))


def test_a_bus_that_is_asked_too_much_is_warned_of_at_its_place(tmp_path: Path) -> None:
    found = site(tmp_path, "baudrate: 9600", "every: 20ms")
    (load,) = plan.bus_loads(found)
    warning = plan.overload(found, load)
    assert warning is not None
    assert (warning.severity, warning.part) == ("warning", "links.bus-1")
    assert (warning.place.line, warning.place.col) == (3, 3)
    assert plan.overload(found, plan.bus_loads(site(tmp_path, "baudrate: 9600", "every: 1s"))[0]) is None


def test_bytes_stored(tmp_path: Path) -> None:
    readings, stored = plan.traffic(site(tmp_path, "baudrate: 9600", "every: 100ms"))
    assert readings == pytest.approx(10)
    assert stored == pytest.approx(10 * len('[{"n":"a","v":230.25}]') * 0.4)
