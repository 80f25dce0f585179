"""A gateway without devices and without network: the real buffer, writer and uplink between a test and a scripted hub.

`Hub` stands where the broker is: it decides when a publish is heard and answered, and audits all that it hears.
`Life` is one run of the gateway on a real SQLite file; it ends with `stop`, or with `kill`.
"""

import asyncio
import contextlib
import itertools
import json
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import mqtt
from gateway.buffer import Buffer
from gateway.clock import Clock
from gateway.config import HubConfig
from gateway.errors import LinkError
from gateway.reading import Class
from gateway.uplink import Uplink
from gateway.writer import Writer
from tests.audit import Auditor

GATEWAY = "pi-7"
Key = tuple[str, str, int]  # run, device, seq


@dataclass(eq=False)
class Publish:
    topic: str
    payload: bytes
    retain: bool
    verdict: Callable[[int | None], None] | None
    code: int | None = None  # decided when the hub has read it

    @property
    def kind(self) -> str:
        return self.topic.rpartition("/")[2]

    def __post_init__(self) -> None:
        self.heads = [r for r in json.loads(self.payload) if "bn" in r] if self.kind == "data" else []
        named = {(r["run"], r["bn"].split("/")[1], r["seq"]): r for r in self.heads}
        self.identities: set[Key] = set(named)
        self.fresh = {name for name, r in named.items() if "late" not in r}

    @property
    def samples(self) -> list[tuple[str, int]]:
        """(device, seq) of each sample in it."""
        return [(r["bn"].split("/")[1], r["seq"]) for r in self.heads]


class Session:
    """Stands in for mqtt.Session: same promises, every verdict given by the test."""

    def __init__(self, hub: "Hub") -> None:
        self.hub = hub
        self.protocol, self.ended, self.end_code = "5.0", "", None
        self.receive_maximum, self.maximum_packet = hub.window, hub.maximum_packet
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting: list[Publish] = []
        self.sent: list[Publish] = []

    def publish(
        self, topic: str, payload: bytes, retain: bool = False, verdict: Callable[[int | None], None] | None = None
    ) -> None:
        p = Publish(topic, payload, retain, verdict)
        if self.lost.done():
            if verdict is not None:
                asyncio.get_running_loop().call_soon(verdict, None)
            return
        self.sent.append(p)
        if verdict is None:
            return
        fits = self.maximum_packet is None or len(payload) + len(topic) + 10 <= self.maximum_packet
        self.hub.expect(fits, "larger than Maximum Packet Size")
        out = {s for q in self.waiting for s in q.identities}
        self.hub.expect(not out & p.identities, "two publishes of one sample at once")
        self.hub.expect(not p.fresh & self.hub.published, "sent a second time and not late")
        self.hub.published |= p.identities
        self.waiting.append(p)
        self.hub.expect(len(self.waiting) <= self.receive_maximum, "more outstanding than Receive Maximum")
        self.hub.news.set()

    def read(self, p: Publish, code: int = 0) -> None:
        """The hub reads up to and with `p`: what was sent before it has been read before it."""
        for q in self.waiting[: self.waiting.index(p) + 1]:
            if q.code is None:
                q.code = code if q is p else 0
                if q.code < 0x80:
                    self.hub.hear(q)

    def answer(self, p: Publish | None = None, code: int = 0) -> Publish:
        """PUBACK, by default for the oldest."""
        p = p or self.waiting[0]
        self.read(p, code)
        self.waiting.remove(p)
        assert p.verdict is not None
        assert p.code is not None
        if p.code < 0x80:
            self.hub.confirmed |= p.identities
        p.verdict(p.code)
        return p

    def answer_all(self, code: int = 0) -> None:
        while self.waiting and not self.lost.done():
            self.answer(code=code)

    def lose(self, read: int = 0, why: str = "", code: int | None = None) -> None:
        """The connection ends; the hub has read the first `read` of those without an answer."""
        for p in self.waiting[:read]:
            self.read(p)
        self.ended, self.end_code = why, code
        for p in self.waiting:
            assert p.verdict is not None
            asyncio.get_running_loop().call_soon(p.verdict, None)
        self.waiting.clear()
        if not self.lost.done():
            self.lost.set_result(None)


@dataclass
class Hub:
    """The other end, over many lives of the gateway."""

    window: int = 20
    maximum_packet: int | None = None
    refuses: LinkError | None = None  # why there is no connection now
    automatic: bool = False  # answers everything at once
    auditor: Auditor = field(default_factory=Auditor)
    taken: dict[Key, tuple[int, float]] = field(default_factory=dict)  # truth: value, loop time
    published: set[Key] = field(default_factory=set)
    confirmed: set[Key] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    retained: dict[str, bytes] = field(default_factory=dict)
    heard: list[Publish] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    attempts: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    times: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)  # (run, device) -> bt -> seq
    goodbyes: int = 0
    lives: list["Life"] = field(default_factory=list)
    _values: Any = field(default_factory=lambda: itertools.count(1))

    @contextlib.asynccontextmanager
    async def connect(self, config: HubConfig, client_id: str, will: mqtt.Will) -> AsyncIterator[Session]:
        """Stands in for mqtt.connect."""
        self.attempts += 1
        self.news.set()
        await asyncio.sleep(0)
        if self.refuses is not None:
            raise self.refuses
        session = Session(self)
        self.sessions.append(session)
        try:
            yield session
            self.goodbyes += 1
        finally:
            session.lose()

    @property
    def session(self) -> Session | None:
        """The connection that lives now."""
        return self.sessions[-1] if self.sessions and not self.sessions[-1].lost.done() else None

    def expect(self, condition: object, what: str) -> None:
        """Remembered, too: what is raised in a call-back reaches nobody."""
        if not condition:
            self.faults.append(what)
            raise AssertionError(what)

    def hear(self, p: Publish) -> None:
        self.heard.append(p)
        if p.kind == "data":
            for run, device, seq, first, head in self.auditor.pack(p.payload):
                value, _ = self.taken[run, device, seq]
                self.expect(head["v"] == value, "the number of one sample on the values of another")
                same_time = self.times.setdefault((run, device), {}).setdefault(str(head["bt"]), seq)
                self.expect(not first or same_time == seq, "two samples of a device share a time")
        elif p.kind == "ledger":
            self.auditor.note(p.payload)
        else:
            self.retained[p.topic] = p.payload
        self.expect(not self.auditor.unexplained(), "UNEXPLAINED")

    async def until(self, condition: Callable[[], object], within: float = 5.0) -> None:
        """Answer as told by `automatic` until `condition` holds."""
        async with asyncio.timeout(within):
            while True:
                if self.automatic and self.session is not None:
                    self.session.answer_all()
                if condition():
                    return
                self.news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.news.wait(), 0.005)


