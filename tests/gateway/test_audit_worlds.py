"""The audit against the other one (tests/audit.py): on any messages, and on random lives of the real gateway.

What arrives is judged alike after each message. Of a gateway that keeps the rules nothing is ever called UNEXPLAINED,
whenever the audit begins and however often it is cut off; bugs are planted, too, and the audit must find each.
"""

import contextlib
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import Audit
from gateway.buffer import Buffer
from gateway.reading import Class, Stamp
from gateway.rows import Commit
from gateway.store import Store
from tests.audit import Auditor
from tests.examples import LONG, examples
from tests.gateway import test_books_model as model
from tests.rig import GATEWAY, Hub, Life, Publish, Session

Judged = dict[tuple[str, str], dict[int, str]]  # (run, device) -> seq -> what is said of it
KINDS = {"dropped": "dropped", "at_risk": "at risk", "on_the_way": "on the way", "unexplained": "UNEXPLAINED"}


def status(run: str, previous: str) -> tuple[str, bytes]:
    said = {"state": "online", "run": run, "previous": {"run": previous, "clean": False}}
    return f"lab/{GATEWAY}/status", json.dumps(said).encode()


def judged(audit: Audit) -> Judged:
    found: Judged = {}
    for (_, run, device), verdict in audit.verdicts():
        assert not verdict.before
        here = found[run, device] = {}
        for kind, word in KINDS.items():
            numbers = [n for first, last in getattr(verdict, kind) for n in range(first, last + 1)]
            assert not here.keys() & set(numbers)
            here.update(dict.fromkeys(numbers, word))
    return found


# -- any messages

RUNS, DEVICES = ("run-001", "run-002"), ("a", "b")
NUMBER = st.integers(1, 15)
HEAD = st.fixed_dictionaries({"seq": NUMBER, "done": st.integers(0, 12), "late": st.booleans()})
BOOK = st.dictionaries(st.sampled_from(DEVICES), st.integers(0, 15))
DROP = st.tuples(st.sampled_from(DEVICES), NUMBER, st.integers(0, 4), st.sampled_from(["size limit", "damaged"]))


def a_pack(run: str, device: str, heads: list[dict[str, Any]]) -> tuple[str, bytes]:
    base = {"bn": f"{GATEWAY}/{device}/", "bt": 1763636400.5, "run": run, "n": "x", "v": 1}
    return f"lab/{GATEWAY}/{device}/data", json.dumps([{**base, **head} for head in heads]).encode()


def a_note(run: str, **said: Any) -> tuple[str, bytes]:
    return f"lab/{GATEWAY}/ledger", json.dumps({"run": run, **said}).encode()


@st.composite
def messages(draw: st.DrawFn) -> list[tuple[str, bytes]]:
    """Packs and notes in any order, that no gateway would send; but a run ends once."""
    possible = []
    for run in RUNS:
        ended = draw(
            st.sampled_from([{"ended": "clean", "last": draw(BOOK)}, {"ended": "unclean", "kept": draw(BOOK)}])
        )
        possible += [st.just(a_note(run, **ended)), st.just(a_note(run, settled=True))]
        packs = st.builds(a_pack, st.just(run), st.sampled_from(DEVICES), st.lists(HEAD, min_size=1, max_size=3))
        drops = st.lists(DROP, min_size=1, max_size=2).map(
            lambda drops, run=run: a_note(
                run, dropped=[{"device": d, "from": n, "through": n + more, "reason": why} for d, n, more, why in drops]
            )
        )
        possible += [packs, packs, packs, drops]
    return draw(st.lists(st.one_of(possible), max_size=25))


@examples(300)
@given(messages())
def test_both_audits_say_the_same_of_any_messages(said: list[tuple[str, bytes]]) -> None:
    audit, other = Audit(), Auditor()
    for n in (0, 1, 2):
        audit.feed(*status(f"run-{n:03}", f"run-{n - 1:03}"))
    for topic, payload in said:
        audit.feed(topic, payload)
        (other.pack if topic.endswith("/data") else other.note)(payload)
        assert judged(audit) == other.verdicts()
    assert not audit.odd
    for (_, run, device), verdict in audit.verdicts():
        account = other.accounts[run, device]
        assert verdict.received == len(account.received)
        assert verdict.duplicates == account.copies - len(account.received)
        assert verdict.late == sum(bool(records[0]["late"]) for records in account.received.values())


# -- real lives


