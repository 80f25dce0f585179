"""`labgate replay`: public captures and transcripts through drivers, with no hardware."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.testbed import Simulator
from gateway.transcript import header
from tests.commands import labgate
from tests.test_transcripts import FILES, compare, outcome

TESTS = Path(__file__).parents[2]
VECTORS = {
    vector["id"]: vector
    for name in ("sds011", "p1-dsmr", "aidon-hdlc-se", "serial-lines", "mt-sics", "mh-z19", "scpi", "ve-direct")
    for vector in json.loads((TESTS / f"vectors/{name}.json").read_text())["vectors"]
}


def captured(name: str) -> bytes:
    vector = VECTORS[name]
    return bytes.fromhex(vector["input_hex"]) if "input_hex" in vector else vector["input_text"].encode()


def expected(name: str) -> dict[str, Any]:
    return {key: reading["value"] for key, reading in VECTORS[name]["expected"].items()}


def said(mark: str, data: bytes) -> str:
    return f"{mark} {data.hex(' ')}\n"


class Replay:
    """`labgate replay` of what is written to a file: exit code, rows and counts, standard error."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def text(self, recording: bytes | str, *which: str) -> tuple[int, list[str], str]:
        file = self.folder / "recording"
        file.write_bytes(recording.encode() if isinstance(recording, str) else recording)
        code = main(["-c", str(self.folder / "gateway.yaml"), "replay", str(file), *which])
        out, err = self.capsys.readouterr()
        assert "Traceback" not in err
        return code, out.splitlines(), err.replace(str(self.folder), "")

    def __call__(self, recording: bytes | str, *which: str) -> tuple[int, list[dict[str, Any]], dict[str, int]]:
        code, lines, err = self.text(recording, *which, "--json")
        assert err == ""
        *rows, counts = map(json.loads, lines)
        return code, rows, counts["counts"]


@pytest.fixture
def replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Replay:
    return Replay(tmp_path, capsys)


def values(row: dict[str, Any]) -> dict[str, Any]:
    return {name: reading["value"] for name, reading in row["readings"].items()}


# Devices that speak by themselves


@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("sds011-1", ("--profile", "sds011")),
        ("p1-kamstrup-1", ("--driver", "han")),
        ("p1-lg-1", ("--driver", "han")),
        ("aidon-hdlc-1", ("--driver", "han")),
        ("dht-forum", ("--driver", "lines")),
        ("dht-failure-line", ("--driver", "lines")),
    ],
)
@pytest.mark.parametrize("form", ["plain", "transcript", "byte by byte"])
def test_a_public_capture(replay: Replay, name: str, which: tuple[str, str], form: str) -> None:
    data = captured(name)
    pieces = [data] if form == "transcript" else [bytes([byte]) for byte in data]
    code, (row,), counts = replay(data if form == "plain" else "".join(said("<<", piece) for piece in pieces), *which)
    told = values(row)
    if which[1] == "han":  # an instant is told in the meter's own time
        told.pop("0-0:1.0.0")
    assert told == {key: pytest.approx(value) for key, value in expected(name).items() if key != "0-0:1.0.0"}
    assert (code, counts["samples"], counts["refused"]) == (0, 1, 0)


def test_what_was_sent_is_not_heard(replay: Replay) -> None:
    one, two = captured("sds011-1"), captured("sds011-2")
    recording = said("<<", one[:4]) + said(">>", two) + said("<<", one[4:])
    _, rows, counts = replay(recording, "--profile", "sds011")
    assert [(row["line"], values(row)) for row in rows] == [(3, expected("sds011-1"))]
    assert counts["skipped"] == 0


