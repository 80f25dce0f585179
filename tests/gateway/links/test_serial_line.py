"""A serial line over real pseudo-terminals and sockets: listening, asking, and cables that are pulled."""

import asyncio
import os
import socket
import tty
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.config_serial import SerialLinkConfig
from gateway.errors import LinkError
from gateway.links.ear import WAITING
from gateway.links.framing import Lines, Quiet
from gateway.links.ports import find_port
from gateway.links.serial import SerialLine
from gateway.links.serial_wire import REST
from tests.gateway.links.modbus_peers import ADDRESS

Make = Callable[..., SerialLine]
LINES = (Lines(),)


class Board:
    """The other end of a pseudo-terminal; `path` is the port, `link` may point to it."""

    def __init__(self, link: Path | None = None) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.path = os.ttyname(self.slave)
        if link is not None:
            link.symlink_to(self.path)
        self.link = link
        self.heard = asyncio.Queue[bytes]()
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def _read(self) -> None:
        self.heard.put_nowait(os.read(self.master, 1024))

    def say(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.master, data) :]

    def unplug(self) -> None:
        if self.master >= 0:
            if self.link is not None:
                self.link.unlink()
            asyncio.get_running_loop().remove_reader(self.master)
            os.close(self.slave)
            os.close(self.master)
            self.master = -1


@pytest.fixture
async def board() -> AsyncIterator[Callable[..., Board]]:
    boards: list[Board] = []

    def make(link: Path | None = None) -> Board:
        boards.append(Board(link))
        return boards[-1]

    yield make
    for one in boards:
        one.unplug()


@pytest.fixture
async def line() -> AsyncIterator[Make]:
    lines: list[SerialLine] = []
    unexpected: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: unexpected.append(told))

    def make(where: str, **more: Any) -> SerialLine:
        lines.append(SerialLine("desk", SerialLinkConfig.model_validate({"serial": where, "timeout": "5s", **more})))
        return lines[-1]

    yield make
    for one in lines:
        await one.close()
    assert not unexpected, "something ended in the loop, as a traceback in the log"


async def fails(question: Any) -> LinkError:
    with pytest.raises(LinkError) as caught:
        await question
    return caught.value


async def heard(desk: SerialLine, count: int, ear: str = "board") -> list[bytes]:
    frames: list[bytes] = []
    async with asyncio.timeout(5):
        while len(frames) < count:
            frames += await desk.frames(ear, LINES, 1)
    return frames


async def test_lines_are_heard_as_they_come(line: Make, board: Callable[..., Board]) -> None:
    one = board()
    desk = line(one.path)
    assert await desk.frames("board", LINES, 0.01) == []
    one.say(b"a fragment\ntemp: 20\r\nte")
    assert await heard(desk, 1) == [b"temp: 20"]
    one.say(b"mp: 21\n\nhum: 50\n")
    assert await heard(desk, 2) == [b"temp: 21", b"hum: 50"]
    assert desk.counts("board")["skipped"] == 0  # the fragment is nobody's fault


async def test_each_listener_has_an_ear_of_its_own(line: Make, board: Callable[..., Board]) -> None:
    one = board()
    desk = line(one.path)
    for ear in ("a", "b"):
        assert await desk.frames(ear, LINES, 0.01) == []
    one.say(b"-\nx\ny\n")
    assert await heard(desk, 2, "a") == [b"x", b"y"]
    assert await heard(desk, 2, "b") == [b"x", b"y"]