class Heard:
    """What came to the hub of each world, with the status that a gateway publishes when it connects."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.said: dict[int, list[tuple[str, bytes]]] = {}
        self.audits: dict[int, Audit] = {}  # they listen from the first message on, and hear of every run that begins
        self.disagreed = 0
        hear, begin, opened = Hub.hear, model.World._begin, Session.__init__

        def both(hub: Hub, p: Publish) -> None:
            self.said[id(hub)].append((p.topic, p.payload))
            self.audits[id(hub)].feed(p.topic, p.payload)
            hear(hub, p)
            self.disagreed += judged(self.audits[id(hub)]) != hub.auditor.verdicts()

        async def announced(world: model.World) -> Life:
            if world.runs == 0:
                self.said[id(world.hub)], self.audits[id(world.hub)] = [], Audit()
                self.audits[id(world.hub)].feed(*status("run-000", "none"))
            self.audits[id(world.hub)].feed(*status(f"run-{world.runs + 1:03}", f"run-{world.runs:03}"))
            return await begin(world)

        def connected(session: Session, hub: Hub) -> None:
            opened(session, hub)
            now = int(hub.lives[-1].run_id.removeprefix("run-"))
            self.said[id(hub)].append(status(f"run-{now:03}", f"run-{now - 1:03}"))

        patch.setattr(Hub, "hear", both)
        patch.setattr(model.World, "_begin", announced)
        patch.setattr(Session, "__init__", connected)


def late_audit(said: list[tuple[str, bytes]], begin: int, cuts: list[tuple[int, int]]) -> Audit:
    """One that listens from message `begin` on, and misses the cuts. It hears what is retained when it subscribes."""
    audit, cut = Audit(), False
    for n in range(begin, len(said)):
        if any(first <= n < last for first, last in cuts):
            cut = True
            continue
        if n == begin or cut:
            if cut:
                audit.interrupted()
            cut = False
            for topic, payload in [m for m in said[:n] if m[0].endswith("/status")][-1:]:
                audit.feed(topic, payload, retained=True)
        audit.feed(*said[n])
    return audit


@pytest.mark.parametrize("batch", range(30 if LONG else 1))
def test_both_audits_agree_and_nothing_good_is_unexplained(
    batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, r = Heard(monkeypatch), random.Random(batch)
    worlds = model.run_worlds(range(100 + 8 * batch, 108 + 8 * batch), tmp_path, monkeypatch)
    assert heard.disagreed == 0
    before = 0
    for world in worlds:
        said = heard.said[id(world.hub)]
        assert said
        assert not heard.audits[id(world.hub)].odd
        for _ in range(40):
            cuts = [(n, n + r.randint(1, 30)) for n in r.sample(range(len(said)), r.choice([0, 0, 1, 2, 5]))]
            audit = late_audit(said, r.randrange(len(said)), cuts)
            for (_, run, device), verdict in audit.verdicts():
                assert not verdict.unexplained, (world.seed, run, device)
                before += bool(verdict.before)
                whole = world.hub.auditor.accounts[run, device]
                assert verdict.received <= len(whole.received)
    assert before  # they did begin in the middle


# -- planted bugs


def a_sample_vanishes_in_the_tail(patch: pytest.MonkeyPatch) -> None:
    take, count = Buffer.take, iter(range(10**9))

    def wrong(b: Buffer, device: str, stamp: Stamp, klass: Class, body: bytes, burst: bool = False) -> int:
        if next(count) % 7 == 5 and device in b.books:
            return b.books[device].take()  # numbered, and never seen again
        return take(b, device, stamp, klass, body, burst)

    patch.setattr(Buffer, "take", wrong)


def a_committed_row_vanishes(patch: pytest.MonkeyPatch) -> None:
    commit, count = Store.commit, iter(range(10**9))

    async def wrong(store: Store, c: Commit) -> None:
        await commit(store, c)
        if c.rows and next(count) % 3 == 1:
            await commit(store, Commit(delete_rows=[c.rows[0].id]))

    patch.setattr(Store, "commit", wrong)


def rows_are_deleted_without_puback(patch: pytest.MonkeyPatch) -> None:
    model.confirmed_when_the_connection_is_lost(patch)


BUGS = [
    a_sample_vanishes_in_the_tail,
    a_committed_row_vanishes,
    rows_are_deleted_without_puback,
    model.deleted_before_it_is_confirmed,
    model.the_note_is_forgotten,
    model.kept_is_more_than_was_written,
]


async def settle_anyhow(world: model.World, life: Life) -> None:
    """All is well again, as far as a gateway with a bug can be."""
    world.failing, world.hub.refuses, world.hub.automatic = 0, None, True
    for again in (True, True, False):
        with contextlib.suppress(TimeoutError):
            await world.hub.until(lambda: world.hub.lives[-1].idle, 0.3)
        await world.hub.lives[-1].stop()
        if again:
            await world._begin()


def unexplained(audits: Iterable[Audit]) -> bool:
    return any(verdict.unexplained for audit in audits for _, verdict in audit.verdicts())


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_unexplained(
    plant: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what came to the hub alone: whatever else would notice is switched off."""
    plant(monkeypatch)
    monkeypatch.setattr(Life, "check", lambda life: None)
    monkeypatch.setattr(Hub, "expect", lambda hub, condition, what: None)
    monkeypatch.setattr(model.World, "_settle", settle_anyhow)
    monkeypatch.setattr(model.World, "_audit", lambda world: None)
    for seeds in (range(4), range(4, 16), range(16, 40)):
        with monkeypatch.context() as patch:
            heard = Heard(patch)
            with contextlib.suppress(KeyError, TimeoutError):  # a gateway with a bug may break by itself
                model.run_worlds(seeds, tmp_path, patch)
        assert heard.disagreed == 0
        late = [late_audit(said, 3, []) for said in heard.said.values()]
        if unexplained(heard.audits.values()) and unexplained(late):
            return
    pytest.fail("40 worlds did not find it")
