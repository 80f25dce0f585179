"""Packs, read back by a SenML resolver written from RFC 8428 and RFC 9100 and by nothing of ours."""

import json
import math
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import payload
from gateway.errors import DecodeError
from gateway.reading import Reading
from tests.examples import examples

WALL = 1_763_636_400_123_456_789  # ns
HEAD: dict[str, Any] = {"gateway": "pi-7", "device": "meter-1", "run": "8f3c1a77d02b"}

# RFC 8798 section 3; a pack that holds one of these needs base version 26 (RFC 9100 section 4: 10 + 2**4).
SECONDARY = ["ms", "min", "h", "MHz", "kW", "kVA", "kvar", "Ah", "Wh", "kWh", "hPa", "mm", "cm", "km", "km/h", "ppm"]
PRIMARY = ["m", "kg", "A", "V", "W", "Cel", "%RH", "Pa", "Hz", "count", "lx", "/", "1/min", "J"]
FOREIGN = ["[g]", "mm[Hg]", "[degF]", "mol/l"]


def strict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({k for k, _ in pairs}) == len(pairs), f"a label twice in one record: {pairs}"
    return dict(pairs)


def records_of(pack: bytes) -> list[dict[str, Any]]:
    """The pack as JSON (RFC 8259: no NaN), every number as the decimal that is written there."""

    def constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    found = json.loads(pack, parse_float=Decimal, parse_constant=constant, object_pairs_hook=strict)
    assert isinstance(found, list)
    assert found
    return found


def resolve(pack: bytes) -> list[dict[str, Any]]:
    """Resolved records as RFC 8428 section 4.6 has it: base fields applied record by record, in order."""
    base: dict[str, Any] = {"bn": "", "bt": 0, "bver": 10}
    seen_version = None
    found = []
    for record in records_of(pack):
        for label in record:
            assert not label.endswith("_")  # 4.4: would have to be understood
            if label in ("bn", "bt", "bver"):
                base[label] = record[label]
        # 4.4: one version for the whole pack; a default that changes later would be a second one.
        assert seen_version in (None, base["bver"])
        seen_version = base["bver"]
        name = base["bn"] + record["n"]  # 4.5.1: letters, digits, "-:./_", beginning with letter or digit
        assert all(c.isascii() and (c.isalnum() or c in "-:./_") for c in name)
        assert name[0].isalnum()
        time = base["bt"] + record.get("t", 0)
        assert time >= 2**28  # 4.5.3: below it would be relative to now
        assert sum(label in record for label in ("v", "vs", "vb", "vd", "s")) == 1  # 4.2: exactly one here
        if record.get("u") in SECONDARY:
            assert base["bver"] == 26
        rest = {k: v for k, v in record.items() if k not in ("bn", "bt", "bver", "n", "t")}
        found.append({"n": name, "t": time, **rest})
    return found


def body_of(readings: list[Reading]) -> bytes:
    shape = payload.Shape()
    shape.learn(readings)
    return shape.encode(readings)


def inner(body: bytes, seq: int = 1, wall: int = WALL, **options: Any) -> bytes:
    head = {"wall_ns": wall, "trusted": True, "done": None, "late": False} | HEAD | options
    return payload.inner(seq=seq, body=body, **head)


def pack_of(readings: list[Reading], **options: Any) -> bytes:
    return payload.pack([inner(body_of(readings), **options)])


# -- the pack of the contract


def test_the_pack_of_the_contract() -> None:
    readings = [
        Reading("voltage", 230.2, "V"),
        Reading("energy", 1180.5, "kWh"),
        Reading("relay", True),
        Reading("mode", "heating"),
    ]
    pack = pack_of(readings, seq=4821, done=4820, wall=1_763_636_400_123_000_000)
    # The example of the contract, character by character but for white space.
    assert json.loads(pack) == json.loads(
        '[{"bn":"pi-7/meter-1/","bt":1763636400.123,"bver":26,"run":"8f3c1a77d02b","seq":4821,"done":4820,'
        '"n":"voltage","u":"V","v":230.2},{"n":"energy","u":"kWh","v":1180.5},{"n":"relay","vb":true},'
        '{"n":"mode","vs":"heating"}]'
    )


def test_head_stands_in_the_first_record_only_and_says_late_and_unsynced() -> None:
    first, second = records_of(pack_of([Reading("a", 1), Reading("b", 2)], seq=7, late=True, trusted=False, done=3))
    assert first == {
        "bn": "pi-7/meter-1/",
        "bt": Decimal("1763636400.123456"),
        "run": "8f3c1a77d02b",
        "seq": 7,
        "done": 3,
        "late": True,
        "clock": "unsynced",
        "n": "a",
        "v": 1,
    }
    assert second == {"n": "b", "v": 2}


