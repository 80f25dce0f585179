"""Every public vector in tests/vectors through the command line, as a person would: device -> profile or driver."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main

HERE = Path(__file__).parents[1] / "vectors"
FILES = {path.stem: json.loads(path.read_text("utf-8"))["vectors"] for path in sorted(HERE.glob("*.json"))}
VECTORS = [vector for vectors in FILES.values() for vector in vectors]
SHARED = Path(__file__).parents[3] / "shared/vectors/vectors.json"
PROFILES = {  # a part of the device's name -> what a person names who has one
    "SDM630": "eastron_sdm630",
    "ET112": "carlo_gavazzi_et112",
    "ABB B23": "abb_b23",
    "PZEM-016": "pzem016",
    "XY-MD02": "xy_md02",
    "Relay board": "relay_board",
    "Novabo": "relay_board",
}


def name_of(vector: dict[str, Any]) -> str:
    found = [profile for device, profile in PROFILES.items() if device in vector["device"]]
    return found[0] if found else vector["protocol"]


def same(value: Any, told: Any, tolerance: float = 0) -> bool:
    """As the vectors' conventions say: relative 2e-6, or an absolute tolerance; null is nothing or null."""
    if isinstance(told, bool) or not isinstance(told, int | float):
        return type(value) is type(told) and value == told
    return not isinstance(value, bool | None) and math.isclose(value, told, rel_tol=2e-6, abs_tol=tolerance)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_public_vector(vector: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [f"{key}={value}" for key, value in vector["context"].items() if value is not None]
    context = [word for pair in pairs for word in ("--context", pair)]
    captured = ["--text", vector["input_text"]] if "input_text" in vector else [vector["input_hex"]]
    code = main(["-c", "/nonexistent/gateway.yaml", "decode", name_of(vector), *captured, *context])
    out, err = capsys.readouterr()
    if not vector["expected"]:
        assert (code, out, err.count("\n")) == (1, "", 1)
        return
    assert (code, err) == (0, "")
    found = json.loads(out)
    for quantity, told in vector["expected"].items():
        if told["value"] is None:
            assert found.get(quantity, told)["value"] is None
        else:
            tolerance = vector["context"].get("tolerance", 0)
            reading = found[quantity]
            assert reading["unit"] == told["unit"]
            got, wanted = reading["value"], told["value"]
            for one, value in zip(*([v] if not isinstance(v, list) else v for v in (got, wanted)), strict=True):
                assert same(one, value, tolerance), reading


def test_the_copies_of_the_public_vectors_are_whole() -> None:
    if not SHARED.exists():
        pytest.skip("not here: the public vectors lie beside the checkout only where they were collected")
    everything = json.loads(SHARED.read_text("utf-8"))["vectors"]
    for stem, copy in FILES.items():
        assert [vector for vector in everything if vector["protocol"].startswith(stem)] == copy
    kinds = {vector["transport"] for vector in VECTORS}
    assert [vector for vector in everything if vector["transport"] in kinds and vector not in VECTORS] == []
