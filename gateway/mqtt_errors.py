"""What goes wrong between gateway and hub, in words: MQTT reason codes and socket and TLS errors; pure.

Reason codes: MQTT 5.0, section 2.4; those of MQTT 3.1.1 arrive here translated to them.
"""

import socket
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.errors import LinkError

if TYPE_CHECKING:
    from gateway.config import HubConfig

UNSUPPORTED_VERSION, BAD_CLIENT_ID, BAD_LOGIN, NOT_AUTHORISED, KEEP_ALIVE, TAKEN_OVER = (
    0x84,
    0x85,
    0x86,
    0x87,
    0x8D,
    0x8E,
)

_MEANING = {
    0x00: "closed the connection",
    0x81: "calls a packet malformed",
    0x82: "calls it a protocol error",
    0x83: "says: implementation specific error",
    0x88: "says it is not available now; it is tried again",
    0x89: "says it is busy; it is tried again",
    0x8A: "has banned this client; ask who runs the hub",
    0x8B: "is shutting down; it is tried again",
    0x8C: "wants another way to log in than user and password",
    0x90: "does not accept a topic name; check hub.prefix",
    0x93: "got more at once than its Receive Maximum allows",
    0x95: "says a packet is larger than it accepts",
    0x96: "says messages come too fast",
    0x97: "says a quota is used up; ask who runs the hub",
    0x98: "closed the connection by an administrator's action",
    0x99: "does not accept the form of a payload",
    0x9A: "does not keep retained messages, which labgate needs; allow them at the hub",
    0x9B: "does not offer QoS 1, which labgate needs; allow it at the hub",
    0x9C: "says to use another server; change hub.url",
    0x9D: "has moved; change hub.url",
    0x9F: "says connections come too fast; it is tried again",
    0xA0: "ended the connection because it had lasted as long as it allows; it is tried again",
}

_CERTIFICATE = {  # X509_V_ERR_… of OpenSSL's x509_vfy.h
    9: "is not valid yet; this host's clock says {now}: is it set?",
    10: "has expired; renew it at the hub (this host's clock says {now})",
    18: "is signed by itself; name it in hub.ca_file if it is the right one",
    19: "is signed by an authority that is not known here; name that authority's certificate in hub.ca_file",
    20: "is signed by an authority that is not known here; name that authority's certificate in hub.ca_file",
    62: "is for another host name than {host}; write the name it is for in hub.url",
    64: "is not for the address {host}; write the name it is for in hub.url",
}


def refused(hub: "HubConfig", client_id: str, code: int) -> LinkError:
    """CONNACK with a reason code other than success."""
    where = f"the hub {hub.host}:{hub.port}"
    if code in (BAD_LOGIN, NOT_AUTHORISED):
        who = f"user {hub.username}" if hub.username else "a client without user name"
        what = "bad user name or password" if code == BAD_LOGIN else "not authorised"
        text = f"{where} refuses the login of {who}: {what}; check hub.username and hub.password_file"
    elif code == BAD_CLIENT_ID:
        text = f"{where} refuses the client id {client_id}; choose another in hub.client_id"
    elif code == UNSUPPORTED_VERSION:
        text = f"{where} speaks neither MQTT 5 nor 3.1.1; check hub.url"
    else:
        text = f"{where} {_meaning(code)}"
    return LinkError(text, "refused", code)


def denied(hub: "HubConfig", topics: list[str]) -> LinkError:
    """SUBACK that refuses topics."""
    who = f"user {hub.username}" if hub.username else "a client without user name"
    what = f"the hub {hub.host}:{hub.port} does not let {who} listen to {', '.join(topics)}"
    return LinkError(f"{what}; ask who runs the hub", "refused")


def ended(client_id: str, code: int) -> str:
    """DISCONNECT sent by the hub."""
    if code == TAKEN_OVER:
        return f"another client took over the client id {client_id}; give each gateway an id of its own"
    if code == NOT_AUTHORISED:
        return "the hub ended the connection: not authorised; check what this user may do there"
    if code == KEEP_ALIVE:
        return "the hub heard nothing for too long and ended the connection"
    return f"the hub {_meaning(code)}"


