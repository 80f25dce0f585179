"""Lines with more asked than fits, with a dead device, and beside another port: what the daemon makes of each.

Lines are paced to their baud rate. One daemon, three links, real processes; the simulators say how busy a line was.
"""

import time
from pathlib import Path
from typing import Any

from gateway.control import ask
from gateway.testbed import Gateway, Simulator

SECONDS = 14.0  # longer than the window that `bus_full` is reckoned over
UNITS = range(1, 9)


def device(link: str, unit: int, every: str, count: int) -> dict[str, Any]:
    registers = [{"name": f"r{n}", "table": "holding", "address": n} for n in range(count)]
    return {
        "driver": "modbus",
        "link": link,
        "unit_id": unit,
        "every": every,
        "registers": registers,
        "max_quantities": 125,
    }


def test_full_lines_dead_devices_and_other_ports(tmp_path: Path) -> None:
    with (
        Simulator(tmp_path, "registers", "--unit-id", "1-4", "--baudrate", "38400", "--set", "count=125") as full,
        Simulator(tmp_path, "registers", "--baudrate", "38400", "--set", "count=125") as lone,
        Simulator(tmp_path, "registers", "--unit-id", "1-8", "--baudrate", "9600", "--fault", "unit 3: mute") as dead,
        Simulator(tmp_path, "registers", "--port", "0") as other,
    ):
        site = {
            "gateway": {"id": "bus-test"},
            "buffer": {"path": str(tmp_path / "buffer.db")},
            "links": {
                "full": {"modbus": full.url, "baudrate": 38400},
                "lone": {"modbus": lone.url, "baudrate": 38400},
                "dead": {"modbus": dead.url, "baudrate": 9600, "timeout": "200ms"},
                "other": {"modbus": other.url},
            },
            "devices": {
                **{f"full-{unit}": device("full", unit, "50ms", 125) for unit in range(1, 5)},
                "lone": device("lone", 1, "50ms", 125),  # 75 ms each: on a grid of 50 ms every fourth would stay empty
                **{f"dead-{unit}": device("dead", unit, "1s", 10) for unit in UNITS},
                "other": device("other", 1, "100ms", 10),
            },
        }
        with Gateway(tmp_path, site) as gateway:
            time.sleep(SECONDS)  # what is counted are the polls of this time
            devices = {row["device"]: row for row in ask(gateway.socket, "devices")}
            taken = {row["device"]: row["taken"] for row in ask(gateway.socket, "ledger") if "device" in row}
        lines = [full.report(), lone.report()]

    # More asked than fits: the line never rests longer than the protocol demands, and the shares are alike.
    for line in lines:
        assert line["collisions"] == line["crowded"] == 0
        assert (line["busy_s"] + line["silent_s"]) / line["elapsed_s"] > 0.95
    shares = [taken[f"full-{unit}"] for unit in range(1, 5)]
    assert max(shares) - min(shares) <= 1
    for unit in range(1, 5):
        row = devices[f"full-{unit}"]
        assert (row["state"], row["reason"], row["asked"]) == ("degraded", "bus_full", 20.0)
        assert 0.8 < row["achieved"] / (shares[unit - 1] / SECONDS) < 1.2
    # One dead of eight: the others lose at most 5 % of their polls.
    for unit in UNITS:
        row = devices[f"dead-{unit}"]
        if unit == 3:
            assert (row["state"], row["reason"]) == ("unreachable", "timeout")
            assert 3 <= row["lost"]["timeout"] <= 8  # at once, then after 1, 2, 4, 8 s
        else:
            assert row["state"] == "ok"
            assert row["lost"] == {}
            assert taken[f"dead-{unit}"] >= 0.95 * SECONDS - 1
    # Nothing of this delays a device on another port.
    assert devices["other"]["lost"] == {}
    assert taken["other"] >= 0.95 * SECONDS * 10 - 1
