"""Texts in adverts: addresses, identifiers, and the short web addresses of Eddystone."""

from collections.abc import Callable
from typing import Literal

from drivers.codecs.advert_capture import mac, uuid
from gateway import DecodeError

TextType = Literal["hex", "uuid", "mac", "mac_reversed", "eddystone_url"]

# github.com/google/eddystone, eddystone-url/README.md: URL scheme prefix, Eddystone-URL HTTP URL encoding
_SCHEMES = ("http://www.", "https://www.", "http://", "https://")
_ENDINGS = (".com", ".org", ".edu", ".net", ".info", ".biz", ".gov")


def _url(data: bytes) -> str:
    if not data or data[0] >= len(_SCHEMES):
        raise DecodeError(f"Eddystone URL: {data[:1].hex() or 'nothing'} is no scheme")
    parts = [_SCHEMES[data[0]]]
    for byte in data[1:]:
        if byte < len(_ENDINGS):
            parts.append(_ENDINGS[byte] + "/")
        elif byte < 2 * len(_ENDINGS):
            parts.append(_ENDINGS[byte - len(_ENDINGS)])
        elif 0x20 < byte < 0x7F:
            parts.append(chr(byte))
        else:
            raise DecodeError(f"Eddystone URL: byte {byte:02x} has no place in it")
    return "".join(parts)


TEXTS: dict[TextType, tuple[int | None, Callable[[bytes], str]]] = {  # bytes it takes (None: as said), what it says
    "hex": (None, bytes.hex),
    "uuid": (16, uuid),
    "mac": (6, mac),
    "mac_reversed": (6, lambda data: mac(data[::-1])),
    "eddystone_url": (None, _url),
}