def test_a_fresh_trusted_sample_of_an_earlier_run_has_no_done_late_or_clock() -> None:
    (record,) = records_of(pack_of([Reading("a", 1)]))
    assert not {"done", "late", "clock", "bver"} & record.keys()


@given(st.integers(2**28 * 10**9, 2**62))
def test_base_time_is_the_wall_clock_to_the_microsecond(wall: int) -> None:
    (record,) = resolve(pack_of([Reading("a", 1)], wall=wall))
    assert record["t"] == Decimal(wall // 1000).scaleb(-6)


# -- numbers, text, truth


@pytest.mark.parametrize("text", ["53.49", "0.1", "230.2", "-40.05", "1e-07", "0.30000000000000004", "5e-324"])
def test_a_float_is_written_with_the_digits_that_read_back(text: str) -> None:
    for others in ([], [Reading("truth", True)]):  # the fast way and the slow way
        record = resolve(pack_of([Reading("a", float(text)), *others]))[0]
        assert record["v"] == Decimal(text)


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**30 + 7])
def test_integers_beyond_the_doubles_keep_every_digit(value: int) -> None:
    for others in ([], [Reading("truth", True)]):
        record = resolve(pack_of([Reading("a", value), *others]))[0]
        assert record["v"] == value
    assert json.loads(payload.state_view(WALL, [Reading("a", value)]))["a"] == value


def test_an_exact_decimal_stays_exact() -> None:
    """The configuration's scales are Decimal, so a driver's product may be one."""
    for others in ([], [Reading("truth", True)]):
        readings: list[Any] = [Reading("a", Decimal("53.490000000000000001")), *others]
        assert resolve(pack_of(readings))[0]["v"] == Decimal("53.490000000000000001")
        gone: list[Any] = [Reading("a", Decimal("NaN")), *others]
        assert len(records_of(pack_of(gone))) == 1 if others else body_of(gone) == b""


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_available_is_left_out(value: float) -> None:
    record, other = resolve(pack_of([Reading("a", 1.5), Reading("b", value), Reading("c", 2)]))
    assert (record["n"], record["v"], other["n"], other["v"]) == ("pi-7/meter-1/a", Decimal("1.5"), "pi-7/meter-1/c", 2)


@pytest.mark.parametrize("readings", [[], [Reading("a", math.nan)], [Reading("a", math.inf), Reading("b", math.nan)]])
def test_a_read_without_any_value_is_no_sample(readings: list[Reading]) -> None:
    assert body_of(readings) == b""


def test_a_read_without_any_value_is_no_sample_also_after_a_good_one() -> None:
    shape = payload.Shape()
    for readings in ([Reading("a", 1.0)], [], [Reading("a", math.nan)], [Reading("a", 2.0)]):
        shape.learn(readings)
        assert (shape.encode(readings) != b"") == (readings != [] and readings[0].value == readings[0].value)


@pytest.mark.parametrize("value", [None, [1, 2], {"a": 1}, b"abc", 1j, object()])
def test_what_is_no_value_is_refused_in_words(value: Any) -> None:
    for others in ([], [Reading("truth", True)]):
        with pytest.raises(DecodeError, match=r"^dial: .* is no value"):
            body_of([Reading("dial", value), *others])


@pytest.mark.parametrize("others", [[], [Reading("n", 1)]])
def test_text_that_is_not_unicode_is_refused_in_words(others: list[Reading]) -> None:
    with pytest.raises(DecodeError, match="Unicode"):
        body_of([Reading("line", "a\udc80b"), *others])


def test_units_senml_secondary_ucum() -> None:
    readings = [Reading("p", 1, "Pa"), Reading("q", 2, "mm[Hg]"), Reading("r", 3)]
    assert [(r.get("u"), r.get("ucum")) for r in resolve(pack_of(readings))] == [
        ("Pa", None),
        (None, "mm[Hg]"),
        (None, None),
    ]


@pytest.mark.parametrize("unit", SECONDARY)
def test_a_secondary_unit_needs_base_version_26_wherever_it_stands(unit: str) -> None:
    pack = pack_of([Reading("a", 1, "V"), Reading("b", 2, unit)])
    assert records_of(pack)[0]["bver"] == 26
    assert resolve(pack)[1]["u"] == unit


