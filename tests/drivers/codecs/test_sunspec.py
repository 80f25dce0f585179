"""SunSpec maps and models: what the specification and the model definitions say, and every way to break them."""

import json
import struct
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs.sunspec import Map, Model, decode_sunspec, prefixes, walk
from drivers.codecs.sunspec_points import MODELS, length_of, point_names, registers
from gateway import DecodeError, Quantity, Reading

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "vectors/sunspec.json").read_text("utf-8"))[
    "vectors"
]
MARKER = "53756e53"


def decode(wire: str, **context: object) -> dict[str, Any]:
    told = {key: str(value) for key, value in context.items()}
    return {reading.name: reading.value for reading in decode_sunspec(bytes.fromhex(wire), told)}


def walked(memory: dict[int, int], bases: tuple[int, ...] = (40000, 50000, 0)) -> tuple[Model, ...]:
    """What `walk` finds in a device with these registers; it asks for nothing twice and has an end."""
    asking = walk(bases)
    asked = [next(asking)]
    try:
        while True:
            address, count = asked[-1]
            words = [memory.get(address + i) for i in range(count)]
            data = None if None in words else struct.pack(f">{count}H", *words)
            asked.append(asking.send(data))
            assert len(asked) <= 110
    except StopIteration as end:
        assert len(set(asked)) == len(asked)
        return tuple(end.value)


def memory(base: int, *models: tuple[int, int], end: bool = True) -> dict[int, int]:
    words = [0x5375, 0x6E53]
    for model, length in models:
        words += [model, length, *[0] * length]
    return dict(enumerate(words + ([0xFFFF, 0] if end else []), base))


# Lengths of the public model definitions (the common model has 66 with its padding)


@pytest.mark.parametrize(
    ("models", "length"),
    [
        ((1,), 65),
        ((101, 102, 103), 50),
        ((111, 112, 113), 60),
        ((201, 202, 203, 204), 105),
        ((211, 212, 213, 214), 124),
    ],
)
def test_models_are_as_long_as_they_say(models: tuple[int, ...], length: int) -> None:
    assert [length_of(model) for model in models] == [length] * len(models)


# findings of the public JSON files: offset from the id, of the point and of its scale factor


@pytest.mark.parametrize(
    ("model", "name", "offset", "scale"),
    [
        (103, "A", 2, 6),
        (103, "PhVphC", 12, 13),
        (103, "WH", 24, 26),
        (103, "TmpOt", 36, 37),
        (103, "St", 38, None),
        (101, "EvtVnd4", 50, None),
        (203, "PhV", 7, 15),
        (203, "PhVphAB", 12, 15),
        (201, "PPVphAB", 12, 15),
        (204, "PFphC", 36, 37),
        (203, "TotWhExp", 38, 54),
        (203, "TotWhImpPhC", 52, 54),
        (202, "TotVArhExpQ4PhC", 102, 104),
        (203, "Evt", 105, None),
        (113, "W", 22, None),
        (113, "St", 48, None),
        (213, "PFphA", 54, None),
        (213, "TotVArhExpQ4phC", 122, None),
        (214, "PPVphAB", 20, None),
    ],
)
def test_where_points_are(model: int, name: str, offset: int, scale: int | None) -> None:
    found = {register.name: register for register in registers(model, 2)}
    assert (found[name].address, found[name].scale_register) == (offset, scale)


def test_units_and_kinds() -> None:
    found = {register.name: register.quantity for register in registers(103)}
    assert found["PF"] == Quantity("%", "measurement")
    assert found["WH"] == Quantity("Wh", "counter")
    assert found["TmpCab"] == Quantity("Cel", "measurement")
    assert found["St"] == Quantity(None, "state")
    assert {register.name: register.unit for register in registers(213)}["PF"] == "/"
    assert {"Mn", "AphA", "TotVArhExpQ4phC"} <= set(point_names())


# Model 113 as the definition has it: float32 without scale factors, NaN is not implemented


def test_a_float_inverter() -> None:
    values = [float("nan")] * 23
    values[0], values[10], values[15], values[19] = 3.25, 751.5, 12345678.0, float("nan")
    told = decode((struct.pack(">23f", *values) + struct.pack(">HH6I", 4, 0xFFFF, *[0] * 6)).hex(), model=113)
    assert told == {
        "A": 3.25,
        "W": 751.5,
        "WH": 12345678.0,
        "St": 4,
        **dict.fromkeys(["Evt1", "Evt2", "EvtVnd1", "EvtVnd2", "EvtVnd3", "EvtVnd4"], 0),
    }


