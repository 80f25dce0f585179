"""TLS to a real mosquitto: what is checked, what it says when something is wrong, and the files it needs."""

import asyncio
import os
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import credentials, mqtt
from gateway.config import HubConfig
from gateway.errors import LinkError
from tests.certificates import Authority, Pair
from tests.fake_broker import FakeBroker
from tests.real_broker import Mosquitto, program

WILL = mqtt.Will("lab/pi-7/status", b"lost")
HERE = ("IP:127.0.0.1", "DNS:localhost")
ROOT = "not here: root may read everything"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Pair:
    return authority.sign("server", *HERE)


def listener(pair: Pair, *lines: str) -> tuple[str, ...]:
    return (f"certfile {pair.cert}", f"keyfile {pair.key}", *lines)


def hub(broker: Mosquitto, **more: Any) -> HubConfig:
    return HubConfig(url=f"mqtts://127.0.0.1:{broker.port}", **more)


async def refusal(config: HubConfig) -> LinkError:
    with pytest.raises(LinkError) as caught:
        async with mqtt.connect(config, "labgate-pi-7", WILL):
            pytest.fail("connected")
    text = str(caught.value)
    assert "\n" not in text
    assert "_ssl.c" not in text
    return caught.value


async def test_publishes_over_tls_with_name_and_certificate_checked(
    mosquitto: Callable[..., Mosquitto], authority: Authority, server: Pair
) -> None:
    broker = mosquitto(*listener(server))
    config = HubConfig(url=f"mqtts://localhost:{broker.port}", ca_file=authority.cert)
    verdicts: list[int | None] = []
    async with mqtt.connect(config, "labgate-pi-7", WILL) as session:
        answered = asyncio.Event()

        def verdict(code: int | None) -> None:
            verdicts.append(code)
            if len(verdicts) == 20:
                answered.set()

        for _ in range(20):  # several TLS records each
            session.publish("lab/pi-7/meter-1/data", bytes(60_000), verdict=verdict)
        await asyncio.wait_for(answered.wait(), 5)
    assert verdicts == [0x10] * 20  # accepted, and nobody subscribes


async def test_unknown_authority(mosquitto: Callable[..., Mosquitto], authority: Authority, server: Pair) -> None:
    broker = mosquitto(*listener(server))
    other = Authority(authority.folder.parent, "another-ca")
    error = await refusal(hub(broker, ca_file=other.cert))
    assert error.reason == "refused"
    assert f"127.0.0.1:{broker.port} is signed by an authority that is not known here" in str(error)
    assert "hub.ca_file" in str(error)
    assert "not known here" in str(await refusal(hub(broker)))  # nor to the system


async def test_wrong_host_name(mosquitto: Callable[..., Mosquitto], authority: Authority) -> None:
    broker = mosquitto(*listener(authority.sign("elsewhere", "DNS:hub.example.org")))
    assert "is not for the address 127.0.0.1" in str(await refusal(hub(broker, ca_file=authority.cert)))
    named = HubConfig(url=f"mqtts://localhost:{broker.port}", ca_file=authority.cert)
    assert "is for another host name than localhost" in str(await refusal(named))


async def test_expired_and_not_yet_valid(mosquitto: Callable[..., Mosquitto], authority: Authority) -> None:
    old = mosquitto(*listener(authority.sign("old", *HERE, start="20200101000000Z", end="20210101000000Z")))
    text = str(await refusal(hub(old, ca_file=authority.cert)))
    assert "has expired" in text
    new = mosquitto(*listener(authority.sign("new", *HERE, start="20480101000000Z", end="20490101000000Z")))
    text = str(await refusal(hub(new, ca_file=authority.cert)))
    assert "is not valid yet; this host's clock says 20" in text


async def test_client_certificate(mosquitto: Callable[..., Mosquitto], authority: Authority, server: Pair) -> None:
    broker = mosquitto(*listener(server, f"cafile {authority.cert}", "require_certificate true"))
    mine = authority.sign("pi-7")
    shown = hub(broker, ca_file=authority.cert, cert_file=mine.cert, key_file=mine.key)
    async with mqtt.connect(shown, "labgate-pi-7", WILL) as session:
        assert session.protocol == "5.0"

    # With TLS 1.3 the refusal comes after the handshake, in a race with our CONNECT: it must never be lost.
    stranger = Authority(authority.folder.parent, "stranger").sign("pi-7")
    foreign = hub(broker, ca_file=authority.cert, cert_file=stranger.cert, key_file=stranger.key)
    for _ in range(20):
        error = await refusal(hub(broker, ca_file=authority.cert))
        assert error.reason == "refused"
        assert str(error).endswith("asks for a client certificate; give it one with hub.cert_file and hub.key_file")
        error = await refusal(foreign)
        assert error.reason == "refused"
        assert str(error).endswith("refuses the TLS connection: unknown ca; check hub.cert_file")