async def test_what_nobody_fetches_is_bounded_and_counted(line: Make, board: Callable[..., Board]) -> None:
    one = board()
    desk = line(one.path)
    assert await desk.frames("slow", LINES, 0.01) == []
    assert await desk.frames("quick", LINES, 0.01) == []
    said = [b"%99d" % n for n in range(3 * WAITING // 100)]
    saying = asyncio.create_task(asyncio.to_thread(one.say, b"-\n" + b"\n".join(said) + b"\n"))
    assert await heard(desk, len(said), "quick") == said
    await saying
    kept = await desk.frames("slow", LINES, 1)
    assert WAITING / 3 < sum(map(len, kept)) <= WAITING
    assert kept == said[-len(kept) :]
    assert desk._ears["slow"].passed_over == len(said) - len(kept)


async def test_silence_ends_a_frame_where_that_is_how_frames_end(line: Make, board: Callable[..., Board]) -> None:
    one = board()
    desk = line(one.path)
    quiet = (Quiet(0.2),)
    assert await desk.frames("meter", quiet, 0.01) == []
    one.say(b"half of one")
    assert await desk.frames("meter", quiet, 0.5) == []
    one.say(b"\1\2")
    await asyncio.sleep(0.005)
    one.say(b"\3")
    assert await desk.frames("meter", quiet, 1) == [b"\1\2\3"]


async def test_a_question_and_its_answer(line: Make, board: Callable[..., Board]) -> None:
    one = board()
    desk = line(one.path)
    asking = asyncio.create_task(desk.ask(b"SI\r\n", LINES))
    assert await one.heard.get() == b"SI\r\n"
    one.say(b"S S      100.00 g\r\n")
    assert await asking == b"S S      100.00 g"


async def test_an_answer_that_comes_late_is_not_taken_for_the_next(line: Make, board: Callable[..., Board]) -> None:
    one = board()
    desk = line(one.path, timeout="30ms")
    error = await fails(desk.ask(b"A?\n", LINES))
    assert (str(error), error.reason) == (
        "no answer within 30 ms: link desk; check cable, speed, and that it is on",
        "timeout",
    )
    asking = asyncio.create_task(desk.ask(b"B?\n", LINES, 1))
    one.say(b"a\n")
    assert await one.heard.get() == b"A?\n"
    assert await one.heard.get() == b"B?\n"
    one.say(b"b\n")
    assert await asking == b"b"


async def test_who_asks_takes_turns_and_one_who_gives_up_keeps_his(line: Make, board: Callable[..., Board]) -> None:
    one = board()
    desk = line(one.path, timeout="200ms")
    first = asyncio.create_task(desk.ask(b"A?\n", LINES))
    assert await one.heard.get() == b"A?\n"
    first.cancel()
    second = asyncio.create_task(desk.ask(b"B?\n", LINES))
    await asyncio.sleep(0.05)
    assert one.heard.empty()
    one.say(b"a\n")
    assert await one.heard.get() == b"B?\n"
    one.say(b"b\n")
    assert await second == b"b"


@pytest.mark.parametrize(
    ("prepare", "reason", "text"),
    [
        (lambda path: None, "missing", "plug it in, or correct the path"),
        (lambda path: path.write_text(""), "configuration", "this is no serial port"),
    ],
)
async def test_ports_that_cannot_be_opened(
    line: Make, tmp_path: Path, prepare: Callable[[Path], Any], reason: str, text: str
) -> None:
    prepare(tmp_path / "ttyUSB0")
    error = await fails(line(str(tmp_path / "ttyUSB0")).frames("board", LINES, 1))
    assert error.reason == reason
    assert f"{tmp_path}/ttyUSB0 cannot be opened" in str(error)
    assert text in str(error)


async def test_a_port_that_is_held(line: Make, board: Callable[..., Board]) -> None:
    one = board()
    first, second = line(one.path), line(one.path)
    await first.frames("board", LINES, 0.01)
    assert (await fails(second.frames("board", LINES, 1))).reason == "busy"
    await first.close()
    assert await second.frames("board", LINES, 0.01) == []


async def test_unplugged_and_plugged_in_under_another_name(
    line: Make, board: Callable[..., Board], tmp_path: Path
) -> None:
    by_id = tmp_path / "usb-board-if00"
    desk = line(str(by_id))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for n in range(30):
        one = board(by_id)
        assert await desk.frames("board", LINES, 0.001) == []
        one.say(b"-\n%d\nhal" % n)
        assert await heard(desk, 1) == [b"%d" % n]
        hearing = asyncio.create_task(fails(desk.frames("board", LINES, 5)))
        asking = asyncio.create_task(fails(desk.ask(b"?\n", LINES)))
        assert await one.heard.get() == b"?\n"
        one.unplug()
        for error in await asyncio.gather(hearing, asking):
            assert (error.reason, str(error)) == ("unplugged", f"{by_id} went away: link desk; plug it in again")
        assert (await fails(desk.frames("board", LINES, 1))).reason == "unplugged"  # and not: missing
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_a_serial_server(line: Make) -> None:
    connections = asyncio.Queue[asyncio.StreamWriter]()
    asked = asyncio.Queue[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.put_nowait(writer)
        while data := await reader.read(100):
            asked.put_nowait(data)

    server = await asyncio.start_server(serve, ADDRESS, 0)
    port = server.sockets[0].getsockname()[1]
    desk = line(f"tcp://{ADDRESS}:{port}")
    for _ in range(2):
        assert await desk.frames("board", LINES, 0.01) == []
        writer = await connections.get()
        writer.write(b"-\ntemp: 20\n")
        assert await heard(desk, 1) == [b"temp: 20"]
        asking = asyncio.create_task(desk.ask(b"?\n", LINES))
        assert await asked.get() == b"?\n"
        writer.write(b"!\n")
        assert await asking == b"!"
        await heard(desk, 1)
        writer.close()
        error = await fails(desk.frames("board", LINES, 5))
        assert str(error).startswith(f"tcp://{ADDRESS}:{port} closed the connection: link desk")
    server.close()
    await server.wait_closed()
    assert (await fails(desk.frames("board", LINES, 1))).reason == "refused"


# Who prints line upon line is not read line by line


@pytest.fixture(params=["port", "server"])
async def printer(
    request: pytest.FixtureRequest, line: Make, board: Callable[..., Board]
) -> AsyncIterator[tuple[SerialLine, Callable[[bytes], None], asyncio.Queue[bytes]]]:
    """An open line, what makes the other end of it speak, and what that end heard."""
    if request.param == "port":
        one = board()
        desk = line(one.path)
        await desk.frames("board", LINES, 0.001)
        yield desk, one.say, one.heard
        return
    connected: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    asked = asyncio.Queue[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set_result(writer)
        while data := await reader.read(100):
            asked.put_nowait(data)
        writer.close()

    async with await asyncio.start_server(serve, ADDRESS, 0) as server:
        desk = line(f"tcp://{ADDRESS}:{server.sockets[0].getsockname()[1]}")
        await desk.frames("board", LINES, 0.001)
        yield desk, (await connected).write, asked
        await desk.close()


async def a_rest_would_last(loop: asyncio.AbstractEventLoop) -> None:
    """Until all of a rest is still to come."""
    await asyncio.sleep(REST - loop.time() % REST + 0.001)


async def test_line_upon_line_is_read_together(printer: Any) -> None:
    desk, say, _ = printer
    reads: list[bytes] = []
    desk.trace = lambda mark, data, _: reads.append(data)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for n in range(100):
        say(b"%d\n" % n)
        await asyncio.sleep(0.003)
    assert await heard(desk, 99) == [b"%d" % n for n in range(1, 100)]  # before the first there may have been more
    assert len(reads) <= (loop.time() - began) / REST + 5


async def test_the_first_line_after_a_silence_is_read_at_once(printer: Any) -> None:
    desk, say, _ = printer
    say(b"-\n")
    loop, took = asyncio.get_running_loop(), []
    for _ in range(5):
        await asyncio.sleep(2 * REST)
        await a_rest_would_last(loop)
        began = loop.time()
        say(b"t=20\n")
        assert await heard(desk, 1) == [b"t=20"]
        took.append(loop.time() - began)
    assert min(took) < REST / 4


async def test_an_answer_is_read_at_once_also_of_who_prints(printer: Any) -> None:
    desk, say, asked = printer
    say(b"-\n")
    loop, took = asyncio.get_running_loop(), []
    for _ in range(5):
        await a_rest_would_last(loop)
        say(b"t=20\n")
        await heard(desk, 1)  # now it rests
        began = loop.time()
        asking = asyncio.create_task(desk.ask(b"?\n", LINES))
        await asked.get()
        say(b"!\n")
        assert await asking == b"!"
        took.append(loop.time() - began)
        await heard(desk, 1)
    assert min(took) < REST / 4


async def test_a_connection_whose_other_end_lost_its_power_is_found_out(line: Make) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, ADDRESS, 0) as server:
        desk = line(f"tcp://{ADDRESS}:{server.sockets[0].getsockname()[1]}")
        await desk.frames("board", LINES, 0.001)
        wire = desk._wire._transport.get_extra_info("socket")  # a power cut cannot be had on loopback
        assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, every, times = (
            wire.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + every * times <= 30
        await desk.close()


def test_a_port_is_found_by_what_is_plugged_in_and_where(usb_ports: None) -> None:
    def usb(**keys: str) -> Any:
        return SerialLinkConfig.model_validate({"serial": {"usb": keys}}).serial

    assert find_port(usb(vid="0403", pid="6001", serial="A5069RR4"), "desk") == "/dev/ttyUSB0"
    assert find_port(usb(path="1-1.4"), "desk") == "/dev/ttyUSB2"
    with pytest.raises(LinkError, match=r"is /dev/ttyUSB1 and /dev/ttyUSB2: link desk; add path") as caught:
        find_port(usb(vid="1a86", pid="7523"), "desk")
    assert caught.value.reason == "configuration"
    with pytest.raises(LinkError, match=r"is not there: link desk; plug it in") as caught:
        find_port(usb(vid="10c4", pid="ea60"), "desk")
    assert caught.value.reason == "missing"


@pytest.fixture
def usb_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a host with three adapters finds, two of them alike: no machine of a test has any."""
    from gateway.links import ports

    monkeypatch.setattr(
        ports,
        "serial_ports",
        lambda: [
            ports.Port("/dev/ttyS0"),
            ports.Port("/dev/ttyUSB0", usb_path="1-1.1", vid="0403", pid="6001", serial="A5069RR4"),
            ports.Port("/dev/ttyUSB1", usb_path="1-1.3", vid="1a86", pid="7523"),
            ports.Port("/dev/ttyUSB2", usb_path="1-1.4", vid="1a86", pid="7523"),
        ],
    )
