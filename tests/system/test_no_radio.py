"""A host without Bluetooth: devices of a radio say so, others go on; without a radio its libraries are not loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import control
from gateway.testbed import Broker, Gateway, Simulator
from gateway.testing import Hub

METER = {"profile": "xy_md02", "link": "bus-1", "every": "100ms"}


def test_radio_devices_say_why_and_nothing_else_is_affected(
    tmp_path: Path, labgate_broker: Broker, labgate_simulator: Callable[..., Simulator], labgate_hub: Hub
) -> None:
    site: dict[str, Any] = {
        "gateway": {"id": "test"},
        "hub": {"url": labgate_broker.url},
        "buffer": {"path": str(tmp_path / "buffer.db")},
        "links": {"bus-1": {"modbus": labgate_simulator("xy_md02").url}, "radio": {"ble": "DC:A6:32:01:02:03"}},
        "devices": {
            "room": METER,
            "tag-1": {"profile": "ruuvi", "link": "radio", "address": "CB:B8:33:4C:88:4F"},
            "strap": {"profile": "heart_rate", "link": "radio", "match": {"name": "Polar*"}},
        },
    }
    with Gateway(tmp_path, site, "unix:path=/nonexistent") as gateway:
        labgate_hub.samples("room", 10)
        rows = {row["device"]: row for row in control.ask(gateway.socket, "devices")}
        for name in ("tag-1", "strap"):
            assert (rows[name]["state"], rows[name]["reason"]) == ("unreachable", "missing")
            assert "no D-Bus system bus (unix:path=/nonexistent)" in rows[name]["text"]
        assert (rows["room"]["state"], rows["room"]["lost"]) == ("ok", {})
        said = gateway.log.read_text()
    assert said.count("tag-1 is unreachable") == said.count("strap is unreachable") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize("on_air", [False, True])
def test_libraries_of_the_radio_are_loaded_for_a_radio_only(
    tmp_path: Path, labgate_broker: Broker, labgate_simulator: Callable[..., Simulator], labgate_hub: Hub, on_air: bool
) -> None:
    radio = {"ble": "DC:A6:32:01:02:03"}
    tag = {"profile": "ruuvi", "link": "radio", "address": "CB:B8:33:4C:88:4F"}
    site = {
        "gateway": {"id": "test"},
        "hub": {"url": labgate_broker.url},
        "buffer": {"path": str(tmp_path / "buffer.db")},
        "links": {"bus-1": {"modbus": labgate_simulator("xy_md02").url}, **({"radio": radio} if on_air else {})},
        "devices": {"room": METER, **({"tag-1": tag} if on_air else {})},
    }
    with Gateway(tmp_path, site, "unix:path=/nonexistent") as gateway:
        labgate_hub.samples("room", 3)
        mapped = Path(f"/proc/{gateway.pid}/maps").read_text()
    assert ("dbus_fast" in mapped) == on_air  # compiled parts of what bleak cannot do without