async def test_client_certificate_with_tls_1_2(authority: Authority, server: Pair) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(server.cert, server.key)
    context.load_verify_locations(authority.cert)
    mine = authority.sign("pi-6")
    async with FakeBroker(tls=context) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}"
        error = await refusal(HubConfig(url=url, ca_file=authority.cert))
        assert error.reason in ("refused", "network")  # asyncio's server closes and sends no alert
        assert "may also ask for a client certificate (hub.cert_file)" in str(error)
        shown = HubConfig(url=url, ca_file=authority.cert, cert_file=mine.cert, key_file=mine.key)
        async with mqtt.connect(shown, "labgate-pi-7", WILL):
            pass


async def test_tls_to_a_port_that_does_not_speak_it(mosquitto: Callable[..., Mosquitto], authority: Authority) -> None:
    error = await refusal(hub(mosquitto(), ca_file=authority.cert))
    assert error.reason in ("garbled", "network")  # mosquitto resets; others answer or close
    assert "mqtt://" in str(error)


async def test_plain_to_a_port_that_speaks_tls(mosquitto: Callable[..., Mosquitto], server: Pair) -> None:
    broker = mosquitto(*listener(server))
    error = await refusal(HubConfig(url=broker.url))
    assert error.reason in ("garbled", "network")  # OpenSSL may send an alert or just close
    assert "mqtts://" in str(error)


def test_files_that_cannot_be_used(tmp_path: Path, authority: Authority, server: Pair) -> None:
    def context(**files: Path) -> str:
        with pytest.raises(LinkError) as caught:
            credentials.tls_context(HubConfig(url="mqtts://hub.example.org", **files))
        assert "\n" not in str(caught.value)
        return f"{caught.value.reason}: {caught.value}"

    missing, text, own = tmp_path / "missing.pem", tmp_path / "text.pem", authority.sign("pi-8")
    text.write_text("not a certificate\n")
    assert context(ca_file=missing) == f"missing: hub.ca_file: cannot read {missing}: no such file or directory"
    assert context(ca_file=text).startswith(f"configuration: hub.ca_file: {text} holds no certificate")
    assert context(cert_file=missing, key_file=own.key).startswith("missing: hub.cert_file: cannot read")
    assert context(cert_file=own.cert, key_file=missing).startswith("missing: hub.key_file: cannot read")
    assert context(cert_file=text, key_file=own.key).endswith("private key in PEM form")
    assert context(cert_file=own.cert, key_file=server.key).endswith("the key is not the certificate's")


def test_an_encrypted_key_is_refused_and_nothing_asks_for_its_passphrase(tmp_path: Path, authority: Authority) -> None:
    own, locked = authority.sign("pi-9"), tmp_path / "locked.key"
    command = [program("openssl"), "ec", "-aes128", "-passout", "pass:secret", "-in", own.key, "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(LinkError, match="the key is encrypted") as caught:
        credentials.tls_context(HubConfig(url="mqtts://hub.example.org", cert_file=own.cert, key_file=locked))
    assert caught.value.reason == "configuration"


@pytest.mark.skipif(os.geteuid() == 0, reason=ROOT)
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    locked = tmp_path / "hub-password"
    locked.touch(mode=0)
    with pytest.raises(LinkError, match="permission denied") as caught:
        credentials.password(HubConfig(url="mqtt://hub.example.org", username="pi-7", password_file=locked))
    assert caught.value.reason == "permission"


@pytest.mark.parametrize(
    ("content", "password"), [(b"secret", "secret"), (b"secret\n", "secret"), (b" s\n\n", " s\n"), ("ö".encode(), "ö")]
)
def test_password_loses_one_newline_and_nothing_else(tmp_path: Path, content: bytes, password: str) -> None:
    path = tmp_path / "hub-password"
    path.write_bytes(content)
    assert credentials.password(HubConfig(url="mqtt://h", username="pi-7", password_file=path)) == password


def test_a_password_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "hub-password"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LinkError, match="not UTF-8 text"):
        credentials.password(HubConfig(url="mqtt://h", username="pi-7", password_file=path))


async def test_a_slow_handshake_does_not_hold_up_the_loop(authority: Authority) -> None:
    accepted, enough = asyncio.Event(), asyncio.Event()

    async def listens_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await enough.wait()
        writer.transport.abort()

    async with await asyncio.start_server(listens_only, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        task = asyncio.create_task(refusal(HubConfig(url=f"mqtts://127.0.0.1:{port}", ca_file=authority.cert)))
        await asyncio.wait_for(accepted.wait(), 2)
        enough.set()
        assert (await asyncio.wait_for(task, 2)).reason == "network"
