"""Rule 14 by hand: what an audit must say of each number, from sequences written after the contract."""

import json
import tracemalloc
from typing import Any

import pytest

from gateway.audit import NAMED, Audit, Verdict

G, D, R = "pi-7", "meter-1", "8f3c1a77d02b"
NEXT = "0123456789ab"  # the run after R


def pack(*seqs: int, run: str = R, device: str = D, gateway: str = G, **head: Any) -> tuple[str, bytes]:
    """One pack of samples as the contract writes it."""
    records: list[dict[str, Any]] = []
    for seq in seqs:
        base = {"bn": f"{gateway}/{device}/", "bt": 1763636400.0 + seq % 10**6, "run": run, "seq": seq}
        records += [{**base, **head, "n": "voltage", "u": "V", "v": 230.2}, {"n": "relay", "vb": True}]
    return f"lab/{gateway}/{device}/data", json.dumps(records).encode()


def note(run: str = R, gateway: str = G, **said: Any) -> tuple[str, bytes]:
    return f"lab/{gateway}/ledger", json.dumps({"run": run, **said}).encode()


def drop(first: int, last: int, reason: str = "size limit", device: str = D) -> dict[str, Any]:
    return {"device": device, "from": first, "through": last, "reason": reason}


def status(run: str, state: str = "online", gateway: str = G, **more: Any) -> tuple[str, bytes]:
    return f"lab/{gateway}/status", json.dumps({"state": state, "run": run, **more}).encode()


def heard(*messages: tuple[str, bytes]) -> Audit:
    audit = Audit()
    for message in messages:
        audit.feed(*message)
    assert not audit.odd
    return audit


def verdict(audit: Audit, run: str = R, device: str = D, gateway: str = G) -> Verdict:
    return dict(audit.verdicts())[gateway, run, device]


def said(audit: Audit, run: str = R, device: str = D) -> dict[str, Any]:
    """The kinds that have numbers in them, and those."""
    found = verdict(audit, run, device)
    kinds = ("dropped", "at_risk", "on_the_way", "unexplained", "before")
    return {kind: getattr(found, kind) for kind in kinds if getattr(found, kind)}


# -- one verdict after the other


def test_all_received() -> None:
    found = verdict(heard(pack(1, done=0), pack(2, done=1), pack(3, done=2)))
    assert found.counts() == {**dict.fromkeys(found.counts(), 0), "received": 3}


def test_late_unsynced_and_duplicates_are_counted_by_the_first_copy() -> None:
    audit = heard(
        pack(1, done=0, clock="unsynced"),
        pack(1, done=0, late=True),
        pack(2, 3, done=0, late=True),
        pack(3, done=0, late=True, clock="unsynced"),
        pack(4, done=3, clock="device"),
    )
    found = verdict(audit)
    assert (found.received, found.duplicates, found.late, found.unsynced) == (4, 2, 2, 1)


def test_declared_is_dropped_even_below_done() -> None:
    audit = heard(
        pack(1, done=0),
        note(dropped=[drop(2, 4), drop(6, 6, "refused 0x99")]),
        pack(5, done=4),
        pack(7, done=6),
    )
    assert said(audit) == {"dropped": [(2, 4), (6, 6)]}
    assert verdict(audit).reasons == {"size limit": 3, "refused 0x99": 1}


def test_declared_and_received_is_received() -> None:
    """Refused by one connection, although the hub had it from another."""
    audit = heard(pack(1, done=0), pack(2, done=1), note(dropped=[drop(2, 3)]))
    assert said(audit) == {"dropped": [(3, 3)]}
    assert verdict(audit).reasons == {"size limit": 1}


def test_up_to_done_and_not_declared_is_unexplained() -> None:
    assert said(heard(pack(1, done=0), pack(4, done=3))) == {"unexplained": [(2, 3)]}


def test_above_done_it_is_on_the_way_while_the_run_lives() -> None:
    assert said(heard(pack(1, done=0), pack(5, done=3))) == {"unexplained": [(2, 3)], "on_the_way": [(4, 4)]}


def test_of_a_killed_run_what_was_not_kept_was_at_risk() -> None:
    audit = heard(pack(1, done=0), pack(6, done=1), note(ended="unclean", kept={D: 4}))
    assert said(audit) == {"on_the_way": [(2, 4)], "at_risk": [(5, 5)]}


