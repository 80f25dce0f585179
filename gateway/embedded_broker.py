"""The embedded amqtt broker (MQTT 3.1.1) as a process: for demo and tests where there is no mosquitto."""

import asyncio
import logging
import sys

from amqtt.broker import Broker


async def _serve(host: str, port: int) -> None:
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    listeners = {"default": {"type": "tcp", "bind": f"{host}:{port}"}}
    broker = Broker({"listeners": listeners, "plugins": plugins})
    await broker.start()
    await asyncio.get_running_loop().create_future()  # until it is ended


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # it reports each connection that ends
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
