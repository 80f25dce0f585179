"""Devices that speak, on real pseudo-terminals and TCP serial servers: what comes out, what goes wrong, the record."""

import asyncio
import itertools
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest
from wires import WITHIN, Port, Record, connection, terminal

from simulators import serial_port
from simulators.catalog import load_speaker
from simulators.faults import parse_fault
from simulators.modbus_slave import Given
from simulators.serial_port import serial_server, serial_terminal
from simulators.truth import Moment
from simulators.voice import Voice

H = bytes.fromhex
LAST_OF_BANNER = b"I (312) main: sensor found at 0x76, sampling 3 channels\r\n"
FIRST_OF_BANNER = b"ets Jul 29 2019 12:21:46\r\n"


class Given3(Record):
    """A truth in memory, with the device."""

    def __init__(self) -> None:
        super().__init__()
        self.devices: set[str] = set()

    def record(self, device: str, unit_id: int | None, values: Iterable[Given], when: Moment) -> None:
        assert unit_id is None
        self.devices.add(device)
        super().record(device, unit_id, values, when)

    def values(self, name: str) -> list[str]:
        return [value for _, quantity, value in self.given if quantity == name]


def voice(name: str, *faults: str, seed: int = 0, character: float = 0.0, **settings: str) -> Voice:
    speaker = load_speaker(name).build(seed, settings)
    return Voice(speaker, [parse_fault(text) for text in faults], Given3(), character=character)


def truth(of: Voice) -> Given3:
    assert isinstance(of.truth, Given3)
    return of.truth


async def lines(port: Port, count: int) -> list[bytes]:
    """The next `count` lines, with their ends."""
    found = []
    for _ in range(count):
        await port.news(lambda: b"\n" in port.heard)
        line, _, port.heard = port.heard.partition(b"\n")
        found.append(line + b"\n")
    return found


async def after_banner(port: Port, count: int) -> list[bytes]:
    while (await lines(port, 1))[0] != LAST_OF_BANNER:
        pass
    return await lines(port, count)


async def given(of: Voice, count: int) -> None:
    """Waits until so many values were given."""
    for _ in itertools.repeat(None):
        if len(truth(of).given) >= count:
            return
        await asyncio.sleep(0.001)


async def closed(of: Voice) -> None:
    """Waits until the simulator has noticed that its port was closed."""
    async with asyncio.timeout(WITHIN):
        for _ in itertools.repeat(None):
            if not of._listening:
                return
            await asyncio.sleep(0.001)


async def linked(link: Path) -> None:
    """Waits until the link is there."""
    async with asyncio.timeout(WITHIN):
        for _ in itertools.repeat(None):
            if link.is_symlink():
                return
            await asyncio.sleep(0.001)


# --- what comes out


async def test_a_board_on_a_terminal_and_its_record() -> None:
    board = voice("line_board", every="10ms")
    async with serial_terminal(board) as path, terminal(path) as port:
        assert (await lines(port, 1))[0] == FIRST_OF_BANNER
        printed = [json.loads(line) for line in await after_banner(port, 5)]
        assert [float(value) for value in truth(board).values("temperature")][:5] == [p["temperature"] for p in printed]
        assert truth(board).devices == {path}
        assert stat.S_ISCHR(Path(path).stat().st_mode)


async def test_a_free_running_balance_speaks_as_soon_as_its_port_is_open() -> None:
    balance = voice("balance", print="free", weight="29.18", settle="0s", every="10ms")
    async with serial_terminal(balance) as path, terminal(path) as port:
        printed = await lines(port, 2)
    assert all(line.strip().startswith(b"29.18") for line in printed)


async def test_a_port_that_nobody_has_open_keeps_nothing() -> None:
    board = voice("line_board", every="5ms")
    async with serial_terminal(board) as path:
        for _ in range(3):
            await closed(board)
            before = len(truth(board).given)
            await asyncio.sleep(0.03)
            assert len(truth(board).given) == before  # and nobody can say that it was given
            async with terminal(path) as port:
                assert (await lines(port, 1))[0] == FIRST_OF_BANNER  # nothing older; and opening resets a board
                await after_banner(port, 2)
                await asyncio.sleep(0.02)  # lines that are not read


