"""`labgate audit`: what it says of a capture, its exit code, and listening at a real broker with user and TLS."""

import asyncio
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from gateway.audit import Audit
from gateway.capture import Message, from_line, to_line
from gateway.cli import main
from gateway.cli.audit_live import Live
from gateway.cli.audit_report import json_rows, tell
from tests.certificates import Authority
from tests.commands import PROGRAM, environment, labgate
from tests.gateway.test_audit import NEXT, D, G, R, drop, note, pack, status
from tests.gateway.test_mqtt_mosquitto import password_line
from tests.real_broker import Mosquitto

Brokers = Callable[..., Mosquitto]
Capsys = pytest.CaptureFixture[str]

GOOD = [
    status(R, held={"samples": 3}),
    pack(4821, done=4820),
    pack(4822, done=4821, device="b"),
    note(dropped=[drop(4822, 4830)]),
    pack(4831, done=4830, late=True, clock="unsynced"),
]
BAD = [*GOOD, pack(4840, 4841, done=4835)]


def capture(folder: Path, messages: list[tuple[str, bytes]]) -> str:
    """As `mosquitto_sub -v` prints it."""
    file = folder / "capture.txt"
    file.write_bytes(b"".join(topic.encode() + b" " + payload + b"\n" for topic, payload in messages))
    return str(file)


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# -- a capture


def test_a_good_capture(tmp_path: Path, capsys: Capsys) -> None:
    assert main(["audit", "--file", capture(tmp_path, GOOD)]) == 0
    first, head, line, *sums = capsys.readouterr().out.splitlines()
    assert first == "pi-7 is online, holding 3 samples"
    assert re.split(r"  +", head)[:5] == ["GATEWAY", "RUN", "ENDED", "DEVICE", "RECEIVED"]
    assert line.split() == [G, R, "runs", D, "2", "0", "9", "0", "0", "0", "1", "1", "4820"]
    assert sums == [
        "received  3 samples of 2 devices in 1 run of 1 gateway; 1 late, 1 unsynced, 0 duplicates",
        "missing   9 dropped and declared (size limit: 9), 0 at risk when a run was killed, 0 on the way,"
        " 0 UNEXPLAINED",
        "before    9641 may have passed before this audit listened, or while it was cut off",
        "nothing is UNEXPLAINED",
    ]


