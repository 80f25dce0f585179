"""What check says does not fit on a bus, and that what it proposes does."""

import re
from pathlib import Path

import pytest

from gateway.cli import advice, plan
from gateway.config import Problem, Site, load_site
from gateway.yamltext import read_yaml

REGISTERS = "registers: [{name: a, table: holding, address: 0, type: float32}]"


def load(folder: Path, link: str, *devices: str) -> Site:
    """A site: line 3 is the link bus-1, devices a, b, c … are in line 5 and below."""
    lines = [
        f"  {name}: {{driver: modbus, link: bus-1, unit_id: {unit}, {keys}}}"
        for unit, (name, keys) in enumerate(zip("abcdefgh", devices, strict=False), 1)
    ]
    file = folder / "gateway.yaml"
    text = f"gateway: {{id: g-1}}\nlinks:\n  bus-1: {{modbus: /dev/ttyUSB0, {link}}}\ndevices:\n"
    file.write_text(text + "\n".join(lines))
    site = load_site(file)
    assert not site.problems, site.problems
    return site


def warned(site: Site) -> list[Problem]:
    return advice.warnings(site, [read_yaml(site.path)], plan.bus_loads(site))


def one(seconds: str, more: str = REGISTERS) -> str:
    return f"every: {seconds}, {more}"


def where(site: Site, line: int, text: str) -> tuple[int, int]:
    """The place of a value in the file."""
    return line, site.path.read_text().splitlines()[line - 1].index(text) + 1


# A turn with two registers takes 24 characters and 21.5 ms: 46.5 ms at 9600 baud, 34 ms at 19200.


def test_what_fits_is_not_warned_of(tmp_path: Path) -> None:
    assert warned(load(tmp_path, "baudrate: 9600", one("100ms"), one("100ms"))) == []


def test_a_bus_asked_for_too_much_and_what_would_fit(tmp_path: Path) -> None:
    (warning,) = warned(load(tmp_path, "baudrate: 9600", *[one("100ms")] * 3))
    assert (warning.severity, warning.part) == ("warning", "links.bus-1")
    assert (warning.place.line, warning.place.col) == (3, 3)
    assert warning.text == (
        '"bus-1" is asked for 1.4 times of what 9600 8N1 can carry, if a device begins its answer after 20 ms;'
        " its devices will lag"
    )
    assert warning.instead == "write every: 200ms for each device, or baudrate: 38400 where the devices can"


def test_only_those_asked_more_often_are_named(tmp_path: Path) -> None:
    (warning,) = warned(load(tmp_path, "baudrate: 9600", one("80ms"), one("80ms"), one("10s")))
    assert warning.instead.startswith("write every: 150ms for a, b, or baudrate: ")
    (warning,) = warned(load(tmp_path, "baudrate: 9600", *[one("200ms")] * 6, one("10s")))
    assert warning.instead.startswith("write every: 400ms for a, b, c, d and 2 more, or ")


def test_a_device_that_takes_most_of_the_bus_is_named_alone(tmp_path: Path) -> None:
    (warning,) = warned(load(tmp_path, "baudrate: 9600", one("50ms"), one("500ms"), one("500ms")))
    assert warning.instead.startswith("write every: 80ms for a, or baudrate: 19200 where the devices can")


def test_where_no_baudrate_helps(tmp_path: Path) -> None:
    (warning,) = warned(load(tmp_path, "baudrate: 115200", *[one("50ms")] * 3))
    assert warning.instead == "write every: 100ms for each device (no baudrate alone is enough)"


def test_where_pauses_eat_the_time(tmp_path: Path) -> None:
    (warning,) = warned(load(tmp_path, "baudrate: 9600, pause: 60ms", *[one("200ms")] * 3))
    assert "1.54 times of what 9600 8N1 can carry (pauses take 0.85 of it)" in warning.text
    assert warning.instead == (
        "write every: 400ms for each device, or pause: 10ms where the devices bear it (no baudrate alone is enough)"
    )


def test_a_device_that_alone_takes_longer_than_its_period(tmp_path: Path) -> None:
    site = load(tmp_path, "baudrate: 9600", one("1s"), one("40ms"))
    (warning,) = warned(site)  # of the bus nothing more is said: it is mended with the device
    assert (warning.severity, warning.part) == ("warning", "devices.b")
    assert (warning.place.line, warning.place.col) == where(site, 6, "40ms")
    assert warning.text == "one read takes 46 ms (1 turn at 9600 8N1), every is 40ms"
    assert warning.instead == "write every: 60ms, or baudrate: 19200 where the device can, or read less (only)"
    assert [w.part for w in warned(load(tmp_path, "baudrate: 9600", *[one("40ms")] * 3))] == [
        "links.bus-1",
        "devices.a",
        "devices.b",
        "devices.c",
    ]


