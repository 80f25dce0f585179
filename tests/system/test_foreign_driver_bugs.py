"""Drivers with bugs, through the commands: told in one line, never published, all others go on."""

import json
from pathlib import Path

import pytest

from gateway.testbed import Gateway
from tests.commands import labgate, one_line

DRIVER = """
from dataclasses import dataclass

from gateway import Options, Polled, Reading


class Mood(Options):
    mood: str


@dataclass(frozen=True)
class Moody(Polled):
    options: Mood
    link: None

    async def read(self):
        match self.options.mood:
            case "raises":
                raise KeyError("froth")
            case "gives nothing":
                return None
            case "gives an object":
                return [Reading("a", object())]
            case _:
                return [Reading("a/b", 1.5, "V"), Reading("n", float("nan")), Reading("t", "\\x1b[31m")]
"""

MOODS = {
    "raises": "the driver failed: KeyError: 'froth'",
    "gives nothing": "the driver failed: TypeError",
    "gives an object": "a: object is no value",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    """A site of moody devices; not started."""
    folder = tmp_path_factory.mktemp("moody")
    (folder / "moody.py").write_text(DRIVER)
    devices = {mood.split()[-1]: {"driver": "moody.py", "mood": mood, "every": "100ms"} for mood in (*MOODS, "good")}
    site = {"gateway": {"id": "moody-1"}, "buffer": {"path": "./b.db"}, "devices": devices}
    return Gateway(folder, site)


def read_them(gateway: Gateway) -> None:
    common: tuple[str | Path, ...] = ("-c", gateway.file, "--socket", gateway.socket, "read")
    for mood, text in MOODS.items():
        assert text in one_line(labgate(*common, mood.split()[-1]), 1)
    row = json.loads(labgate(*common, "good", "--json").stdout)
    assert row["readings"] == {"a_b": {"value": 1.5, "unit": "V"}, "t": {"value": "\x1b[31m", "unit": None}}
    assert "\x1b" not in labgate(*common, "good").stdout


def test_without_the_gateway(gateway: Gateway) -> None:
    read_them(gateway)


def test_with_the_gateway(gateway: Gateway) -> None:
    with gateway:
        common = ("-c", gateway.file, "--socket", gateway.socket)
        labgate(*common, "tail", "good", "--count", "3")
        read_them(gateway)
        rows = [json.loads(line) for line in labgate(*common, "devices", "--json").stdout.splitlines()]
        assert {row["device"]: row["reason"] for row in rows} == {
            "raises": "bug",
            "nothing": "bug",
            "object": "decode",
            "good": None,
        }
        assert gateway.stop() == 0
    log = gateway.log.read_text().splitlines()
    assert sum("raises is degraded" in line for line in log) == 1  # once, however often it fails
    assert sum(line == "KeyError: 'froth'" for line in log) == 1
    assert not [line for line in log if "Unhandled" in line]
