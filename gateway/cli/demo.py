"""The main job live: a broker, simulated devices on real wires, the real gateway, and what the hub receives.

Everything runs on this machine, in processes of its own and a temporary folder, and ends with the demo (Ctrl-C).
"""

import asyncio
import json
import queue
import signal
import tempfile
import time
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from gateway.cli import FAILED, show
from gateway.cli.amounts import duration
from gateway.cli.ledger import read_file
from gateway.cli.received import Tally, samples
from gateway.errors import LinkError
from gateway.mqtt import subscribe
from gateway.testbed import Broker, Gateway, Simulator, find_program

EXAMPLE = "labgate demo --seconds 20"

GATEWAY = "demo"
# name, simulator and its settings, what it is, link, device
DEVICES: tuple[tuple[str, list[str], str, dict[str, Any], dict[str, Any]], ...] = (
    (
        "meter-1", ["eastron_sdm630", "--port", "0"], "Modbus TCP at",
        {"modbus": ""}, {"profile": "eastron_sdm630", "every": "1s"},
    ),
    (
        "room-1", ["xy_md02"], "Modbus RTU on the pseudo-terminal",
        {"modbus": "", "baudrate": 9600}, {"profile": "xy_md02", "every": "1s"},
    ),
    ("board-1", ["line_board", "--set", "dialect=sentence"], "printing lines on", {"serial": ""}, {"driver": "lines"}),
    ("scale-1", ["balance"], "asked on", {"serial": ""}, {"driver": "mt_sics", "every": "1s"}),
    (
        "house-1", ["p1_meter", "--set", "every=2s"], "telling by itself on",
        {"serial": "", "baudrate": 115200}, {"driver": "han"},
    ),
)  # fmt: skip
# Simulated on one radio: name, simulator, device
ON_AIR: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("tag-1", "ble_tag", {"profile": "ruuvi"}),
    ("strap-1", "ble_strap", {"profile": "heart_rate"}),
)
# Of a sample that has many values these are shown, or its first ones.
SHOWN = ("voltage_l1", "current_l1", "power", "energy_import", "1-0:1.7.0", "1-0:32.7.0", "1-0:1.8.0")
FEW = 3
GOODBYE_WITHIN = 3.0  # s for what was sent last to arrive

Heard = queue.SimpleQueue[tuple[float, str, bytes]]  # wall time (s), topic, payload


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--seconds", "--duration", type=duration, metavar="N", help="end by itself after N seconds")


