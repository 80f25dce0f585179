"""When: a host whose wall clock is wrong, steps and is corrected, with a boot clock that is right."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import clock as clock_module
from gateway.clock import BUILD_DATE_NS, Clock
from gateway.reading import Stamp
from tests.examples import examples

S = 10**9
NOW = 1_795_000_000 * S  # some day in November 2026


class Host:
    """A host's clocks: `offset` is what the wall clock shows beyond the boot clock."""

    def __init__(self, offset: int = NOW, boot: int = 20 * S) -> None:
        self.offset, self.boot, self.synced, self.asked, self.tick = offset, boot, False, 0, 0
        self.CLOCK_BOOTTIME = 7
        self.when_asked = lambda: None

    def clock_gettime_ns(self, which: int) -> int:
        assert which == self.CLOCK_BOOTTIME
        self.boot += self.tick
        return self.boot

    def time_ns(self) -> int:
        self.boot += self.tick
        return self.boot + self.offset

    def is_synchronised(self) -> bool:
        self.asked += 1
        self.when_asked()
        return self.synced


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return install(Host(), monkeypatch)


def install(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(clock_module, "time", host)
    monkeypatch.setattr(clock_module, "_is_synchronised", host.is_synchronised)
    return host


def micro(ns: int) -> int:
    return ns // 1000


def test_a_stamp_holds_both_clocks_and_whether_the_wall_is_right(host: Host) -> None:
    clock = Clock()
    assert clock.stamp() == Stamp(NOW + 20 * S, 20 * S, False)
    host.synced, host.boot = True, 25 * S
    assert clock.stamp() == Stamp(NOW + 25 * S, 25 * S, True)


@pytest.mark.parametrize("step", [0, 1, 300, 999, 1000, 1500])
def test_no_two_stamps_share_a_microsecond_on_either_clock(host: Host, step: int) -> None:
    clock = Clock()
    stamps = []
    for _ in range(1000):
        stamps.append(clock.stamp())
        host.boot += step
    assert len({micro(s.wall) for s in stamps}) == 1000
    assert all(b.boot - a.boot >= 1000 for a, b in itertools.pairwise(stamps))
    assert all(b.wall > a.wall for a, b in itertools.pairwise(stamps))


def test_a_wall_clock_that_goes_backwards_is_followed(host: Host) -> None:
    clock = Clock()
    before = clock.stamp()
    host.boot += S
    host.offset -= 3600 * S
    assert clock.stamp().wall == before.wall - 3599 * S


@pytest.mark.parametrize("wall", [0, 10 * S, 2**28 * S - 1, BUILD_DATE_NS - 1])
def test_an_impossible_clock_is_lifted_to_the_build_date_and_not_trusted(host: Host, wall: int) -> None:
    host.offset, host.synced = wall - host.boot, True
    clock = Clock()
    first = clock.stamp()
    host.boot += S
    host.offset -= S
    second = clock.stamp()
    assert first.wall >= BUILD_DATE_NS
    assert second.wall - first.wall == S
    assert not first.synced


def test_a_sample_taken_too_early_is_corrected_by_the_boot_clock(host: Host) -> None:
    host.offset -= 86_400 * S  # a day slow after boot
    clock = Clock()
    early = clock.stamp()
    assert clock.placed(early, clock.boot_id) == (early.wall, False)  # sent before: marked
    host.boot += 90 * S
    host.offset, host.synced = NOW, True
    wall, trusted = clock.placed(early, clock.boot_id)
    assert (wall, trusted) == (NOW + early.boot, True)


def test_what_is_corrected_keeps_its_order_and_never_shares_a_time(host: Host) -> None:
    """Although reading two clocks takes some time, never quite the same."""
    host.offset -= 86_400 * S
    clock = Clock()
    stamps = [clock.stamp() for _ in range(200)]
    host.boot += 90 * S
    host.offset, host.synced = NOW, True
    walls = []
    for stamp in stamps:
        host.tick = (host.tick * 7 + 311) % 2003
        walls.append(clock.placed(stamp, clock.boot_id)[0])
    assert len({micro(w) for w in walls}) == 200
    assert walls == sorted(walls)


def test_of_another_boot_nothing_can_be_corrected(host: Host) -> None:
    host.synced = True
    clock = Clock()
    assert clock.placed(Stamp(NOW, 5 * S, False), "another boot") == (NOW, False)
    assert clock.placed(Stamp(NOW, 5 * S, True), "another boot") == (NOW, True)


def test_a_step_at_the_very_moment_of_stamping_leaves_no_wrong_time_trusted(host: Host) -> None:
    """The clock is set between our reading it and our asking whether it is right, or the other way round."""
    host.offset -= 86_400 * S

    def step() -> None:
        host.offset, host.synced = NOW, True

    host.when_asked = step
    clock = Clock()
    stamp = clock.stamp()
    assert not stamp.synced or stamp.wall >= NOW


def test_the_system_is_asked_once_a_second_until_synchronised_then_once_a_minute(host: Host) -> None:
    clock = Clock()
    for _ in range(50):
        clock.stamp()
        host.boot += S // 10
    assert host.asked == 5
    host.synced = True
    for _ in range(600):
        clock.stamp()
        host.boot += S // 10
    assert host.asked in (6, 7)
    host.synced = False
    host.boot += 60 * S
    assert not clock.stamp().synced


@examples(100)
@given(st.lists(st.tuples(st.integers(0, 3 * S), st.booleans()), max_size=40))
def test_placed_times_are_those_of_the_boot_clock(steps: list[tuple[int, bool]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        host = install(Host(offset=NOW - 7 * S), patch)
        clock, stamps = Clock(), []
        for gap, _ in steps:
            host.boot += gap
            stamps.append(clock.stamp())
        host.offset, host.synced = NOW, True
        host.boot += 2 * S
        assert [clock.placed(s, clock.boot_id) for s in stamps] == [(NOW + s.boot, True) for s in stamps]


def test_this_host_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    flag = tmp_path / "synchronized"
    monkeypatch.setattr(clock_module, "TIMESYNCD_FLAG", flag)
    assert clock_module._is_synchronised() in (True, False)  # the kernel's word
    flag.touch()
    assert clock_module._is_synchronised() is True
    clock = Clock()
    assert clock.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert clock.stamp().synced


@pytest.mark.parametrize(("answer", "expected"), [(0, True), (1, True), (4, True), (5, False), (-1, False)])
def test_the_kernels_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: int, expected: bool) -> None:
    """adjtimex(2): TIME_OK 0 … TIME_WAIT 4, TIME_ERROR 5, and -1 where it is forbidden."""
    import ctypes

    monkeypatch.setattr(clock_module, "TIMESYNCD_FLAG", tmp_path / "nothing")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(adjtimex=lambda _: answer))
    assert clock_module._is_synchronised() is expected
