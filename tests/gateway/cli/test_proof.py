"""check tries the vectors of the user's own profiles, and tells each wrong one at its place."""

import json
from pathlib import Path

import pytest

from gateway.cli import main

# The captures are worked examples of the XY-MD02's manual: 0x0131 is 30.5 Cel.
PROFILE = """\
driver: modbus
registers:
  - {name: temperature, table: input, address: 1, type: int16, scale: 0.1, unit: Cel, missing: [0x7FFF]}
vectors:
"""
CONTEXT = "context: {register_address: 1, function: 4}"
GOOD = 'input_hex: "0131", ' + CONTEXT + ", expected: {temperature: {value: 30.5, unit: Cel}}"

DRIVER = """
from dataclasses import dataclass
from gateway import Options, Polled, Reading

class Nothing(Options):
    pass

@dataclass(frozen=True)
class Mine(Polled):
    options: Nothing
    link: None

    async def read(self):
        return []

    @classmethod
    def decode_input(cls, options, data, context):
"""


def check(folder: Path, capsys: pytest.CaptureFixture[str], vectors: str, device: str = "", *more: str) -> list[str]:
    """Lines that check says of a device with a profile of its own; file names without the folder."""
    (folder / "profiles").mkdir(exist_ok=True)
    (folder / "profiles/mine.yaml").write_text(PROFILE + vectors)
    site = folder / "gateway.yaml"
    site.write_text(
        "gateway: {id: g-1}\nlinks: {plc: {modbus: 'tcp://192.0.2.1'}}\n"
        f"devices:\n  a: {{profile: mine, link: plc, unit_id: 1{device}}}\n"
    )
    code = main(["-c", str(site), "check", *more])
    out = capsys.readouterr().out
    lines = out.replace(f"{folder}/", "").splitlines()
    assert code == (2 if lines[0].startswith("profiles/") or '"severity":"error"' in out else 0), out
    return [line for line in lines if line.startswith("profiles/")]


@pytest.mark.parametrize(
    "vector",
    [
        GOOD,
        f'id: 7, input_text: "\\x01\\x31", {CONTEXT}, expected: {{temperature: {{value: 30.50, unit: Cel}}}}',
        f'input_hex: "0131", {CONTEXT}, expected: {{temperature: {{value: 30.50001, unit: Cel}}}}',  # within 2e-6
        GOOD.replace("30.5", "30.6").replace("function", "tolerance: 0.11, function"),
        f'input_hex: "7fff", {CONTEXT}, expected: {{temperature: {{value: null, unit: Cel}}}}',
        GOOD.replace('"0131"', '"01040201317974"').replace("function: 4", "framing: RTU, unit_id: null"),
        'input_hex: "01040201317975", context: {framing: RTU, register_address: 1}, expected: {}',  # wrong checksum
    ],
)
def test_right_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str], vector: str) -> None:
    assert check(tmp_path, capsys, f"  - {{{vector}}}\n") == []


@pytest.mark.parametrize(
    ("vector", "told"),
    [
        ("id: warm, " + GOOD.replace("30.5", "30.6"), 'vector "warm" does not give this: temperature is 30.5 Cel'),
        (GOOD.replace("unit: Cel", "unit: K"), "vector 1 does not give this: temperature is 30.5 Cel, not 30.5 K"),
        (GOOD.replace("temperature", "humidity"), "does not give this: no humidity; correct one of the two"),
        (GOOD.replace("30.5", "true"), "temperature is 30.5 Cel, not true Cel"),
        (f'input_hex: "0131", {CONTEXT}, expected: {{}}', "it gives temperature, nothing is expected"),
        (GOOD.replace("function: 4", "framing: RTU"), "does not give this: no temperature: "),
        ("input_hex: 0x0131, expected: {}", "this is no test vector; write {input_hex: "),
        ('input_hex: "01g1", expected: {}', "this is no test vector (INPUT is not hexadecimal: it has a 'g' in it)"),
        ("expected: {}", "this is no test vector; write "),
        ('input_hex: "0131"', "this is no test vector; write "),
        ('input_hex: "0131", expected: {temperature: 30.5}', "this is no test vector; write "),
        ('input_hex: "0131", context: [1], expected: {}', "this is no test vector; write "),
        (GOOD.replace("function", "tolerance: much, function"), "this is no test vector; write "),
    ],
)
def test_wrong_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str], vector: str, told: str) -> None:
    (line,) = check(tmp_path, capsys, f"  - {{{vector}}}\n  - {{{GOOD}}}\n")
    assert line.startswith("profiles/mine.yaml:5:")
    assert told in line


