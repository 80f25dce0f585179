"""The cases: what is set up, for how long it is watched, and the figures that come of it."""

import signal
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from beacons import Beacons, BusyBeacons
from boards import Boards, LabelledBoards
from figure import Figure
from rig import SECOND, Rig, Setup, machine, now, rig

Case = Callable[[bool], Iterator[Figure]]  # long or short -> figures


@dataclass
class Window:
    """What was used and delivered between two instants."""

    seconds: float
    samples: int
    readings: int
    cpu: dict[str, float]  # process -> core seconds
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

    first, before = r.report(), used()
    time.sleep(seconds)
    after, last = used(), r.report()
    return Window(
        seconds=(last["now"] - first["now"]) / SECOND,
        samples=last["samples"] - first["samples"],
        readings=last["readings"] - first["readings"],
        cpu={name: after[name] - before[name] for name in before},
        missing=last["missing"],
        double=last["double"],
    )


def running(r: Rig, warm: float) -> None:
    """Start everything and wait until it is warm (s)."""
    r.start_hub()
    r.start_daemon()
    r.wait_live()
    time.sleep(warm)


def cost(name: str, every: str, goal: float, warm: float, seconds: float) -> Iterator[Figure]:
    """CPU per reading, with whole numbers, with the `state` topics too, and with floats."""
    for kind, setup, aim in (
        ("100 uint16", Setup(every=every), goal),
        ("100 uint16, state on", Setup(every=every, state="1s"), goal),
        ("50 float32", Setup(every=every, floats=True), None),
    ):
        with rig(setup) as r:
            running(r, warm)
            w = watch(r, seconds)
        poll = w.cpu["daemon"] / w.samples * 1e6
        yield Figure(f"{name}: {kind}", w.per_reading, "us/reading", aim, f"{poll:.0f} us a poll; {w.told()}")


def cpu10(long: bool) -> Iterator[Figure]:
    """10 TCP devices at 10 Hz."""
    return cost("cpu10", "100ms", 3.5, 3, 60 if long else 10)


def cpu1(long: bool) -> Iterator[Figure]:
    """10 TCP devices at 1 Hz."""
    return cost("cpu1", "1s", 4.0, 5, 120 if long else 30)


def lines(long: bool) -> Iterator[Figure]:
    """10 boards that print 100 lines a second each."""
    for kind in (Boards, LabelledBoards):
        with rig(Setup(truth=True), kind) as r:
            running(r, 5)
            assert r.daemon
            before = r.daemon.proc("status", "VmRSS")
            w = watch(r, 600 if long else 20)
            grown = r.daemon.proc("status", "VmRSS") - before
            given, wrong = r.given_and_wrong()
        name = f"lines: {kind.dialect}"
        note = f"{w.samples / w.seconds:,.0f} lines a second; {w.told()}"
        yield Figure(name, w.cpu["daemon"] / w.samples * 1e6, "us/line", 60.0, note)
        yield Figure(f"{name}, lost or other values", wrong, "lines", 0.0, f"of {given:,}")
        yield Figure(
            f"{name}, memory grown", grown / 1024, "MB", None, f"in {w.seconds:.0f} s, from {before / 1024:.1f}"
        )


def adverts(long: bool) -> Iterator[Figure]:
    """50 tags that advertise 10 times a second."""
    for kind in (Beacons, BusyBeacons):
        with rig(Setup(devices=50), kind) as r:
            running(r, 5)
            heard = r.adverts()
            w = watch(r, 300 if long else 20)
            heard = r.adverts() - heard
        note = f"{heard / w.seconds:,.0f} adverts a second, {w.samples / w.seconds:.0f} of them samples; {w.told()}"
        aim = 60.0 if kind is Beacons else None
        yield Figure(f"adverts: measured each {kind.every}", w.cpu["daemon"] / heard * 1e6, "us/advert", aim, note)


def latency(long: bool) -> Iterator[Figure]:
    """From the device's answer to the subscriber, at 1 Hz."""
    with rig(Setup(truth=True)) as r:
        running(r, 3)
        since = now()
        w = watch(r, 300 if long else 30)
        given = {key: at for key, at in r.truth(now()).items() if at >= since}
        came = r.samples()
    ms = sorted((came[key][3] - at) / 1e6 for key, at in given.items() if key in came)
    yield Figure("latency: p50", statistics.median(ms), "ms", 1.0, f"{len(ms)} samples, worst {ms[-1]:.2f} ms")
    yield Figure("latency: p99", ms[int(len(ms) * 0.99)], "ms", 5.0, w.told())


def disk(long: bool) -> Iterator[Figure]:
    """1,000 readings/s, hub reachable and hub away, start included."""
    seconds = 600 if long else 60
    with rig(Setup()) as r:
        running(r, 1)
        begin = _written(r)
        time.sleep(seconds)
        readings, written = r.report()["readings"], _written(r)
        note = f"{readings:,} readings, {written:,} bytes, {begin:,} of them at the start"
        goal = 1.0 if long else None  # what the start writes counts for ten minutes
        yield Figure("disk: hub reachable", written / readings, "B/reading", goal, note)
    with rig(Setup()) as r:
        daemon = r.start_daemon()
        time.sleep(1)
        cpu = daemon.cpu()
        time.sleep(seconds)
        cpu, written, file = daemon.cpu() - cpu, _written(r), r.folder / "buffer.db"
        db = sqlite3.connect(file)
        ((count,),) = db.execute("SELECT count(*) FROM sample")
        db.close()
        readings = count * r.setup.registers
        note = f"{readings:,} readings, {written:,} bytes"
        yield Figure("disk: hub away", written / readings, "B/reading", 30.0, note)
        yield Figure("disk: hub away, CPU", cpu / readings * 1e6, "us/reading", None, "trying to connect included")


