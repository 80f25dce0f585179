"""What goes wrong between gateway and hub, in words: one line, with where and what to do."""

import errno
import os
import socket
import ssl

import pytest

from gateway import mqtt_errors
from gateway.config import HubConfig
from gateway.errors import Reason

HUB = HubConfig(url="mqtt://hub.lab:1884", username="pi-7")
TLS = HubConfig(url="mqtts://hub.lab")


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))  # Python makes the matching subclass


@pytest.mark.parametrize(
    ("error", "reason", "text"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "?"),
            "network",
            "cannot look up the hub's name hub.lab: no such host; check hub.url",
        ),
        (
            socket.gaierror(socket.EAI_AGAIN, "?"),
            "network",
            "cannot look up the hub's name hub.lab: no answer from the name server",
        ),
        (UnicodeError("label empty or too long"), "network", "'hub.lab' cannot be a host name; check hub.url"),
        (
            os_error(errno.ECONNREFUSED),
            "refused",
            "the hub hub.lab:1884 refuses the connection: nothing listens on that port; check hub.url",
        ),
        (os_error(errno.ETIMEDOUT), "timeout", "the hub hub.lab:1884 does not answer"),
        (TimeoutError("timed out"), "timeout", "the hub hub.lab:1884 does not answer"),
        (os_error(errno.EHOSTUNREACH), "network", "the hub hub.lab:1884: no route to host"),
        (os_error(errno.ENETUNREACH), "network", "the hub hub.lab:1884: network is unreachable"),
        (os_error(errno.ECONNRESET), "network", "the hub hub.lab:1884: connection reset by peer"),
    ],
)
def test_look_up_and_tcp(error: Exception, reason: Reason, text: str) -> None:
    failure = mqtt_errors.failed(HUB, error)
    assert (failure.reason, str(failure), failure.code) == (reason, text, None)


def tls_error(reason: str, kind: type[ssl.SSLError] = ssl.SSLError) -> ssl.SSLError:
    error = kind(1, f"[SSL: {reason}] {reason.lower().replace('_', ' ')} (_ssl.c:1006)")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "reason", "text"),
    [
        (tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "refused", "asks for a client certificate; give it one"),
        (tls_error("SSLV3_ALERT_CERTIFICATE_EXPIRED"), "refused", "refuses the TLS connection: certificate expired"),
        (tls_error("WRONG_VERSION_NUMBER"), "garbled", "does not speak TLS there; write mqtt:// or its TLS port"),
        (tls_error("UNEXPECTED_EOF_WHILE_READING", ssl.SSLEOFError), "network", "during the TLS handshake"),
        (os_error(errno.ECONNRESET), "network", "during the TLS handshake"),
        (tls_error("NO_PROTOCOLS_AVAILABLE"), "network", "no protocols available"),
    ],
)
def test_tls(error: Exception, reason: Reason, text: str) -> None:
    failure = mqtt_errors.failed(TLS, error)
    assert failure.reason == reason
    assert text in str(failure)
    assert "hub.lab:8883" in str(failure)
    assert "_ssl.c" not in str(failure)


@pytest.mark.parametrize("code", range(0x80, 0x100))
def test_every_reason_code_has_one_line(code: int) -> None:
    failure = mqtt_errors.refused(HUB, "labgate-pi-7", code)
    assert (failure.reason, failure.code) == ("refused", code)
    assert str(failure).startswith("the hub hub.lab:1884 ")
    for text in (str(failure), mqtt_errors.ended("labgate-pi-7", code)):
        assert len(text) > 20
        assert "\n" not in text


def test_a_client_without_user_name_is_told_so() -> None:
    text = str(mqtt_errors.refused(TLS, "labgate-pi-7", 0x87))
    assert "refuses the login of a client without user name: not authorised" in text
