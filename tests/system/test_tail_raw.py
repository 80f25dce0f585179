"""`labgate tail --raw`: a device that speaks is shown word for word, one that is asked as the hub gets it."""

import json
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from gateway.control import ask
from gateway.testbed import Gateway, Simulator
from tests.commands import labgate
from tests.system.test_serial import spoken

# What boards print, and how a person is to see it: a terminal must not be told what to do.
SAID = {
    b"ets Jul 29 2019 12:21:46": "ets Jul 29 2019 12:21:46",
    b"Humidity: 57.90 %": "Humidity: 57.90 %",
    b"\x1b[0;32mI (27) boot: \x07done\x1b[0m": r"\x1b[0;32mI (27) boot: \x07done\x1b[0m",
    b"Temperatur: 21,5 \xc2\xb0C": "Temperatur: 21,5 °C",
    b"Temperature: 22.5 \xb0C": r"Temperature: 22.5 \xb0C",  # Latin 1
    b"\x80\xfe\x81\xf0\x00\x9c\xe3\x8e": "80 fe 81 f0 00 9c e3 8e",
}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A folder and the site of a board that prints, and of a register that is asked."""
    folder = tmp_path_factory.mktemp("raw")
    lines = cycle(line + b"\r\n" for line in SAID)
    register = {"name": "r0", "table": "holding", "address": 0}
    with spoken(lambda: next(lines), 0.01) as port, Simulator(folder, "registers", "--port", "0") as panel:
        yield (
            folder,
            {
                "gateway": {"id": "bench-1"},
                "buffer": {"path": str(folder / "b.db")},
                "links": {"desk": {"serial": port}, "bus": {"modbus": panel.url}},
                "devices": {
                    "board": {"driver": "lines", "link": "desk"},
                    "panel": {
                        "driver": "modbus",
                        "link": "bus",
                        "unit_id": 1,
                        "every": "50ms",
                        "registers": [register],
                    },
                },
            },
        )


def shown(plant: tuple[Path, dict[str, Any]], daemon: bool, *arguments: str) -> list[str]:
    """What `labgate tail --raw` prints with a running gateway, or without."""
    folder, site = plant
    if daemon:
        with Gateway(folder, site) as gateway:
            done = labgate("-c", gateway.file, "--socket", gateway.socket, "tail", "--raw", *arguments)
    else:
        (folder / "alone.yaml").write_text(json.dumps(site))
        done = labgate("-c", folder / "alone.yaml", "--socket", folder / "none.sock", "tail", "--raw", *arguments)
        assert "starting" not in done.stderr
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("daemon", [True, False])
def test_every_line_of_a_board_is_shown_as_it_came_readings_or_not(plant: Any, daemon: bool) -> None:
    lines = shown(plant, daemon, "board", "--count", str(2 * len(SAID)))
    first = list(SAID.values()).index(lines[0])
    expected = cycle([*SAID.values()][first:] + [*SAID.values()][:first])
    assert lines == [next(expected) for _ in range(2 * len(SAID))]


@pytest.mark.parametrize("daemon", [True, False])
def test_of_all_devices_each_line_says_whose_it_is(plant: Any, daemon: bool) -> None:
    lines = shown(plant, daemon, "--count", "40")
    packs = [json.loads(line) for line in lines if line.startswith("[")]
    assert {pack[0]["bn"] for pack in packs} == {"bench-1/panel/"}
    assert {line for line in lines if not line.startswith("[")} == {f"board  {text}" for text in SAID.values()}


def test_samples_are_shown_as_before(plant: Any) -> None:
    folder, site = plant
    with Gateway(folder, site) as gateway, closing(ask(gateway.socket, "tail", device="board")) as rows:
        row = next(rows)
    assert (row["device"], row["seq"] > 0, len(row["readings"])) == ("board", True, 1)