async def test_what_was_not_read_before_a_port_was_closed_is_lost() -> None:
    board = voice("line_board", every="5ms")
    async with serial_terminal(board) as path:
        port = os.open(path, os.O_RDONLY | os.O_NOCTTY)
        async with asyncio.timeout(WITHIN):
            await given(board, 6)
        assert os.read(port, len(FIRST_OF_BANNER)) == FIRST_OF_BANNER
        os.close(port)
        await closed(board)
        before = len(truth(board).given)
        port = os.open(path, os.O_RDONLY | os.O_NOCTTY)  # not terminal(), which forgets what is there already
        async with asyncio.timeout(WITHIN):
            await given(board, before + 3)
        assert os.read(port, len(FIRST_OF_BANNER)) == FIRST_OF_BANNER
        os.close(port)


async def test_a_frame_that_nobody_heard_to_its_end_was_not_given() -> None:
    sensor = voice("pms5003", every="200ms", character=10 / 2400, warm_up="0")
    async with serial_terminal(sensor) as path:
        async with terminal(path) as port:
            await port.read(4)
        await asyncio.sleep(32 * 10 / 2400)
        assert truth(sensor).given == []
        async with terminal(path) as port:
            await port.until(b"BM", 2)
        assert len(truth(sensor).values("pm10")) == 1


async def test_a_meter_does_not_reset_when_it_is_opened() -> None:
    balance = voice("balance", settle="0s", weight="12.5")
    async with serial_terminal(balance) as path:
        async with terminal(path) as port:
            assert (await lines(port, 1))[0].startswith(b"I4 A ")  # it has just been switched on
        await closed(balance)
        async with terminal(path) as port:
            await asyncio.sleep(0.05)
            port.write(b"SI\r\n")
            assert await lines(port, 1) == [b"S S      12.50 g\r\n"]


async def test_requests_in_pieces_and_several_at_once() -> None:
    meter = voice("scpi_meter", voltage="1")
    async with serial_terminal(meter) as path, terminal(path) as port:
        for byte in b"MEAS:VOLT:DC?\n":
            port.write(bytes((byte,)))
        assert await lines(port, 1) == [b"+1.00000000E+00\n"]
        port.write(b"XYZ?\nSYST:ERR?\nSYST:ERR?\n")
        assert await lines(port, 2) == [b'-113,"Undefined header"\n', b'0,"No error"\n']
    assert truth(meter).given == [(None, "voltage", "1.0")]


async def test_a_balance_repeats_and_stops() -> None:
    balance = voice("balance", settle="0s", weight="1", every="10ms")
    async with serial_terminal(balance) as path, terminal(path) as port:
        await lines(port, 1)
        port.write(b"SIR\r\n")
        assert await lines(port, 4) == [b"S S       1.00 g\r\n"] * 4
        port.write(b"@\r\n")
        while not (await lines(port, 1))[0].startswith(b"I4 A "):
            pass
        await asyncio.sleep(0.05)
        assert port.heard == b""


async def test_a_stable_weight_is_waited_for() -> None:
    balance = voice("balance", settle="300ms", weight="50")
    async with serial_terminal(balance) as path, terminal(path) as port:
        await lines(port, 1)
        port.write(b"SI\r\nS\r\n")
        assert (await lines(port, 1))[0].startswith(b"S D ")
        asked = asyncio.get_running_loop().time()
        assert await lines(port, 1) == [b"S S      50.00 g\r\n"]
        assert asyncio.get_running_loop().time() - asked > 0.2


async def test_a_paced_line_comes_in_pieces() -> None:
    sensor = voice("pms5003", every="100ms", character=10 / 9600)
    async with serial_terminal(sensor) as path, terminal(path) as port:
        await port.read(32)
        assert len(port.pieces) >= 4
        assert port.pieces[-1][0] - port.pieces[0][0] > 32 * 10 / 9600 * 0.6


async def test_all_clients_of_a_serial_server_hear_and_may_ask() -> None:
    balance = voice("balance", settle="0s", weight="5")
    async with serial_server(balance) as url, connection(url) as one, connection(url) as other:
        assert url.startswith("tcp://127.0.0.1:")
        await lines(one, 1)
        other.write(b"S\r\n")
        assert (await lines(one, 1))[0] == (await lines(other, 1))[-1] == b"S S       5.00 g\r\n"
    assert truth(balance).devices == {url}


# --- what goes wrong