def test_one_phase_of_an_inverter() -> None:
    words = [0x8000 if offset in (14, 16, 18, 20, 28, 30, 32) else 0xFFFF for offset in range(50)]
    here = {0: 231, 1: 231, 4: 0xFFFF, 8: 2302, 11: 0xFFFF, 12: 0xFFF6, 13: 1, 14: 5001, 15: 0xFFFE}
    for offset, value in here.items():
        words[offset] = value
    words[22:25] = [0, 0, 0]  # nothing accumulated
    told = decode(struct.pack(">50H", *words).hex(), model=101)
    assert told["A"] == 23.1
    assert told["AphA"] == 23.1
    assert told["PhVphA"] == 230.2
    assert told["W"] == -100
    assert told["Hz"] == 50.01
    assert told.keys().isdisjoint({"AphB", "PPVphAB", "PhVphB", "VA", "VAr", "PF", "WH", "DCA", "St", "Evt1"})


def test_a_scale_factor_that_is_not_implemented_leaves_no_value() -> None:
    assert decode("0942 030d 031d 0317 8000", model=103) == {}
    assert decode("0942 030d ffff 0317 fffe", model=103) == {"A": 23.7, "AphA": 7.81, "AphC": 7.91}


def test_a_shorter_input_gives_what_lies_in_it() -> None:
    assert decode("0942 030d 031d 0317 fffe 0fae", model=103).keys() == {"A", "AphA", "AphB", "AphC"}
    assert decode("0942 030d 031d 0317 fffe 0fae", model=103, model_length=5).keys() == {"A", "AphA", "AphB", "AphC"}
    with pytest.raises(DecodeError, match=r"^no point of model 103 lies in 2 registers$"):
        decode("0942 030d", model=103)


def test_a_header_before_the_points_is_left_out() -> None:
    words = "0001 0042" + "41 00" * 66
    assert decode(words, model=1)["Mn"] == "A"
    assert decode("0001 0041" + "4142" * 65, model=1, model_length=65)["SN"] == "AB" * 16


def test_the_marker_alone_and_with_a_map_behind_it() -> None:
    assert decode(MARKER) == {"marker": "SunS"}
    assert decode(MARKER + "ffff 0000") == {"marker": "SunS"}
    texts = b"Maker".ljust(32, b"\0") + bytes(64) + b"0".ljust(32, b"\0")
    first = struct.pack(">HH", 1, 66) + texts + struct.pack(">HH", 7, 0x8000)
    second = struct.pack(">HH5H", 103, 5, 2370, 781, 0xFFFF, 791, 0xFFFE)
    told = decode(MARKER + (first + second + struct.pack(">HH", 0xFFFF, 0)).hex())
    assert told == {
        "marker": "SunS",
        "first_model": 1,
        "first_model_length": 66,
        "Mn": "Maker",
        "DA": 7,
        "A": 23.7,
        "AphA": 7.81,
        "AphC": 7.91,
    }  # a serial number 0 is none


@pytest.mark.parametrize(
    ("wire", "context", "text"),
    [
        ("0942", {}, "neither `model` is given (--context model=103) nor begins the input with the SunSpec marker"),
        ("0942", {"model": 120}, None),
        ("", {"model": 103}, None),
        ("094", {"model": "x"}, None),
        (MARKER + "0067 0000 ffff", {}, "broken SunSpec map: the 1. model at 2 has id 103 and length 0"),
    ],
)
def test_what_is_refused(wire: str, context: dict[str, object], text: str | None) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(wire if len(wire) % 2 == 0 else wire + "0", **context)
    assert "\n" not in str(caught.value)
    assert text is None or str(caught.value) == text


# The walk


@pytest.mark.parametrize("base", [40000, 50000, 0])
def test_the_map_is_found_where_it_may_be(base: int) -> None:
    found = walked(memory(base, (1, 66), (103, 50), (203, 105)))
    assert found == (Model(1, base + 2, 66), Model(103, base + 70, 50), Model(203, base + 122, 105))


