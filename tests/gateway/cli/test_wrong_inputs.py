"""Every command says in one line what is wrong with what it was given, and ends with 2, or with 1 if it just failed."""

import re
from pathlib import Path

import pytest

from gateway.cli import COMMANDS, main
from tests.commands import environment

SITE = """
gateway: {id: bench-1}
buffer: {path: ./buffer.db}
links: {panel: {modbus: "tcp://127.0.0.1:1"}}
devices:
  meter-1: {profile: eastron_sdm630, link: panel}
  broken: {profile: eastron_sdm63, link: panel}
"""
AIR = "gateway: {id: a-1}\nlinks: {air: {ble: hci0}, desk: {serial: /dev/null}}\n"
TWO = "gateway: {id: a-1}\nlinks: {air: {ble: hci0}, attic: {ble: hci1}}\n"
BROKEN = "gateway: {id: a-1}\nbuffer: {path: 7}\n"

# command, its arguments, the site ("" none), exit code, what the line must name
WRONG = [
    ("", [], "", 2, "no command"),
    ("chek", [], "", 2, "did you mean check?"),
    ("--confg", [], "", 2, "did you mean --config?"),
    ("--socket", [], "", 2, "expected one argument"),
    ("-c", [], "", 2, "expected one argument"),
    ("run", [], "", 2, "no such file"),
    ("run", ["--log", "xml"], "", 2, "invalid choice"),
    ("run", ["now"], SITE, 2, "unrecognized arguments: now"),
    ("run", ["--log"], SITE, 2, "expected one argument"),
    ("run", ["-c", "/dev/null/x"], SITE, 2, "/dev/null/x"),
    ("check", [], "", 2, "no such file"),
    ("check", ["-c", "."], "", 2, "is not a file"),
    ("check", ["--strikt"], SITE, 2, "did you mean --strict?"),
    ("check", ["it"], SITE, 2, "unrecognized arguments: it"),
    ("check", ["--strict=yes"], SITE, 2, "--strict"),
    ("schema", ["-c"], "", 2, "expected one argument"),
    ("schema", ["x"], "", 2, "unrecognized arguments: x"),
    ("schema", ["--yaml"], "", 2, "--yaml"),
    ("schema", ["--socket"], "", 2, "expected one argument"),
    ("schema", ["-x"], "", 2, "-x"),
    ("demo", ["--seconds"], "", 2, "expected one argument"),
    ("demo", ["--seconds", "soon"], "", 2, "soon"),
    ("demo", ["--seconds", "0"], "", 2, "no time at all"),
    ("demo", ["--secnds", "3"], "", 2, "did you mean --seconds?"),
    ("demo", ["please"], "", 2, "please"),
    ("simulate", [], "", 2, "name a simulator"),
    ("simulate", ["eastron_sdm63"], "", 2, "eastron_sdm630"),
    ("simulate", ["xy_md02", "--port", "99999"], "", 2, "99999"),
    ("simulate", ["xy_md02", "--set", "colour=red"], "", 2, "colour"),
    ("simulate", ["xy_md02", "--fault", "sings"], "", 2, "sings"),
    ("scan", ["panl"], SITE, 2, 'did you mean "panel"?'),
    ("scan", ["panel", "--units", "1-500"], SITE, 2, "1-500"),
    ("scan", ["panel", "--timeout", "soon"], SITE, 2, "write it like"),
    ("scan", ["--units", "1-3"], SITE, 2, "need a LINK"),
    ("scan", ["panel"], "", 2, "no such file"),
    ("scan", ["hci0", "--units", "1-3"], SITE, 2, "on a Modbus LINK"),
    ("scan", ["air", "--units", "1-3"], AIR, 2, "on a Modbus LINK"),
    ("scan", ["desk"], AIR, 2, "desk is a serial line; `labgate scan PORT`"),
    ("scan", ["air"], AIR, 1, "no D-Bus system bus"),
    ("scan", ["hci0", "--timeout", "1s"], "", 1, "no D-Bus system bus"),
    ("pair", [], "", 2, "ADDRESS"),
    ("pair", ["CB:B8:33:4C:88"], "", 2, "write it like CB:B8:33:4C:88:4F"),
    ("pair", ["CB:B8:33:4C:88:4F", "--passkey", "1234567"], "", 2, "six digits"),
    ("pair", ["CB:B8:33:4C:88:4F", "--link", "panel"], SITE, 2, "panel is no radio link"),
    ("pair", ["CB:B8:33:4C:88:4F", "--link", "radio"], SITE, 2, "no link 'radio'"),
    ("pair", ["CB:B8:33:4C:88:4F"], TWO, 2, "which radio? write --link air or --link attic"),
    ("pair", ["CB:B8:33:4C:88:4F"], "", 1, "no D-Bus system bus"),
    ("devices", ["--socket", "/nonexistent/s"], "", 1, "no gateway listens on /nonexistent/s"),
    ("devices", ["--jsn"], "", 2, "did you mean --json?"),
    ("devices", ["meter-1"], "", 2, "meter-1"),
    ("devices", ["--socket"], "", 2, "expected one argument"),
    ("devices", ["--socket", "/dev/null"], "", 1, "no gateway listens"),
    ("read", [], SITE, 2, "DEVICE"),
    ("read", ["meter-2"], SITE, 2, 'did you mean "meter-1"?'),
    ("read", ["a\nb\x1b[31m"], SITE, 2, r"'a\nb\x1b[31m'"),
    ("check", ["-c", "a\nb\udcff"], "", 2, r"a\nb\udcff: no such file"),
    ("read", ["broken"], SITE, 2, 'did you mean "eastron_sdm630"?'),
    ("read", ["meter-1", "meter-1"], SITE, 2, "unrecognized"),
    ("read", ["meter-1"], SITE, 1, "panel"),
    ("tail", ["meter-2"], SITE, 2, 'did you mean "meter-1"?'),
    ("tail", ["--csv", "--json"], SITE, 2, "not allowed with"),
    ("tail", ["--count", "none"], SITE, 2, "none"),
    ("tail", ["--count", "0"], SITE, 2, "0"),
    ("tail", [], "", 2, "no such file"),
    ("decode", ["modbus"], "", 2, "INPUT"),
    ("decode", ["modbuss", "00"], "", 2, 'did you mean "modbus"?'),
    ("decode", ["modbus", "01g4"], "", 2, "'g'"),
    ("decode", ["modbus", "010404436633341b39"], "", 1, "checksum"),
    ("decode", ["modbus", "0131", "--context", "scale"], "", 2, "KEY=VALUE"),
    ("replay", ["x.txt"], "", 1, "x.txt: No such file"),
    ("replay", ["gateway.yaml"], SITE, 2, "name it with --driver"),
    ("replay", ["--driver", "lines"], "", 2, "FILE"),
    ("replay", ["x.txt", "--driver", "lnes"], "", 2, 'did you mean "lines"?'),
    ("replay", ["x.txt", "--profile", "sds011"], "", 1, "x.txt: No such file"),
    ("replay", ["gateway.yaml", "--driver", "mt_sics"], SITE, 2, "nothing in there was asked"),
    ("ledger", [], "", 2, "no such file"),
    ("ledger", [], SITE, 1, "there is no buffer file"),
    ("ledger", ["meter-1"], SITE, 2, "meter-1"),
    ("ledger", ["--jsson"], SITE, 2, "did you mean --json?"),
    ("ledger", [], BROKEN, 2, "not the name of a file"),
    ("audit", [], "", 2, "--url --file"),
    ("audit", ["--url", "http://hub"], "", 2, "--url: http:// is not spoken here"),
    ("audit", ["--url", "mqtt://u:p@hub"], "", 2, "write --username NAME and --password-file FILE"),
    ("audit", ["--url", "mqtt://hub", "--password-file", "/dev/null"], "", 2, "--password-file: no such file"),
    ("audit", ["--url", "mqtt://hub", "--ca-file", "gateway.yaml"], SITE, 2, "only with TLS; write --url mqtts"),
    ("audit", ["--url", "mqtt://hub", "--prefix", "lab/#"], "", 2, "--prefix"),
    ("audit", ["--url", "mqtt://hub", "--file", "x"], "", 2, "not allowed with"),
    ("audit", ["--url", "mqtt://hub", "--live", "--json"], "", 2, "not allowed with"),
    ("audit", ["--url", "mqtt://hub", "--record", "gateway.yaml"], SITE, 2, "gateway.yaml is there already"),
    ("audit", ["--url", "mqtt://127.0.0.1:1"], "", 1, "nothing listens on that port; check --url"),
    ("audit", ["--file", "x.txt"], "", 1, "x.txt: No such file"),
    ("audit", ["--file", "gateway.yaml", "--seconds", "3"], SITE, 2, "--seconds goes with --url"),
    ("forget", [], "", 2, "GATEWAY[/DEVICE]"),
    ("forget", ["pi-7"], "", 2, "--url"),
    ("forget", ["pi-7", "--url", "mqtt://hub"], "", 2, "add --yes"),
    ("forget", ["pi 7", "--url", "mqtt://hub"], "", 2, "cannot be the name of a gateway; write GATEWAY"),
    ("forget", ["pi-7/+", "--url", "mqtt://hub", "--yes"], "", 2, "cannot be the name of a device"),
    ("forget", ["pi-7/", "--url", "mqtt://hub", "--yes"], "", 2, "cannot be the name of a device"),
    ("forget", ["pi-7/a/data", "--url", "mqtt://hub", "--yes"], "", 2, "labgate has no such topic"),
    ("forget", ["pi-7", "--url", "mqtt://127.0.0.1:1", "--yes"], "", 1, "nothing listens on that port; check --url"),
]


