"""One connection to the hub's MQTT broker: publish with a verdict, limits, fallback to 3.1.1."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from gateway.errors import LinkError
from gateway.mqtt_client import V5, V311, Client, Heard, Subscription, Verdict, Will

if TYPE_CHECKING:
    from gateway.config import HubConfig

__all__ = ["Session", "Verdict", "Will", "connect", "listen", "subscribe"]

CONNECT_WITHIN = 10.0  # s, from name look-up to CONNACK
PATIENCE = 1.0  # s of silence after CONNECT with MQTT 5, then it is asked in another way
UNLIMITED, WINDOW_311 = 65_535, 20  # Receive Maximum: absent in CONNACK; MQTT 3.1.1, which has none


class Session:
    """One live connection. Everything here belongs to the event loop's thread."""

    def __init__(self, client: Client) -> None:
        v5 = client.protocol is V5
        self.protocol = "5.0" if v5 else "3.1.1"
        self.receive_maximum: int = getattr(client.properties, "ReceiveMaximum", UNLIMITED) if v5 else WINDOW_311
        self.maximum_packet: int | None = getattr(client.properties, "MaximumPacketSize", None)  # bytes
        self.lost = client.lost  # done when the connection has ended; those who wait wake up after all verdicts
        self._client = client

    @property
    def ended(self) -> str:
        """Why the connection ended, for people; "" while it lives."""
        return self._client.ended

    @property
    def end_code(self) -> int | None:
        """The reason code of the hub's DISCONNECT, if it sent one."""
        return self._client.end_code

    def publish(self, topic: str, payload: bytes, retain: bool = False, verdict: Verdict | None = None) -> None:
        """Send now, or as soon as the socket takes it. Never blocks, never raises for a broken connection.

        With `verdict` QoS 1: it is called exactly once, from the event loop and never from within `publish`, with
        the reason code of the PUBACK (0 under 3.1.1), or with None when the connection ended without one. At most
        `receive_maximum` may be without verdict: counting is the caller's. Without `verdict` QoS 0.
        """
        self._client.send(topic, payload, retain, verdict)


@contextlib.asynccontextmanager
async def connect(hub: "HubConfig", client_id: str, will: Will | None) -> AsyncIterator[Session]:
    """Connect, clean start, with MQTT 5, or with 3.1.1 where the broker refuses 5. Raises LinkError.

    Leaving says goodbye, and the hub forgets the will; leaving with an exception does not, and the hub publishes it
    (being cancelled is no such exception). Publishes still without an answer get their verdict, None.

    Name look-up and connecting run in a thread of the loop's executor that nothing can stop: asyncio.run would wait
    for it, so a process that must end at once ends with os._exit.
    """
    client = await _open(hub, client_id, will)
    try:
        yield Session(client)
        await client.goodbye()
    except asyncio.CancelledError:
        await client.goodbye()
        raise
    finally:
        client.drop()


async def _open(hub: "HubConfig", client_id: str, will: Will | None) -> Client:
    deadline = asyncio.get_running_loop().time() + CONNECT_WITHIN
    client = Client(hub, client_id, will, V5)
    try:
        return await client.open(deadline, PATIENCE)
    except LinkError:
        if not (client.refuses_v5 or client.silent):
            raise
    if client.silent and not await _refuses_v5(hub, deadline):
        return await Client(hub, client_id, will, V5).open(deadline)
    return await Client(hub, client_id, will, V311).open(deadline)


async def _refuses_v5(hub: "HubConfig", deadline: float) -> bool:
    """Ask with the barest CONNECT of MQTT 5; even one that the broker does not accept is answered.

    amqtt takes the properties of MQTT 5 for lengths, and waits for ever for the will or user name it expects then.
    """
    bare = Client(hub, "", None, V5)
    try:
        await bare.open(deadline)
    except LinkError as error:
        if error.code is None and not bare.refuses_v5:
            raise
    finally:
        bare.drop()
    return bare.refuses_v5


def listen(hub: "HubConfig", topics: list[str], heard: Heard, back: Callable[[], None]) -> Subscription:
    """Hear topics (wildcards allowed) until `close`; blocks until subscribed. Raises LinkError.

    `heard` gets topic, payload and whether it was retained; `back` is called when a lost connection is there again,
    before what is heard on it: what came meanwhile was missed. Both are called in another thread.
    """
    return Subscription(hub, topics, heard, back)


def subscribe(url: str, topic: str, received: Callable[[str, bytes], None]) -> Subscription:
    """`listen` to one topic at mqtt://HOST:PORT, for the demo and for tests."""
    from gateway.config_models import HubConfig

    return listen(HubConfig(url=url), [topic], lambda topic, payload, _: received(topic, payload), lambda: None)
