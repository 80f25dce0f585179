"""For driver authors: pytest fixtures with a simulated wire, a broker, a running gateway and what the hub receives.

They are there as soon as labgate is installed beside pytest. All of it are real processes on loopback:

    def test_my_driver(labgate_broker, labgate_simulator, labgate_gateway, labgate_hub):
        wire = labgate_simulator("registers")
        labgate_gateway({"links": {"wire": {"modbus": wire.url}},
                         "devices": {"mine": {"driver": "./my_driver.py", "link": "wire", "every": "100ms"}}})
        samples = labgate_hub.samples("mine", 3)
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.testbed import Broker, Gateway, Simulator

_WITHIN = 10.0  # s to wait for a sample


class Hub:
    """What a subscriber at the hub has received so far."""

    def __init__(self) -> None:
        self._messages: list[tuple[str, bytes]] = []
        self._news = threading.Condition()

    def received(self, topic: str, payload: bytes) -> None:
        """One message came."""
        with self._news:
            self._messages.append((topic, payload))
            self._news.notify_all()

    def messages(self, topic: str) -> list[Any]:
        """The JSON payloads on one topic so far, oldest first."""
        with self._news:
            return [json.loads(payload) for name, payload in self._messages if name == topic and payload]

    def samples(self, device: str, count: int, within: float = _WITHIN, gateway: str = "test") -> list[dict[str, Any]]:
        """The first `count` samples of a device as {name: value}, in the order of their seq; waits for them.

        Fails the test when they do not come within `within` seconds.
        """
        deadline = time.monotonic() + within
        while True:
            found = self._samples(f"lab/{gateway}/{device}/data")
            if len(found) >= count:
                return [found[key] for key in sorted(found)[:count]]
            with self._news:
                if not self._news.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    status = self._last(f"lab/{gateway}/{device}/status")
                    pytest.fail(f"{device}: {len(found)} of {count} samples within {within:g} s; its status: {status}")

    def _samples(self, topic: str) -> dict[tuple[str, int], dict[str, Any]]:
        found: dict[tuple[str, int], dict[str, Any]] = {}
        for pack in self.messages(topic):
            values: dict[str, Any] = {}
            for record in pack:
                if "seq" in record:
                    values = found.setdefault((record["run"], record["seq"]), {})
                values[record["n"]] = record.get("v", record.get("vb", record.get("vs")))
        return found

    def _last(self, topic: str) -> str:
        said = self.messages(topic)
        return json.dumps(said[-1]) if said else "none"


@pytest.fixture
def labgate_broker(tmp_path: Path) -> Iterator[Broker]:
    """A real MQTT broker on a free loopback port; `kill()` and `up()` are its outages."""
    with Broker(tmp_path) as broker:
        yield broker


@pytest.fixture
def labgate_simulator(tmp_path: Path) -> Iterator[Callable[..., Simulator]]:
    """Starts simulated devices: `labgate_simulator("xy_md02", "--set", "temperature=21.5").url` is the wire."""
    with ExitStack() as stack:
        yield lambda name, *arguments: stack.enter_context(Simulator(tmp_path, name, *arguments))


@pytest.fixture
def labgate_gateway(tmp_path: Path, labgate_broker: Broker) -> Iterator[Callable[[Mapping[str, Any]], Gateway]]:
    """Starts a gateway named `test` that delivers to the broker: `labgate_gateway({"links": …, "devices": …})`."""
    with ExitStack() as stack:

        def start(site: Mapping[str, Any]) -> Gateway:
            base = {
                "gateway": {"id": "test"},
                "hub": {"url": labgate_broker.url},
                "buffer": {"path": str(tmp_path / "buffer.db")},
            }
            return stack.enter_context(Gateway(tmp_path, {**base, **site}))

        yield start


@pytest.fixture
def labgate_hub(labgate_broker: Broker) -> Iterator[Hub]:
    """A subscriber to everything at the broker, from before the gateway starts."""
    from gateway.mqtt import subscribe  # with its library only where it is used

    hub = Hub()
    with contextlib.closing(subscribe(labgate_broker.url, "#", hub.received)):
        yield hub
