"""Ranges against the dullest possible model: sets of numbers."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import Spans
from gateway.ranges import Ranges, common, count, without
from tests.examples import examples

RANGE = st.tuples(st.integers(1, 60), st.integers(0, 12)).map(lambda r: (r[0], r[0] + r[1]))
SETS = st.lists(RANGE, max_size=20).map(Spans)


def numbers(ranges: Spans | Ranges) -> list[int]:
    return [n for first, last in ranges for n in range(first, last + 1)]


@examples(300)
@given(SETS, SETS)
def test_both_and_only_the_first(some: Spans, others: Spans) -> None:
    a, b = set(numbers(some)), set(numbers(others))
    assert numbers(common(some, others)) == sorted(a & b)
    assert numbers(without(some, others)) == sorted(a - b)
    assert count(common(some, others)) == len(a & b)
    assert count(some) == len(a)


@examples(100)
@given(SETS, SETS)
def test_what_comes_out_can_go_in_again(some: Spans, others: Spans) -> None:
    for found in (common(some, others), without(some, others)):
        assert all(first <= last for first, last in found)
        assert all(before[1] < after[0] for before, after in itertools.pairwise(found))


def test_a_range_that_is_none_holds_nothing() -> None:
    assert common([(1, 5)], [(1, 0)]) == []
    assert without([(1, 5)], [(1, 0)]) == [(1, 5)]
    assert common([], [(1, 5)]) == without([], [(1, 5)]) == []
    assert without([(1, 2**53)], [(2**53, 2**53)]) == [(1, 2**53 - 1)]
