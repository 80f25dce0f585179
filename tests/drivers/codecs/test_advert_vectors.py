"""Every public vector of an advert, cut and turned, through what decodes it by its protocol's name."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway import DecodeError
from gateway.cli.decode import Decode, find
from tests.drivers.codecs.broken import damaged, random_inputs

HERE = Path(__file__).parents[2] / "vectors"
VECTORS: list[dict[str, Any]] = [
    vector
    for path in sorted(HERE.glob("*.json"))
    for vector in json.loads(path.read_text("utf-8"))["vectors"]
    if vector["transport"] == "ble-adv"
]
PROTOCOLS = sorted({vector["protocol"] for vector in VECTORS})


@cache
def decoder(protocol: str) -> Decode:
    return find(protocol, Path("/nonexistent"))


def refusal(protocol: str, data: bytes, context: dict[str, Any]) -> str:
    """Why nothing is told; empty where something is."""
    try:
        assert decoder(protocol)(data, {key: str(told) for key, told in context.items()})
    except DecodeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_every_truncation_and_turned_bit(vector: dict[str, Any]) -> None:
    for data in damaged(bytes.fromhex(vector["input_hex"])):
        assert refusal(vector["protocol"], data, vector["context"]).isprintable()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_random_inputs(protocol: str) -> None:
    contexts = [vector["context"] for vector in VECTORS if vector["protocol"] == protocol]
    chance = random.Random(protocol)
    for data in random_inputs(chance, longest=48):
        assert refusal(protocol, data, chance.choice(contexts)).isprintable()


@pytest.mark.parametrize("vector", [v for v in VECTORS if "bindkey" in v["context"]], ids=lambda vector: vector["id"])
def test_no_value_behind_another_key(vector: dict[str, Any]) -> None:
    data, chance = bytes.fromhex(vector["input_hex"]), random.Random(3)
    for _ in range(200):
        key = chance.randbytes(16)
        if key[:1] == data[7:8]:
            continue  # what Victron sends of the key in clear
        assert refusal(vector["protocol"], data, vector["context"] | {"bindkey": key.hex()})
