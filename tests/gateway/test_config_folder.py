"""What lies in config/ beside the examples: the generated schema and the broker's access rules."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from gateway import mqtt
from gateway.config import HubConfig, schema
from tests.real_broker import Mosquitto

CONFIG = Path(__file__).resolve().parents[2] / "config"


def test_the_schema_is_the_one_the_code_gives() -> None:
    assert json.loads((CONFIG / "gateway.schema.json").read_text()) == schema(), (
        "the configuration changed; run: labgate schema > config/gateway.schema.json"
    )


async def test_the_access_rules_let_a_gateway_write_its_own_topics_only(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    password = tmp_path / "hub-password"
    password.write_text("secret")
    password.chmod(0o600)
    broker = mosquitto(f"acl_file {CONFIG / 'mosquitto.acl.example'}")
    hub = HubConfig(url=broker.url, username="pi-7", password_file=password)
    verdicts: dict[str, int | None] = {}
    answered = asyncio.Event()

    def verdict(topic: str, code: int | None) -> None:
        verdicts[topic] = code
        if len(verdicts) == 3:
            answered.set()

    async with mqtt.connect(hub, "labgate-pi-7", mqtt.Will("lab/pi-7/status", b"{}")) as session:
        for topic in ("lab/pi-7/meter-1/data", "lab/pi-8/meter-1/data", "elsewhere"):
            session.publish(topic, b"[]", False, lambda code, topic=topic: verdict(topic, code))
        async with asyncio.timeout(5):
            await answered.wait()
    # MQTT 5, 3.4.2.1: 0x10 no matching subscribers, 0x87 not authorized
    assert verdicts == {"lab/pi-7/meter-1/data": 0x10, "lab/pi-8/meter-1/data": 0x87, "elsewhere": 0x87}