def run(args: Namespace) -> int:
    """Show it. Returns 1 when nothing arrived, or something is missing."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # end as with Ctrl-C: with everything that was started
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="labgate-demo-")))
        broker = stack.enter_context(Broker(folder))
        print(f"broker   {broker.name} at {broker.url}")
        site: dict[str, Any] = {
            "gateway": {"id": GATEWAY},
            "hub": {"url": broker.url},
            "buffer": {"path": str(folder / "buffer.db")},
            "links": {},
            "devices": {},
        }
        for name, simulator, how, link, device in DEVICES:
            wire = stack.enter_context(Simulator(folder, *simulator))
            print(f"{name:8} {simulator[0]}, simulated, {how} {wire.url}")
            site["links"][f"to-{name}"] = link | {"modbus" if "modbus" in link else "serial": wire.url}
            site["devices"][name] = device | {"link": f"to-{name}"}
        bus = None
        if find_program("dbus-daemon") is not None:
            radio = stack.enter_context(Simulator(folder, "+".join(kind for _, kind, _ in ON_AIR)))
            bus, site["links"]["radio"] = radio.url, {"ble": radio.ready["adapter"]}
            for (name, kind, device), address in zip(ON_AIR, radio.ready["addresses"], strict=True):
                print(f"{name:8} {kind}, simulated, on the air as {address}")
                site["devices"][name] = device | {"link": "radio", "address": address}
        else:
            print("radio    left out: no dbus-daemon here; install dbus, or run make tools")
        heard: Heard = queue.SimpleQueue()
        stack.enter_context(
            closing(subscribe(broker.url, "#", lambda topic, payload: heard.put((time.time(), topic, payload))))
        )
        gateway = stack.enter_context(Gateway(folder, site, bus))
        print(f"gateway  labgate run, process {gateway.pid}\n")
        view = View()
        _watch(view, heard, gateway, args.seconds)
        code = gateway.stop() if gateway.running() else FAILED
        view.follow(heard, until=time.monotonic() + GOODBYE_WITHIN)
        *books, held = asyncio.run(read_file(folder / "buffer.db"))
        good = _sum_up(view.tally, books, held["held"])
        if code != 0:
            said = gateway.log.read_text().strip().splitlines() or ["nothing"]
            raise LinkError(f"the gateway ended before it was told to, or badly; it said last: {said[-1]}")
    return 0 if good else FAILED


def _watch(view: "View", heard: Heard, gateway: Gateway, seconds: float | None) -> None:
    """Show what comes until the time is over, Ctrl-C, or the gateway is gone."""
    end = None if seconds is None else time.monotonic() + seconds
    try:
        while gateway.running() and (end is None or time.monotonic() < end):
            soon = time.monotonic() + 0.25
            view.follow(heard, until=soon if end is None else min(soon, end))
    except KeyboardInterrupt:
        print()


class View:
    """Prints each message and counts the samples."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.states: dict[str, str] = {}
        self.gone = False  # the gateway has said goodbye: nothing comes after that

    def follow(self, heard: Heard, until: float) -> None:
        """Show messages until then (monotonic time), or until the gateway's goodbye."""
        while not self.gone:
            try:
                self.show(*heard.get(timeout=max(until - time.monotonic(), 0)))
            except queue.Empty:
                return

    def show(self, now: float, topic: str, payload: bytes) -> None:
        """One line for each sample and each change of state."""
        if not payload:
            return
        device, kind = (topic.split("/")[2:] + [""])[:2]
        if kind == "data":
            for sample in samples(payload):
                latency = self.tally.count(sample, now)
                few = [name for name in SHOWN if name in sample.readings] or list(sample.readings)[:FEW]
                chosen = {name: sample.readings[name] for name in few}
                more = len(sample.readings) - len(chosen)
                values = show.readings(chosen) + (f", {more} more" if more else "")
                print(f"{_local(sample.time)}  {sample.device}  {values}  (seq {sample.seq}, {_ms(latency)})")
        elif "status" in (device, kind):
            status = json.loads(payload)
            who = device if kind else "gateway"
            said = (
                f": {status['text']}" if status.get("text") else f", MQTT {status['mqtt']}" if "mqtt" in status else ""
            )
            if said or status["state"] != self.states.get(who):  # told again when more is known of a device
                print(f"{_local(now)}  {who} is {status['state']}{said}")
            self.states[who] = status["state"]
            self.gone = self.gone or status["state"] == "offline"


def _sum_up(tally: Tally, books: list[dict[str, Any]], held: dict[str, Any]) -> bool:
    """Compare what arrived with the gateway's books; whether all is well."""
    if not tally.samples():
        print("\nnothing arrived at the hub")
        return False
    missing = 0
    print()
    for book in books:
        taken = book["taken"] if "taken" in book else book["kept"]
        missing += len(tally.missing(book["device"], book["run"], taken))
        print(
            f"ledger   {book['device']}: taken {taken} = confirmed {book.get('confirmed', '?')}"
            f" + held {book['held']} + dropped {book['dropped']}"
        )
    median, worst = tally.latency()
    print(
        f"hub      received {show.plural(tally.samples(), 'sample')} with {show.plural(tally.readings, 'reading')},"
        f" {show.plural(tally.duplicates, 'duplicate')}, missing: {missing}\n"
        f"latency  from the device's answer to the subscriber: median {_ms(median)}, worst {_ms(worst)}"
    )
    return missing == 0 and held["samples"] == 0 and len(tally.seen) == len(books)


def _local(seconds: float) -> str:
    return show.clock(datetime.fromtimestamp(seconds, UTC).isoformat())


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