def test_of_a_killed_run_what_was_kept_and_is_settled_is_unexplained() -> None:
    audit = heard(
        pack(1, done=0),
        pack(6, done=1),
        note(ended="unclean", kept={D: 4}),
        pack(2, late=True),
        note(settled=True),
    )
    assert said(audit) == {"unexplained": [(3, 4)], "at_risk": [(5, 5)]}


def test_done_beyond_kept_is_no_risk() -> None:
    audit = heard(pack(1, done=0), pack(9, done=6), note(ended="unclean", kept={D: 3}))
    assert said(audit) == {"unexplained": [(2, 6)], "at_risk": [(7, 8)]}


def test_kept_tells_of_samples_that_nobody_has_seen() -> None:
    audit = heard(pack(1, done=0), note(ended="unclean", kept={D: 3}))
    assert said(audit) == {"on_the_way": [(2, 3)]}
    audit.feed(*note(settled=True))
    assert said(audit) == {"unexplained": [(2, 3)]}


def test_of_a_clean_run_all_up_to_last_comes_or_is_unexplained() -> None:
    audit = heard(pack(1, done=0), pack(2, done=1), note(ended="clean", last={D: 4, "other": 0}))
    assert said(audit) == {"on_the_way": [(3, 4)]}
    assert said(audit, device="other") == {}
    audit.feed(*pack(4, late=True))
    audit.feed(*note(settled=True))
    assert said(audit) == {"unexplained": [(3, 3)]}


def test_a_run_that_ended_clean_is_never_at_risk() -> None:
    assert said(heard(pack(1, done=0), pack(3, done=0), note(ended="clean", last={D: 3}))) == {"on_the_way": [(2, 2)]}


def test_notes_come_twice_and_change_nothing() -> None:
    messages = (
        pack(1, done=0),
        note(dropped=[drop(2, 3)]),
        note(dropped=[drop(2, 4)]),
        note(ended="unclean", kept={D: 6}),
        note(settled=True),
    )
    assert said(heard(*messages)) == said(heard(*messages, *messages)) == {"dropped": [(2, 4)], "unexplained": [(5, 6)]}


def test_gateways_runs_and_devices_are_kept_apart() -> None:
    audit = heard(
        pack(1, done=0),
        pack(1, done=0, device="b"),
        pack(1, done=0, gateway="pi-8"),
        pack(1, run=NEXT, done=0),
        pack(3, done=2),
        note(NEXT, ended="clean", last={D: 2}),
        note(gateway="pi-8", ended="unclean", kept={D: 1}),
    )
    assert said(audit) == {"unexplained": [(2, 2)]}
    assert said(audit, device="b") == {}
    assert said(audit, run=NEXT) == {"on_the_way": [(2, 2)]}
    assert [key for key, _ in audit.verdicts()] == [(G, R, "b"), (G, R, D), (G, NEXT, D), ("pi-8", R, D)]


# -- what passed before we listened


def test_what_a_running_run_sent_before_is_before_the_audit() -> None:
    audit = heard(pack(4821, done=4820), pack(4823, done=4822))
    assert said(audit) == {"before": [(1, 4820)], "unexplained": [(4822, 4822)]}


def test_what_comes_from_disk_says_nothing_of_what_passed_live_before() -> None:
    """A backlog of 1 to 900 is under way when we begin, and 901 to 999 have passed live."""
    audit = heard(pack(500, done=499, late=True), pack(501, 502, done=500, late=True), pack(1000, done=502))
    audit.feed(*pack(1001, done=1000))
    assert said(audit) == {"before": [(1, 499), (503, 999)]}


def test_of_a_run_that_ended_before_nothing_is_said_but_what_was_declared() -> None:
    audit = heard(note(ended="unclean", kept={D: 9}), note(dropped=[drop(7, 8)]), pack(9, late=True))
    audit.feed(*note(settled=True))
    assert said(audit) == {"dropped": [(7, 8)], "before": [(1, 6)]}


def test_a_run_that_follows_one_we_heard_is_whole() -> None:
    """It is the next one of the same buffer file: nothing of it can have passed before."""
    audit = heard(
        pack(7, done=6),
        status(NEXT, previous={"run": R, "clean": False}),
        pack(3, run=NEXT, done=0, late=True),
        pack(4, run=NEXT, done=3),
    )
    assert said(audit, run=NEXT) == {"unexplained": [(1, 2)]}


