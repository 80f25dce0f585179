"""Captured and recorded conversations, replayed byte for byte against the real link and driver on a real wire.

The format is told in tests/transcripts/README.md. Every file there is replayed because it is there.
"""

import asyncio
import json
import math
import re
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import site
from gateway.config import load_site
from gateway.errors import REASONS, ConfigError, LabgateError
from gateway.testbed import Gateway, Simulator
from gateway.transcript import Exchange, exchanges, header, pieces
from gateway.yamltext import parse_yaml
from tests.commands import labgate
from tests.gateway.links.modbus_peers import ADDRESS, Peer, SerialPeer, TcpPeer

FOLDER = Path(__file__).parent / "transcripts"
FILES = sorted(FOLDER.rglob("*.txt"))
LONG = 10.0  # s; what has not come by then never will
CLOSE = 2e-6  # of a value: what documents print is rounded

Outcome = dict[str, Any] | tuple[str, str]


@dataclass
class Transcript:
    source: str = ""
    device: str = ""
    link: str = "{modbus: rtu}"
    outcomes: list[Outcome] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def kind(self) -> str:
        found = re.search(r"modbus: (rtu\+tcp|rtu|tcp)\b", self.link)
        assert found, f"no address is to be filled in: {self.link}"
        return found[1]


def read_transcript(text: str) -> Transcript:
    """Fails for what is none."""
    told = Transcript()
    for key, value in header(text):
        if key in ("values", "error"):
            told.outcomes.append(outcome(key, value))
        else:
            setattr(told, key, value)
    told.exchanges = exchanges(pieces(text))
    return told


def outcome(key: str, text: str) -> Outcome:
    if key == "error":
        reason, _, words = text.partition(", ")
        assert reason in REASONS, f"there is no reason {reason}"
        return reason, words
    doc = parse_yaml(text.encode(), "values")
    assert isinstance(doc.value, dict), f"values are a group of keys: {text}"
    assert not doc.faults, doc.faults
    return doc.value


class OtherEnd:
    """The other end of the wire; `wrong` is what was asked of it that is not in the transcript."""

    def __init__(self, told: Transcript) -> None:
        self.left = deque(told.exchanges)
        self.wrong: list[str] = []
        self._tcp = told.kind == "tcp"
        self._real: dict[int, int] = {}  # transaction in the transcript -> on the wire
        self._unsent = 0
        self._all_sent = asyncio.Event()
        self._all_sent.set()

    def __call__(self, peer: Peer, request: bytes) -> None:
        if not self.left:
            self.wrong.append(f"asked behind the end: {request.hex(' ')}")
            return
        exchange = self.left.popleft()
        expected = exchange.request
        if self._tcp:
            self._real[int.from_bytes(expected[:2])] = int.from_bytes(request[:2])
            expected = request[:2] + expected[2:]
        if request != expected:
            self.wrong.append(f"line {exchange.line} asks {expected.hex(' ')}, asked was {request.hex(' ')}")
            return
        shift = int.from_bytes(request[:2]) - int.from_bytes(exchange.request[:2])
        for late, data in exchange.answers:
            self._unsent += 1
            self._all_sent.clear()
            sent = self._with_transactions(data, shift) if self._tcp else data
            asyncio.get_running_loop().call_later(late, self._send, peer, sent)

    async def all_sent(self) -> None:
        await asyncio.wait_for(self._all_sent.wait(), LONG)

    def _send(self, peer: Peer, data: bytes) -> None:
        peer.send(data)
        self._unsent -= 1
        if not self._unsent:
            self._all_sent.set()

    def _with_transactions(self, data: bytes, shift: int) -> bytes:
        """With the numbers of the requests as they really were; one of no request stays as far off as it was."""
        found = b""
        while len(data) > 6:
            number = int.from_bytes(data[:2])
            size = 6 + int.from_bytes(data[4:6])
            found += self._real.get(number, (number + shift) % 65536).to_bytes(2) + data[2:size]
            data = data[size:]
        return found + data


