"""Reads against a second implementation that tries every way to cut a list of registers."""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from drivers.codecs.reads import Reads, Span
from drivers.codecs.register_map import Register
from drivers.codecs.registers import plan

Cuts = tuple[int, ...]


def allowed(spans: Sequence[Span], longest: int, max_gap: int, breaks: Sequence[int]) -> bool:
    """Whether one read may cover the spans; a span alone always may."""
    start, end = min(a for a, _ in spans), max(b for _, b in spans)
    if len(spans) == 1:
        return True
    covered = {i for a, b in spans for i in range(a, b)}
    gap = "".join("x" if i in covered else "." for i in range(start, end))
    return (
        end - start <= longest
        and "." * (max_gap + 1) not in gap
        and not any(start <= b - 1 and b <= end - 1 for b in breaks)
    )


def ways(spans: Sequence[Span], longest: int, max_gap: int, breaks: Sequence[int], reads: int) -> Iterator[list[Span]]:
    """The reads, (first address, behind the last), of every allowed way to cut the spans into so many."""
    for inner in combinations(range(1, len(spans)), reads - 1):
        parts = [spans[i:j] for i, j in pairwise((0, *inner, len(spans)))]
        if all(allowed(part, longest, max_gap, breaks) for part in parts):
            yield [(part[0][0], max(b for _, b in part)) for part in parts]


def equal_neighbours(reads: Sequence[Span], around: bool) -> int:
    sizes = [b - a for a, b in reads]
    return sum(a == b for a, b in pairwise(sizes)) + (around and len(sizes) > 2 and sizes[0] == sizes[-1])


@st.composite
def side_by_side(draw: st.DrawFn) -> list[Span]:
    """Registers of a table, none on top of another."""
    spans, at = [], 0
    for _ in range(draw(st.integers(1, 10))):
        at += draw(st.sampled_from([0, 0, 0, 1, 3]))
        size = draw(st.sampled_from([1, 1, 2, 4]))
        spans.append((at, at + size))
        at += size
    return spans


@given(side_by_side(), st.integers(4, 12), st.integers(0, 2), st.sets(st.integers(0, 40), max_size=3), st.booleans())
def test_the_fewest_reads_and_of_those_the_most_varied(
    spans: list[Span], longest: int, max_gap: int, breaks: set[int], around: bool
) -> None:
    ends = Reads(spans, longest, max_gap, sorted(breaks), lambda count: 2 * count).varied(around)
    parts = [spans[i:j] for i, j in pairwise([0, *ends])]
    assert [span for part in parts for span in part] == spans
    assert all(allowed(part, longest, max_gap, list(breaks)) for part in parts)
    for fewer in range(1, len(parts)):
        assert not list(ways(spans, longest, max_gap, list(breaks), fewer))
    told = [(part[0][0], part[-1][1]) for part in parts]
    best = min(equal_neighbours(way, around) for way in ways(spans, longest, max_gap, list(breaks), len(parts)))
    assert equal_neighbours(told, around) == best


def holding(count: int, words: int = 1) -> list[Register]:
    kind = {1: "uint16", 2: "float32"}[words]
    return [
        Register.model_validate({"name": f"r{i}", "table": "holding", "address": words * i, "type": kind})
        for i in range(count)
    ]


def counts(registers: list[Register], longest: int = 125, **more: int) -> list[int]:
    return [block.count for block in plan(registers, longest, **more)]


def test_one_of_two_equal_neighbours_is_made_shorter() -> None:
    assert counts(holding(237), 80) == [80, 79, 78]  # the third is followed by the first again
    assert counts(holding(5, words=2), 4) == [4, 4, 2]  # 4 2 4 would begin as it ends
    other = Register(name="x", table="input", address=0)
    assert counts([*holding(5, words=2), other], 4) == [4, 2, 4, 1]


def test_where_every_read_is_full_none_can_be_shorter() -> None:
    assert counts(holding(250)) == [125, 125]
    assert counts(holding(249)) == [125, 124]
    assert counts(holding(80, words=2), 80) == [80, 80]


def test_answers_of_bits_differ_in_bytes() -> None:
    coils = [Register(name=f"c{i}", table="coil", address=i) for i in range(3990)]
    sizes = [block.size for block in plan(coils)]
    assert len(sizes) == 2
    assert sizes[0] != sizes[1]


def test_no_read_crosses_a_break() -> None:
    lines = holding(10)
    whole = plan(lines)
    assert [(b.address, b.count) for b in whole] == [(0, 10)]
    without = [line for line in lines if line.address != 4]  # register 4 is bad: its start and its end are breaks
    breaks = [("holding", 4), ("holding", 5)]
    assert [(b.address, b.count) for b in plan(without, 125, 1, breaks)] == [(0, 4), (5, 5)]
    assert [(b.address, b.count) for b in plan(without, 125, 1)] == [(0, 10)]
    other = [("input", 4), ("input", 5)]
    assert [(b.address, b.count) for b in plan(lines, 125, 0, other)] == [(0, 10)]


def test_what_itself_lies_across_a_break_is_read_alone() -> None:
    lines = [
        Register.model_validate({"name": name, "table": "holding", "address": address, "type": kind})
        for name, address, kind in [("a", 0, "uint16"), ("wide", 1, "uint32"), ("low", 2, "uint16"), ("z", 3, "uint16")]
    ]
    assert [(b.address, b.count) for b in plan(lines, breaks=[("holding", 2)])] == [(0, 1), (1, 2), (2, 2)]
