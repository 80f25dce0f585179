"""Sorted, disjoint ranges of whole numbers against one another: what is in both, what is only in the first. Pure.

A range is (first, last), both included. All take and return ranges in order; the work follows the number of ranges.
"""

from collections.abc import Iterable, Iterator

Ranges = list[tuple[int, int]]


def common(some: Iterable[tuple[int, int]], others: Iterable[tuple[int, int]]) -> Ranges:
    """The numbers that are in both."""
    return [(first, last) for first, last, both in _pieces(some, others) if both]


def without(some: Iterable[tuple[int, int]], others: Iterable[tuple[int, int]]) -> Ranges:
    """The numbers of `some` that are not in `others`."""
    return [(first, last) for first, last, both in _pieces(some, others) if not both]


def count(ranges: Iterable[tuple[int, int]]) -> int:
    """How many numbers."""
    return sum(last - first + 1 for first, last in ranges)


def _pieces(some: Iterable[tuple[int, int]], others: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, bool]]:
    """All of `some`, cut where it enters or leaves `others`, and whether the piece is in both."""
    rest = iter(others)
    low, high = next(rest, _NONE)
    for begin, last in some:
        first = begin
        while first <= last:
            while high < first:
                low, high = next(rest, _NONE)
            inside = low <= first
            end = min(last, high if inside else low - 1)
            yield first, end, inside
            first = end + 1


_NONE = (1 << 64, 1 << 64)  # beyond every number