@pytest.mark.parametrize(
    "first",
    [pack(7, late=True), status(R, "offline", reason="lost"), note(R, settled=True)],
    ids=["late", "will", "note"],
)
def test_what_a_dead_run_leaves_is_no_sign_of_life(first: tuple[str, bytes]) -> None:
    audit = heard(first, status(NEXT, previous={"run": R, "clean": False}), pack(4, run=NEXT, done=3))
    assert said(audit, run=NEXT) == {"before": [(1, 3)]}


@pytest.mark.parametrize("previous", [None, {"run": "ffffffffffff", "clean": True}])
def test_a_run_that_does_not_follow_may_have_begun_before(previous: dict[str, Any] | None) -> None:
    """Two gateways of one name, or a broker that forgot what it had retained."""
    audit = heard(pack(7, done=6), status(NEXT, previous=previous), pack(4, run=NEXT, done=3))
    assert said(audit, run=NEXT) == {"before": [(1, 3)]}


@pytest.mark.parametrize("known", [True, False])
def test_the_retained_status_is_no_news(known: bool) -> None:
    """A capture that does not know what was retained takes the first status for old, the second for news."""
    audit = Audit()
    audit.feed(*status(R), retained=True if known else None)
    audit.feed(*status(NEXT, previous={"run": R, "clean": True}), retained=False if known else None)
    audit.feed(*pack(4, run=NEXT, done=3))
    assert said(audit, run=NEXT) == {"before": [(1, 3)]}


# -- an interrupted connection


def test_what_passes_while_we_are_away_is_not_missing() -> None:
    audit = heard(pack(1, done=0), pack(4, done=1), pack(6, done=3))
    audit.interrupted()
    audit.feed(*pack(9, done=5, late=True))
    audit.feed(*pack(12, done=11))
    audit.feed(*pack(14, done=13))
    # 2 and 3 were proven before; 5 was on the way then; 13 is missing since.
    assert said(audit) == {"unexplained": [(2, 3), (13, 13)], "before": [(5, 5), (7, 8), (10, 11)]}


def test_what_was_at_risk_stays_at_risk() -> None:
    audit = heard(pack(1, done=0), pack(5, done=1), note(ended="unclean", kept={D: 3}))
    audit.interrupted()
    assert said(audit) == {"before": [(2, 3)], "at_risk": [(4, 4)]}
    audit.feed(*pack(2, late=True))
    audit.feed(*note(settled=True))
    assert said(audit) == {"before": [(3, 3)], "at_risk": [(4, 4)]}


def test_a_run_is_whole_only_without_interruption() -> None:
    audit = heard(pack(7, done=6), status(NEXT, previous={"run": R, "clean": False}))
    audit.interrupted()
    audit.feed(*pack(4, run=NEXT, done=3))
    assert said(audit, run=NEXT) == {"before": [(1, 3)]}
    audit.interrupted()
    audit.feed(*status("fedcba987654", previous={"run": NEXT, "clean": False}))
    audit.feed(*pack(4, run="fedcba987654", done=3))
    assert said(audit, run="fedcba987654") == {"before": [(1, 3)]}


def test_a_retained_status_that_comes_again_tells_of_an_interruption() -> None:
    audit = Audit()
    audit.feed(*status(R), retained=True)
    audit.feed(*pack(5, done=4))
    audit.feed(*pack(1, done=0, gateway="pi-8"))
    audit.feed(*status(R), retained=True)
    audit.feed(*pack(9, done=8))
    audit.feed(*pack(3, done=2, gateway="pi-8"))
    assert said(audit) == {"before": [(1, 4), (6, 8)]}
    assert verdict(audit, gateway="pi-8").unexplained == [(2, 2)]


# -- how a run ended


def test_how_runs_ended() -> None:
    audit = heard(
        status(R),
        pack(1, done=0),
        pack(1, run="a1", late=True),
        note("a2", ended="unclean", kept={}),
        note("a3", ended="clean", last={}),
        status(NEXT, previous={"run": R, "clean": True}),
        pack(1, run=NEXT, done=0),
    )
    runs = (R, "a1", "a2", "a3", NEXT)
    assert [audit.ended(G, run) for run in runs] == ["over", "over", "unclean", "clean", "open"]
    audit.feed(*status(NEXT, "offline", reason="lost"))
    assert audit.gateways[G].status is not None
    assert (audit.gateways[G].status.state, audit.gateways[G].status.reason) == ("offline", "lost")
    assert audit.ended(G, NEXT) == "lost"
    audit.feed(*status(NEXT, "offline", reason="stopped"))
    assert audit.ended(G, NEXT) == "stopped"


