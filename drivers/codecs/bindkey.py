"""Keys of devices that encrypt what they advertise: the option that names one, and the ciphers."""

import re
from collections.abc import Mapping

from pydantic import SecretStr, field_validator

from drivers.codecs.radio_peer import RadioOptions
from gateway import DecodeError, Secret

_KEY = re.compile(r"[0-9A-Fa-f]{32}")


class KeyedRadioOptions(RadioOptions):
    """Which device is meant, and where its key is: a file of 32 hexadecimal digits."""

    bindkey_file: Secret | None = None

    @field_validator("bindkey_file")
    @classmethod
    def _digits(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not _KEY.fullmatch(secret.get_secret_value()):
            raise ValueError("this file holds no key; write the device's, 32 hexadecimal digits, into it")
        return secret

    @property
    def key(self) -> bytes | None:
        """16 bytes."""
        return None if self.bindkey_file is None else bytes.fromhex(self.bindkey_file.get_secret_value())


def key_of(context: Mapping[str, str]) -> bytes | None:
    """`bindkey` of a capture's context. Raises DecodeError where it is no key."""
    text = context.get("bindkey")
    if text is not None and not _KEY.fullmatch(text):
        raise DecodeError("bindkey is no key; write 32 hexadecimal digits")
    return None if text is None else bytes.fromhex(text)


def ccm_opened(key: bytes, nonce: bytes, sealed: bytes, tag: int) -> bytes | None:
    """AES-CCM without associated data; `sealed` ends in a tag of `tag` bytes. None where the tag is wrong."""
    from cryptography.exceptions import InvalidTag  # 30 ms, and most devices have no key
    from cryptography.hazmat.primitives.ciphers.aead import AESCCM

    try:
        return AESCCM(key, tag_length=tag).decrypt(nonce, sealed, None)
    except InvalidTag:
        return None


def ctr_opened(key: bytes, counter: int, sealed: bytes) -> bytes:
    """AES-CTR of at most one block of 16 bytes, `counter` little-endian. Whether the key was right cannot be seen."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(key), modes.CTR(counter.to_bytes(16, "little"))).decryptor().update(sealed[:16])