def test_all_are_told_at_their_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = GOOD.replace("30.5", "30.6")
    lines = check(tmp_path, capsys, f"  - {{{wrong}}}\n  - {{{GOOD}}}\n  - 7\n  - {{{wrong}}}\n")
    column = f"  - {{{wrong}}}".index("{temp") + 1
    places = [line.split(": ")[0] for line in lines]
    assert places == [f"profiles/mine.yaml:5:{column}", "profiles/mine.yaml:7:5", f"profiles/mine.yaml:8:{column}"]


def test_what_a_device_leaves_out_does_not_matter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "profiles").mkdir()
    more = "  - {name: humidity, table: input, address: 2, type: uint16, scale: 0.1, unit: '%RH'}\nvectors:\n"
    (tmp_path / "profiles/two.yaml").write_text(PROFILE.replace("vectors:\n", more) + f"  - {{{GOOD}}}\n")
    check(tmp_path, capsys, f"  - {{{GOOD}}}\n")
    site = tmp_path / "gateway.yaml"
    site.write_text(site.read_text().replace("mine", "profiles/two.yaml, only: [humidity]"))
    assert main(["-c", str(site), "check"]) == 0
    site.write_text(site.read_text().replace("two.yaml", "two.yaml, registers: [], every: 1s"))
    assert main(["-c", str(site), "check"]) == 2  # wrong at the device, where the profile is not


def test_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(tmp_path, capsys, f"  - {{{GOOD.replace('30.5', '30.6')}}}\n", "", "--json")
    assert main(["-c", str(tmp_path / "gateway.yaml"), "check", "--json"]) == 2
    row = json.loads(capsys.readouterr().out)
    assert (row["severity"], row["part"], row["line"]) == ("error", "devices.a", 5)


def test_several_values_of_one_quantity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(DRIVER + "        return [Reading('rr', byte, 's') for byte in data]\n")
    vector = 'input_hex: "0102", expected: {rr: {value: [1, 2], unit: s}}'
    (tmp_path / "own.yaml").write_text(
        f"driver: ./mine.py\nvectors:\n  - {{{vector}}}\n  - {{{vector.replace('2]', '3]')}}}\n"
        f"  - {{{vector.replace('2]', '2, 3]')}}}\n"
    )
    site = tmp_path / "gateway.yaml"
    site.write_text("gateway: {id: g-1}\ndevices:\n  a: {profile: own.yaml}\n")
    assert main(["-c", str(site), "check"]) == 2
    wrong, missing = capsys.readouterr().out.splitlines()
    assert "own.yaml:4:" in wrong
    assert "rr is 2 s, not 3 s" in wrong
    assert "rr has 2 values, not 3" in missing


def test_a_driver_that_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(DRIVER + "        raise KeyError('froth')\n")
    (tmp_path / "own.yaml").write_text('driver: ./mine.py\nvectors: [{input_hex: "01", expected: {}}]\n')
    site = tmp_path / "gateway.yaml"
    site.write_text("gateway: {id: g-1}\ndevices:\n  a: {profile: own.yaml}\n  b: {profile: own.yaml}\n")
    assert main(["-c", str(site), "check"]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("own.yaml:2:11: vector 1 makes the driver fail: KeyError: 'froth'; tell its author")


def test_profiles_of_labgate_are_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from drivers.modbus import Modbus

    monkeypatch.setattr(Modbus, "decode_input", None)
    site = tmp_path / "gateway.yaml"
    site.write_text(
        "gateway: {id: g-1}\nlinks: {plc: {modbus: 'tcp://192.0.2.1'}}\n"
        "devices:\n  a: {profile: xy_md02, link: plc, unit_id: 1}\n"
    )
    assert main(["-c", str(site), "check"]) == 0
