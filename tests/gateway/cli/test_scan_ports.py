"""`labgate scan` of a host: its ports, what they are called, and what to paste."""

import json
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.config_serial import SerialLinkConfig
from gateway.yamltext import parse_yaml
from tests.gateway.links.test_ports import host, twins

__all__ = ["host", "twins"]  # fixtures


@pytest.fixture(autouse=True)
def no_bluetooth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")


def test_ports_that_share_a_name_are_told_apart(twins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan"]) == 0
    head, *rows, note, air = capsys.readouterr().out.splitlines()
    stanzas = [row[head.index("PASTE") :] for row in rows]
    assert stanzas == [
        f'bus-1: {{modbus: "{twins}/dev/ttyS0", baudrate: 9600}}',
        f'bus-2: {{modbus: "{twins}/dev/serial/by-id/usb-FTDI_FT232R_A5069RR4-if00-port0", baudrate: 9600}}',
        'bus-3: {serial: {usb: {path: "1-1.2"}}, baudrate: 9600}',
        'bus-4: {serial: {usb: {path: "1-1.4"}}, baudrate: 9600}',
    ]
    shared = f"{twins}/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0"
    assert note == (
        f"{twins}/dev/ttyUSB1 and {twins}/dev/ttyUSB2 share the name {shared}, which leads to one of them;"
        " the USB path tells them apart"
    )
    assert air.startswith("the air cannot be heard: no D-Bus system bus (unix:path=/nonexistent/bus)")


def test_what_is_to_be_pasted_is_a_link(twins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [bool(row["shared"]) for row in rows] == [False, False, True, True]
    pasted = parse_yaml(rows[3]["stanza"].encode(), "links").value
    assert isinstance(pasted, dict)
    link = SerialLinkConfig.model_validate(pasted["bus-4"])
    assert link.usb is not None
    assert link.usb.path == "1-1.4"
