"""The cases: what is set up, for how long it is watched, and the figures that come of it."""

import signal
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from figure import Figure
from rig import REGISTERS, SECOND, Rig, Setup, machine, rig

Case = Callable[[bool], Iterator[Figure]]  # long or short -> figures


@dataclass
class Window:
    """What was used and delivered between two instants."""

    seconds: float
    readings: int
    cpu: dict[str, float]  # process -> core seconds
    written: int  # bytes the daemon gave to the disk
    wchar: int  # bytes it gave to write(2): pipes, sockets, files
    latencies: list[int]  # ns
    missing: int
    double: int

    @property
    def per_reading(self) -> float:
        """Microseconds of the daemon's CPU."""
        return self.cpu["daemon"] / self.readings * 1e6

    def told(self) -> str:
        """What belongs to every figure: how much was delivered, how noisy the machine was."""
        others = self.cpu["machine"] - sum(v for k, v in self.cpu.items() if k != "machine")
        return (
            f"{self.readings:,} readings, {self.missing} missing, {self.double} double; "
            f"others used {max(others, 0) / self.seconds:.2f} cores"
        )


def watch(r: Rig, seconds: float) -> Window:
    """Measure for so long, from now."""
    assert r.daemon
    assert r.hub
    assert r.broker.process
    parts = {"daemon": r.daemon, "broker": r.broker.process, "devices": r.devices, "hub": r.hub}

    def used() -> dict[str, float]:
        return {name: part.cpu() for name, part in parts.items()} | {"machine": machine()}

    first, before, io = r.report(), used(), _io(r)
    time.sleep(seconds)
    after, last, io_after = used(), r.report(), _io(r)
    return Window(
        seconds=(last["now"] - first["now"]) / SECOND,
        readings=last["readings"] - first["readings"],
        cpu={name: after[name] - before[name] for name in before},
        written=io_after[0] - io[0],
        wchar=io_after[1] - io[1],
        latencies=last["latencies"],
        missing=last["missing"],
        double=last["double"],
    )


def _io(r: Rig) -> tuple[int, int]:
    assert r.daemon
    return r.daemon.proc("io", "write_bytes"), r.daemon.proc("io", "wchar")


def _running(setup: Setup, warm: float, seconds: float) -> Window:
    with rig(setup) as r:
        r.start_hub()
        r.start_daemon()
        r.wait_live()
        time.sleep(warm)
        return watch(r, seconds)


def _cpu(name: str, every: str, goal: float, warm: float, seconds: float) -> Iterator[Figure]:
    for kind, floats, state in (
        ("100 uint16", False, "off"),
        ("100 uint16, state on", False, "1s"),
        ("50 float32", True, "off"),
    ):
        w = _running(Setup(every=every, floats=floats, state=state), warm, seconds)
        told = f"{w.told()}; {w.per_reading * (50 if floats else 100):.0f} us a poll"
        yield Figure(f"{name}: {kind}", w.per_reading, "us/reading", None if floats else goal, told)


def cpu10(long: bool) -> Iterator[Figure]:
    """10 TCP devices at 10 Hz."""
    return _cpu("cpu10", "100ms", 3.5, 3, 60 if long else 10)


def cpu1(long: bool) -> Iterator[Figure]:
    """10 TCP devices at 1 Hz."""
    return _cpu("cpu1", "1s", 4.0, 5, 120 if long else 30)


def latency(long: bool) -> Iterator[Figure]:
    """From the device's answer to the subscriber, at 1 Hz."""
    w = _running(Setup(every="1s"), 3, 300 if long else 30)
    ms = sorted(ns / 1e6 for ns in w.latencies)
    yield Figure("latency: p50", statistics.median(ms), "ms", 1.0, f"{len(ms)} samples, worst {ms[-1]:.2f} ms")
    yield Figure("latency: p99", ms[int(len(ms) * 0.99)], "ms", 5.0, w.told())


def disk(long: bool) -> Iterator[Figure]:
    """1,000 readings/s, hub reachable and hub away, start included."""
    seconds = 600 if long else 60
    with rig(Setup(every="1s")) as r:
        r.start_hub()
        r.start_daemon()
        r.wait_live()
        time.sleep(seconds)
        got, (written, wchar) = r.report(), _io(r)
        note = f"{seconds} s and start; {written:,} bytes of {got['readings']:,} readings; {wchar:,} given to write(2)"
        yield Figure("disk: hub reachable", written / got["readings"], "B/reading", 1.0, note)
    with rig(Setup(every="1s")) as r:
        daemon = r.start_daemon()
        time.sleep(seconds)
        readings = len(r.devices.ask("truth")) * REGISTERS
        written, _ = _io(r)
        size = (r.folder / "buffer.db").stat().st_size
        note = f"{seconds} s and start; {written:,} bytes of {readings:,} readings; file {size:,}"
        yield Figure("disk: hub away", written / readings, "B/reading", 30.0, note)
        yield Figure("disk: hub away, CPU", daemon.cpu() / readings * 1e6, "us/reading", None, "start included")


def memory(long: bool) -> Iterator[Figure]:
    """Resident set at 1 Hz, all of it and what is the daemon's alone."""
    with rig(Setup(every="1s")) as r:
        r.start_hub()
        daemon = r.start_daemon()
        r.wait_live()
        time.sleep(120 if long else 10)
        rss, peak = (daemon.proc("status", key) / 1024 for key in ("VmRSS", "VmHWM"))
        pss = daemon.proc("smaps_rollup", "Pss") / 1024
        yield Figure("memory: RSS", rss, "MB", 40.0, f"highest {peak:.1f}, proportional share (PSS) {pss:.1f}")


