"""What the gateway shows the hub and what it asks of it: password, client certificate, the hub's certificate.

Files are read anew for each connection, so that a renewed certificate needs no restart. These calls block: they
belong in a worker thread.
"""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import LinkError, Reason

if TYPE_CHECKING:
    from gateway.config import HubConfig


def password(hub: "HubConfig") -> str | None:
    """The text of `hub.password_file` without the newline at its end; None without such a file. Raises LinkError."""
    if hub.password_file is None:
        return None
    try:
        return _read("hub.password_file", hub.password_file).decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise LinkError(f"hub.password_file: {hub.password_file} is not UTF-8 text", "configuration") from None


def tls_context(hub: "HubConfig") -> ssl.SSLContext:
    """TLS with the hub's name and certificate checked, against `ca_file` or else the system's authorities.

    Shows `cert_file` and `key_file` where the hub asks for them. Raises LinkError.
    """
    if hub.ca_file is not None:
        _read("hub.ca_file", hub.ca_file)
    try:
        context = ssl.create_default_context(cafile=hub.ca_file)
    except ssl.SSLError:
        raise LinkError(f"hub.ca_file: {hub.ca_file} holds no certificate in PEM form", "configuration") from None
    context.sslsocket_class = _TlsSocket
    if hub.cert_file is not None:
        key_file = hub.key_file or hub.cert_file
        _read("hub.cert_file", hub.cert_file)
        _read("hub.key_file", key_file)
        try:
            context.load_cert_chain(hub.cert_file, key_file, password=_no_passphrase)
        except (ssl.SSLError, _EncryptedError) as err:
            match getattr(err, "reason", None) or "":
                case "KEY_VALUES_MISMATCH":
                    why = "the key is not the certificate's"
                case _ if isinstance(err, _EncryptedError):
                    why = "the key is encrypted; store it without a passphrase, readable for labgate only"
                case _:
                    why = "they must hold a certificate and its private key in PEM form"
            text = f"hub.cert_file {hub.cert_file} and hub.key_file {key_file} are of no use: {why}"
            raise LinkError(text, "configuration") from None
    return context


class _TlsSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho forgets to."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class _EncryptedError(Exception):
    pass


def _no_passphrase() -> str:
    raise _EncryptedError  # OpenSSL would ask at the terminal


def _read(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        reason: Reason = "missing" if isinstance(err, FileNotFoundError) else "permission"
        raise LinkError(f"{key}: cannot read {path}: {(err.strerror or str(err)).lower()}", reason) from None