def test_where_a_line_is_refused_and_why(replay: Replay) -> None:
    recording = said("<<", captured("sds011-1")) + "# noise\n" + said("<<", captured("sds011-bad-checksum"))
    code, lines, _ = replay.text(recording + said("<<", captured("sds011-2")), "--profile", "sds011")
    assert code == 0
    assert lines == [
        "line 1: pm2_5 0.6 ug/m3, pm10 0.6 ug/m3",
        "line 3: refused: no frame: the checksum is wrong",
        "line 4: pm2_5 0.9 ug/m3, pm10 0.9 ug/m3",
        "2 samples, 1 refused, 10 bytes in no frame, 1 wrong checksum",
    ]


def test_frames_of_bytes_are_counted(replay: Replay) -> None:
    data = b"\x00\xff" + captured("sds011-1") + captured("sds011-2") + captured("sds011-1")[:7]
    code, lines, _ = replay.text(data, "--profile", "sds011")
    assert code == 0
    assert [line.partition(":")[0] for line in lines[:2]] == ["frame 1", "frame 2"]
    assert lines[2:] == ["2 samples, 0 refused, 2 bytes in no frame, the last 7 bytes are cut off"]


def test_nothing_comes_of_a_telegram_with_a_wrong_checksum(replay: Replay) -> None:
    code, rows, counts = replay(captured("p1-bad-crc"), "--driver", "han")
    assert code == 1
    assert (counts["samples"], counts["refused"]) == (0, 1)
    assert rows[0]["line"] == captured("p1-bad-crc").count(b"\n")
    assert (rows[0]["reason"], "checksum" in rows[0]["refused"]) == ("decode", True)


def test_a_line_cut_off_at_the_end_is_no_line(replay: Replay) -> None:
    _, rows, counts = replay(captured("dht-forum") + b"Humidity: 5", "--driver", "lines")
    assert (len(rows), counts["cut_off"]) == (1, len(b"Humidity: 5"))


QUIET = """
from dataclasses import dataclass
from gateway import Listener, Options, Quiet, Reading, SerialLink

@dataclass(frozen=True)
class Raw(Listener):
    options: Options
    link: SerialLink

    @property
    def hear(self):
        return (Quiet(0.05),)

    def decode(self, frame):
        if frame == b"boom":
            raise KeyError("froth")
        if frame == b"text":
            return [Reading("bytes", object())]
        return [Reading("bytes", len(frame))]
"""


def test_quiet_ends_a_frame(replay: Replay) -> None:
    (replay.folder / "raw.py").write_text(QUIET)
    recording = "<< 01 02  # 10.0 ms\n<< 03  # 20.0 ms\n<< 04  # 90.0 ms\n"
    _, rows, _ = replay(recording, "--driver", "raw.py")
    assert [(row["line"], values(row)) for row in rows] == [(2, {"bytes": 3}), (3, {"bytes": 1})]
    _, rows, _ = replay("<< 01 02\n<< 03\n", "--driver", "raw.py")  # who does not say when, means a frame a line
    assert [values(row)["bytes"] for row in rows] == [2, 1]


def test_a_bug_of_a_driver_is_one_line(replay: Replay) -> None:
    (replay.folder / "raw.py").write_text(QUIET)
    recording = "".join(said("<<", word) for word in (b"boom", b"text", b"fine"))
    code, lines, _ = replay.text(recording, "--driver", "raw.py")
    assert code == 0
    assert lines[0] == "line 1: refused: the driver failed: KeyError: 'froth'"
    assert lines[1].startswith("line 2: refused: ")
    assert lines[2:] == ["line 3: bytes 4", "1 sample, 2 refused"]


# Devices that are asked

SI = said(">>", b"SI\r\n")


def test_a_balance(replay: Replay) -> None:
    recording = SI + said("<<", captured("sics-dynamic")[:5]) + said("<<", captured("sics-dynamic")[5:])
    recording += said(">>", b"I2\r\n") + said("<<", captured("sics-model")) + said(">>", b"I4\r\n")
    recording += SI + said("<<", captured("sics-overload")) + SI + said("<<", captured("sics-stable"))
    code, rows, counts = replay(recording, "--driver", "mt_sics")
    assert code == 0
    assert [row["line"] for row in rows] == [1, 7, 9]
    assert [values(row) for row in rows[::2]] == [expected("sics-dynamic"), expected("sics-stable")]
    assert "overload" in rows[1]["refused"]
    assert (counts["samples"], counts["refused"]) == (2, 1)


