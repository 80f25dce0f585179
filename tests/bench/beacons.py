"""Tags that advertise ten times a second on one simulated radio; most adverts repeat a measurement."""

import json
import subprocess
import sys
from pathlib import Path

from rig import ROOT, Process, Rig


class Beacons(Rig):
    """RuuviTags that measure as often as their firmware does, heard as bleak hears them."""

    every, repeated = "1285ms", 13

    def _simulated(self) -> list[str]:
        return ["ble_tag", "--set", f"every={self.every}", "--set", f"adverts={self.repeated}"]

    def _write_site(self) -> Path:
        site = {
            "gateway": {"id": "bench"},
            "hub": {"url": f"mqtt://127.0.0.1:{self.broker.port}", "state": "off", "unheard": "hold"},
            "buffer": {"path": str(self.folder / "buffer.db")},
            "links": {"radio": {"ble": self.ready["adapter"]}},
            "devices": {
                f"d{i}": {"link": "radio", "profile": "ruuvi", "address": address}
                for i, address in enumerate(self.ready["addresses"])
            },
        }
        file = self.folder / "gateway.yaml"
        file.write_text(json.dumps(site))
        return file

    def start_daemon(self) -> Process:
        """`labgate run`, on the bus of the simulated radio."""
        self.environment = {"DBUS_SYSTEM_BUS_ADDRESS": self.ready["url"]}
        return super().start_daemon()

    def adverts(self) -> int:
        """Heard up to now: what became a sample, and repeats."""
        command = [sys.executable, "-m", "gateway.cli", "--socket", self.folder / "control.sock", "devices", "--json"]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        rows = [json.loads(line) for line in said.splitlines()]
        return self.report()["samples"] + sum(row["unused"]["repeats"] for row in rows)


class BusyBeacons(Beacons):
    """Tags that measure twice a second."""

    every, repeated = "500ms", 5
