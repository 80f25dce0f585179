"""What error answers of bluetoothd and systemd mean for people."""

from gateway.errors import LinkError, Reason
from gateway.links.dbus import Refused

NOT_RUNNING, START = "bluetoothd does not run", "`sudo systemctl enable --now bluetooth`"
UNIT = "bluetooth.service"

_SAYS: dict[str, tuple[Reason, str]] = {  # by the last part of an error's name
    "ServiceUnknown": ("missing", f"{NOT_RUNNING}; {START}"),
    "NameHasNoOwner": ("missing", f"{NOT_RUNNING}; {START}"),
    "NoReply": ("missing", "bluetoothd ended; see `systemctl status bluetooth`"),
    "UnknownObject": ("unplugged", "it is not there; plug it in"),
    "UnknownMethod": ("unplugged", "it is not there; plug it in"),
    "AccessDenied": ("permission", "this user may not; add it to the group bluetooth"),
    "NotReady": ("refused", "the adapter is off; `bluetoothctl power on`"),
    "Blocked": ("refused", "Bluetooth is blocked by rfkill; `sudo rfkill unblock bluetooth`"),
}

_RESTART: dict[str, tuple[Reason, str]] = {  # org.freedesktop.systemd1.Manager.RestartUnit
    "AccessDenied": ("permission", "this user may not"),
    "InteractiveAuthorizationRequired": ("permission", "this user may not"),
    "ServiceUnknown": ("missing", "there is no systemd"),
    "NameHasNoOwner": ("missing", "there is no systemd"),
    "NoSuchUnit": ("missing", "there is no such unit"),
}

_FAILED: dict[str, tuple[Reason, str, str]] = {  # org.bluez.Device1.Pair, by the last part of an error's name
    "AuthenticationFailed": (
        "refused",
        "failed: wrong passkey, or the device is not ready to pair",
        "put it into pairing mode and try again",
    ),
    "AuthenticationRejected": (
        "refused",
        "was rejected",
        "put the device into pairing mode and try again; it may be paired with another host",
    ),
    "AuthenticationCanceled": ("refused", "was cancelled", "try again"),
    "AuthenticationTimeout": ("timeout", "took too long", "try again, and answer within a minute"),
    "ConnectionAttemptFailed": ("network", "found no connection", "take the device closer, wake it, and try again"),
    "InProgress": ("busy", "has to wait, another one runs", "try again when it has ended"),
    "UnknownObject": ("silent", "is not possible before the device is heard", "wake it and try again"),
    "NotReady": ("refused", "is not possible, the adapter is off", "switch it on: `bluetoothctl power on`"),
}


def link_error(what: str, link: str, do: str, reason: Reason = "missing") -> LinkError:
    """One line: what, where, what to do."""
    return LinkError(f"{what}: link {link}; {do}", reason)


def refusal(refused: Refused, what: str, link: str) -> LinkError:
    """`what` did not go because bluetoothd refused."""
    kind = "Blocked" if "rfkill" in refused.text.lower() else refused.kind
    reason, do = _SAYS.get(kind, ("refused", f"bluetoothd says {refused.text or kind}"))
    return link_error(what, link, do, reason)


def restart_error(refused: Refused, link: str) -> LinkError:
    """systemd did not restart bluetoothd."""
    reason, why = _RESTART.get(refused.kind, ("refused", refused.text or refused.kind))
    return link_error(f"bluetoothd cannot be restarted, {why}", link, f"`sudo systemctl restart {UNIT}`", reason)


def pairing_error(refused: Refused, address: str, link: str) -> LinkError:
    """What it means for people that bluetoothd refused to pair."""
    unknown: tuple[Reason, str, str] = ("refused", f"failed: {refused.text or refused.kind}", "try again")
    reason, what, do = _FAILED.get(refused.kind, unknown)
    return link_error(f"pairing with {address} {what}", link, do, reason)