def test_a_balance_whose_name_was_not_asked_for_in_the_recording(replay: Replay) -> None:
    recording = (SI + said("<<", captured("sics-stable"))) * 2
    _, rows, _ = replay(recording, "--driver", "mt_sics")
    assert [values(row) for row in rows] == [expected("sics-stable")] * 2


@pytest.mark.parametrize(
    ("answer", "reason"), [("", "timeout"), ("<< 00 ff 10\n", "garbled"), (said("<<", b"S +\r\n"), "decode")]
)
def test_a_balance_that_gives_no_weight(replay: Replay, answer: str, reason: str) -> None:
    code, (row,), _ = replay(SI + answer, "--driver", "mt_sics")
    assert (code, row["line"], row["reason"]) == (1, 1, reason)


def test_a_sensor_with_a_profile(replay: Replay) -> None:
    request = f">> {bytes.fromhex(VECTORS['mhz19b-1']['context']['request_hex']).hex(' ')}\n"
    recording = request + said("<<", captured("mhz19b-1")) + request + said("<<", captured("mhz19b-warming-up"))
    _, lines, _ = replay.text(recording, "--profile", "mh_z19")
    assert lines == ["line 1: co2 636 ppm", "line 3: no value is available", "1 sample, 0 refused, 1 without a value"]


def test_what_read_shows_can_be_replayed(replay: Replay, tmp_path: Path) -> None:
    with Simulator(tmp_path, "balance", "--set", "weight=12.34") as balance:
        site = {"gateway": {"id": "t-1"}, "buffer": {"path": str(tmp_path / "b.db")}}
        site |= {"links": {"desk": {"serial": balance.url}}, "devices": {"it": {"driver": "mt_sics", "link": "desk"}}}
        (tmp_path / "site.yaml").write_text(json.dumps(site))
        at = "-c", tmp_path / "site.yaml", "--socket", tmp_path / "none.sock"
        shown = labgate(*at, "read", "it", "--trace").stdout
    code, rows, counts = replay(shown, "--driver", "mt_sics")
    assert (code, len(rows), counts["samples"]) == (0, 1, 1)
    assert f"{rows[0]['readings']['weight']['value']} g" in shown.splitlines()[-2]


def test_a_frame_without_a_value_is_no_sample(replay: Replay) -> None:
    code, rows, counts = replay(bytes.fromhex("AAC000000000000000AB"), "--profile", "sds011")
    assert (code, rows, counts["samples"], counts["empty"]) == (0, [], 0, 1)


def test_an_instrument_with_a_profile_of_ones_own(replay: Replay) -> None:
    profile = "driver: scpi\nqueries: [{name: voltage, query: 'MEAS:VOLT:DC?', unit: V}]\n"
    (replay.folder / "meter.yaml").write_text(profile)
    request = said(">>", b"MEAS:VOLT:DC?\n")
    recording = (
        request + said("<<", captured("scpi-read-3")) + said(">>", b"*IDN?\n") + said("<<", captured("scpi-idn"))
    )
    _, rows, _ = replay(recording + request + said("<<", captured("scpi-read-3")), "--profile", "meter.yaml")
    assert [values(row) for row in rows] == [{"voltage": expected("scpi-read-3")["reading"]}] * 2


@pytest.mark.parametrize(("name", "profile"), [("xy_md02_manual", "xy_md02"), ("pzem_004t", "pzem016")])
def test_a_modbus_device(replay: Replay, name: str, profile: str) -> None:
    recording = (TESTS / f"transcripts/{name}.txt").read_text()
    _, (row,), _ = replay(recording, "--profile", profile)
    wanted = recording.partition("# values: {")[2].partition("}")[0].replace("#", "").split(",")
    for pair in wanted:
        key, _, value = pair.partition(":")
        assert str(values(row)[key.strip()]).lower() == value.strip()


