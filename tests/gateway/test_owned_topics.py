"""Retained topics of what the configuration no longer names: cleared after their last held sample."""

from pathlib import Path

import pytest

from gateway.app import App
from gateway.config import load_site
from gateway.ledger import Book


@pytest.fixture
async def app(tmp_path: Path) -> App:
    """Gateway pi-1 with one device, and what a file remembers of earlier configurations."""
    site = tmp_path / "gateway.yaml"
    site.write_text(
        "gateway: {id: pi-1}\n"
        "hub: {url: 'mqtt://127.0.0.1:1'}\n"
        f"buffer: {{path: {tmp_path}/buffer.db}}\n"
        "links: {plc: {modbus: 'tcp://127.0.0.1:1'}}\n"
        "devices:\n"
        "  meter: {driver: modbus, link: plc, unit_id: 1, registers: [{name: v, table: coil, address: 0}]}\n"
    )
    app = App(load_site(site))
    assert not app.site.problems
    app.buffer.topics = {
        "lab/pi-1/status": "",
        "lab/pi-1/meter/meta": "meter",
        "lab/pi-1/gone/meta": "gone",
        "lab/pi-10/status": "",
        "lab/pi-10/meter/meta": "meter",
        "old/pi-1/meter/meta": "meter",
    }
    return app


def cleared(app: App, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    assert app.uplink is not None
    topics: set[str] = set()
    monkeypatch.setattr(app.uplink, "retain", lambda topic, content: topics.add(topic) if content == b"" else None)
    app._clear_foreign()
    return topics


def hold(app: App, gateway: str, run: str, device: str, held: int) -> None:
    book = Book(gateway, run, device, len(app.buffer.old_books) + 1)
    book.held = held
    app.buffer.old_books[book.id] = book


async def test_what_is_configured_stays_and_the_rest_goes_also_of_a_gateway_whose_name_begins_the_same(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cleared(app, monkeypatch) == {
        "lab/pi-1/gone/meta",
        "lab/pi-10/status",
        "lab/pi-10/meter/meta",
        "old/pi-1/meter/meta",
    }


async def test_while_a_sample_of_it_is_held_it_stays_whatever_others_of_that_name_hold(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(app, "pi-1", "run-1", "gone", 1)
    hold(app, "pi-1", "run-1", "meter", 1)  # of this gateway, not of pi-10
    assert cleared(app, monkeypatch) == {"lab/pi-10/status", "lab/pi-10/meter/meta", "old/pi-1/meter/meta"}
    hold(app, "pi-10", "run-0", "meter", 2)
    assert cleared(app, monkeypatch) == {"old/pi-1/meter/meta"}
