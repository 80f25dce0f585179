"""What error answers of bluetoothd about peers and scans mean: a reason, and for people why and what to do."""

from gateway.errors import Reason

LOST: tuple[Reason, str] = "network", "the connection was lost; it is made again"
GONE: tuple[Reason, str] = "silent", "it is not in the air any more; wake it, or bring it nearer"

# By the last part of an error's name.
_LOST = {"NotConnected", "ServiceUnknown", "UnknownObject", "UnknownMethod", "NoReply", "Disconnected", "NoServer"}
_PAIRING = {
    "NotPermitted",
    "NotAuthorized",
    "AuthenticationFailed",
    "AuthenticationCanceled",
    "AuthenticationRejected",
    "AuthenticationTimeout",
}
_SAYS: dict[str, tuple[Reason, str]] = {
    "NotReady": ("refused", "the adapter is off; `bluetoothctl power on`"),
    "AccessDenied": ("permission", "this user may not use Bluetooth; add it to the group bluetooth"),
    "InProgress": ("busy", "bluetoothd is busy with another one; it is tried again"),
    "NotSupported": ("garbled", "it does not do what its services say; check that it is the model configured"),
}

_SECURITY = {0x05, 0x08, 0x0C, 0x0F}  # authentication, authorization, key size, encryption (Core 5.4, 3 F 3.4.1.1)
_UNLIKELY = 0x0E  # from BlueZ: the link was lost meanwhile


def answer(name: str, text: str, address: str) -> tuple[Reason, str]:
    """Of an error answer: the last part of its name, and its text. `address` of the peer, empty for a scan."""
    if address and name in _PAIRING and "acquired" not in text:
        return _pair(address)
    if name in _LOST or text == "Not connected":
        return LOST
    return _SAYS.get(name, ("network", f"{text or name}; it is tried again"))


def att_error(code: int, address: str) -> tuple[Reason, str]:
    """Of a request that a peer refuses."""
    if code in _SECURITY:
        return _pair(address)
    if code == _UNLIKELY:
        return LOST
    return "exception", f"it refuses with ATT error 0x{code:02x}; check that it is the model configured"


def _pair(address: str) -> tuple[Reason, str]:
    return "refused", f"it wants to be paired; `labgate pair {address}`"