async def replay(told: Transcript, folder: Path) -> None:
    """Reads the device as often as there are outcomes, and compares. Everything must have been asked for then."""
    end = OtherEnd(told)
    peer: Any = SerialPeer(end) if told.kind == "rtu" else await TcpPeer(end).start()
    where = peer.path if told.kind == "rtu" else f"{told.kind}://{ADDRESS}:{peer.port}"
    link = told.link.replace(f"modbus: {told.kind}", f'modbus: "{where}"')
    file = folder / "gateway.yaml"
    device = "{link: wire, " + told.device.removeprefix("{")
    file.write_text(f"gateway: {{id: t-1}}\nlinks:\n  wire: {link}\ndevices:\n  it: {device}\n")
    found = load_site(file)
    wrong = [str(problem) for problem in found.problems if problem.severity == "error"]
    assert not wrong, "\n".join(wrong)
    links = site.links_of(found, list(found.devices.values()))
    it = site.make(found.devices["it"], links, lambda *_: None, lambda _: None)
    try:
        for expected in told.outcomes:
            try:
                got: Outcome = {reading.name: reading.value for reading in await it.read()}
            except LabgateError as error:
                got = error.reason, str(error)
            assert not end.wrong, "; ".join(end.wrong)
            compare(got, expected)
        await end.all_sent()
        assert not end.left, f"line {end.left[0].line} was not asked"
        assert not end.wrong, "; ".join(end.wrong)
    finally:
        for one in links.values():
            await one.close()
        if told.kind == "rtu":
            peer.unplug()
        else:
            await peer.stop()


def compare(got: Outcome, expected: Outcome) -> None:
    if isinstance(expected, tuple):
        assert isinstance(got, tuple), f"{got}, but expected is {expected}"
        assert (got[0], expected[1] in got[1]) == (expected[0], True), got
        return
    assert isinstance(got, dict), f"{got}, but expected is {expected}"
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, Decimal):
            assert math.isclose(got[name], value, rel_tol=CLOSE), f"{name} is {got[name]}, not {value}"
        else:
            assert (got[name], type(got[name]) is bool) == (value, type(value) is bool), f"{name} is {got[name]}"


def test_there_are_transcripts() -> None:
    assert len(FILES) > 20


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_transcript(path: Path, tmp_path: Path) -> None:
    told = read_transcript(path.read_text())
    assert told.source, "say where it comes from"
    assert told.device, "say what to configure"
    assert told.outcomes, "say what must come of it"
    await replay(told, tmp_path)


# What people paste

SENSOR = ("--set", "temperature=21.5", "--set", "humidity=45.5")
HEADER = """
# source: this test
# device: {profile: xy_md02, unit_id: 1}
# link: {modbus: KIND}
# values: {temperature: 21.5, humidity: 45.5}
"""


def written(folder: Path, url: str, **device: Any) -> Path:
    """A configuration of one sensor, written as JSON, which is YAML."""
    devices = {"room": {"profile": "xy_md02", "link": "bus-1", "every": "20ms", **device}}
    file = folder / "site.yaml"
    buffer = {"path": str(folder / "b.db")}
    links = {"bus-1": {"modbus": url}}
    file.write_text(json.dumps({"gateway": {"id": "t-1"}, "buffer": buffer, "links": links, "devices": devices}))
    return file


@pytest.mark.parametrize(("kind", "options"), [("rtu", ()), ("tcp", ("--port", "0"))])
async def test_what_read_shows_is_a_transcript(tmp_path: Path, kind: str, options: tuple[str, ...]) -> None:
    with Simulator(tmp_path, "xy_md02", *SENSOR, *options) as sensor:
        command = "-c", written(tmp_path, sensor.url), "--socket", tmp_path / "none.sock"
        shown = labgate(*command, "read", "room", "--trace").stdout
    assert "room at " in shown  # what else a person copies does not matter
    told = read_transcript("$ labgate read room --trace\n" + shown + HEADER.replace("KIND", kind))
    assert len(told.exchanges) == len(told.exchanges[0].answers) == 1
    await replay(told, tmp_path)


