"""What check predicts of a bus, against devices that are really polled on a line paced to its baud rate.

Simulated devices wait 3.5 characters before they answer, so the time assumed for real ones is left out here.
"""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from gateway.cli import plan
from gateway.cli import site as commands
from gateway.config import Site, load_site
from gateway.device import Device
from gateway.testbed import PYTHON, Process, Simulator

ROUNDS = 4  # of which the mean is taken
LINE = ("eastron_sdm120", "--unit-id", "1-3", "--baudrate", "38400", "--json")
NEAR = 0.05  # of the prediction; measured 0 to 2 %
ATTEMPTS = 3  # what else the machine does makes rounds longer, never shorter

WORDS = [f"{{name: r{n}, table: holding, address: {n}, type: uint64}}" for n in range(0, 60, 4)]


@pytest.mark.parametrize(
    ("simulator", "baudrate", "units", "more"),
    [
        ("xy_md02", 2400, 2, ""),
        ("xy_md02", 9600, 4, ""),
        ("eastron_sdm120", 19200, 2, ", only: [voltage, frequency, energy_total], pause: 0s"),
        ("eastron_sdm120", 19200, 2, ", only: [voltage, energy_total]"),
        ("registers", 115200, 4, f", registers: [{', '.join(WORDS)}]"),
    ],
)
async def test_the_cycle_time(tmp_path: Path, simulator: str, baudrate: int, units: int, more: str) -> None:
    options = ("--unit-id", f"1-{units}", "--baudrate", str(baudrate))
    with Simulator(tmp_path, simulator, *options) as line:
        site = load(tmp_path, line.url, simulator, baudrate, units, more)
        (load_,) = plan.bus_loads(site, answer_time=0)
        assert load_.share > 1.2  # more is asked than fits: the line never rests
        for _ in range(ATTEMPTS):
            await asyncio.sleep(0.2)  # the last answer of the attempt before is over
            taken = await polled(site, seconds=(ROUNDS + 2) * load_.cycle + 0.3)
            cycle = min(fastest(moments) for moments in taken.values())
            assert cycle > (1 - NEAR) * load_.cycle
            if cycle < (1 + NEAR) * load_.cycle:
                break
        else:
            pytest.fail(f"a round takes {cycle:.4f} s, predicted {load_.cycle:.4f} s")


def load(folder: Path, url: str, simulator: str, baudrate: int, units: int, more: str) -> Site:
    kind = "driver: modbus" if simulator == "registers" else f"profile: {simulator}"
    file = folder / "gateway.yaml"
    file.write_text(
        f"gateway: {{id: t-1}}\nlinks: {{bus-1: {{modbus: {url}, baudrate: {baudrate}}}}}\ndevices:\n"
        + "".join(f"  d{u}: {{{kind}, link: bus-1, unit_id: {u}, every: 10ms{more}}}\n" for u in range(1, units + 1))
    )
    site = load_site(file)
    assert not site.problems, site.problems
    return site


async def polled(site: Site, seconds: float) -> dict[str, list[float]]:
    """When samples of each device came (s)."""
    clock = asyncio.get_running_loop().time
    taken: dict[str, list[float]] = {name: [] for name in site.devices}
    links = commands.links_of(site, list(site.devices.values()))

    def note(device: Device, *_: object) -> None:
        taken[device.name].append(clock())

    devices = [commands.make(config, links, note, lambda _: None) for config in site.devices.values()]
    async with asyncio.TaskGroup() as group:
        polls = [group.create_task(device.poll(0)) for device in devices]
        await asyncio.sleep(seconds)
        for poll in polls:
            poll.cancel()
    for link in links.values():
        await link.close()
    assert all(not device.lost for device in devices), "no poll is lost"
    return taken


def fastest(moments: list[float]) -> float:
    """The shortest mean time of so many rounds."""
    assert len(moments) > ROUNDS
    return min((later - earlier) / ROUNDS for earlier, later in zip(moments, moments[ROUNDS:], strict=False))


async def test_the_line_itself_reckons_the_same(tmp_path: Path) -> None:
    """Characters and silences as the simulated line counts them, whatever the machine's load."""
    with Process([*PYTHON, "-m", "simulators", *LINE], tmp_path / "line.log") as line:
        out = line.start()
        site = load(tmp_path, json.loads(out.readline())["url"], "eastron_sdm120", 38400, 3, ", pause: 0s")
        links = commands.links_of(site, list(site.devices.values()))
        for config in site.devices.values():
            await commands.make(config, links, lambda *_: None, lambda _: None).driver.read()
        for link in links.values():
            await link.close()
        os.kill(line.pid, signal.SIGTERM)
        report = json.loads(out.readline())
    (load_,) = plan.bus_loads(site, answer_time=0)
    assert load_.cycle - load_.turns * plan.HANDLING == pytest.approx(report["busy_s"] + report["silent_s"], rel=1e-3)
    assert report["frames"] == 2 * load_.turns