def _meaning(code: int) -> str:
    return _MEANING.get(code, "gives no reason" if code == 0x80 else f"gives the reason 0x{code:02x}")


def failed(hub: "HubConfig", error: Exception) -> LinkError:
    """Look-up, TCP or TLS went wrong."""
    where = f"the hub {hub.host}:{hub.port}"
    match error:
        case socket.gaierror():
            again = error.errno == socket.EAI_AGAIN
            why = "no answer from the name server" if again else "no such host; check hub.url"
            return LinkError(f"cannot look up the hub's name {hub.host}: {why}", "network")
        case UnicodeError():
            return LinkError(f"{hub.host!r} cannot be a host name; check hub.url", "network")
        case ssl.SSLCertVerificationError():
            now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
            why = _CERTIFICATE.get(error.verify_code, f"is not accepted: {error.verify_message}")
            return LinkError(f"the certificate of {where} {why.format(now=now, host=hub.host)}", "refused")
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | ConnectionResetError() if hub.tls:
            hint = (
                "a port without TLS wants mqtt:// in hub.url; it may also ask for a client certificate (hub.cert_file)"
            )
            return LinkError(f"{where} ends the connection during the TLS handshake; {hint}", "network")
        case ssl.SSLError():
            return _tls(hub, where, error)
        case ConnectionRefusedError():
            return LinkError(f"{where} refuses the connection: nothing listens on that port; check hub.url", "refused")
        case TimeoutError():
            return LinkError(f"{where} does not answer", "timeout")
        case _:
            text = getattr(error, "strerror", None) or str(error)
            return LinkError(f"{where}: {text[:1].lower()}{text[1:]}", "network")


def _tls(hub: "HubConfig", where: str, error: ssl.SSLError) -> LinkError:
    reason = (error.reason or "").lower().replace("_", " ")
    if "certificate required" in reason:
        why = "give it one with hub.cert_file and hub.key_file" if hub.cert_file is None else "it got none it can use"
        return LinkError(f"{where} asks for a client certificate; {why}", "refused")
    if "alert" in reason:
        why = reason.partition("alert ")[2]
        whose = "check hub.cert_file" if hub.cert_file else "it may ask for a client certificate (hub.cert_file)"
        return LinkError(f"{where} refuses the TLS connection: {why}; {whose}", "refused")
    if reason in ("wrong version number", "record layer failure", "packet length too long", "http request"):
        return LinkError(f"{where} does not speak TLS there; write mqtt:// or its TLS port in hub.url", "garbled")
    return LinkError(f"TLS with {where} fails: {reason or str(error).partition(' (_ssl')[0]}", "network")


def late(hub: "HubConfig", connected: bool) -> LinkError:
    """No CONNACK in time."""
    what = "accepts the connection but does not answer as an MQTT broker does" if connected else "does not answer"
    return LinkError(f"the hub {hub.host}:{hub.port} {what}; check hub.url", "timeout")


def closed(hub: "HubConfig") -> LinkError:
    """The connection ended where a CONNACK was due."""
    hint = "check hub.url" if hub.tls else "check hub.url (a port for TLS wants mqtts://)"
    return LinkError(f"the hub {hub.host}:{hub.port} closes the connection instead of answering CONNECT; {hint}")


def no_broker(hub: "HubConfig", answer: bytes) -> LinkError:
    """What listens there answers CONNECT with something else than CONNACK."""
    where = f"the hub {hub.host}:{hub.port}"
    if answer[:2] == b"\x15\x03":  # an alert record
        return LinkError(f"{where} speaks TLS; write mqtts:// in hub.url", "garbled")
    return LinkError(f"{where} does not answer as an MQTT broker does; check hub.url", "garbled")