def _written(r: Rig) -> int:
    """Bytes the daemon made the disk write so far."""
    assert r.daemon
    return r.daemon.proc("io", "write_bytes")


def memory(long: bool) -> Iterator[Figure]:
    """Resident set at 1 Hz."""
    with rig(Setup()) as r:
        running(r, 120 if long else 10)
        assert r.daemon
        rss, peak = (r.daemon.proc("status", key) / 1024 for key in ("VmRSS", "VmHWM"))
        files = r.daemon.proc("status", "RssFile") / 1024
        yield Figure("memory: RSS", rss, "MB", 40.0, f"{files:.1f} of it files (code); highest {peak:.1f}")


def start(long: bool) -> Iterator[Figure]:
    """Process start (fork and exec) to the first sample at the hub. The first start compiles and does not count."""
    took, cpu = [], []
    for _ in range(20 if long else 6):
        with rig(Setup()) as r:
            r.start_hub()
            daemon = r.start_daemon()
            took.append((r.wait_live()["first"] - daemon.began) / SECOND)
            cpu.append(daemon.cpu())
    del took[0]
    note = f"{len(took)} starts, {min(took):.2f} … {max(took):.2f}; {statistics.median(cpu):.2f} s of CPU"
    yield Figure("start: first sample", statistics.median(took), "s", 0.3, note)


def idle(long: bool) -> Iterator[Figure]:
    """10 devices at 0.1 Hz."""
    with rig(Setup(every="10s")) as r:
        running(r, 11)
        w = watch(r, 300 if long else 40)
    note = f"{w.samples} polls, {w.cpu['daemon'] / w.samples * 1e6:.0f} us a poll"
    yield Figure("idle: 10 devices at 0.1 Hz", w.cpu["daemon"] / w.seconds, "cores", 0.001, note)


def highest(long: bool) -> Iterator[Figure]:
    """More and more devices at 10 Hz until delivered falls behind."""
    best, cores, stopped = 0.0, 0.0, "nothing up to here"
    for count in (10, 40, 160, 320, 480, 640, 960):
        setup = Setup(devices=count, every="100ms")
        asked = count * 10 * setup.registers
        with rig(setup) as r:
            running(r, 4 + count / 100)
            w = watch(r, 30 if long else 8)
        rate = w.readings / w.seconds
        used = {name: round(core / w.seconds, 2) for name, core in w.cpu.items()}
        note = f"{rate / asked:.0%} of what is asked; {w.per_reading:.2f} us/reading; cores {used}"
        yield Figure(f"highest: {count} devices at 10 Hz", rate, "readings/s", None, note)
        if rate > best:
            best, cores = rate, used["daemon"]
        if rate < 0.97 * asked:
            full = [name for name in ("daemon", "broker", "devices", "hub") if used[name] > 0.9]
            stopped = f"a full core: {', '.join(full)}" if full else f"the machine: {used['machine']} cores in use"
            break
    yield Figure("highest", best, "readings/s", None, f"{cores} cores of the daemon; what stops it: {stopped}")


def outage(long: bool) -> Iterator[Figure]:
    """The broker absent at start, stopped, killed; the daemon killed while it is away. The devices know the truth."""
    away = 30.0 if long else 5.0
    with rig(Setup(every="100ms", registers=4, truth=True)) as r:
        r.start_daemon()
        time.sleep(away)
        yield from _back("broker absent at start", r.start_hub(), r, away)
        for sig in (signal.SIGTERM, signal.SIGKILL):
            r.broker.stop(sig)
            time.sleep(away)
            yield from _back(f"broker {sig.name}", r.broker.start(), r, away)
        r.broker.stop(signal.SIGKILL)
        time.sleep(away)
        assert r.daemon
        assert r.hub
        r.daemon.end(signal.SIGKILL)
        killed = now()
        r.start_daemon()
        time.sleep(1)
        r.broker.start()
        r.wait_live()
        lost = r.unheard()
        unclean = sum(note.get("ended") == "unclean" for note in r.hub.ask("ledger"))
        oldest = max(((killed - at) / SECOND for at in lost.values()), default=0.0)
        note = f"{len(lost)} samples lost; ledger notes that say unclean: {unclean}, 1 is right"
        yield Figure("outage: daemon killed, oldest loss", oldest, "s", 1.0, note)


def _back(what: str, listened: int, r: Rig, away: float) -> Iterator[Figure]:
    live = (r.wait_live()["live"] - listened) / SECOND
    yield Figure(f"outage: {what}, live", live, "s", 1.0, f"from its port listening again, after {away:g} s")
    found = r.unheard()
    yield Figure(f"outage: {what}, missing", len(found), "samples", 0.0, f"of {len(r.samples()):,}")


CASES: dict[str, Case] = {
    case.__name__: case for case in (cpu10, cpu1, lines, adverts, latency, disk, memory, start, idle, highest, outage)
}
