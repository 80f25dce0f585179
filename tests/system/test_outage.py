"""Real processes, real kills: what the devices gave against what came to the hub.

The simulator's own record is the truth. Nothing it gave may be missing at the hub, but for samples that a killed
gateway had not yet written: unconfirmed, younger than `commit_every`, and the ledger says that the run ended unclean.
"""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.rig import SECOND, Rig, Setup, now
from tests.real_broker import program

COMMIT_EVERY = 1.0  # s, the default
AWAY = 3.0  # s


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    program("mosquitto")
    found = Rig(tmp_path, Setup(devices=3, every="50ms", registers=4, truth=True))
    yield found
    found.close()


def seqs(rig: Rig, run: str) -> dict[int, list[int]]:
    """Device -> the numbers of its samples of one run that came."""
    found: dict[int, list[int]] = {}
    for (device, _), (of, seq, _, _) in rig.samples().items():
        if of == run:
            found.setdefault(device, []).append(seq)
    return found


def runs(rig: Rig) -> list[str]:
    """The runs that samples came of, in the order in which they came."""
    came = sorted(rig.samples().values(), key=lambda sample: sample[3])
    return list(dict.fromkeys(run for run, _, _, _ in came))


def test_broker_absent_at_start(rig: Rig) -> None:
    rig.start_daemon()
    deadline = time.monotonic() + 20
    while len(rig.truth(now())) < 60:
        assert time.monotonic() < deadline, rig.log()
    listened = rig.start_hub()
    live = rig.wait_live()["live"]
    assert rig.unheard() == {}
    assert (live - listened) / SECOND < 5  # the bench says how fast; here the machine may be busy
    (run,) = runs(rig)
    for numbers in seqs(rig, run).values():
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert any(late for _, _, late, _ in rig.samples().values())


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_broker_gone_and_back(rig: Rig, sig: signal.Signals) -> None:
    rig.start_hub()
    rig.start_daemon()
    rig.wait_live()
    rig.broker.stop(sig)
    gone = now()
    time.sleep(AWAY)
    back = rig.broker.start()
    rig.wait_live()
    assert rig.unheard() == {}
    given, came = rig.truth(now()), rig.samples()
    away = [key for key, at in given.items() if gone < at < back - COMMIT_EVERY * SECOND]
    assert len(away) > 60  # devices were asked all the time
    assert all(came[key][2] for key in away), "what comes from disk is marked late"
    assert len(runs(rig)) == 1


def test_gateway_killed_while_the_broker_is_away(rig: Rig) -> None:
    rig.start_hub()
    daemon = rig.start_daemon()
    rig.wait_live()
    rig.broker.stop(signal.SIGKILL)
    gone = now()
    time.sleep(AWAY)
    daemon.end(signal.SIGKILL)
    killed = now()
    rig.start_daemon()
    rig.broker.start()
    rig.wait_live()
    lost = rig.unheard()
    # Half a second for a busy machine; how sharp the promise is kept is measured by tests/bench.
    assert all(killed - at < (COMMIT_EVERY + 0.5) * SECOND for at in lost.values())
    kept = [key for key, at in rig.truth(killed).items() if gone < at < killed and key not in lost]
    assert len(kept) > 20  # most of the outage was on disk
    first, second = runs(rig)
    assert rig.hub
    (note,) = [n for n in rig.hub.ask("ledger") if "ended" in n]
    assert (note["run"], note["ended"]) == (first, "unclean")
    for device, numbers in seqs(rig, first).items():  # all that was kept, and what had been confirmed before
        assert sorted(numbers) == list(range(1, note["kept"][f"d{device}"] + 1))
    for numbers in seqs(rig, second).values():
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
