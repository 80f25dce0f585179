"""Mutated configuration files: whatever stands in them, there are lines for a person and never another exception.

LABGATE_FUZZ=10000 tries that many; a failure names the seed, LABGATE_FUZZ_SEED repeats that one file.
"""

import json
import os
import random
import re
from pathlib import Path

import pytest

from gateway.config import ConfigError, load_site
from gateway.yamltext import parse_yaml, read_yaml
from tests.configuration import DRIVER, PROFILE, write

COUNT = int(os.environ.get("LABGATE_FUZZ", "300"))
CHUNKS = 10

SITE = """\
gateway: {id: pi-7, labels: {room: A2}}
hub:
  url: mqtts://hub.example.org:8883
  username: pi-7
  password_file: hub-password
  prefix: lab
  state: 1s
buffer: {path: buffer.db, commit_every: 1s, max_bytes: 1GB, keep_free: 200MB}
links:
  plc:   {modbus: "tcp://192.0.2.20:502"}
  bus-1: {modbus: /dev/ttyUSB0, baudrate: 2400, parity: N, timeout: 500ms, pause: 60ms}
devices:
  meter-1: {profile: p1, link: bus-1, unit_id: 1, every: 1s, labels: {owner: "anna"}}
  meter-2: {profile: xy_md02, link: bus-1, unit_id: 4, only: [temperature], class: alarm}
  probe: {driver: ./probe.py, link: plc, unit_id: 2, points: [{name: a, address: 1, scale: 0.1, unit: Cel}]}
  pump-1:
    driver: modbus
    link: plc
    unit_id: 3
    silent_after: 5min
    registers:
      - {name: flow, table: holding, address: 16, type: int16, scale: 0.1, offset: -40, unit: m3/h, missing: [0x8000]}
      - {name: mode, table: holding, address: 30, type: uint16, values: {0: off, 1: heating}}
      - {name: alarm, table: holding, address: 31, bit: 3}
"""
MORE = "links:\n  box: {modbus: 'rtu+tcp://192.0.2.21:4001'}\ndevices:\n  late: {profile: p1, link: box, unit_id: 9}\n"

# What goes wrong in real files, and what breaks parsers.
PIECES = [
    "", " ", "  ", "\n", "\t", ":", ": ", "- ", "{", "}", "[", "]", ",", "'", '"', "#", "&a ", "*a", "!!str ",
    "!x ", "<<: ", "|", ">", "?", "%", "@", "`", "\\", "---\n", "...\n", "\r\n", "\0", "\x07", "\ufeff",
    "\u2028", "ü", "°C", "𝄞", "\\x00", "null", "~", "true", "no", "off", "0", "-1", "1e999", "1e300",
    "0x7fffffffffffffffffff", "9" * 50, "9" * 5000, ".nan", "-.inf", "1.5", "1s", "0s", "-1s", "99999999999d",
    "1GB", "1 GB", "12:30", "2026-11-20", "guest-1", "raspberrypi", "../../etc/passwd", "/", "/dev/null",
    "/proc/self/mem", "x" * 300, "x" * 3000, "tcp://", "tcp://[", "mqtt://a:b@c", "mqtts://h:99999", "driver",
    "profile", "p1", "modbus", "codecs", "__init__", "probe.py", "./probe.py", "none.py", "p1.yaml",
    "profiles/p1.yaml", "gateway.yaml", "registers", "devices:\n", "links:\n", "hub:\n",
    "  a: {driver: modbus}\n", "[" * 25, "{a: " * 25, "- " * 25, "[" * 3000, "? " * 30,
]  # fmt: skip


def mutate(text: str, rng: random.Random) -> str | bytes:
    """One to six changes: characters, words, lines, indentation, pieces."""
    for _ in range(rng.randint(1, 6)):
        lines = text.split("\n")
        here, there = rng.randrange(len(lines)), rng.randrange(len(lines))
        at = rng.randrange(len(text) + 1)
        match rng.randrange(12):
            case 0:  # a piece in any place
                text = text[:at] + rng.choice(PIECES) + text[at:]
            case 1 | 2:  # a word becomes a piece
                words = list(re.finditer(r"[\w./:+-]+", text)) or [re.match("", text)]
                word = rng.choice(words)
                text = text[: word.start()] + rng.choice(PIECES) + text[word.end() :] if word else text
            case 3:  # two words change places
                words = [m.group() for m in re.finditer(r"[\w./-]+", text)] or ["a"]
                text = text.replace(rng.choice(words), rng.choice(words), 1)
            case 4:  # a line twice, elsewhere
                lines.insert(there, lines[here])
                text = "\n".join(lines)
            case 5:  # a line less
                del lines[here]
                text = "\n".join(lines)
            case 6:  # lines change places
                lines[here], lines[there] = lines[there], lines[here]
                text = "\n".join(lines)
            case 7:  # indentation
                lines[here] = " " * rng.randrange(8) + lines[here].lstrip()
                text = "\n".join(lines)
            case 8:  # a cut
                text = text[:at] + text[at + rng.randint(1, 40) :]
            case 9:  # the end is missing
                text = text[:at] if rng.random() < 0.2 else text
            case 10:  # a character
                text = (
                    text[:at] + chr(rng.choice([rng.randrange(128), rng.randrange(0xD800), 0x1F600])) + text[at + 1 :]
                )
            case 11:  # a part of it repeated
                text = text[:at] + text[at : at + 60] * rng.randint(2, 4) + text[at + 60 :]
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.03:  # bytes that are no text
        at = rng.randrange(len(data) + 1)
        return data[:at] + rng.randbytes(rng.randint(1, 8)) + data[at:]
    return data


