"""When devices are asked: links in step, 16 at an instant; devices of one link spread; dead ones seldom."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from gateway.pace import Pace, phases


def often(links: Sequence[str | None]) -> list[float]:
    return phases([(link, 0.1) for link in links])


def test_few_links_keep_step() -> None:
    assert often(["a", "b", "c"]) == [0, 0, 0]
    assert often([None, None]) == [0, 0]


def test_links_that_are_asked_seldom_are_half_a_millisecond_apart() -> None:
    assert phases([("a", 1.0), ("b", 1.0), ("c", 10.0)]) == pytest.approx([0, 0.0005, 0.0001])


def test_devices_of_one_link_are_spread_over_the_period() -> None:
    assert often(["bus"] * 4) == [0, 0.25, 0.5, 0.75]
    assert often(["a", "bus", "bus", "b"]) == [0, 0, 0.5, 0]


@pytest.mark.parametrize("links", [1, 16, 17, 160, 1000])
def test_never_more_than_sixteen_links_at_one_instant(links: int) -> None:
    found = often([f"l{i}" for i in range(links)])
    assert all(0 <= phase < 1 for phase in found)
    assert max(found.count(phase) for phase in set(found)) == min(links, 16)


def test_of_many_busses_too() -> None:
    links = [f"l{i % 20}" for i in range(60)]
    found = often(links)
    assert max(found.count(phase) for phase in set(found)) == 16
    for link in set(links):
        mine = sorted(phase for phase, of in zip(found, links, strict=True) if of == link)
        assert [b - a for a, b in pairwise(mine)] == pytest.approx([1 / 3, 1 / 3])


def test_no_devices() -> None:
    assert phases([]) == []


def asked(pace: Pace, takes: float, unanswered: Callable[[int], int], times: int, now: float = 0.0) -> list[float]:
    """When it is asked if each question lasts so long."""
    found = []
    for n in range(times):
        found.append(now)
        now = max(now + takes, pace.next(now, now + takes, unanswered(n)))
    return found


def test_a_dead_device_is_asked_more_and_more_seldom() -> None:
    at = asked(Pace(0.1, False, 0.0), 0.05, lambda n: n + 1, 20)
    gaps = [b - a for a, b in pairwise(at)]
    assert gaps[:2] == pytest.approx([0.1, 0.1])
    assert gaps[2:7] == pytest.approx([1.1, 2.1, 4.1, 8.1, 10.1])  # the next point of the grid after the pause
    assert gaps[7:] == pytest.approx([10.1] * 12)


def test_a_dead_device_costs_others_on_its_link_less_than_a_twentieth_of_the_time() -> None:
    at = asked(Pace(1.0, False, 0.0), 2.0, lambda n: n + 1, 20)
    assert 2.0 / (at[-1] - at[-2]) < 0.05
    at = asked(Pace(1.0, True, 0.0), 2.0, lambda n: n + 1, 20)  # nobody else is there
    assert at[-1] - at[-2] <= 13


def test_a_device_that_answers_again_is_back_on_its_grid() -> None:
    at = asked(Pace(0.5, True, 0.0), 0.1, lambda n: n + 1 if n < 8 else 0, 12)
    assert [b - a for a, b in pairwise(at[8:])] == pytest.approx([0.5] * 3)
    assert at[-1] % 0.5 == pytest.approx(0)


@pytest.mark.parametrize(("takes", "full"), [(0.09, False), (0.105, False), (0.12, True), (0.3, True)])
def test_one_that_cannot_keep_up_is_known_by_what_it_achieves(takes: float, full: bool) -> None:
    pace = Pace(0.1, True, 0.0)
    asked(pace, takes, lambda n: 0, int(30 / max(takes, 0.1)))
    assert pace.full is full
    assert pace.achieved() == pytest.approx(1 / max(takes, 0.1), rel=0.03)


def test_one_that_was_dead_for_a_while_is_not_blamed_on_its_link() -> None:
    pace = Pace(0.1, True, 0.0)
    asked(pace, 0.05, lambda n: n + 1 if n < 9 else 0, 200)
    assert pace.full is False


@pytest.mark.parametrize("every", [0.1, 1.0])
def test_all_grids_are_in_step_whenever_they_were_begun(every: float) -> None:
    starts = (1000.013, 1000.057, 1000.091)
    found = [asked(Pace(every, True, now), 0.001, lambda n: 0, 5, now)[-1] % every for now in starts]
    spread = max(found) - min(found)
    assert min(spread, every - spread) < 1e-6
