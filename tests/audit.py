"""Rule 14 and nothing else: an auditor at the hub, who knows only what arrived on `data` and `ledger`.

Written from the contract, with sets of numbers; shares no code with the gateway.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass
class Account:
    """What is known at the hub of one device in one run."""

    received: dict[int, list[dict[str, object]]] = field(default_factory=dict)  # seq -> records of the first copy
    copies: int = 0
    declared: dict[int, str] = field(default_factory=dict)  # seq -> reason
    done: int = 0
    kept: int = 0
    last: int = 0

    def verdicts(self, ended: str | None, settled: bool) -> dict[int, str]:
        """What is to be said of each number that is missing."""
        highest = max([*self.received, *self.declared, self.kept, self.last, 0])
        found = {}
        for seq in set(range(1, highest + 1)) - self.received.keys():
            if seq in self.declared:
                found[seq] = "dropped"
            elif seq <= self.done:
                found[seq] = "UNEXPLAINED"
            elif ended == "unclean" and seq > max(self.done, self.kept):
                found[seq] = "at risk"
            elif settled:
                found[seq] = "UNEXPLAINED"
            else:
                found[seq] = "on the way"
        return found


class Auditor:
    """Takes packs and notes as they arrive, in that order."""

    def __init__(self) -> None:
        self.accounts: dict[tuple[str, str], Account] = defaultdict(Account)  # (run, device)
        self.ended: dict[str, str] = {}  # run -> clean | unclean
        self.settled: set[str] = set()

    def pack(self, payload: bytes) -> list[tuple[str, str, int, bool, dict[str, object]]]:
        """Returns (run, device, seq, whether it is the first copy, first record) of each sample in it."""
        samples: list[list[dict[str, object]]] = []
        for record in json.loads(payload):
            if "bn" in record:
                samples.append([])
            samples[-1].append(record)
        found = []
        for records in samples:
            head = records[0]
            run, seq, device = str(head["run"]), int(str(head["seq"])), str(head["bn"]).split("/")[1]
            account = self.accounts[run, device]
            account.copies += 1
            account.done = max(account.done, int(str(head.get("done", 0))))
            first = seq not in account.received
            if first:
                account.received[seq] = records
            found.append((run, device, seq, first, head))
        return found

    def note(self, payload: bytes) -> None:
        said = json.loads(payload)
        run = said["run"]
        for entry in said.get("dropped", []):
            for seq in range(entry["from"], entry["through"] + 1):
                self.accounts[run, entry["device"]].declared[seq] = entry["reason"]
        if "ended" in said:
            assert self.ended.setdefault(run, said["ended"]) == said["ended"], "a run ends once"
        for kind in ("kept", "last"):
            for device, number in said.get(kind, {}).items():
                setattr(self.accounts[run, device], kind, number)
        if said.get("settled"):
            self.settled.add(run)

    def verdicts(self) -> dict[tuple[str, str], dict[int, str]]:
        return {
            (run, device): account.verdicts(self.ended.get(run), run in self.settled)
            for (run, device), account in self.accounts.items()
        }

    def unexplained(self) -> list[tuple[str, str, int]]:
        return [(*key, seq) for key, said in self.verdicts().items() for seq in said if said[seq] == "UNEXPLAINED"]