@pytest.mark.parametrize("baudrate", [1200, 9600, 115200])
@pytest.mark.parametrize("periods", [("100ms",) * 8, ("50ms", "1s", "10s"), ("200ms", "300ms", "500ms", "1min")])
@pytest.mark.parametrize("pause", ["", ", pause: 60ms"])
def test_each_proposal_is_true(tmp_path: Path, baudrate: int, periods: tuple[str, ...], pause: str) -> None:
    def asked(every: dict[str, str], link: str) -> Site:
        named = zip("abcdefgh", periods, strict=False)
        return load(tmp_path, link, *[one(every.get(name, period)) for name, period in named])

    site = asked({}, f"baudrate: {baudrate}{pause}")
    for warning in warned(site):
        name = warning.part.partition(".")[2]
        if new := re.search(r"baudrate: (\d+)", warning.instead):
            faster = plan.bus_loads(asked({}, f"baudrate: {new[1]}{pause}"))[0]
            assert next((d.share for d in faster.devices if d.name == name), faster.share) <= 0.9
        if new := re.search(r"pause: (\d+ms)", warning.instead):
            assert plan.bus_loads(asked({}, f"baudrate: {baudrate}, pause: {new[1]}"))[0].share <= 0.9
        if new := re.search(r"every: (\w+) for (?:each device|([a-h](?:, [a-h])*)(?: and (\d))?)\b", warning.instead):
            first = new[2].split(", ") if new[2] else "abcdefgh"
            if new[3]:
                continue  # not all are named
            assert plan.bus_loads(asked(dict.fromkeys(first, new[1]), f"baudrate: {baudrate}{pause}"))[0].share <= 0.9


# 3.5 characters, 20 ms of the device and 16 ms of the adapter: 40 ms at 9600 baud, 65 ms at 1200


@pytest.mark.parametrize(
    ("link", "device", "line", "told"),
    [
        ("timeout: 41ms", one("1s"), 0, ""),
        ("timeout: 39ms", one("1s"), 3, "timeout 39ms is shorter than an answer may need to begin: 40 ms"),
        ("timeout: 20ms", one("1s") + ", timeout: 100ms", 0, ""),
        ("timeout: 1s, baudrate: 1200", one("5s") + ", timeout: 50ms", 5, "timeout 50ms is shorter than"),
    ],
)
def test_a_time_out_too_short_for_an_answer(tmp_path: Path, link: str, device: str, line: int, told: str) -> None:
    site = load(tmp_path, link, device)
    found = warned(site)
    assert len(found) == bool(line)
    for warning in found:
        assert (warning.place.line, warning.place.col) == where(site, line, told.split()[1])
        assert told in warning.text
        assert re.fullmatch(r"write timeout: (150|200)ms or more", warning.instead)


def test_a_place_in_another_file(tmp_path: Path) -> None:
    (tmp_path / "devices.d").mkdir()
    more = tmp_path / "devices.d/more.yaml"
    more.write_text(
        "links: {bus-2: {modbus: /dev/ttyUSB1}}\n"
        f"devices:\n  z: {{driver: modbus, link: bus-2, every: 10ms, {REGISTERS}}}\n"
    )
    main = tmp_path / "gateway.yaml"
    main.write_text("gateway: {id: g-1}\n")
    site = load_site(main)
    (warning,) = advice.warnings(site, [read_yaml(main), read_yaml(more)], plan.bus_loads(site))
    assert str(warning.place) == f"{more}:3:43"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0451, "50ms"),
        (0.0501, "60ms"),
        (0.1, "100ms"),
        (0.15, "150ms"),
        (1.0000001, "1.5s"),
        (2.9, "3s"),
        (8.5, "10s"),
        (60, "60s"),
        (60.1, "2min"),
        (3601, "61min"),
    ],
)
def test_handsome(seconds: float, text: str) -> None:
    from gateway.amounts import duration

    assert advice.written(advice.handsome(seconds)) in (text, "1min" if text == "60s" else text)
    assert duration(advice.written(advice.handsome(seconds))) >= seconds * (1 - 1e-8)