def test_a_device_without_an_end_model() -> None:
    assert [model.id for model in walked(memory(40000, (1, 65), (101, 50), end=False))] == [1, 101]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({}, "no SunSpec map at 40000, 50000, 0; write `base`, or another `unit_id`"),
        (memory(40000, end=False), "behind the SunSpec marker at 40000 no model can be read"),
        (memory(40000, (1, 66), (0, 0)), "broken SunSpec map: the 2. model at 40070 has id 0 and length 0"),
        (memory(40000, (1, 66), (103, 0)), "broken SunSpec map: the 2. model at 40070 has id 103 and length 0"),
        (memory(40000, (1, 66)) | {40070: 103, 40071: 30000}, None),
        (memory(0, *[(900, 1)] * 200), "broken SunSpec map: the 101. model at 302 has id 900 and length 1"),
    ],
)
def test_a_map_that_cannot_be(words: dict[int, int], text: str | None) -> None:
    with pytest.raises(DecodeError) as caught:
        walked(words)
    assert text is None or str(caught.value) == text


def test_names_of_two_devices_in_one_map() -> None:
    ids = [1, 103, 1, 203, 1, 203, 999, 203]
    models = [Model(model, 0, 1) for model in ids]
    assert prefixes(models) == ["", "", "1-2.", "203.", "1-3.", "203-2.", "999.", "203-3."]
    assert prefixes([Model(203, 0, 1), Model(203, 0, 1)]) == ["", "203-2."]
    assert prefixes([Model(120, 0, 1), Model(103, 0, 1)]) == ["120.", ""]


def test_one_poll_is_as_few_reads_as_can_be() -> None:
    inverter = Map([Model(1, 40002, 66), Model(103, 40070, 50), Model(120, 40122, 26)])
    assert [(block.address, block.count) for block in inverter.blocks] == [(40070, 52)]
    both = Map([Model(103, 40070, 50), Model(1, 40122, 66), Model(203, 40190, 105)])
    assert [(block.address, block.count) for block in both.blocks] == [(40070, 52), (40190, 107)]
    assert [(block.address, block.count) for block in both.identity] == [(40124, 65)]
    small = Map([Model(203, 100, 105)], max_registers=40)
    assert all(block.count <= 40 for block in small.blocks)
    assert sum(block.count for block in small.blocks) == 107
    only = Map([Model(103, 40070, 50), Model(203, 40122, 105)], only=["W", "203.W"])
    assert [(block.address, block.count) for block in only.blocks] == [(40070, 75)]
    with pytest.raises(DecodeError, match=r"^nothing to read in this SunSpec device; its models: 1, 120$"):
        Map([Model(1, 0, 66), Model(120, 68, 26)], only=["W"])


def test_readings_of_another_map_are_refused() -> None:
    known = Map([Model(101, 40070, 50)])
    (block,) = known.blocks
    good = struct.pack(">HH", 101, 50) + bytes(100)
    assert all(isinstance(reading, Reading) for reading in known.checked(block.decode(good)))
    for header in ((103, 50), (101, 51)):
        with pytest.raises(DecodeError, match=r"^the SunSpec map has changed: (ID|L) at 4007[01] was \d+, is \d+$"):
            known.checked(block.decode(struct.pack(">HH", *header) + bytes(100)))


# Robustness


def answers(data: bytes, context: dict[str, str]) -> None:
    try:
        readings = decode_sunspec(data, context)
    except DecodeError as error:
        said = str(error)
    else:
        said = ""
        assert all(isinstance(reading, Reading) for reading in readings)
    assert "\n" not in said  # a refusal in one line is as good as readings here


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_truncations_and_byte_flips(vector: dict[str, Any]) -> None:
    data, random = bytes.fromhex(vector["input_hex"]), Random(1)
    context = {key: str(value) for key, value in vector["context"].items()}
    for n in range(len(data)):
        answers(data[:n], context)
        for byte in {0, 0xFF, 0x80, data[n] ^ 1, random.randrange(256)}:
            answers(data[:n] + bytes([byte]) + data[n + 1 :], context)


@given(st.binary(max_size=300), st.sampled_from([*MODELS, None, 120, 0]), st.booleans())
def test_any_bytes(data: bytes, model: int | None, marked: bool) -> None:
    context = {} if model is None else {"model": str(model)}
    answers((bytes.fromhex(MARKER) if marked else b"") + data, context)


@given(st.dictionaries(st.integers(40000, 40200), st.integers(0, 0xFFFF)), st.integers(0, 3))
def test_any_map_is_walked_to_an_end_or_refused(words: dict[int, int], models: int) -> None:
    try:
        found = walked(words | memory(40000, *[(103, 20)] * models, end=False))
    except DecodeError:
        return
    assert len(found) <= 100
    assert all(a.address < b.address for a, b in pairwise(found))
