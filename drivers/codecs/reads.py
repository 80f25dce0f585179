"""Which registers are read together: the fewest reads, and neighbouring reads of different length where that is free.

An RTU answer does not say which request it belongs to. A late one is known by its byte count when the request that
went out meanwhile asks for another number of bytes.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

CHOICES = 6  # ends looked at for each read: the latest and the five before it

Span = tuple[int, int]  # first address, and the first behind the last


@dataclass(frozen=True)
class Reads:
    """What one table's reads must cover, and keep to.

    `spans` sorted; `longest` addresses a read may have; `max_gap` addresses in a row nobody asked for that it may
    span; `breaks` sorted, addresses it may not cross; `size` the data bytes of an answer with so many addresses.
    """

    spans: Sequence[Span]
    longest: int
    max_gap: int
    breaks: Sequence[int]
    size: Callable[[int], int]

    def runs(self, first: int) -> Iterator[tuple[int, int]]:
        """Every read that begins with span `first`: (index behind its last span, its addresses)."""
        start, end = self.spans[first]
        yield first + 1, end - start
        at = bisect_right(self.breaks, start)
        limit = self.breaks[at] if at < len(self.breaks) else 65536
        for i in range(first + 1, len(self.spans)):
            begin, behind = self.spans[i]
            if begin - end > self.max_gap or max(end, behind) > min(limit, start + self.longest):
                return
            end = max(end, behind)
            yield i + 1, end - start

    def fewest(self) -> list[int]:
        """Indices behind the last span of each read, each read as long as it may be."""
        ends = [0]
        while ends[-1] < len(self.spans):
            *_, (last, _) = self.runs(ends[-1])
            ends.append(last)
        return ends[1:]

    def varied(self, around: bool) -> list[int]:
        """As `fewest`, ended earlier here and there so that neighbours differ in size, with no further read.

        `around`: the last read is followed by the first one again.
        """
        ends = self.fewest()
        sizes = [self.size(self._count(i, j)) for i, j in pairwise([0, *ends])]
        if all(a != b for a, b in pairwise(sizes + sizes[:1] * (around and len(sizes) > 1))):
            return ends
        # (end, size of this read, size of the first) -> (equal neighbours so far, ends so far)
        ways: dict[tuple[int, int, int], tuple[int, tuple[int, ...]]] = {(0, 0, 0): (0, ())}
        for k, latest in enumerate(ends):
            choices = self._earlier(ends[k - 1] if k else 0, latest) if k < len(ends) - 1 else (latest,)
            further: dict[tuple[int, int, int], tuple[int, tuple[int, ...]]] = {}
            for (at, before, first), (equal, taken) in ways.items():
                reach = {j: self.size(count) for j, count in self.runs(at)} if at < len(self.spans) else {}
                for end in choices:
                    if (size := reach.get(end)) is None:
                        continue
                    again = around and k == len(ends) - 1 and k > 1 and size == first
                    way = (equal + (size == before) + again, (*taken, end))
                    key = (end, size, first or size)
                    if key not in further or way[0] < further[key][0]:
                        further[key] = way
            ways = further
        return list(min(ways.values(), key=lambda way: way[0])[1])

    def _count(self, first: int, behind: int) -> int:
        return max(end for _, end in self.spans[first:behind]) - self.spans[first][0]

    def _earlier(self, first: int, latest: int) -> tuple[int, ...]:
        """Where a read that may go from `first` to `latest` could end too: no span cut, every size once."""
        found, sizes = [latest], {self.size(self._count(first, latest))}
        for end in range(latest - 1, first, -1):
            count = self._count(first, end)
            clean = self.spans[first][0] + count <= self.spans[end][0]
            if clean and (size := self.size(count)) not in sizes:
                sizes.add(size)
                found.append(end)
                if len(found) == CHOICES:
                    break
        return tuple(found)