async def test_wrong_checksum() -> None:
    sensor = voice("sds011", "crc every 2", every="5ms", warm_up="0")
    async with serial_terminal(sensor) as path, terminal(path) as port:
        frames = [await port.read(10) for _ in range(20)]
    right = [(frame[8] - sum(frame[2:8])) % 256 == 0 for frame in frames]
    assert right == [True, False] * 10
    assert all(frame[:2] + frame[9:] == H("aac0ab") for frame in frames)
    given = [int.from_bytes(frame[2:4], "little") / 10 for frame in frames[::2]]
    assert [float(value) for value in truth(sensor).values("pm2_5")][:10] == given


async def test_cut_lines_keep_their_end_and_are_not_given() -> None:
    board = voice("line_board", "cut every 2", every="5ms")
    async with serial_terminal(board) as path, terminal(path) as port:
        printed = await after_banner(port, 20)
    assert all(line.endswith(b"\r\n") for line in printed)
    whole = [line for line in printed if line.endswith(b"}\r\n")]
    assert whole == printed[::2]
    said = [str(json.loads(line, parse_float=str)["temperature"]) for line in whole]
    assert truth(board).values("temperature")[:10] == said


async def test_cut_telegrams() -> None:
    meter = voice("p1_meter", "cut after 1 for 1", every="20ms")
    async with serial_terminal(meter) as path, terminal(path) as port:
        heard = await port.until(b"!", 2)
    first, second, *_ = (b"/" + part for part in heard.split(b"/")[1:])
    assert len(second) < len(first)
    assert b"!" not in second or not second.endswith(b"\r\n")
    assert len(truth(meter).values("1-0:1.8.0")) >= 2


async def test_noise_between_lines_and_around_frames() -> None:
    board = voice("line_board", "noise every 2", every="5ms")
    async with serial_terminal(board) as path, terminal(path) as port:
        printed = await after_banner(port, 30)
    noise = [line for line in printed if line[:1] != b"{"]
    assert len(noise) == 10
    assert all(byte >= 0x80 for line in noise for byte in line[:-2])
    assert truth(board).values("temperature")[:20] == [
        json.loads(line, parse_float=str)["temperature"] for line in printed if line[:1] == b"{"
    ]
    sensor = voice("sds011", "noise", every="5ms", warm_up="0", pm2_5="1", pm10="2")
    async with serial_terminal(sensor) as path, terminal(path) as port:
        heard = await port.until(H("aac00a001400"), 10)
    assert len(heard) > 9 * 10 + 9
    assert len(truth(sensor).values("pm10")) >= 10


async def test_silence() -> None:
    board = voice("line_board", "mute after 3 for 100ms", every="10ms")
    async with serial_terminal(board) as path, terminal(path) as port:
        await after_banner(port, 3)
        start = asyncio.get_running_loop().time()
        await lines(port, 1)
        assert 0.08 < asyncio.get_running_loop().time() - start < 1


async def test_reset_says_the_banner_again() -> None:
    board = voice("line_board", "reset after 3 for 1", every="5ms", dialect="csv")
    async with serial_terminal(board) as path, terminal(path) as port:
        heard = await port.until(b"temperature,humidity,pressure\r\n", 2)
    between = heard.split(b"temperature,humidity,pressure\r\n")[1].splitlines()
    assert len([line for line in between if line.count(b",") == 2 and line[:1].isdigit()]) == 3
    assert between[3] == FIRST_OF_BANNER.rstrip()


async def test_an_answer_that_is_late_by_one() -> None:
    meter = voice("scpi_meter", "late one for 1", voltage="1", current="2")
    async with serial_terminal(meter) as path, terminal(path) as port:
        port.write(b"MEAS:VOLT:DC?\n")
        await asyncio.sleep(0.05)
        assert port.heard == b""
        port.write(b"MEAS:CURR:DC?\n")
        assert await lines(port, 2) == [b"+1.00000000E+00\n", b"+2.00000000E+00\n"]
    assert truth(meter).given == [(None, "voltage", "1.0"), (None, "current", "2.0")]


async def test_a_late_answer() -> None:
    meter = voice("scpi_meter", "late 150ms", voltage="1")
    async with serial_terminal(meter) as path, terminal(path) as port:
        start = asyncio.get_running_loop().time()
        port.write(b"MEAS:VOLT:DC?\n")
        assert await lines(port, 1) == [b"+1.00000000E+00\n"]
        assert asyncio.get_running_loop().time() - start >= 0.15