def test_a_modbus_device_over_tcp_that_refuses(replay: Replay) -> None:
    asked = ">> 00 07 00 00 00 06 01 04 00 01 00 02\n"
    good, refusal = "<< 00 07 00 00 00 07 01 04 04 01 31 02 22\n", "<< 00 07 00 00 00 03 01 84 06\n"
    other = good.replace("00 07 00 00", "00 06 00 00", 1)
    _, rows, _ = replay(
        asked + good + asked + refusal + asked + other + asked + "<< 01 02 03\n", "--profile", "xy_md02"
    )
    assert values(rows[0]) == {"temperature": 30.5, "humidity": 54.6}  # the manual's own numbers
    assert [row["reason"] for row in rows[1:]] == ["exception", "garbled", "garbled"]


# What the header says it was recorded of


TOO_LATE = ("late_answer", "rtu_over_tcp_late", "tcp_stale")  # a recording is not waited for: nothing is too late


@pytest.mark.parametrize("path", [p for p in FILES if p.stem not in TOO_LATE], ids=lambda path: path.stem)
def test_a_transcript_that_says_of_what(replay: Replay, path: Path) -> None:
    recording = path.read_text()
    _, rows, counts = replay(recording)
    wanted = [outcome(key, text) for key, text in header(recording) if key in ("values", "error")]
    for row, told in zip(rows, wanted, strict=True):
        if isinstance(told, tuple):
            assert "refused" in row
        else:
            compare(values(row), told)
    assert counts["samples"] + counts["refused"] + counts["empty"] == len(wanted)


def test_what_others_asked_on_that_bus_is_passed_over(replay: Replay) -> None:
    """As the log of `labgate run --debug` has it."""
    recording = (TESTS / "transcripts/xy_md02_manual.txt").read_text()
    ours = [line for line in recording.splitlines() if line[:2] in (">>", "<<")]
    others = [">> 07 04 00 01 00 02 20 6d", "<< 07 04 04 00 d7 01 c7 6d be"]
    shorter = [">> 01 04 00 01 00 01 60 0a"]
    code, rows, counts = replay("\n".join([*others, *ours, *shorter, *others, *ours, *others]), "--profile", "xy_md02")
    assert (code, [row["line"] for row in rows], [len(row["readings"]) for row in rows]) == (0, [3, 8], [2, 2])
    assert (counts["samples"], counts["refused"], counts["of_others"]) == (2, 0, 4)


def test_of_a_device_that_speaks_with_options_of_its_own(replay: Replay) -> None:
    recording = said("<<", b"t=20,5\nt=-127\n")
    told = "# device: {driver: lines, every: 10s,\n#   decimal_comma: true, missing: [-127]}\n"
    _, rows, counts = replay(told + recording)
    assert ([values(row) for row in rows], counts["empty"]) == ([{"t": 20.5}], 1)


def test_what_the_command_says_counts_more_than_the_header(replay: Replay) -> None:
    recording = "# device: {profile: sds011}\n" + said("<<", b"t=20\n")
    _, rows, _ = replay(recording, "--driver", "lines")
    assert [values(row) for row in rows] == [{"t": 20}]


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ("", "nothing says what it was recorded of; name it with --driver or --profile, or in a header: # device: {"),
        ("# device: {profile: sds01}", '`# device: {profile: sds01}`: no profile "sds01"; did you mean "sds011"?'),
        ("# device: {driver: frames}", '"header" is missing; add header'),
        ("# device: {driver: lines, decmal_comma: true}", 'did you mean "decimal_comma"?'),
        ("# device: {driver: lines, dialect: csv", "# device:"),
        ("# device: lines", "neither driver nor profile; add driver: NAME or profile: NAME"),
        ("# device:", "neither driver nor profile"),
        ("# device: {driver: ./none.py}", "no driver file"),
    ],
)
def test_a_header_that_names_no_driver(replay: Replay, told: str, text: str) -> None:
    code, lines, err = replay.text(f"{told}\n" + said("<<", b"t 20\n"))
    assert (code, lines, err.count("\n")) == (2, [], 1)
    assert text in err


