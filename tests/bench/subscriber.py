"""The hub's side: `subscriber.py PORT` hears lab/+/+/data and lab/+/ledger at 127.0.0.1:PORT and keeps count.

A stranger to the gateway: plain sockets, MQTT 3.1.1 (OASIS standard of 29 October 2014) at QoS 0, so that mosquitto
hands over a sample before it confirms it to the gateway. When the broker goes away it comes back every 2 ms, ahead of
any gateway. Says "up", then "subscribed", then answers each command on standard input with one line of JSON:

  report   what came since the start
  samples  [[bn, run, seq, value of the first record, late, when], ...]: every sample once, in the order it came
  ledger   every ledger note

Times are of CLOCK_BOOTTIME, in ns.
"""

import contextlib
import itertools
import json
import os
import select
import socket
import struct
import sys
import time
from typing import Any

import msgspec


class Record(msgspec.Struct):
    """What is needed of a SenML record."""

    v: float | int | None = None
    bn: str = ""
    run: str = ""
    seq: int = 0
    late: bool = False


decode = msgspec.json.Decoder(list[Record]).decode


class Hub:
    """Everything that came."""

    def __init__(self) -> None:
        self.readings = 0
        self.double = 0
        self.late = 0
        self.seen: dict[tuple[str, str], set[int]] = {}
        self.samples: list[tuple[str, str, int, float | None, bool, int]] = []
        self.notes: list[Any] = []
        self.first = 0  # when the first sample of all came
        self.live = 0  # … the first since the broker is back that is not late

    def publish(self, topic: bytes, payload: bytes, now: int) -> None:
        """Take one message that came at `now`."""
        if topic.endswith(b"/ledger"):
            self.notes.append(json.loads(payload))
            return
        records = decode(payload)
        starts = [i for i, r in enumerate(records) if r.seq] + [len(records)]
        for start, end in itertools.pairwise(starts):
            self.sample(records[start:end], now)

    def sample(self, records: list[Record], now: int) -> None:
        """Count one sample: the first copy counts."""
        head = records[0]
        seen = self.seen.setdefault((head.bn, head.run), set())
        if head.seq in seen:
            self.double += 1
            return
        seen.add(head.seq)
        self.readings += len(records)
        self.late += head.late
        self.first = self.first or now
        if not head.late:
            self.live = self.live or now
        self.samples.append((head.bn, head.run, head.seq, head.v, head.late, now))

    def report(self) -> dict[str, Any]:
        """Counts, and when the first sample came."""
        return {
            "now": boot(),
            "samples": len(self.samples),
            "readings": self.readings,
            "double": self.double,
            "late": self.late,
            "missing": sum(max(seqs) - len(seqs) for seqs in self.seen.values()),
            "first": self.first,
            "live": self.live,
        }


def boot() -> int:
    """Now."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def packets(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Cut (first byte, rest behind the length) off a byte stream; returns them and what is left."""
    found, start = [], 0
    while True:
        length, shift, at = 0, 0, start + 1
        while at < len(data):
            length |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 0x80:
                break
        else:
            return found, data[start:]
        if at + length > len(data):
            return found, data[start:]
        found.append((data[start], data[at : at + length]))
        start = at + length


def text(data: bytes) -> bytes:
    """An MQTT string."""
    return struct.pack(">H", len(data)) + data


def connect(port: int) -> socket.socket:
    """A subscribed connection; tried again for ever."""
    hello = text(b"MQTT") + b"\x04\x02\x00\x00" + text(b"bench")
    wanted = b"\x00\x01" + b"".join(text(t) + b"\x00" for t in (b"lab/+/+/data", b"lab/+/ledger"))
    while True:
        wire = socket.socket()
        try:
            wire.connect(("127.0.0.1", port))
            wire.sendall(b"\x10" + bytes([len(hello)]) + hello + b"\x82" + bytes([len(wanted)]) + wanted)
            heard = b""
            while len(heard) < 10:  # CONNACK 4, SUBACK 6 bytes
                more = wire.recv(10 - len(heard))
                if not more:
                    raise ConnectionError
                heard += more
            return wire
        except OSError:
            wire.close()
            time.sleep(0.002)


def main(port: int) -> None:
    hub = Hub()
    answers = {b"report": hub.report, b"samples": lambda: hub.samples, b"ledger": lambda: hub.notes}
    print('"up"', flush=True)
    wire, inbox = connect(port), b""
    print('"subscribed"', flush=True)
    while True:
        ready, _, _ = select.select([wire, sys.stdin], [], [])
        if wire in ready:
            data = b""
            with contextlib.suppress(OSError):
                data = wire.recv(1 << 20)
            now = boot()
            # mosquitto, as shipped, lets a small packet wait until the one before is acknowledged (Nagle).
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            if not data:
                wire.close()
                wire, inbox, hub.live = connect(port), b"", 0
                continue
            found, inbox = packets(inbox + data)
            for first, body in found:
                if first >> 4 == 3:
                    end = 2 + int.from_bytes(body[:2], "big")
                    hub.publish(body[2:end], body[end:], now)
        if sys.stdin in ready:
            command = os.read(0, 100).strip()
            if command not in answers:
                return
            print(json.dumps(answers[command]()), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(int(sys.argv[1]))