async def test_a_receiver_loses_its_fix() -> None:
    receiver = voice("gnss", "novalue after 2 for 2", every="5ms")
    async with serial_terminal(receiver) as path, terminal(path) as port:
        await lines(port, 2)  # banner
        printed = await lines(port, 24)
    assert [line.split(b",")[2] for line in printed if b"RMC" in line] == [b"A", b"A", b"V", b"V", b"A", b"A"]


# --- the cable


async def test_pulled_in_mid_frame_and_back_under_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "_UNREAD", 5000)  # ms: the machine may be busy
    link = tmp_path / "by-id"
    board = voice("line_board", "unplug 50ms mid after 3 for 1", every="10ms")
    async with serial_terminal(board, link) as path:
        assert path == str(link)
        first = link.readlink()
        async with terminal(path) as port:
            heard = await port.rest()
        whole, _, part = heard.rpartition(b"\r\n")
        assert len([line for line in whole.splitlines() if line[:1] == b"{"]) == 3
        assert part[:1] == b"{"
        assert b"}" not in part
        assert len(truth(board).values("humidity")) == 3
        assert not link.is_symlink()
        assert not first.exists()
        await linked(link)
        assert link.readlink() != first
        async with terminal(path) as port:
            assert (await lines(port, 1))[0] == FIRST_OF_BANNER
            await after_banner(port, 3)
        assert truth(board).devices == {str(link)}
    assert not link.is_symlink()


async def test_what_a_pull_cuts_off_is_no_whole_line() -> None:
    """Cut between CR and LF it would be one to whoever reads, and not one to the truth."""
    for seed in range(300):
        board = Voice(load_speaker("line_board").build(seed, {}), [parse_fault("unplug 1s mid")], random=Random(seed))
        said: list[bytes] = []
        board.send = lambda data, said=said: said.append(data) or True
        board.power()
        board._listening = True
        board._say(board.speaker.speak)
        board.end()
        assert said
        assert b"\r" not in said[-1]


async def test_pulled_again_and_again_loses_nothing_that_was_given(tmp_path: Path) -> None:
    link = tmp_path / "by-id"
    board = voice("line_board", "unplug 5ms mid every 30ms", every="2ms")
    heard, opened = b"", 0
    before = len(list(Path("/proc/self/fd").iterdir()))
    async with serial_terminal(board, link) as path:
        while opened < 20:
            try:
                async with terminal(path) as port:
                    opened += 1
                    heard += await port.rest()
            except OSError:
                await asyncio.sleep(0.001)
    printed = [line for line in heard.splitlines() if line[:1] == b"{" and line[-1:] == b"}"]
    assert [json.loads(line, parse_float=str)["pressure"] for line in printed] == truth(board).values("pressure")
    assert len(printed) > 15
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_a_link_that_was_taken_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.serial_port._AGAIN", 0.02)
    link = tmp_path / "by-id"
    board = voice("line_board", "unplug 20ms after 1 for 1", every="5ms")
    async with serial_terminal(board, link) as path:
        async with terminal(path) as port:
            await port.rest()
        link.write_text("somebody else's")
        await asyncio.sleep(0.06)
        assert link.read_text() == "somebody else's"
        link.unlink()
        await linked(link)


async def test_a_serial_server_whose_device_is_pulled() -> None:
    board = voice("line_board", "unplug 500ms mid after 3 for 1", every="10ms")
    async with serial_server(board) as url:
        async with connection(url) as port:
            heard = await port.rest()
        assert heard.count(b"}\r\n") == 3
        assert not heard.endswith(b"\n")
        async with connection(url) as port:
            assert await port.rest() == b""
        async with asyncio.timeout(WITHIN):
            while True:
                async with connection(url) as port:
                    await asyncio.sleep(0.02)
                    if not port.closed:
                        assert (await lines(port, 1))[0] == FIRST_OF_BANNER
                        break
    assert len(truth(board).values("pressure")) >= 3


async def test_a_sensor_that_was_pulled_is_cold_again(tmp_path: Path) -> None:
    sensor = voice("sds011", "unplug 10ms after 4 for 1", every="5ms", warm_up="2")
    link = tmp_path / "dust"
    async with serial_terminal(sensor, link) as path:
        async with terminal(path) as port:
            heard = await port.rest()
        frames = [heard[at : at + 10] for at in range(0, len(heard), 10)]
        assert [frame[2:8] == bytes(6) for frame in frames] == [True, True, False, False]
        await linked(link)
        async with terminal(path) as port:
            assert (await port.read(10))[2:8] == bytes(6)