def test_quality_stands_where_it_is_suspect() -> None:
    good, suspect = records_of(pack_of([Reading("a", 1), Reading("b", 2, quality="suspect")]))
    assert "q" not in good
    assert suspect["q"] == "suspect"


# -- whatever goes in comes out

names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}\Z")
units = st.one_of(st.none(), st.sampled_from(PRIMARY), st.sampled_from(SECONDARY), st.sampled_from(FOREIGN))
values = st.one_of(
    st.floats(),
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"])),
)
samples = st.lists(
    st.tuples(names, values, units, st.sampled_from(["good", "suspect"])), max_size=8, unique_by=lambda r: r[0]
).map(lambda rows: [Reading(*row) for row in rows])


def same(record: dict[str, Any], reading: Reading) -> bool:
    value, unit = reading.value, reading.unit
    if isinstance(value, bool):
        right = record.get("vb") is value
    elif isinstance(value, str):
        right = record.get("vs") == value
    elif isinstance(value, int):
        right = record["v"] == value and not isinstance(record["v"], Decimal)
    else:
        right = float(record["v"]) == value
    label = "ucum" if unit in FOREIGN else "u"
    return right and record.get(label) == unit and record.get("q", "good") == reading.quality


def available(reading: Reading) -> bool:
    return not isinstance(reading.value, float) or math.isfinite(reading.value)


@examples(150)
@given(samples)
def test_every_reading_comes_back_with_its_value_unit_and_quality(readings: list[Reading]) -> None:
    body, there = body_of(readings), [r for r in readings if available(r)]
    assert (body == b"") == (not there)
    if there:
        records = resolve(payload.pack([inner(body)]))
        assert [r["n"] for r in records] == [f"pi-7/meter-1/{r.name}" for r in there]
        assert all(same(record, reading) for record, reading in zip(records, there, strict=True))


@examples(50)
@given(st.lists(samples.filter(lambda s: any(map(available, s))), min_size=1, max_size=5))
def test_samples_joined_in_one_pack_each_keep_their_own_name_time_and_number(several: list[list[Reading]]) -> None:
    bodies = [body_of(readings) for readings in several]
    kept = [(i, b) for i, b in enumerate(bodies) if payload.same_version(bodies[0], b)]
    pack = payload.pack([inner(b, seq=i + 1, wall=WALL + i * 10**9, done=i) for i, b in kept])
    # Each sample restates what tells it from the others, in its first record, which carries a value.
    firsts = [r for r in records_of(pack) if "seq" in r]
    assert [(r["seq"], r["done"], r["bn"]) for r in firsts] == [(i + 1, i, "pi-7/meter-1/") for i, _ in kept]
    expected = [(i, r) for i, _ in kept for r in several[i] if available(r)]
    for record, (i, reading) in zip(resolve(pack), expected, strict=True):
        assert record["t"] == Decimal((WALL + i * 10**9) // 1000).scaleb(-6)
        assert record["n"] == f"pi-7/meter-1/{reading.name}"
        assert same(record, reading)


def test_samples_of_different_base_version_never_share_a_pack() -> None:
    plain, secondary = body_of([Reading("a", 1)]), body_of([Reading("a", 1, "kWh")])
    assert payload.same_version(plain, plain)
    assert payload.same_version(secondary, secondary)
    assert not payload.same_version(plain, secondary)
    assert not payload.same_version(secondary, plain)


def test_a_shape_is_learned_anew_when_names_or_units_change() -> None:
    shape = payload.Shape()
    shape.learn([Reading("a", 1, "V"), Reading("b", 2)])
    assert shape.matches([Reading("a", 5, "V"), Reading("b", True)])
    assert not shape.matches([Reading("a", 1, "kWh"), Reading("b", 2)])
    assert not shape.matches([Reading("a", 1, "V")])
    assert not shape.matches([])


# -- the view


@examples(100)
@given(samples)
def test_the_view_holds_every_value_that_is_available(readings: list[Reading]) -> None:
    view = json.loads(payload.state_view(WALL, [r for r in readings if r.name != "time"]), object_pairs_hook=strict)
    assert view.pop("time") == "2025-11-20T11:00:00.123Z"
    assert view == {r.name: r.value for r in readings if available(r) and r.name != "time"}


@given(st.integers(0, 4 * 10**18))
def test_times_for_people_are_utc_to_the_millisecond_never_in_the_future(wall: int) -> None:
    parsed = datetime.fromisoformat(payload.iso_time(wall))
    whole = int(parsed.timestamp()) * 1000 + parsed.microsecond // 1000
    assert whole == wall // 10**6