def start(long: bool) -> Iterator[Figure]:
    """Process start (fork and exec) to the first sample at the hub; the second start and later count."""
    took, cpu = [], []
    for _ in range(20 if long else 6):
        with rig(Setup(every="1s")) as r:
            r.start_hub()
            daemon = r.start_daemon()
            took.append((r.wait_live()["first"] - daemon.began) / SECOND)
            cpu.append(daemon.cpu())
    note = f"{len(took) - 1} starts, {min(took[1:]):.2f} … {max(took[1:]):.2f}; {statistics.median(cpu):.2f} s CPU"
    yield Figure("start: first sample", statistics.median(took[1:]), "s", 0.3, note)


def idle(long: bool) -> Iterator[Figure]:
    """10 devices at 0.1 Hz."""
    w = _running(Setup(every="10s"), 11, 300 if long else 40)
    polls = w.readings / REGISTERS
    note = f"{polls:.0f} polls, {w.cpu['daemon'] / max(polls, 1) * 1e6:.0f} us a poll"
    yield Figure("idle: 10 devices at 0.1 Hz", w.cpu["daemon"] / w.seconds, "cores", 0.001, note)


def highest(long: bool) -> Iterator[Figure]:
    """More and more devices at 10 Hz until delivered falls behind."""
    best, stopped, count = None, "not reached", 10
    while count <= 2560:
        asked = count * 10 * REGISTERS
        w = _running(Setup(devices=count, every="100ms"), 4 + count / 100, 30 if long else 8)
        rate = w.readings / w.seconds
        cores = {name: round(used / w.seconds, 2) for name, used in w.cpu.items()}
        yield Figure(
            f"highest: {count} devices at 10 Hz", rate, "readings/s", None,
            f"{rate / asked:.0%} of what is asked; {w.per_reading:.2f} us/reading; {w.missing} missing; cores {cores}",
        )  # fmt: skip
        if best is None or rate > best[0]:
            best = (rate, cores["daemon"])
        if rate < 0.97 * asked:
            full = [name for name in ("daemon", "broker", "devices", "hub") if cores[name] > 0.9]
            stopped = f"core full: {', '.join(full)}" if full else f"machine full: {cores['machine']} cores in use"
            break
        count = count * 4 if count < 640 else count + 320
    assert best
    yield Figure("highest", best[0], "readings/s", None, f"{best[1]} cores of the daemon; what stops it: {stopped}")


def outage(long: bool) -> Iterator[Figure]:
    """The broker absent at start, stopped, killed; the daemon killed while it is away. Truth is the devices' own."""
    away = 30.0 if long else 5.0
    with rig(Setup(every="100ms")) as r:
        r.start_daemon()
        time.sleep(away)
        r.start_hub()
        back = time.monotonic_ns()  # about: the subscriber's start included
        live = r.wait_live()["live"]
        yield Figure("outage: broker absent, live again", (live - back) / SECOND, "s", 1.0, "after it listens")
        yield Figure("outage: broker absent, missing", len(unheard(r)), "samples", 0.0, f"{away:g} s")
        for sig in (signal.SIGTERM, signal.SIGKILL):
            r.broker.stop(sig)
            time.sleep(away)
            back = r.broker.start()
            live = r.wait_live()["live"]
            yield Figure(f"outage: broker {sig.name}, live again", (live - back) / SECOND, "s", 1.0, "after it listens")
            yield Figure(f"outage: broker {sig.name}, missing", len(unheard(r)), "samples", 0.0, f"{away:g} s")
        r.broker.stop(signal.SIGKILL)
        time.sleep(away)
        assert r.daemon
        r.daemon.end(signal.SIGKILL)
        killed = time.monotonic_ns()
        r.start_daemon()
        time.sleep(1)
        r.broker.start()
        r.wait_live()
        lost = unheard(r)
        ages = [(killed - at) / SECOND for _, _, at in lost]
        unclean = sum(1 for note in r.hub.ask("ledger") if note.get("ended") == "unclean") if r.hub else 0
        note = f"{len(lost)} samples; ledger notes `unclean`: {unclean} (1 is right)"
        yield Figure("outage: daemon killed, oldest lost", max(ages, default=0.0), "s", 1.0, note)


def unheard(r: Rig, within: float = 20.0) -> list[tuple[int, int, int]]:
    """Answers the devices gave up to now that have not come to the hub, waited for as long as some still come."""
    given = {(device, n): at for device, n, at in r.devices.ask("truth")}
    until = max(given.values(), default=0)
    end = time.monotonic() + within
    missing: dict[tuple[int, int], int] = {}
    came = -1
    while time.monotonic() < end:
        heard = {(int(bn.split("/")[1][1:]), n) for bn, _, _, n, _, _ in _samples(r)}
        missing = {key: at for key, at in given.items() if at <= until and key not in heard}
        if not missing:
            break
        if came != len(missing):
            came, end = len(missing), min(end, time.monotonic() + 5)
        time.sleep(0.1)
    return [(*key, at) for key, at in missing.items()]


def _samples(r: Rig) -> list[Any]:
    assert r.hub
    found: list[Any] = r.hub.ask("samples")
    return found


CASES: dict[str, Case] = {
    case.__name__: case for case in (cpu10, cpu1, latency, disk, memory, start, idle, highest, outage)
}
