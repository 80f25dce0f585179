"""Log lines for the journal, a terminal and programs."""

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli import logs


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.getLogger("labgate").level, logging.raiseExceptions)
    yield
    root.handlers, logging.raiseExceptions = before[0], before[3]
    root.setLevel(before[1])
    logging.getLogger("labgate").setLevel(before[2])


def say() -> None:
    log = logging.getLogger("labgate.test")
    log.info("meter-1 is %s", "ok")
    log.debug("not told")
    logging.getLogger("pymodbus").info("not told either")
    log.warning("no connection")
    try:
        raise ValueError("a bug")
    except ValueError:
        log.exception("meter-1 failed")


def said(how: str, monkeypatch: pytest.MonkeyPatch, debug: bool = False) -> list[str]:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.set_up(how, debug)
    say()
    return stream.getvalue().splitlines()


def test_text(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = said("text", monkeypatch)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO meter-1 is ok", lines[0])
    assert lines[1].endswith("Z WARNING no connection")
    assert lines[2].endswith("Z ERROR meter-1 failed")
    assert lines[-1] == "ValueError: a bug"


def test_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = said("text", monkeypatch, debug=True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO meter-1 is ok", lines[0])
    assert lines[1].endswith("Z DEBUG not told")  # unless asked for
    assert lines[2].endswith("Z WARNING no connection")  # of other libraries still nothing
    assert json.loads(said("json", monkeypatch, debug=True)[1])["level"] == "debug"


def test_json(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = map(json.loads, said("json", monkeypatch))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert (first["level"], first["text"]) == ("info", "meter-1 is ok")
    assert second["level"] == "warning"
    assert "ValueError: a bug" in third["trace"]


def test_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "journal"
    with file.open("w") as stream:
        status = file.stat()
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        monkeypatch.setattr(sys, "stderr", stream)
        logs.set_up("text")
        say()
    lines = file.read_text().splitlines()
    assert lines[:3] == ["<6>meter-1 is ok", "<4>no connection", "<3>meter-1 failed"]
    assert len(lines) > 4
    assert all(line.startswith("<3>") for line in lines[2:])  # each line of a traceback is one of the journal's


def test_not_the_journal_although_its_name_was_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "file").open("w+") as stream:
        monkeypatch.setenv("JOURNAL_STREAM", "1:2")
        monkeypatch.setattr(sys, "stderr", stream)
        logs.set_up("text")
        say()
        stream.seek(0)
        assert " INFO meter-1 is ok\n" in stream.readline()
