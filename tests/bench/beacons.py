"""Tags that advertise ten times a second on one simulated radio, each measurement five times."""

import json
import subprocess
import sys
from pathlib import Path

from rig import ROOT, Process, Rig

EVERY = "500ms"  # a measurement; it goes out in five adverts


class Beacons(Rig):
    """RuuviTags, heard by bluetoothd's adapter as bleak hears it."""

    def _simulated(self) -> list[str]:
        return ["ble_tag", "--set", f"every={EVERY}"]

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