def test_unexplained_is_the_only_reason_for_1(tmp_path: Path, capsys: Capsys) -> None:
    assert main(["audit", "--file", capture(tmp_path, BAD)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert f"UNEXPLAINED {G} {R} {D}: 4832 to 4835" in out
    assert out[-1].startswith("UNEXPLAINED: 4 samples missing that the gateway said were confirmed or on disk")


def test_all_shows_every_device(tmp_path: Path, capsys: Capsys) -> None:
    main(["audit", "--all", "--file", capture(tmp_path, GOOD)])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [G, R, "runs", "b", "1", "0", "0", "0", "0", "0", "0", "0", "4821"] in lines


def test_json(tmp_path: Path, capsys: Capsys) -> None:
    assert main(["audit", "--json", "--file", capture(tmp_path, BAD)]) == 1
    b, meter, total = rows(capsys.readouterr().out)
    assert (b["device"], b["received"], b["ranges"]) == ("b", 1, {"before": [[1, 4821]]})
    assert (meter["gateway"], meter["run"], meter["device"], meter["ended"], meter["settled"]) == (
        G,
        R,
        D,
        "open",
        False,
    )
    assert meter["ranges"] == {
        "dropped": [[4822, 4830]],
        "on_the_way": [[4836, 4839]],
        "unexplained": [[4832, 4835]],
        "before": [[1, 4820]],
    }
    assert meter["reasons"] == {"size limit": 9}
    assert total["sums"] == {kind: b[kind] + meter[kind] for kind in total["sums"]}
    assert total["sums"]["unexplained"] == 4
    assert total["gateways"][G] == {
        "state": "online", "reason": None, "run": R, "previous": None, "durable": True, "clock": None, "held": 3,
    }  # fmt: skip


def test_several_gateways_and_how_their_runs_ended(tmp_path: Path, capsys: Capsys) -> None:
    said = [
        pack(1, done=0),
        pack(5, done=1),
        note(ended="unclean", kept={D: 2}),
        status(NEXT, "offline", reason="lost"),
        pack(1, gateway="pi-8", done=0),
        pack(3, gateway="pi-8", done=0),
        status(NEXT, gateway="pi-8", durable=False, clock="unsynced"),
    ]
    assert main(["audit", "--file", capture(tmp_path, said)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == [
        "pi-7 is offline, reason: lost",
        "pi-8 is online, holding samples in memory only, its clock not synchronised",
    ]
    assert "killed    1 run; samples younger than commit_every may be lost that nobody heard of" in out
    assert [line.split()[:4] for line in out[3:5]] == [[G, R, "killed", D], ["pi-8", R, "over", D]]
    assert f"not told  how these runs ended; what is on the way of them may never come: pi-8 {R}" in out


def test_what_strangers_say_is_named_once_and_harmless(tmp_path: Path, capsys: Capsys) -> None:
    evil = ("lab/x\x1b[2J/status", b'{"state":"\\u001b[31m\\n","run":"a"}')
    state = (f"lab/{G}/status", b'{"state":"\\u001b[31mon\\nline","run":"a","reason":"' + b"y" * 900 + b'"}')
    reason = note(dropped=[drop(1, 2, "\x1b[5m" + "z" * 900)])
    junk = [(f"lab/{G}/d{n}/data", b"21.5") for n in range(300)]
    assert main(["audit", "--file", capture(tmp_path, [evil, evil, state, reason, *junk, ("no-payload", b"")])]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) < 250
    assert "not understood, 2 times: lab/x\\x1b[2J/status: cannot be the name of a gateway" in out
    assert "not understood: 291 other messages" in out
    assert len(out.splitlines()) < 25


def test_lines_that_are_no_capture(tmp_path: Path, capsys: Capsys) -> None:
    file = tmp_path / "junk"
    file.write_bytes(bytes(range(256)) * 50 + b"\n{\n{}\n" + b"x" * 100)
    assert main(["audit", "--file", str(file)]) == 0
    assert "not understood" in (out := capsys.readouterr().out)
    assert out.isascii()


def test_nothing_that_is_cut_or_flipped_is_a_traceback(tmp_path: Path, capsys: Capsys) -> None:
    """Every truncation, and every byte of each message turned into others."""
    whole = [
        *(
            pack(1, 2, done=0, late=True, clock="unsynced"),
            note(dropped=[drop(3, 4)]),
            note(ended="clean", last={D: 9}),
        ),
        *(
            note(NEXT, ended="unclean", kept={D: 9}),
            status(NEXT, "offline", reason="lost", previous={"run": R, "clean": True}),
        ),
    ]
    audit = Audit()
    live = Live(audit)
    for topic, payload in whole:
        for n in range(len(payload)):
            others = (payload[:n], *(payload[:n] + bytes([byte]) + payload[n + 1 :] for byte in b'\x00\xff0-9"[}a'))
            for changed in others:
                if (came := audit.feed(topic, changed)) is not None:
                    live.took(*came, changed)
        for n in range(len(topic)):
            audit.feed(topic[:n] + "\x1b" + topic[n + 1 :], payload)
    assert audit.odd.total() + audit.not_named > 1000
    tell(audit, every=True)
    json.dumps(list(json_rows(audit)))
    assert "\x1b" not in capsys.readouterr().out + "".join(live.lines())


def test_nothing_was_heard(tmp_path: Path, capsys: Capsys) -> None:
    assert main(["audit", "--file", capture(tmp_path, [])]) == 0
    assert capsys.readouterr().out.startswith("nothing was heard below lab/; check --prefix")
    assert main(["audit", "--prefix", "site/lab", "--file", capture(tmp_path, GOOD)]) == 0
    assert capsys.readouterr().out == "nothing below site/lab/, 5 messages elsewhere; check --prefix\n"
    assert main(["audit", "--file", capture(tmp_path, [status(R)])]) == 0
    assert capsys.readouterr().out == "pi-7 is online\nno sample and no note came\n"


def test_an_interruption_stands_in_the_file(tmp_path: Path, capsys: Capsys) -> None:
    file = tmp_path / "capture.jsonl"
    messages = [Message(*pack(1, done=0), False), None, Message(*pack(5, done=4), False)]
    file.write_text("".join(to_line(message) for message in messages))
    assert main(["audit", "--json", "--file", str(file)]) == 0
    assert rows(capsys.readouterr().out)[0]["ranges"] == {"before": [[2, 4]]}


# -- live


def live_lines(live: Live) -> list[str]:
    return list(live.lines())


def took(live: Live, audit: Audit, topic: str, payload: bytes) -> None:
    came = audit.feed(topic, payload)
    assert came is not None
    live.took(*came, payload)


def test_live_shows_the_newest_values_of_each_device() -> None:
    audit = Audit()
    live = Live(audit)
    took(live, audit, *pack(1, 2, 3, done=0))
    took(live, audit, *pack(8, done=7, device="b"))
    first, second = live_lines(live)
    assert re.fullmatch(r"[\d:. -]+  pi-7 b  voltage 230.2 V, relay true  \(seq 8\)", first)
    assert second.endswith("pi-7 meter-1  voltage 230.2 V, relay true  (seq 3)")
    assert live_lines(live) == []
    took(live, audit, *pack(4, done=3))
    (third,) = live_lines(live)
    assert re.search(r"\(seq 4, [\d.e+]+/s\)$", third)


def test_live_shows_no_more_lines_than_can_be_read() -> None:
    audit = Audit()
    live = Live(audit)
    for n in range(50):
        took(live, audit, *pack(1, done=0, device=f"d{n:02}"))
    first = live_lines(live)
    assert len(first) == 21
    assert first[-1] == "… 30 more devices"
    second = live_lines(live)
    shown = re.findall(r"pi-7 (d\d\d) ", "\n".join([*first, *second]))
    assert shown == [f"d{n:02}" for n in range(40)]
    huge = json.dumps([{"bn": f"{G}/t/", "bt": 1763636400, "run": R, "seq": 1, "n": "x", "vs": "\x1b" * 9000}])
    took(live, audit, f"lab/{G}/t/data", huge.encode())
    for _ in range(3):
        assert all(len(line) <= 200 and line.isprintable() for line in live_lines(live))


def test_live_tells_the_sums_now_and_then() -> None:
    audit = Audit()
    live = Live(audit)
    took(live, audit, *pack(1, done=0))
    took(live, audit, *pack(4, done=2))
    told = [line for _ in range(10) for line in live_lines(live)]
    assert told[-1] == (
        "1 gateway, 12/min; missing: 0 dropped, 0 at risk, 1 on the way, 1 UNEXPLAINED"
    )  # 2 samples in 10 s


# -- at a broker


@contextmanager
def listening(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The command, listening: it has said so."""
    process = subprocess.Popen(
        [*PROGRAM, "audit", *map(str, arguments)], env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("listening at ")
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], number: int = signal.SIGINT) -> tuple[int, list[str]]:
    process.send_signal(number)
    out, _ = process.communicate(timeout=10)
    return process.returncode, out.splitlines()


async def publish(broker: Mosquitto, messages: list[tuple[str, bytes]], retain: bool = False) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for topic, payload in messages:
            await client.publish(topic, payload, qos=1, retain=retain)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_judges_what_came_until_it_was_ended(number: int, mosquitto: Brokers, tmp_path: Path) -> None:
    broker, record = mosquitto(), tmp_path / "record.jsonl"
    asyncio.run(publish(broker, [status("0123456789aa")], retain=True))
    with listening("--url", broker.url, "--record", record) as process:
        asyncio.run(publish(broker, BAD))  # the broker sends in order what it has taken, before it takes our signal
        asyncio.run(publish(broker, [status(R, "offline", reason="stopped")]))
        deadline = time.monotonic() + 10
        while "stopped" not in record_of(record, process) and time.monotonic() < deadline:
            time.sleep(0.01)
        code, out = ended(process, number)
    assert code == 1
    assert f"UNEXPLAINED {G} {R} {D}: 4832 to 4835" in out
    lines = [from_line(line) for line in record.read_bytes().splitlines()]
    assert [line and line.retained for line in lines] == [True, *[False] * 7]
    again = labgate("audit", "--file", record)
    assert (again.returncode, again.stdout.splitlines()) == (1, out)


def record_of(file: Path, process: subprocess.Popen[str]) -> str:
    assert process.poll() is None
    return file.read_text() if file.exists() else ""


def test_it_ends_by_itself(mosquitto: Brokers) -> None:
    broker = mosquitto()
    asyncio.run(publish(broker, [status(R, held={"samples": 2})], retain=True))
    done = labgate("audit", "--url", broker.url, "--seconds", "300ms", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (total,) = rows(done.stdout)
    assert total["gateways"] == {
        G: {"state": "online", "reason": None, "run": R, "previous": None, "durable": True, "clock": None, "held": 2}
    }


def test_user_and_tls(mosquitto: Brokers, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.sign("server", "IP:127.0.0.1", "DNS:localhost")
    passwords, secret, wrong = tmp_path / "passwords", tmp_path / "password", tmp_path / "wrong"
    passwords.write_text(password_line("auditor", "a secret"))
    secret.write_text("a secret\n")
    wrong.write_text("another\n")
    for file in (passwords, secret, wrong):
        file.chmod(0o600)
    broker = mosquitto(
        f"certfile {server.cert}", f"keyfile {server.key}", "allow_anonymous false", f"password_file {passwords}"
    )
    url = ("audit", "--json", "--seconds", "100ms", "--url", f"mqtts://localhost:{broker.port}")
    user, ca = ("--username", "auditor", "--password-file"), ("--ca-file", authority.cert)
    assert labgate(*url, *user, secret, *ca).returncode == 0
    for arguments, said in (
        ((*user, wrong, *ca), "refuses the login of user auditor"),
        (ca, "check --username and --password-file"),
        ((*user, secret), "name that authority's certificate in --ca-file"),
    ):
        done = labgate(*url, *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert said in done.stderr
    plain = labgate("audit", "--url", f"mqtt://localhost:{broker.port}", "--seconds", "1", timeout=30)
    assert (plain.returncode, plain.stderr.count("\n")) == (1, 1)
