"""When devices are asked within their period: links in step, 16 at an instant; devices of one link spread."""

from itertools import pairwise

import pytest

from gateway.device import phases


def test_few_links_keep_step() -> None:
    assert phases(["a", "b", "c"]) == [0, 0, 0]
    assert phases([None, None]) == [0, 0]


def test_devices_of_one_link_are_spread_over_the_period() -> None:
    assert phases(["bus"] * 4) == [0, 0.25, 0.5, 0.75]
    assert phases(["a", "bus", "bus", "b"]) == [0, 0, 0.5, 0]


@pytest.mark.parametrize("links", [1, 16, 17, 160, 1000])
def test_never_more_than_sixteen_links_at_one_instant(links: int) -> None:
    found = phases([f"l{i}" for i in range(links)])
    assert all(0 <= phase < 1 for phase in found)
    assert max(found.count(phase) for phase in set(found)) == min(links, 16)


def test_of_many_busses_too() -> None:
    links = [f"l{i % 20}" for i in range(60)]
    found = phases(links)
    assert max(found.count(phase) for phase in set(found)) == 16
    for link in set(links):
        mine = sorted(phase for phase, of in zip(found, links, strict=True) if of == link)
        assert [b - a for a, b in pairwise(mine)] == pytest.approx([1 / 3, 1 / 3])


def test_no_devices() -> None:
    assert phases([]) == []