async def test_what_read_shows_of_a_failure_is_a_transcript(tmp_path: Path) -> None:
    with Simulator(tmp_path, "xy_md02", *SENSOR, "--fault", "crc") as sensor:
        command = "-c", written(tmp_path, sensor.url, timeout="80ms"), "--socket", tmp_path / "none.sock"
        done = labgate(*command, "read", "room", "--trace")
    told = read_transcript(done.stdout + done.stderr + HEADER.replace("KIND", "rtu, timeout: 80ms"))
    told.outcomes = [("garbled", "no answer can be made of what came")]
    assert told.exchanges[0].answers[0][0] < 0.08  # told with its own time, not that of the time-out
    await replay(told, tmp_path)


async def test_the_debug_log_is_a_transcript(tmp_path: Path) -> None:
    with Simulator(tmp_path, "xy_md02", *SENSOR) as sensor:
        gateway = Gateway(tmp_path, json.loads(written(tmp_path, sensor.url).read_text()))
        gateway.command.append("--debug")
        with gateway:
            at = "-c", gateway.file, "--socket", gateway.socket
            assert labgate(*at, "tail", "room", "--count", "3").returncode == 0
    log = [line for line in gateway.log.read_text().splitlines() if " bus-1 " in line]
    assert " DEBUG bus-1 >> 01 04 00 01 00 02 20 0b" in log[0]
    told = read_transcript("\n".join(log) + HEADER.replace("KIND", "rtu"))
    told.exchanges = told.exchanges[:3]
    told.outcomes *= 3
    await replay(told, tmp_path)


async def test_what_others_asked_meanwhile_is_not_replayed(tmp_path: Path) -> None:
    frames = """
# >> 07 04 00 01 00 02 20 6d  # 0.1 ms
# << 07 04 04 00 d7 01 c7 6d be  # 1.1 ms
>> 01 04 00 01 00 02 20 0b  # 1.3 ms
<< 01 04 04 00 d7  # 1.9 ms
<< 01 c7 0b be  # 2.2 ms

"""
    await replay(read_transcript(frames + HEADER.replace("KIND", "rtu")), tmp_path)


# A transcript that does not fit fails

GOOD = """
# source: this test
# device: {profile: xy_md02, unit_id: 1}
# link: {modbus: rtu, timeout: 60ms}
# values: {temperature: 21.5, humidity: 45.5}
>> 01 04 00 01 00 02 20 0b
<< 01 04 04 00 d7 01 c7 0b be
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("00 02 20 0b", "00 01 60 0a", "line 6 asks 01 04 00 01 00 01 60 0a, asked was 01 04 00 01 00 02 20 0b"),
        ("21.5", "21.6", "temperature is 21.5, not 21.6"),
        (", humidity: 45.5", "", "keys"),
        ("values: {temperature: 21.5, humidity: 45.5}", "error: timeout", "but expected is"),
        (">> 01 04", ">> 01 04 00 01 00 01 60 0a\n>> 01 04", "line 6 asks"),
        ("<< 01 04 04 00 d7 01 c7 0b be", "<< 01 84 02 c2 c1", "asked behind the end"),
        ("0b be", "0b be\n>> 01 04 00 01 00 02 20 0b", "line 8 was not asked"),
        ("profile: xy_md02", "profile: xy_md03", "no profile"),
        ("# values", "# values: {temperature: 21.5, humidity: 45.5}\n# values", "asked behind the end"),
    ],
)
async def test_what_does_not_fit_fails(tmp_path: Path, old: str, new: str, told: str) -> None:
    await replay(read_transcript(GOOD), tmp_path)
    with pytest.raises(AssertionError, match=re.escape(told)):
        await replay(read_transcript(GOOD.replace(old, new, 1)), tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("20 0b", "20 0", "line 6 is no frame"),
        ("20 0b", "20 xx", "line 6 is no frame"),
        (">>", "<<", "line 6: an answer before any request"),
        ("values: {", "error: tired, {", "there is no reason tired"),
        ("{temperature: 21.5, humidity: 45.5}", "[1]", "values are a group of keys"),
    ],
)
def test_what_is_no_transcript(old: str, new: str, told: str) -> None:
    with pytest.raises((AssertionError, ConfigError), match=re.escape(told)):
        read_transcript(GOOD.replace(old, new, 1))
