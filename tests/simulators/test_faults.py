"""Faults: when they strike, and what they are called. What they do on a wire: test_faulty_wire.py."""

from random import Random

import pytest

from simulators.faults import KINDS, Fault, Outcome, of_unit, parse_fault


def strikes(fault: Fault, requests: int, period: float = 0.01, seed: int = 0, start: float = 1000.0) -> list[int]:
    """Which of so many requests, counted from 1 and `period` seconds apart, were struck."""
    random, struck = Random(seed), []
    for number in range(1, requests + 1):
        outcome = Outcome()
        fault.apply(outcome, start + number * period, random)
        if outcome != Outcome():
            struck.append(number)
    assert (fault.seen, fault.struck) == (requests, len(struck))
    return struck


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ("every 3", [3, 6, 9]),
        ("after 7", [8, 9, 10]),
        ("for 2", [1, 2]),
        ("after 3 for 4", [4, 5, 6, 7]),
        ("for 4 after 3", [4, 5, 6, 7]),
        ("after 3 for 6 every 2", [5, 7, 9]),
        ("after 45ms", [6, 7, 8, 9, 10]),  # from the first request on, 10 ms apart
        ("for 25ms", [1, 2, 3]),
        ("after 45ms for 25ms", [6, 7, 8]),
        ("after 2 for 25ms", [3, 4, 5]),
        ("every 25ms", [4, 7, 10]),  # 10 ms apart
        ("after 3 every 25ms", [7, 10]),
        ("every 25ms for 45ms", [4]),
        ("100%", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ],
)
def test_when_a_fault_strikes(when: str, expected: list[int]) -> None:
    assert strikes(parse_fault(f"mute {when}"), 10) == expected


def test_a_share_is_seeded() -> None:
    struck = strikes(parse_fault("mute 5%"), 10_000)
    assert 400 < len(struck) < 600  # 500, standard deviation 22
    assert strikes(parse_fault("mute 5%"), 10_000) == struck
    assert strikes(parse_fault("mute 5%"), 10_000, seed=1) != struck
    both = strikes(parse_fault("mute every 2 50%"), 10_000)
    assert all(number % 2 == 0 for number in both)
    assert 2350 < len(both) < 2650  # 2500, standard deviation 35


def test_faults_work_together() -> None:
    outcome = Outcome()
    for text in ("late 200ms", "late 0.1s", "crc", "noise", "illegal 5", "illegal holding 0x10-0x1f", "drop mid"):
        parse_fault(text).apply(outcome, 0, Random(0))
    expected = Outcome(crc=True, noise=True, illegal=[(0, 5, 5), (3, 16, 31)], cut=True, hang_up=True)
    expected.delay = pytest.approx(0.3)
    assert outcome == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("silent", Outcome(silent=True)),
        ("mute", Outcome(silent=True)),
        ("late one", Outcome(hold=True)),
        ("late 1.5s", Outcome(delay=1.5)),
        ("late 2min", Outcome(delay=120)),
        ("stale", Outcome(stale=True)),
        ("exception 11", Outcome(exception=11)),
        ("short", Outcome(short=True)),
        ("crc", Outcome(crc=True)),
        ("cut", Outcome(cut=True)),
        ("foreign", Outcome(foreign="instead")),
        ("foreign first", Outcome(foreign="first")),
        ("noise", Outcome(noise=True)),
        ("drop", Outcome(drop=True)),
        ("illegal input 0-65535", Outcome(illegal=[(4, 0, 65535)])),
        ("illegal coil 7", Outcome(illegal=[(1, 7, 7)])),
        ("illegal discrete 7", Outcome(illegal=[(2, 7, 7)])),
    ],
)
def test_what_a_fault_does(text: str, expected: Outcome) -> None:
    outcome = Outcome()
    parse_fault(text).apply(outcome, 0, Random(0))
    assert outcome == expected


def test_every_kind_can_be_written_as_its_usage_says() -> None:
    for kind in KINDS.values():
        for usage in kind.usage.replace("[", "").replace("]", "").split("|"):
            assert parse_fault(usage if usage.startswith(kind.usage.split()[0]) else f"late {usage}").kind is kind


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no fault ''"),
        ("latte 5ms", "did you mean late?"),
        ("late", "wants a time, or 'one'"),
        ("late 5", "wants a time such as 200ms or 1.5s, not '5'"),
        ("late -5ms", "not '-5ms'"),
        ("late 5ms every", "every wants something after it"),
        ("late 5ms every 0", "every wants a whole number from 1"),
        ("late 5ms every 2 more", "more is not one of every 3"),
        ("mute 3", "mute says too much; write 'mute'"),
        ("mute for", "for wants something after it"),
        ("mute after soon", "after wants a time such as"),
        ("mute 0%", "wants a share such as 5%, not '0%'"),
        ("mute 101%", "not '101%'"),
        ("mute x%", "not 'x%'"),
        ("exception x", "wants an exception code from 1 to 255, not 'x'"),
        ("exception 256", "not '256'"),
        ("exception", "wants one exception code; write 'exception 2'"),
        ("illegal", "wants an address or a range"),
        ("illegal registers 5", "wants an address or a range"),
        ("illegal 7-5", "wants a range that goes up, not 7-5"),
        ("illegal 65536", "wants an address from 0 to 65535, not '65536'"),
        ("illegal 5-x", "not 'x'"),
        ("drop every x", "every wants a whole number"),
        ("drop now", "drop says too much; write 'drop [mid]'"),
        ("foreign last", "says too much"),
    ],
)  # fmt: skip
def test_faults_that_cannot_be(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="fault") as caught:
        parse_fault(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fault_of_one_unit() -> None:
    assert of_unit("unit 3: mute every 2") == (3, "mute every 2")
    assert of_unit("unit 255:late one") == (255, "late one")
    assert of_unit("mute") == (None, "mute")
