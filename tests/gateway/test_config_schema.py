"""The JSON schema: it accepts what load_site accepts, refuses what editors should mark, and never changes by itself."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest

from gateway.config import load_site, schema
from gateway.yamltext import parse_yaml, read_yaml

EXAMPLES = sorted(Path("config").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    found = schema()
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


def plain(value):
    """As an editor reads it: JSON has no Decimal, and its keys are text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


def test_there_are_examples():
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_examples_are_right(validator, path):
    assert [str(p) for p in load_site(path).problems] == []
    assert [e.message for e in validator.iter_errors(plain(read_yaml(path).value))] == []


D = "links: {b: {modbus: /dev/x}}\ndevices:\n  d: "


@pytest.mark.parametrize(
    "text",
    [
        "gateway: {labels: {a: b}}",
        "links:\ndevices:\n",
        "hub: {url: 'mqtt://h', state: off}",
        "hub: {url: 'mqtt://h', state: 500ms, unheard: hold}",
        "buffer: {commit_every: 0.5s, keep_free: 0B}",
        D + "{profile: eastron_sdm120, link: b}",
        D + "{profile: eastron_sdm120, link: b, only: [voltage], pause: 0ms, class: alarm}",
        D + "{driver: modbus, link: b, registers: [{name: a, table: input, address: 1, scale: 0.1, values: {0: a}}]}",
        D + "{driver: modbus, profile: mine, link: b}",
        D + "{driver: ./my.py, link: b, anything: 1}",
        D + "{profile: profiles/my.yaml, link: b, anything: 1}",
    ],
)
def test_accepted(validator, text):
    assert [e.message for e in validator.iter_errors(plain(parse_yaml(text.encode(), "f").value))] == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("gatway: {}", "$"),
        ("gateway: {id: raspberrypi}", "$.gateway.id"),
        ("gateway: {id: pi 7}", "$.gateway.id"),
        ("gateway: {id: guest-1}", "$.gateway.id"),
        ("hub: {prefix: lab}", "$.hub"),
        ("hub: {url: 'mqtt://h', state: 1}", "$.hub.state"),
        ("buffer: {commit_every: 2 sec}", "$.buffer.commit_every"),
        ("buffer: {max_bytes: 1GiB}", "$.buffer.max_bytes"),
        ("links: {b: {baudrate: 1}}", "$.links.b"),
        ("links: {b: {modbus: /dev/x, parity: X}}", "$.links.b.parity"),
        ("links: {b: {serial: /dev/x, unit: 1}}", "$.links.b"),
        ("links: {b: {serial: /dev/x, baudrate: 1}}", "$.links.b.baudrate"),
        (D + "{link: b}", "$.devices.d"),
        (D + "{driver: modbus, link: b}", "$.devices.d"),
        (D + "{driver: modbus, link: b, registers: [], evry: 1s}", "$.devices.d"),
        (D + "{profile: eastron_sdm120, link: b, evry: 1s}", "$.devices.d"),
        (D + "{profile: eastron_sdm120, link: b, every: 1}", "$.devices.d.every"),
        (D + "{driver: modbus, link: b, registers: [{name: a}]}", "$.devices.d.registers[0]"),
        (D + "{driver: modbus, registers: [{name: a, table: x, address: 1}]}", "$.devices.d.registers[0].table"),
        (D + "{driver: ./my.py, link: b, class: x}", "$.devices.d.class"),
    ],
)  # fmt: skip
def test_refused(validator, text, where):
    errors = list(validator.iter_errors(plain(parse_yaml(text.encode(), "f").value)))
    assert where in {e.json_path for e in errors}, [(e.json_path, e.message) for e in errors]


def test_the_same_text_in_another_process():
    code = "import json; from gateway.config import schema; print(json.dumps(schema(), indent=2))"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {json.dumps(schema(), indent=2) + "\n"}


def test_defaults_are_written_as_a_person_would():
    found = schema()["properties"]
    assert found["hub"]["properties"]["state"]["default"] == "1s"
    assert found["buffer"]["properties"]["max_bytes"]["default"] == "1000MB"
    assert found["buffer"]["properties"]["commit_every"]["default"] == "1s"
