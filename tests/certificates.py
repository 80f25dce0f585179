"""Certificates for TLS tests, made by the `openssl` program when a test asks for them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.real_broker import program

_CA = """[ca]
default_ca = test
[test]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, PEM files."""

    cert: Path
    key: Path


class Authority:
    """An authority of our own, valid for a day around now, that signs what it is asked to."""

    def __init__(self, folder: Path, name: str = "labgate-test-ca") -> None:
        self.folder = folder / name
        self.folder.mkdir()
        (self.folder / "index.txt").touch()
        self.config = self.folder / "ca.conf"
        self.config.write_text(_CA.format(folder=self.folder))
        self.cert, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        subject = ["-x509", "-days", "1", "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE"]
        _openssl("req", *_new_key(self.key), *subject, "-out", self.cert)

    def sign(self, name: str, *names: str, start: str = "20200101000000Z", end: str = "20491231235959Z") -> Pair:
        """A certificate of common name `name` for alternative names such as "IP:127.0.0.1", valid from start to end."""
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request = self.folder / f"{name}.csr"
        alternatives = ["-addext", "subjectAltName=" + ",".join(names)] if names else []
        _openssl("req", *_new_key(pair.key), "-subj", f"/CN={name}", *alternatives, "-out", request)
        dates = ["-startdate", start, "-enddate", end]
        signer = ["-config", self.config, "-cert", self.cert, "-keyfile", self.key]
        _openssl("ca", "-batch", "-notext", *signer, *dates, "-in", request, "-out", pair.cert)
        return pair


def _new_key(path: Path) -> list[str | Path]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path]


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run([program("openssl"), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