def test_a_forgotten_status_is_nothing() -> None:
    audit = heard((f"lab/{G}/status", b""))
    assert audit.gateways == {}


# -- what strangers publish

BASE: dict[str, Any] = {"bn": f"{G}/{D}/", "bt": 1763636400.1, "run": R, "seq": 1, "n": "x", "v": 1}


def wrong(**fields: Any) -> bytes:
    """A pack of one sample with other fields; None takes one out."""
    return json.dumps([{k: v for k, v in {**BASE, **fields}.items() if v is not None}]).encode()


WRONG = [
    ("meter-1/data", b"", "is not JSON"),
    ("meter-1/data", b'[{"bn":"pi-7/met', "is not JSON"),
    ("meter-1/data", b"\xff\xfe\x00", "is not JSON"),
    ("meter-1/data", b'[{"n":"\xff"}]', "is not JSON"),
    ("meter-1/data", b"21.5", "Expected array"),
    ("meter-1/data", b"{}", "Expected array"),
    ("meter-1/data", b"[]", "does not begin"),
    ("meter-1/data", b"[1]", "Expected object"),
    ("meter-1/data", b'[{"x":' + b"[" * 100_000, "nested too deep"),
    ("meter-1/data", json.dumps([BASE]).replace('"v": 1', '"v": NaN').encode(), "is not JSON"),
    ("meter-1/data", json.dumps([BASE]).replace('"v": 1', '"v": 1e999').encode(), "out of range"),
    ("meter-1/data", json.dumps([BASE]).replace('"seq": 1', '"seq": ' + "1" * 5000).encode(), "seq"),
    ("meter-1/data", wrong(seq=0), "seq"),
    ("meter-1/data", wrong(seq=-4), "seq"),
    ("meter-1/data", wrong(seq=2**53 + 1), "seq"),
    ("meter-1/data", wrong(seq="1"), "seq"),
    ("meter-1/data", wrong(seq=1.5), "seq"),
    ("meter-1/data", wrong(seq=True), "seq"),
    ("meter-1/data", wrong(seq=None), "without run, seq or bt"),
    ("meter-1/data", wrong(run=None), "without run, seq or bt"),
    ("meter-1/data", wrong(bt=None), "without run, seq or bt"),
    ("meter-1/data", wrong(bt=5), "bt"),
    ("meter-1/data", wrong(bt=1e300), "bt"),
    ("meter-1/data", wrong(done=-1), "done"),
    ("meter-1/data", wrong(late="yes"), "late"),
    ("meter-1/data", wrong(run="\x1b[31m"), "name of a run"),
    ("meter-1/data", wrong(run=""), "name of a run"),
    ("meter-1/data", wrong(bn="pi-7/meter-2/"), "names another device"),
    ("meter-1/data", wrong(bn=None), "names another device"),
    ("meter-1/data", wrong(n=None), "without name or value"),
    ("meter-1/data", wrong(v=None), "without name or value"),
    ("meter-1/data", wrong(v=[1]), ".v"),
    ("meter-1/data", json.dumps([{"n": "x", "v": 1}, BASE]).encode(), "does not begin"),
    ("m\x1b[31m/data", wrong(), "name of a device"),
    ("meter-1/data/x", wrong(), "no such topic"),
    ("meter-1", wrong(), "no such topic"),
    ("ledger", b"null", "Expected object"),
    ("ledger", b"{}", "run"),
    ("ledger", b'{"run":"a/b"}', "name of a run"),
    ("ledger", b'{"run":"a","ended":"badly"}', "clean or unclean"),
    ("ledger", b'{"run":"a","kept":{"d":-1}}', "kept or last"),
    ("ledger", b'{"run":"a","last":{"d":9007199254740993}}', "kept or last"),
    ("ledger", b'{"run":"a","kept":{"d/e":1}}', "name of a device"),
    ("ledger", b'{"run":"a","dropped":[{"device":"d","from":0,"through":3}]}', "range"),
    ("ledger", b'{"run":"a","dropped":[{"device":"d","from":4,"through":3}]}', "range"),
    ("ledger", b'{"run":"a","dropped":[{"device":"","from":1,"through":3}]}', "name of a device"),
    ("ledger", b'{"run":"a","dropped":[{"device":"d","from":1}]}', "through"),
    ("status", b"online", "is not JSON"),
    ("status", b'{"state":"online"}', "run"),
    ("status", b'{"state":"online","run":"a","held":{"samples":-1}}', "samples"),
    ("status", b'{"state":"online","run":"a","previous":{"run":"\\n","clean":true}}', "name of a run"),
]


