"""Devices that speak by themselves, on a real pseudo-terminal: samples, nonsense, silence, pulled cables."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import listening
from gateway.answer_rows import device_row
from gateway.clock import Clock
from gateway.config import DeviceConfig
from gateway.device import Device
from gateway.driver import Listener, Options
from gateway.errors import DecodeError, LinkError
from gateway.links.base import SerialLink
from gateway.links.framing import Framing, Lines
from gateway.reading import Reading, Sample
from tests.gateway.links.test_serial_line import Board, board, line

__all__ = ["board", "line"]  # fixtures


class Numbers(Listener):
    """`t 20` is a reading; `#…` is a comment; all else makes no sense."""

    options: Options
    link: SerialLink

    @property
    def hear(self) -> tuple[Framing, ...]:
        return (Lines(),)

    def decode(self, frame: bytes) -> list[Reading]:
        if frame.startswith(b"#"):
            return []
        name, _, value = frame.rpartition(b" ")
        if name == b"bug":
            raise KeyError(value)
        if name == b"no readings":
            return [value]
        if not value.isdigit():
            raise DecodeError(f"no number in {frame.decode()!r}")
        return [Reading(name.decode(), int(value), "Cel")]


class Bench:
    """A listening device on a line, and what it gave and said."""

    def __init__(self, link: SerialLink, **config: Any) -> None:
        self.samples: asyncio.Queue[Sample] = asyncio.Queue()
        self.states: list[tuple[str, str | None]] = []
        self.changed = asyncio.Event()
        common = {
            "name": "board-1", "driver": "numbers", "driver_class": Numbers, "profile": None, "version": None,
            "options": Options(), "link": "desk", "every": 0.0, "silent_after": None, "klass": "normal",
            "labels": {}, "max_quantities": 64, "isolate": False,
        }  # fmt: skip
        self.device = Device(
            DeviceConfig(**(common | config)),
            Numbers(Options(), link),
            Clock(),
            lambda _, sample, __: self.samples.put_nowait(sample),
            self._told,
        )

    def _told(self, device: Device) -> None:
        state = (device.state, device.reason)
        if not self.states or self.states[-1] != state:
            self.states.append(state)
            self.changed.set()

    async def values(self, count: int) -> list[Any]:
        async with asyncio.timeout(5):
            return [(await self.samples.get()).readings[0].value for _ in range(count)]

    async def is_now(self, state: str) -> None:
        async with asyncio.timeout(5):
            while self.device.state != state:
                self.changed.clear()
                await self.changed.wait()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - of a port that is opened nobody is told
            await asyncio.sleep(0.002)


@pytest.fixture
async def bench(line: Callable[..., Any]) -> Any:
    running: list[asyncio.Task[None]] = []

    async def start(where: str, **config: Any) -> Bench:
        found = Bench(line(where), **config)
        running.append(asyncio.create_task(found.device.run(0.0)))
        await until(lambda: found.device.driver.link._wire is not None or bool(found.states))  # open, or not there
        return found

    yield start
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


Start = Callable[..., Any]


async def test_each_frame_is_a_sample(bench: Start, board: Callable[..., Board]) -> None:
    one = board()
    numbers = await bench(one.path)
    one.say(b"gment\nt 20\n# a comment\nt 21\nt 22\n")
    assert await numbers.values(3) == [20, 21, 22]
    assert numbers.states[-1] == ("ok", None)
    assert numbers.device.meta()["quantities"] == {"t": {"unit": "Cel", "kind": "measurement"}}
    assert "every" not in numbers.device.meta()


async def test_at_most_one_sample_a_period_and_that_the_newest(bench: Start, board: Callable[..., Board]) -> None:
    one = board()
    numbers = await bench(one.path, every=0.2)
    one.say(b"-\n")
    loop = asyncio.get_running_loop()
    began = loop.time()
    for n in range(100):
        one.say(b"t %d\n" % n)
        await asyncio.sleep(0.005)
    found = await numbers.values(3)
    assert found[0] == 0
    assert len(found) + numbers.samples.qsize() <= 2 + (loop.time() - began) / 0.2
    one.say(b"t 1000\n")
    while found[-1] != 1000:  # the newest arrives, though nothing comes after it
        found += await numbers.values(1)
    assert found == sorted(found)


async def test_nonsense_is_counted_and_becomes_a_state_when_nothing_else_comes(
    bench: Start, board: Callable[..., Board]
) -> None:
    one = board()
    numbers = await bench(one.path)
    one.say(b"-\nt 20\nt x\nt y\nt 21\n")
    assert await numbers.values(2) == [20, 21]
    assert numbers.states[-1] == ("ok", None)
    one.say(b"t a\nt b\nt c\n")
    await numbers.is_now("degraded")
    assert numbers.device.status()["text"] == "no number in 't c'"
    assert numbers.device.lost == {"decode": 5}
    one.say(b"t 22\n")
    assert await numbers.values(1) == [22]
    await numbers.is_now("ok")


async def test_silence_is_a_state(bench: Start, board: Callable[..., Board]) -> None:
    one = board()
    numbers = await bench(one.path, silent_after=0.1)
    one.say(b"-\nt 20\n")
    await numbers.is_now("silent")
    assert str(numbers.device.status()["text"]).startswith(
        "nothing heard for 0.1 s: link desk; check cable, speed, and that it is on"
    )
    one.say(b"t 21\n")
    await numbers.is_now("ok")


async def test_bytes_that_never_end_a_frame_are_told_long_before_silence(
    bench: Start, board: Callable[..., Board]
) -> None:
    one = board()
    numbers = await bench(one.path)
    one.say(b"x" * 3000)
    assert numbers.device.state == "starting"  # this could still be the end of a line
    one.say(b"x" * 3000)
    await numbers.is_now("degraded")
    assert (numbers.states, numbers.device.text) == (
        [("degraded", "decode")],
        "6000 bytes came and no frame is in them: link desk; check baudrate, parity and driver",
    )
    one.say(b"\nt 20\n")
    await numbers.is_now("ok")
    while numbers.device.state == "ok":
        one.say(b"y" * 1000)
        await asyncio.sleep(0.01)
    assert numbers.states[-1] == ("degraded", "decode")


async def test_bytes_that_slowly_give_no_frame_are_told_when_it_would_be_silent(
    bench: Start, board: Callable[..., Board]
) -> None:
    one = board()
    numbers = await bench(one.path, silent_after=0.1)
    one.say(b"\x80" * 30)
    await numbers.is_now("silent")
    assert "30 bytes came in 0.1 s and no frame is in them: link desk; check baudrate" in numbers.device.text
    await until(lambda: numbers.device.text.startswith("nothing heard for 0.1 s"))


async def test_frames_that_never_tell_a_value_are_no_news(bench: Start, board: Callable[..., Board]) -> None:
    one = board()
    numbers = await bench(one.path, silent_after=0.4)
    one.say(b"-\nt 20\n")
    await numbers.is_now("ok")
    while numbers.device.state == "ok":
        one.say(b"# boot\n")
        await asyncio.sleep(0.01)
    assert numbers.states[-1] == ("silent", "silent")
    assert numbers.device.text == "nothing that tells a value for 0.4 s: `labgate tail board-1 --raw` shows what comes"
    one.say(b"t 21\n")
    await numbers.is_now("ok")


@pytest.mark.parametrize("listened_to", [True, False])
async def test_who_reads_a_device_that_never_ends_a_frame_is_told_so(
    line: Callable[..., Any], bench: Start, board: Callable[..., Board], listened_to: bool
) -> None:
    one = board()
    device = (await bench(one.path)).device if listened_to else Bench(line(one.path)).device
    reading = asyncio.create_task(device.read())
    await until(lambda: device.driver.link._wire is not None)
    one.say(b"x" * 6000)
    with pytest.raises(DecodeError, match=r"^6000 bytes came and no frame is in them: link desk; check baudrate"):
        await reading


async def test_a_cable_is_pulled_and_comes_back_under_another_number(
    bench: Start, board: Callable[..., Board], tmp_path: Path
) -> None:
    by_id = tmp_path / "usb-board-if00"
    numbers = await bench(str(by_id))
    assert numbers.states == [("unreachable", "missing")]
    loop = asyncio.get_running_loop()
    for n in range(5):
        one = board(by_id)
        back = loop.time()
        await until(lambda: numbers.device.driver.link._wire is not None)
        assert loop.time() - back < 1
        one.say(b"-\nt %d\n" % n)
        assert await numbers.values(1) == [n]
        await numbers.is_now("ok")
        one.unplug()
        await numbers.is_now("unreachable")
    await asyncio.sleep(1.2)  # it is looked for twice more: nothing is said again
    assert [state for state in numbers.states if state[0] != "starting"] == [
        ("unreachable", "missing"),
        *[("ok", None), ("unreachable", "unplugged")] * 5,
    ]


async def test_somebody_reads_what_it_says_next(bench: Start, board: Callable[..., Board]) -> None:
    one = board()
    numbers = await bench(one.path)
    one.say(b"-\nt 20\n")
    assert await numbers.values(1) == [20]
    reading = asyncio.create_task(numbers.device.read())
    await asyncio.sleep(0)  # it has begun to wait
    one.say(b"# half of what it heard first may be missing\nt 21\n")
    assert [(r.name, r.value) for r in await reading] == [("t", 21)]
    assert await numbers.values(1) == [21]


async def test_who_overhears_a_device_is_told_every_frame_before_it_is_decoded(
    bench: Start, board: Callable[..., Board]
) -> None:
    one = board()
    numbers = await bench(one.path)
    told: list[bytes] = []
    numbers.device.overheard.append(lambda _, frames: told.extend(frames))
    one.say(b"-\n# a comment\nt x\nt 20\n")
    assert await numbers.values(1) == [20]
    assert told == [b"# a comment", b"t x", b"t 20"]


async def test_somebody_reads_what_seldom_speaks(
    bench: Start, board: Callable[..., Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "READ_WITHIN", 0.1)
    one = board()
    numbers = await bench(one.path)
    one.say(b"-\nt 20\n")
    await numbers.values(1)
    await asyncio.sleep(0.2)
    one.say(b"t 21\n")
    await numbers.values(1)
    with pytest.raises(LinkError, match=r"^nothing heard for 0.1 s: board-1 speaks every 0\.\d+ s or so; `labgate"):
        await numbers.device.read()


async def test_a_bug_of_the_driver_costs_the_frame_it_fails_on_and_no_other(
    bench: Start, board: Callable[..., Board], caplog: pytest.LogCaptureFixture
) -> None:
    one = board()
    numbers = await bench(one.path)
    one.say(b"-\nt 20\n" + b"bug 1\nt 21\nno readings 1\nt 22\n" * 20)
    assert await numbers.values(41) == [20] + [21, 22] * 20
    assert numbers.device.lost == {"bug": 40}
    assert [state for state, _ in numbers.states] == ["starting", "ok"]
    assert [record.message for record in caplog.records if record.exc_info] == [
        "the driver of board-1 failed with an error nobody expected"
    ] * 2  # once a kind
    one.say(b"bug 2\n" * 3)
    await numbers.is_now("degraded")
    assert (numbers.states[-1], numbers.device.text) == (
        ("degraded", "bug"),
        "the driver failed: KeyError: b'2'; the log has the details",
    )


async def test_ten_thousand_lines_at_once_leave_others_their_turn(bench: Start, board: Callable[..., Board]) -> None:
    one = board()
    numbers = await bench(one.path)
    loop, latest, watching = asyncio.get_running_loop(), [0.0], True

    async def watch() -> None:
        while watching:
            due = loop.time() + 0.001
            await asyncio.sleep(0.001)
            latest[0] = max(latest[0], loop.time() - due)

    watcher = asyncio.create_task(watch())
    await asyncio.to_thread(one.say, b"-\n" + b"".join(b"t %d\n" % n for n in range(10_000)))
    assert await numbers.values(10_000) == list(range(10_000))
    watching = False
    await watcher
    assert latest[0] < 0.1


async def test_what_is_heard_and_is_in_no_sample_is_counted(bench: Start, board: Callable[..., Board]) -> None:
    one = board()
    numbers = await bench(one.path, every=0.2)
    one.say(b"gment\nt 1\nt 2\nt 3\nt 4\n" + b"x" * 5000 + b"\nt 5\n")
    found = await numbers.values(1)
    while found[-1] != 5:
        found += await numbers.values(1)
    row = device_row(numbers.device)
    assert row["unused"] == {
        "skipped": 5000,  # longer than any line; the first one may be the end of one
        "overlong": 1,
        "wrong_checksum": 0,
        "passed_over": 0,
        "thinned": 5 - len(found),
    }
    assert row["lost"] == {}


class Air:
    """A radio that hears what it is told: repeats of a tag, or nothing. Time cannot be had from a real one."""

    def __init__(self) -> None:
        self.name, self.trace = "radio", None
        self.repeats: list[int] = []  # how many, at each time that is asked for
        self.news: list[bytes] = []  # frames, of which each has some repeats before it

    async def frames(self, ear: str, hear: Any, within: float) -> list[bytes]:
        if self.news:
            self.heard += 4
            return [self.news.pop(0)]
        await asyncio.sleep(within + 0.001)
        self.heard += self.repeats.pop(0)
        if not self.repeats:
            await asyncio.Event().wait()
        return []

    heard = 0

    def counts(self, ear: str) -> dict[str, int]:
        return {"repeats": self.heard}


async def test_a_tag_that_repeats_itself_is_there_and_one_that_is_not_heard_is_silent() -> None:
    air = Air()
    air.repeats = [3, 1, 0, 0]
    bench = Bench(air, silent_after=0.01)
    running = asyncio.create_task(bench.device.run(0.0))
    await bench.is_now("silent")
    assert len(air.repeats) == 1  # silent at the third time, not before
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_repeats_before_the_last_news_say_nothing_of_the_silence_after_it() -> None:
    air = Air()
    air.news, air.repeats = [b"t 20", b"t 21"], [0, 0]
    bench = Bench(air, silent_after=0.01)
    running = asyncio.create_task(bench.device.run(0.0))
    await bench.is_now("silent")
    assert len(air.repeats) == 1  # at the first time
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
