"""Files named by *_file keys: where they are looked up, who may read them, what goes with what."""

import os

import pytest

from tests.configuration import load, marked, told

HUB = "gateway: {id: g1}\nhub: {url: 'mqtts://h', username: u, password_file: %s}\n"


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def secret(path, mode=0o600):
    path.parent.mkdir(exist_ok=True)
    path.write_text("secret")
    path.chmod(mode)
    return path


def test_beside_the_configuration(tmp_path):
    path = secret(tmp_path / "secrets/pw")
    site = load(tmp_path, HUB % "pw")
    assert told(site) == []
    assert site.hub is not None
    assert site.hub.password_file == path


def test_a_relative_configuration_gives_absolute_paths(tmp_path, monkeypatch):
    from pathlib import Path

    from gateway.config import load_site

    secret(tmp_path / "secrets/pw")
    load(tmp_path, HUB % "pw")
    monkeypatch.chdir(tmp_path)
    hub = load_site(Path("gateway.yaml")).hub
    assert hub is not None
    assert hub.password_file == tmp_path / "secrets/pw"


def test_credentials_of_systemd_come_first(tmp_path, monkeypatch):
    secret(tmp_path / "secrets/pw")
    secret(tmp_path / "secrets/only-here")
    first = secret(tmp_path / "credentials/pw", 0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    hub = load(tmp_path, HUB % "pw").hub
    assert hub is not None
    assert hub.password_file == first
    hub = load(tmp_path, HUB % "only-here").hub
    assert hub is not None
    assert hub.password_file == tmp_path / "secrets/only-here"


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    path = secret(tmp_path / "elsewhere/pw")
    hub = load(tmp_path, HUB % path).hub
    assert hub is not None
    assert hub.password_file == path


def test_missing(tmp_path, monkeypatch):
    missing = f"no such file: looked for {tmp_path}/secrets/pw; put it there, or write an absolute path"
    assert [str(p) for p in load(tmp_path, HUB % "pw").problems] == [f"{tmp_path}/gateway.yaml:2:53: {missing}"]
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/labgate")
    both = missing.replace("for ", "for /run/credentials/labgate/pw and ", 1)
    site = load(tmp_path, HUB % "pw")
    assert [str(p) for p in site.problems] == [f"{tmp_path}/gateway.yaml:2:53: {both}"]
    assert site.fatal == site.problems


def test_a_folder_is_no_secret(tmp_path):
    (tmp_path / "secrets/pw").mkdir(parents=True)
    assert "no such file" in told(load(tmp_path, HUB % "pw"))[0]


@pytest.mark.parametrize(("mode", "refused"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_a_secret_others_may_read(tmp_path, mode, refused):
    path = secret(tmp_path / "secrets/pw", mode)
    told_of = f"{path} may be read by everybody on this machine; run chmod 600 {path}"
    found = [str(p) for p in load(tmp_path, HUB % "pw").problems]
    assert found == ([f"{tmp_path}/gateway.yaml:2:53: {told_of}"] if refused else [])


def test_certificates_are_no_secrets_but_keys_are(tmp_path):
    for name in ("ca", "crt", "key"):
        secret(tmp_path / f"secrets/{name}", 0o644)
    text = "gateway: {id: g1}\nhub:\n  url: mqtts://h\n  ca_file: ca\n  cert_file: crt\n  key_file: key\n"
    assert [line.split(" ")[0] for line in told(load(tmp_path, text))] == ["gateway.yaml:6:13:"]


def test_a_secret_this_user_may_not_read(tmp_path, monkeypatch):
    path = secret(tmp_path / "secrets/pw", 0o000)
    # root may read everything: what the system answers an ordinary user
    monkeypatch.setattr(os, "access", lambda p, mode: False)
    assert f"{path.name} may not be read by this user" in told(load(tmp_path, HUB % "pw"))[0]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("url: 'mqtts://h', password_file: »pw", "a password without a user name; add username: NAME"),
        (
            "url: 'mqtt://h', ca_file: »pw",
            "ca_file is used only with TLS; write url: mqtts://HOST:8883, or remove it",
        ),
        ("url: 'mqtts://h', key_file: »pw", "a key without its certificate; add cert_file: FILE"),
        ("url: 'mqtts://h', ca_file: »''", "the name of a file is missing; write it, or remove the key"),
        ("url: 'mqtts://h', ca_file: »17", '17 is not the name of a file; write "17", in quotes'),
        ("url: 'mqtts://h', username: u, »password: x", 'unknown key "password"; did you mean "password_file"?'),
    ],
)
def test_what_goes_with_what(tmp_path, keys, expected):
    secret(tmp_path / "secrets/pw")
    text, place = marked(f"gateway: {{id: g1}}\nhub: {{{keys}}}\n")
    assert told(load(tmp_path, text)) == [f"gateway.yaml:{place}: {expected}"]


def test_a_certificate_may_hold_its_key(tmp_path):
    secret(tmp_path / "secrets/pem")
    assert told(load(tmp_path, "gateway: {id: g1}\nhub: {url: 'mqtts://h', cert_file: pem}\n")) == []


def test_a_path_too_long(tmp_path):
    (tmp_path / "secrets").mkdir()
    assert "File name too long" in told(load(tmp_path, HUB % ("x" * 300)))[0]