def test_a_header_behind_a_byte_order_mark(replay: Replay) -> None:
    _, rows, _ = replay("\ufeff# device: {driver: lines}\n" + said("<<", b"t=20\n"))
    assert [values(row) for row in rows] == [{"t": 20}]


def test_a_file_without_end_is_not_read_for_ever(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.replay._LARGEST", 1000)
    assert main(["replay", "/dev/zero", "--driver", "lines"]) == 2
    assert replay.capsys.readouterr().err == "labgate: /dev/zero is larger than 1.0 kB; cut out what is of interest\n"


def test_a_header_is_one_of_a_transcript_only(replay: Replay) -> None:
    code, _, err = replay.text("# device: {driver: lines}\nt 20\n")
    assert (code, "nothing says what it was recorded of" in err) == (2, True)


# What cannot be replayed is one line


@pytest.mark.parametrize(
    ("recording", "which", "code", "told"),
    [
        ("t 1\n", ("--driver", "mt_sics"), 2, "asks its device, and nothing in there was asked"),
        ("<< 53\n", ("--driver", "mt_sics"), 2, "nothing in there was asked"),
        ("<< 53\n>> 53\n", ("--driver", "mt_sics"), 2, "line 1: an answer before any request"),
        (">> 53\n<< 5\n", ("--driver", "mt_sics"), 2, "recording: line 2 is no frame"),
        (">> 53 0d 0a\n<< 53\n", ("--driver", "mt_sics"), 1, "line 1 asks 53 0d 0a, the driver asks 53 49 0d 0a"),
        ("t 1\n", ("--driver", "line"), 2, 'did you mean "lines"?'),
        ("t 1\n", ("--driver", "sds011"), 2, "write --profile sds011"),
        ("t 1\n", ("--driver", "frames"), 2, "must be told header, fields"),
        ("t 1\n", ("--profile", "sds01"), 2, 'did you mean "sds011"?'),
        ("t 1\n", ("--profile", "wrong.yaml"), 2, "wrong.yaml:1:1:"),
        ("t 1\n", ("--driver", "deaf.py"), 2, "use labgate decode"),
    ],
)
def test_what_cannot_be_replayed(replay: Replay, recording: str, which: tuple[str, ...], code: int, told: str) -> None:
    (replay.folder / "wrong.yaml").write_text("driver: frames\nheadr: AA\n")
    deaf = QUIET.replace("link: SerialLink", "link: None")
    (replay.folder / "deaf.py").write_text(deaf)
    done = replay.text(recording, *which)
    assert done[:2] == (code, [])
    assert done[2].count("\n") == 1
    assert told in done[2]


def test_a_file_that_is_not_there(replay: Replay) -> None:
    assert main(["replay", str(replay.folder / "none"), "--driver", "lines"]) == 1
    assert replay.capsys.readouterr().err == f"labgate: {replay.folder}/none: No such file or directory\n"


def test_driver_or_profile_but_not_both(replay: Replay) -> None:
    with pytest.raises(SystemExit, match="2"):
        replay.text("t 1\n", "--driver", "lines", "--profile", "sds011")


@pytest.mark.parametrize(
    "odd", ["<< 01\x1f02\n", "<< 01  # 1.2.3 ms\n", "<< \u0661\u0662\n", "T\u0661\u0662:00:00.000Z << 01\n"]
)
def test_what_looks_like_a_frame_and_is_none(replay: Replay, odd: str) -> None:
    code, _, err = replay.text(said("<<", captured("sds011-1")) + odd, "--profile", "sds011")
    assert (code, err.count("\n")) in ((0, 0), (2, 1))