def reshape(text: str, rng: random.Random) -> str:
    """One to four changes of the parsed tree, so that the YAML stays right and what stands in it does not."""
    tree = parse_yaml(text.encode(), "").value
    for _ in range(rng.randint(1, 4)):
        spots = [(tree, key) for key in tree]
        for group, key in spots:  # grows while it is walked: every place in the tree
            inner = group[key]
            keys = list(inner) if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else ()
            spots += [(inner, k) for k in keys]
        if not spots:
            break
        group, key = rng.choice(spots)
        other, name = rng.choice(spots)
        match rng.randrange(6):
            case 0 | 1:
                group[key] = rng.choice(
                    [*PIECES, None, True, False, 0, -1, 1.5, 10**30, 1e300, [], {}, [[]], [None], {"": {}}]
                )
            case 2:
                group[key] = json.loads(json.dumps(other[name], default=str))
            case 3:
                group[key] = [group[key]] if rng.random() < 0.5 else {rng.choice(PIECES): group[key]}
            case 4:
                del group[key]
            case 5 if isinstance(group, dict):
                group[rng.choice([*PIECES, f"{key}s", str(name)])] = group.pop(key)
    return json.dumps(tree, default=str, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1]))


def look(folder: Path, seed: int) -> None:
    """Load one mutated file, the main one, one of devices.d or a profile, and look at every line told."""
    rng = random.Random(seed)
    files: dict[str, str | bytes] = {"gateway.yaml": SITE, "devices.d/more.yaml": MORE, "profiles/p1.yaml": PROFILE}
    name = rng.choice(["gateway.yaml"] * 8 + ["devices.d/more.yaml", "profiles/p1.yaml"])
    files[name] = rng.choice([mutate, reshape])(str(files[name]), rng)
    write(folder, files)
    try:
        site = load_site(folder / "gateway.yaml")
    except ConfigError as error:
        pytest.fail(f"a readable file was refused: {error}")
    for problem in [*site.problems, *site.disabled.values()]:
        line = str(problem)
        assert line.isprintable(), line
        assert not re.search(r"Input should|type=|pydantic|Traceback|<class|object at 0x", line), line
        assert problem.text, line
        assert len(line) < 1500, line
        lines = re.split("\r\n|\r|\n", Path(problem.place.file).read_bytes().decode("utf-8-sig", "replace"))
        assert 1 <= problem.place.line <= len(lines), line
        assert 1 <= problem.place.col <= len(lines[problem.place.line - 1]) + 1, line
    if not any(p.part == "file" and p.severity == "error" for p in site.problems):
        docs = [read_yaml(folder / name).value for name in ("gateway.yaml", "devices.d/more.yaml")]
        names = {str(name) for doc in docs if doc for name in doc.get("devices") or ()}
        assert names == set(site.devices) | set(site.disabled)
    assert all(device.link is None or device.link in site.links for device in site.devices.values())
    assert not set(site.devices) & set(site.disabled)
    assert isinstance(site.fatal, list)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    write(tmp_path, {"probe.py": DRIVER, "secrets/hub-password": "x"})
    (tmp_path / "secrets/hub-password").chmod(0o600)
    return tmp_path


def test_unmutated(folder):
    write(folder, {"gateway.yaml": SITE, "devices.d/more.yaml": MORE, "profiles/p1.yaml": PROFILE})
    assert [str(p) for p in load_site(folder / "gateway.yaml").problems] == []


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_mutated(folder, chunk):
    seeds = range(chunk * COUNT // CHUNKS, (chunk + 1) * COUNT // CHUNKS)
    if "LABGATE_FUZZ_SEED" in os.environ:
        seeds = [int(os.environ["LABGATE_FUZZ_SEED"])] if chunk == 0 else []
    for seed in seeds:
        try:
            look(folder, seed)
        except BaseException as error:
            error.add_note(f"repeat with LABGATE_FUZZ_SEED={seed}")
            raise
