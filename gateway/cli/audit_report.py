"""What an audit says at its end: a line a device, sums, and one verdict; or the same as JSON objects."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from gateway.audit import COUNTED, Audit, Gateway, Verdict
from gateway.cli.show import plural, printable, table
from gateway.ranges import Ranges

_NOTABLE = ("dropped", "at_risk", "on_the_way", "unexplained", "unsynced")
_HEADS = ("RECEIVED", "DUPLICATES", "DROPPED", "AT RISK", "ON THE WAY", "UNEXPLAINED", "LATE", "UNSYNCED", "BEFORE")
_ENDED = {"open": "runs", "unclean": "killed"}
_FEW = 10  # ranges, or kinds of nonsense, that are named in one place
_KINDS = ("dropped", "at_risk", "on_the_way", "unexplained", "before")


def sums(audit: Audit) -> dict[str, int]:
    """Over all gateways, runs and devices."""
    found = dict.fromkeys(COUNTED, 0)
    for _, verdict in audit.verdicts():
        for kind, many in verdict.counts().items():
            found[kind] += many
    return found


def json_rows(audit: Audit) -> Iterator[dict[str, Any]]:
    """An object for each gateway, run and device; ranges of numbers as [first, last]; at the end one with the sums."""
    for (gateway, run, device), verdict in audit.verdicts():
        yield {
            "gateway": gateway,
            "run": run,
            "device": device,
            "ended": audit.ended(gateway, run),
            "settled": audit.runs[gateway, run].settled,
            **verdict.counts(),
            "reasons": verdict.reasons,
            "ranges": {kind: getattr(verdict, kind) for kind in _KINDS if getattr(verdict, kind)},
        }
    yield {
        "sums": sums(audit),
        "gateways": {name: _state_row(found) for name, found in sorted(audit.gateways.items())},
        "odd": [{"topic": topic, "text": text, "times": times} for (topic, text), times in audit.odd.most_common()],
        "odd_not_named": audit.not_named,
        "elsewhere": audit.elsewhere,
    }


def tell(audit: Audit, every: bool) -> None:
    """Print what a person reads; `every`: a line for every device."""
    verdicts = list(audit.verdicts())
    for name, found in sorted(audit.gateways.items()):
        said = state(found)
        if said != "online" or every or not verdicts:
            print(f"{name} is {said}")
    rows = [
        (gateway, run, _ENDED.get(ended := audit.ended(gateway, run), ended), device, *verdict.counts().values())
        for (gateway, run, device), verdict in verdicts
        if every or any(verdict.counts()[kind] for kind in _NOTABLE)
    ]
    if rows:
        table(("GATEWAY", "RUN", "ENDED", "DEVICE", *_HEADS), rows, _HEADS)
    for (gateway, run, device), verdict in verdicts:
        if verdict.unexplained:
            print(f"UNEXPLAINED {gateway} {run} {device}: {_ranges(verdict.unexplained)}")
    for (topic, text), times in audit.odd.most_common(_FEW):
        print(f"not understood, {plural(times, 'time')}: {printable(topic)}: {printable(text)}")
    if more := audit.odd.total() + audit.not_named - sum(times for _, times in audit.odd.most_common(_FEW)):
        print(f"not understood: {plural(more, 'other message')}")
    _tell_sums(audit, verdicts)


def _tell_sums(audit: Audit, verdicts: list[tuple[tuple[str, str, str], Verdict]]) -> None:
    if not verdicts:
        print("no sample and no note came" if audit.gateways else _nothing(audit))
        return
    found, reasons = sums(audit), Counter[str]()
    for _, verdict in verdicts:
        reasons.update({reason: times for reason, times in verdict.reasons.items() if times})
    devices, runs = len({(g, d) for (g, _, d), _ in verdicts}), len({key[:2] for key, _ in verdicts})
    whose = f"{plural(devices, 'device')} in {plural(runs, 'run')} of {plural(len(audit.gateways), 'gateway')}"
    why = ", ".join(f"{printable(reason[:60])}: {times}" for reason, times in reasons.most_common(_FEW))
    came = f"{found['late']} late, {found['unsynced']} unsynced, {plural(found['duplicates'], 'duplicate')}"
    print(f"received  {plural(found['received'], 'sample')} of {whose}; {came}")
    told = f"{found['dropped']} dropped and declared" + (f" ({why})" if why else "")
    untold = f"{found['at_risk']} at risk when a run was killed, {found['on_the_way']} on the way"
    print(f"missing   {told}, {untold}, {found['unexplained']} UNEXPLAINED")
    if killed := sum(run.ended == "unclean" for run in audit.runs.values()):
        print(f"killed    {plural(killed, 'run')}; samples younger than commit_every may be lost that nobody heard of")
    if found["before"]:
        print(f"before    {found['before']} may have passed before this audit listened, or while it was cut off")
    waiting = [
        f"{gateway} {run}"
        for gateway, run in dict.fromkeys(key[:2] for key, verdict in verdicts if verdict.on_the_way)
        if audit.ended(gateway, run) == "over"
    ]
    if waiting:
        print(f"not told  how these runs ended; what is on the way of them may never come: {', '.join(waiting[:_FEW])}")
    if found["unexplained"]:
        print(
            f"UNEXPLAINED: {plural(found['unexplained'], 'sample')} missing that the gateway said were confirmed or on"
            " disk; the hub may have lost them, too (mosquitto: max_queued_messages)"
        )
    else:
        print("nothing is UNEXPLAINED")


def _nothing(audit: Audit) -> str:
    if audit.elsewhere:
        return f"nothing below {audit.prefix}/, {plural(audit.elsewhere, 'message')} elsewhere; check --prefix"
    return f"nothing was heard below {audit.prefix}/; check --prefix, and what this user may listen to"


def _state_row(found: Gateway) -> dict[str, Any]:
    status = found.status
    if status is None:
        return {}
    return {
        "state": status.state,
        "reason": status.reason or None,
        "run": status.run,
        "previous": status.previous.run if status.previous else None,
        "durable": status.durable,
        "clock": status.clock or None,
        "held": status.held.samples if status.held else None,
    }


def state(found: Gateway) -> str:
    """What a gateway says of itself: online, and all that is not as it should be."""
    status = found.status
    if status is None:
        return "without a status"
    said = [printable(status.state[:40]), f"reason: {printable(status.reason[:40])}" if status.reason else ""]
    said.append("" if status.durable else "holding samples in memory only")
    said.append("its clock not synchronised" if status.clock == "unsynced" else "")
    said.append(f"holding {plural(status.held.samples, 'sample')}" if status.held and status.held.samples else "")
    return ", ".join(filter(None, said))


def _ranges(ranges: Ranges) -> str:
    shown = [f"{first}" if first == last else f"{first} to {last}" for first, last in ranges[:_FEW]]
    more = len(ranges) - len(shown)
    return ", ".join(shown) + (f" and {plural(more, 'more range')}" if more else "")