class Life:
    """One run of the gateway."""

    def __init__(self, hub: Hub, path: Path, run: str, commit_every: float = 0.05, **limits: int) -> None:
        self.hub, self.path, self.run_id, self.commit_every = hub, path, run, commit_every
        self.buffer = Buffer(GATEWAY, run, Clock())
        self.writer = Writer(
            self.buffer, path, commit_every, limits.get("max_bytes", 10**9), limits.get("keep_free", 0)
        )
        config = HubConfig(url="mqtt://127.0.0.1")
        self.uplink = Uplink(config, str(path), self.buffer, self.buffer.clock, mqtt.Will("w", b"lost"))
        self.tasks: list[asyncio.Task[None]] = []
        self.killed: float | None = None  # loop time
        hub.lives.append(self)

    async def start(self, uplink: bool = True, topics: dict[str, str] | None = None) -> "Life":
        await self.writer.open(topics or {})
        self.tasks = [asyncio.create_task(self.writer.run())]
        if uplink:
            self.tasks.append(asyncio.create_task(self.uplink.run()))
        return self

    def take(self, device: str = "meter-1", klass: Class = "normal", pad: int = 0) -> int:
        value = next(self.hub._values)
        body = (
            b'[{"n":"x","v":%d,"pad":"%s"}]' % (value, secrets.token_hex(pad // 2).encode())
            if pad
            else b'[{"n":"x","v":%d}]' % value
        )
        # The number is not known before it is taken, and taking may publish.
        book = self.buffer.books.get(device)
        seq = book.taken + 1 if book else 1
        self.hub.taken[self.run_id, device, seq] = value, asyncio.get_running_loop().time()
        assert self.buffer.take(device, self.buffer.clock.stamp(), klass, body) == seq
        return seq

    async def stop(self) -> None:
        """A clean stop, as the application does it."""
        await self.uplink.stop("lab/pi-7/status", b'{"state":"offline"}')
        self.writer.stop()
        await asyncio.wait(self.tasks, timeout=5)
        for task in self.tasks:
            await task
        await self.writer.finish()

    async def kill(self, to: Path) -> None:
        """The file as a SIGKILL leaves it goes on at `to`: copied between two statements, even of one transaction.

        Nothing that happens to this life afterwards reaches the hub.
        """
        store = self.writer._store
        if store is not None:
            self.killed = await store._db._execute(copy_file, self.path, to)
        else:
            self.killed = asyncio.get_running_loop().time()
        await self.abandon()

    async def abandon(self) -> None:
        """End without ceremony; nothing more reaches the hub."""
        if self.hub.session is not None:
            self.hub.session.lose()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.writer._disarm()
        if self.writer._store is not None:
            await self.writer._store.close()

    @property
    def idle(self) -> bool:
        """Nothing is held, nothing waits for a commit, every note is confirmed, earlier runs are settled."""
        b = self.buffer
        settled = all(book.done == book.taken for book in b.books.values()) and not b.old_books
        return settled and not (b.held()[0] or b.notes or b.pending_since is not None)

    def check(self) -> None:
        """Rule 13, exactly, and that memory holds what the books say."""
        assert not self.hub.faults
        for task in self.tasks:
            assert not (task.done() and task.exception()), task.exception()
        b = self.buffer
        on_disk: dict[str, int] = {}
        in_tail: dict[str, int] = {}
        for h in b.tail:
            in_tail[h.book.device] = in_tail.get(h.book.device, 0) + 1
        assert b.tail_bytes == sum(len(h.body) for h in b.tail)
        self.check_counts()
        for device, book in b.books.items():
            assert book.confirmed == sum(key[:2] == (self.run_id, device) for key in self.hub.confirmed)
            on_disk[device] = book.held - in_tail.get(device, 0)
            assert on_disk[device] >= 0
        old = sum(book.held for book in b.old_books.values())
        assert b.on_disk == sum(on_disk.values()) + old
        assert b.held()[0] == b.on_disk + sum(in_tail.values())

    def check_counts(self) -> None:
        """taken = confirmed + held + dropped."""
        for device, book in self.buffer.books.items():
            assert book.taken == book.confirmed + book.held + book.dropped, device
            assert book.taken == sum(key[:2] == (self.run_id, device) for key in self.hub.taken)


def copy_file(source: Path, to: Path) -> float:
    """What is on disk now. Returns the loop time."""
    now = time.monotonic()
    for suffix in ("", "-wal"):
        part = source.with_name(source.name + suffix)
        if part.exists():
            shutil.copyfile(part, to.with_name(to.name + suffix))
    return now
