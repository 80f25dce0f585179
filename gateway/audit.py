"""At the hub: what became of every sample, from what arrived there and nothing else. Pure.

The rule is number 14 of gateway/README.md. Memory follows the gaps in what arrived, not the samples.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.audit_messages import Place, Record, StatusBody, place, read_note, read_pack, read_status
from gateway.errors import DecodeError
from gateway.ledger import NoteBody, Spans
from gateway.ranges import Ranges, common, count, without

NAMED = 100  # kinds of what was not understood that are told apart; what comes beyond is only counted
COUNTED = (
    *("received", "duplicates", "dropped", "at_risk", "on_the_way", "unexplained", "late", "unsynced", "before"),
)

Key = tuple[str, str, str]  # gateway, run, device


@dataclass
class Gateway:
    """What is known of a gateway: its last status, its last run, and if that one was heard alive while we listened."""

    status: StatusBody | None = None
    run: str | None = None
    alive: str | None = None


@dataclass
class Run:
    """What is known of a run. `whole`: we listened before it began, so nothing of it can have passed unheard."""

    ended: str | None = None  # clean | unclean, as its note says
    settled: bool = False
    whole: bool = False


class Account:
    """What is known at the hub of one device in one run."""

    __slots__ = ("blind", "copies", "declared", "done", "hidden", "kept", "last", "late", "received", "unsynced")

    def __init__(self, whole: bool) -> None:
        self.received = Spans()
        self.copies = self.late = self.unsynced = 0  # all that came; of the first copies
        self.declared: dict[str, Spans] = {}  # by reason
        self.done = self.kept = self.last = 0
        self.hidden = Spans()  # what may have passed while we did not listen
        self.blind = None if whole else 1  # from this number on that is still open

    def take(self, head: Record) -> None:
        """One sample came."""
        seq = head.seq or 0
        self.copies += 1
        self.done = max(self.done, head.done)
        if seq not in self.received:
            self.received.add(seq)
            self.late += head.late
            self.unsynced += head.clock == "unsynced"
        # Live samples are sent in order, each once: when one comes, no later one can have passed before it.
        if self.blind is not None and not head.late:
            if seq > self.blind:
                self.hidden.add(self.blind, seq - 1)
            self.blind = None

    def highest(self) -> int:
        """The highest number that is known to have been taken."""
        told = [self.received, *self.declared.values()]
        return max(self.kept, self.last, *(last for spans in told for _, last in spans))


@dataclass(frozen=True)
class Verdict:
    """What is to be said of the samples of one device in one run, those that did not arrive by their numbers.

    `before` is what may have passed before this audit listened, or while its connection was interrupted.
    """

    received: int
    duplicates: int
    late: int  # of those received
    unsynced: int
    reasons: dict[str, int]  # why samples were dropped
    dropped: Ranges
    at_risk: Ranges
    on_the_way: Ranges
    unexplained: Ranges
    before: Ranges

    def counts(self) -> dict[str, int]:
        """How many of each kind of COUNTED."""
        found = {kind: getattr(self, kind) for kind in COUNTED}
        return {kind: count(many) if isinstance(many, list) else many for kind, many in found.items()}


class Audit:
    """Takes messages as they arrive, in that order, of all gateways below a topic prefix."""

    def __init__(self, prefix: str = "lab") -> None:
        self.prefix = prefix
        self.gateways: dict[str, Gateway] = {}
        self.runs: dict[tuple[str, str], Run] = {}  # gateway, run
        self.accounts: dict[Key, Account] = {}
        self.odd = Counter[tuple[str, str]]()  # topic, what is wrong with what came there
        self.not_named = 0  # more of those, beyond NAMED kinds
        self.elsewhere = 0  # messages that are not below the prefix
        self._places: dict[str, Place] = {}

    def feed(self, topic: str, payload: bytes, retained: bool | None = False) -> tuple[Place, list[Record]] | None:
        """One message. `retained`: it was kept by the broker and is not news; None where that is not known.

        Returns whose samples came and the first record of each, or None for what is no data. Never raises for what
        strangers publish: that is counted in `odd`.
        """
        try:
            where = self._places.get(topic) or place(self.prefix, topic)
            if where is None:
                self.elsewhere += 1
                return None
            match where.kind:
                case "data":
                    if retained:
                        raise DecodeError("retained, as labgate's data never is")
                    heads = read_pack(where, payload)
                    self._pack(where, heads)
                    self._places[topic] = where
                    return where, heads
                case "ledger":
                    self._note(where.gateway, read_note(payload))
                case "status" if payload:
                    self._status(where.gateway, read_status(payload), retained)
        except DecodeError as error:
            self.count_odd(topic, str(error))
        return None

    def interrupted(self, gateway: str | None = None) -> None:
        """Messages (of one gateway) may have passed that we did not get: what is on the way now may have come."""
        for key, account in self.accounts.items():
            if gateway in (None, key[0]):
                for first, last in self._judge(key, account).on_the_way:
                    account.hidden.add(first, last)
                if account.blind is None:
                    account.blind = account.highest() + 1
        for (of, _), run in self.runs.items():
            if gateway in (None, of):
                run.whole = False
        for name, found in self.gateways.items():
            if gateway in (None, name):
                found.alive = None

    def verdicts(self) -> Iterator[tuple[Key, Verdict]]:
        """What is to be said now, sorted by gateway, run in the order of hearing, and device."""
        order = {run: n for n, run in enumerate(self.runs)}
        for key in sorted(self.accounts, key=lambda key: (key[0], order[key[:2]], key[2])):
            yield key, self._judge(key, self.accounts[key])

    def ended(self, gateway: str, run: str) -> str:
        """clean or unclean, as its note says; until that comes, which is when the next run is there: open, stopped or
        lost as the gateway's status says, or over where another run has begun.
        """
        found = self.gateways[gateway]
        if (ended := self.runs[gateway, run].ended) is not None:
            return ended
        if found.run not in (None, run):
            return "over"
        if found.status is not None and found.status.run == run and found.status.state == "offline":
            return "stopped" if found.status.reason == "stopped" else "lost"
        return "open"

    def count_odd(self, topic: str, what: str) -> None:
        """Something that was not understood."""
        kind = (topic[:200], what[:200])
        if kind in self.odd or len(self.odd) < NAMED:
            self.odd[kind] += 1
        else:
            self.not_named += 1

    # -- what arrives -------------------------------------------------------------------------------------------

    def _pack(self, where: Place, heads: list[Record]) -> None:
        for head in heads:
            run = head.run or ""
            self._account(where.gateway, run, where.device).take(head)
            if not head.late:
                found = self.gateways[where.gateway]
                found.run = found.alive = run

    def _note(self, gateway: str, note: NoteBody) -> None:
        run = self._run(gateway, note.run)
        if note.ended is not None:
            if run.ended not in (None, note.ended):
                raise DecodeError(f"run {note.run} ended {run.ended} and now {note.ended}")
            run.ended = note.ended
        run.settled = run.settled or note.settled
        for entry in note.dropped:
            declared = self._account(gateway, note.run, entry.device).declared
            declared.setdefault(entry.reason, Spans()).add(entry.first, entry.through)
        for device, number in note.kept.items():
            account = self._account(gateway, note.run, device)
            account.kept = max(account.kept, number)
        for device, number in note.last.items():
            account = self._account(gateway, note.run, device)
            account.last = max(account.last, number)

    def _status(self, gateway: str, status: StatusBody, retained: bool | None) -> None:
        found = self.gateways.setdefault(gateway, Gateway())
        if retained and found.status is not None:  # whoever listened has subscribed anew
            self.interrupted(gateway)
        news = retained is False or (retained is None and found.status is not None)
        found.status, found.run = status, status.run
        if status.state != "online":
            return
        # The run before it, in the same buffer file, published while we listened: this one has begun since.
        began = news and status.previous is not None and status.previous.run == found.alive
        if began and (gateway, status.run) not in self.runs:
            self._run(gateway, status.run).whole = True
        if news:
            self._run(gateway, status.run)
            found.alive = status.run

    def _run(self, gateway: str, run: str) -> Run:
        self.gateways.setdefault(gateway, Gateway())
        return self.runs.setdefault((gateway, run), Run())

    def _account(self, gateway: str, run: str, device: str) -> Account:
        account = self.accounts.get((gateway, run, device))
        if account is None:
            account = self.accounts[gateway, run, device] = Account(self._run(gateway, run).whole)
        return account

    # -- rule 14 ------------------------------------------------------------------------------------------------

    def _judge(self, key: Key, account: Account) -> Verdict:
        run, highest = self.runs[key[:2]], account.highest()
        hidden = Spans(account.hidden)
        if account.blind is not None and account.blind <= highest:
            hidden.add(account.blind, highest)
        declared = Spans(span for spans in account.declared.values() for span in spans)
        missing = without([(1, highest)] if highest else [], account.received)
        dropped, missing = common(missing, declared), without(missing, declared)
        before, missing = common(missing, hidden), without(missing, hidden)
        done = [(1, account.done)]
        unexplained, missing = common(missing, done), without(missing, done)
        at_risk: Ranges = []
        if run.ended == "unclean":
            known = [(1, max(account.done, account.kept))]
            at_risk, missing = without(missing, known), common(missing, known)
        if run.settled:
            unexplained, missing = unexplained + missing, []  # these are above `done`, those were not
        received = count(account.received)
        return Verdict(
            received=received,
            duplicates=account.copies - received,
            late=account.late,
            unsynced=account.unsynced,
            reasons={reason: count(common(dropped, spans)) for reason, spans in account.declared.items()},
            dropped=dropped,
            at_risk=at_risk,
            on_the_way=missing,
            unexplained=unexplained,
            before=before,
        )