@pytest.mark.parametrize(("topic", "payload", "what"), WRONG, ids=[f"{w[2]}-{n}" for n, w in enumerate(WRONG)])
def test_what_strangers_publish_is_counted_and_changes_nothing(topic: str, payload: bytes, what: str) -> None:
    audit = Audit()
    for _ in range(3):
        assert audit.feed(f"lab/{G}/{topic}", payload) is None
    (((where, said_of_it), times),) = audit.odd.items()
    assert (where, times) == (f"lab/{G}/{topic}", 3)
    assert what in said_of_it
    assert (audit.accounts, audit.runs) == ({}, {})


@pytest.mark.parametrize("name", ["", "a b", "-a", "ä", "a" * 65, "\x1b[2J", "a\n", "$SYS"])
def test_gateways_with_names_that_cannot_be(name: str) -> None:
    audit = Audit()
    audit.feed(f"lab/{name}/status", b'{"state":"online","run":"a"}')
    audit.feed(f"lab/{name}/d/data", wrong(bn=f"{name}/d/"))
    assert len(audit.odd) == 2
    assert not audit.gateways


def test_retained_data_is_not_labgates() -> None:
    audit = Audit()
    audit.feed(*pack(1), retained=True)
    assert [what for _, what in audit.odd] == ["retained, as labgate's data never is"]
    assert not audit.accounts


def test_a_run_that_ends_in_two_ways_ended_as_was_said_first() -> None:
    audit = Audit()
    for message in (pack(1, done=0), note(ended="unclean", kept={D: 1}), note(ended="clean", last={D: 3})):
        audit.feed(*message)
    assert [what for _, what in audit.odd] == [f"run {R} ended unclean and now clean"]
    assert audit.ended(G, R) == "unclean"
    assert said(audit) == {}


def test_kinds_of_nonsense_are_named_up_to_a_number_and_counted_beyond() -> None:
    audit = Audit()
    for n in range(NAMED + 7):
        audit.feed(f"lab/{G}/d{n}/data", b"x")
    audit.feed("lab/" + "x" * 10_000, b"x")
    audit.feed(f"lab/{G}/d0/data", b"x")
    assert (len(audit.odd), audit.odd.total(), audit.not_named) == (NAMED, NAMED + 1, 8)


def test_what_else_labgate_says_is_passed_over() -> None:
    audit = heard(*((f"lab/{G}/{D}/{kind}", b"whatever") for kind in ("meta", "status", "state", "set", "set/reply")))
    assert audit.elsewhere == 0


def test_other_prefixes() -> None:
    audit = Audit("site/lab")
    assert audit.feed(*pack(1)) is None
    topic, payload = pack(1, done=0)
    assert audit.feed(f"site/{topic}", payload) is not None
    assert (audit.elsewhere, len(audit.accounts), audit.odd.total()) == (1, 1, 0)


# -- bounds


def test_memory_follows_the_gaps_and_not_the_samples() -> None:
    """Ten thousand samples in blocks that come in the wrong order, every thousandth missing."""
    audit = heard(pack(1, done=0))
    blocks = [range(first, first + 100) for first in range(1, 10_001, 100)]
    tracemalloc.start()
    try:
        for block in [*blocks[::2], *blocks[1::2]]:
            audit.feed(*pack(*(seq for seq in block if seq % 1000), done=0, late=True))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert list(audit.accounts[G, R, D].received) == [(n + 1, n + 999) for n in range(0, 10_000, 1000)]
    assert used < 20_000  # bytes; a set of these numbers takes hundreds of thousands
    assert said(audit) == {"on_the_way": [(n, n) for n in range(1000, 10_000, 1000)]}


def test_a_number_out_of_all_proportion_costs_nothing() -> None:
    audit = heard(pack(1, done=0), pack(2**53, done=0), note(dropped=[drop(3, 2**52)]))
    assert said(audit) == {"dropped": [(3, 2**52)], "on_the_way": [(2, 2), (2**52 + 1, 2**53 - 1)]}