@pytest.mark.parametrize(
    ("command", "arguments", "site", "code", "named"), WRONG, ids=[f"{w[0]}-{n}" for n, w in enumerate(WRONG)]
)
def test_one_line_and_the_right_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    arguments: list[str],
    site: str,
    code: int,
    named: str,
) -> None:
    file = tmp_path / "gateway.yaml"
    if site:
        file.write_text(site)
    monkeypatch.chdir(tmp_path)
    for name, value in environment(
        LABGATE_CONFIG=str(file), DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={tmp_path}/none"
    ).items():
        monkeypatch.setenv(name, value)
    try:
        ended = main(["--socket", str(tmp_path / "none.sock"), *filter(None, [command]), *arguments])
    except SystemExit as error:  # argparse's way to end
        ended = error.code
    said = capsys.readouterr()
    assert (ended, said.out, said.err.count("\n")) == (code, "", 1), said
    assert said.err.startswith("labgate")
    assert named in said.err


def test_each_command_has_five() -> None:
    assert {name for name in COMMANDS if sum(w[0] == name for w in WRONG) < 5} == set()


@pytest.mark.parametrize("text", ["just text\n", "\0", "a: [" * 1000, "gateway: {id: ok-1}\ndevices: 3\n", "a: b: c"])
def test_a_file_that_is_no_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    assert main(["-c", str(file), "check"]) == 2
    said = capsys.readouterr()
    assert said.err == ""
    assert all(re.match(rf"{re.escape(str(file))}:\d+:\d+: .+", line) for line in said.out.splitlines())
    assert main(["-c", str(file), "--socket", str(tmp_path / "none.sock"), "read", "meter-1"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n"), str(file) in said.err) == ("", 1, True)
