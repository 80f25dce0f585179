"""Listening at the hub where the hub does not go along: scripted answers, byte by byte (MQTT 3.1.1)."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from gateway import mqtt, mqtt_client
from gateway.config import HubConfig
from gateway.errors import LinkError

CONNACK, REFUSED = b"\x20\x02\x00\x00", b"\x20\x02\x00\x05"  # accepted; 5: not authorised (section 3.2.2.3)
CLOSES = b"closes"


class Script(threading.Thread):
    """A hub that gives one client one answer after the other, each when something came, and then closes."""

    def __init__(self, *answers: bytes) -> None:
        super().__init__()
        self.answers = answers
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.hub = HubConfig(url=f"mqtt://127.0.0.1:{self.listener.getsockname()[1]}")

    def run(self) -> None:
        with self.listener.accept()[0] as client:
            for answer in self.answers:
                client.recv(1000)
                if answer is CLOSES:
                    return
                client.sendall(answer)
            with contextlib.suppress(ConnectionError):
                client.recv(1000)  # until it has gone


@pytest.fixture
def script() -> Iterator[Callable[..., Script]]:
    scripts: list[Script] = []

    def begin(*answers: bytes) -> Script:
        scripts.append(Script(*answers))
        scripts[-1].start()
        return scripts[-1]

    yield begin
    for one in scripts:
        one.listener.close()
        one.join(5)
        assert not one.is_alive()


def refusal(hub: HubConfig) -> LinkError:
    topics = ["lab/+/status", "lab/+/+/data"]
    with pytest.raises(LinkError) as caught:
        mqtt.listen(hub, topics, lambda topic, payload, retained: None, lambda: None)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_topic_that_is_denied(script: Callable[..., Script]) -> None:
    hub = script(CONNACK, b"\x90\x04\x00\x01\x00\x80").hub  # SUBACK of packet 1: QoS 0, failure (section 3.9.3)
    error = refusal(hub)
    assert error.reason == "refused"
    assert f"127.0.0.1:{hub.port} does not let a client without user name listen to lab/+/+/data;" in str(error)


def test_a_login_that_is_refused(script: Callable[..., Script]) -> None:
    assert "refuses the login of a client without user name" in str(refusal(script(REFUSED).hub))


def test_a_hub_that_closes(script: Callable[..., Script]) -> None:
    assert "closes the connection instead of answering CONNECT" in str(refusal(script(CLOSES).hub))


def test_a_hub_that_says_nothing(script: Callable[..., Script], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_client, "SUBSCRIBED_WITHIN", 0.1)
    error = refusal(script(b"").hub)
    assert (error.reason, "does not answer as an MQTT broker does" in str(error)) == ("timeout", True)
