"""`labgate scan` of a radio, on a simulated BlueZ: who is there is recognised, and what is to be pasted works."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import radio as stations
from gateway.cli import scan_air, site
from gateway.config import load_site
from gateway.config_ble import BleLinkConfig
from gateway.driver import Listener, Options
from gateway.errors import DecodeError, LinkError
from gateway.links.air import Advert, Adverts, Peer
from gateway.links.base import RadioLink
from gateway.reading import Reading
from simulators.bluez.model import Characteristic, Peripheral, Service
from tests.commands import labgate
from tests.radio import ADAPTER, Radio, radio

__all__ = ["radio"]  # a fixture

WITHIN = 0.25  # s; peripherals here advertise every 20 ms

# Ruuvi's own example of valid data of format 5: docs.ruuvi.com, Bluetooth advertisements, Data format 5 (RAWv2).
RUUVI = bytes.fromhex("0512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F")
# The examples of bthome.io: format (temperature 25.06 Cel, humidity 50.55 %RH) and encryption, with its key.
BTHOME = bytes.fromhex("4002ca0903bf13")
SEALED = bytes.fromhex("41a47266c95f730011223378237214")
SEALED_ADDRESS, KEY = "54:48:E6:8F:80:A5", "231d39c1d7cc1ab1aee224cd096db932"


def beacon(address: str, rssi: int, name: str | None = None, **more: Any) -> Peripheral:
    return Peripheral(address, name, interval=0.02, rssi=rssi, connectable=False, **more)


def strap(address: str, rssi: int, name: str) -> Peripheral:
    services = [Service("180d", [Characteristic("2a37", ["notify"])])]
    return Peripheral(address, name, interval=0.02, rssi=rssi, services=services, uuids=["180d"])


def everybody(radio: Radio) -> None:
    radio.add(
        beacon("CB:B8:33:4C:88:4F", -71, manufacturer_data={0x0499: RUUVI}),
        beacon("A4:C1:38:00:00:01", -55, "ATC_000001", service_data={"fcd2": BTHOME}),
        beacon(SEALED_ADDRESS, -80, service_data={"fcd2": SEALED}),
        strap("A0:9E:1A:00:00:01", -60, "Polar H10 00000001"),
        beacon("7C:00:00:00:00:01", -90, "somebody's watch", manufacturer_data={0xFFFF: b"\x01"}),
    )


async def scanned(capsys: pytest.CaptureFixture[str], station: stations.Station | None = None) -> list[dict[str, Any]]:
    await scan_air.scan(station or stations.Station(BleLinkConfig(ble=ADAPTER)), WITHIN, as_json=True)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_who_is_there_strongest_first(radio: Radio, capsys: pytest.CaptureFixture[str]) -> None:
    everybody(radio)
    rows = await scanned(capsys)
    assert [(r["rssi"], r["address"], r["name"]) for r in rows] == [
        (-55, "A4:C1:38:00:00:01", "ATC_000001"),
        (-60, "A0:9E:1A:00:00:01", "Polar H10 00000001"),
        (-71, "CB:B8:33:4C:88:4F", None),
        (-80, SEALED_ADDRESS, None),
        (-90, "7C:00:00:00:00:01", "somebody's watch"),
    ]
    bthome, heart, ruuvi, sealed, watch = rows
    assert (bthome["driver"], bthome["profile"], bthome["or"]) == (None, "bthome", [])
    assert bthome["readings"]["temperature"] == {"value": 25.06, "unit": "Cel"}
    assert bthome["readings"]["humidity"] == {"value": 50.55, "unit": "%RH"}
    assert (heart["profile"], heart["readings"]) == ("heart_rate", {})
    assert (ruuvi["driver"], ruuvi["profile"], ruuvi["or"]) == (None, "ruuvi", [])
    assert {n: ruuvi["readings"][n]["value"] for n in ("temperature", "humidity", "pressure")} == {
        "temperature": 24.3,
        "humidity": 53.49,
        "pressure": 100044,
    }
    assert "bindkey_file" in sealed["refused"]
    assert sealed["readings"] == {}
    assert (watch["driver"], watch["profile"], watch["stanza"], watch["or"]) == (None, None, None, [])
    assert watch["companies"] == [0xFFFF]


async def test_what_is_to_be_pasted_is_a_configuration(
    radio: Radio, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    everybody(radio)
    await scan_air.scan(stations.Station(BleLinkConfig(ble="hci0")), WITHIN, as_json=False)
    told, link, head, *lines = capsys.readouterr().out.splitlines()
    assert told == f"listening on hci0 ({ADAPTER}) for 0.25 s; nothing is connected to"
    assert head.endswith("PASTE UNDER devices:")
    stanzas = [line[head.index("PASTE") :] for line in lines]
    assert stanzas.pop() == "-"  # the watch
    assert stanzas[-1].endswith(", bindkey_file: bthome-2.key}")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "bthome-2.key").write_text(KEY)
    (secrets / "bthome-2.key").chmod(0o600)
    pasted = link.removeprefix("paste under links:").strip()
    text = "\n".join(["gateway: {id: t-1}", "links:", f"  {pasted}", "devices:", *(f"  {one}" for one in stanzas)])
    (tmp_path / "gateway.yaml").write_text(text + "\n")
    found = load_site(tmp_path / "gateway.yaml")
    assert [str(problem) for problem in found.problems] == []
    assert [*found.devices] == ["bthome-1", "heart-rate-1", "ruuvi-1", "bthome-2"]


async def test_lines_for_people(radio: Radio, capsys: pytest.CaptureFixture[str]) -> None:
    everybody(radio)
    await scan_air.scan(stations.Station(BleLinkConfig(ble=ADAPTER)), WITHIN, as_json=False)
    *_, bthome, heart, ruuvi, sealed, watch = capsys.readouterr().out.splitlines()
    assert "temperature 25.06 Cel" in bthome
    assert "more, when connected" in heart
    assert "temperature 24.3 Cel, humidity 53.49 %RH, pressure 100044 Pa … " in ruuvi
    assert "write bindkey_file: NAME at the device" in sealed
    assert watch.split() == ["7C:00:00:00:00:01", "-90", "somebody's", "watch", "-", "-"]


async def test_devices_of_the_configuration_are_named(
    radio: Radio, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    everybody(radio)
    radio.add(strap("A0:9E:1A:00:00:02", -95, "Polar H10 00000002"))
    file = tmp_path / "gateway.yaml"
    file.write_text(
        f"""
gateway: {{id: t-1}}
links: {{air: {{ble: "{ADAPTER}"}}}}
devices:
  tag: {{driver: ruuvi, link: air, address: "CB:B8:33:4C:88:4F"}}
  strap: {{profile: heart_rate, link: air, match: {{name: "Polar*1"}}}}
"""
    )
    rows = await scanned(capsys, stations.configured(site.usable_site(str(file)), "air"))
    named = {row["address"]: row["device"] for row in rows if row["device"]}
    assert named == {"CB:B8:33:4C:88:4F": "tag", "A0:9E:1A:00:00:01": "strap"}
    assert all((row["stanza"] is None) == bool(row["device"]) for row in rows if row["driver"] or row["profile"])
    (other,) = [row for row in rows if row["address"] == "A0:9E:1A:00:00:02"]
    assert other["stanza"] == 'heart-rate-2: {profile: heart_rate, link: air, address: "A0:9E:1A:00:00:02"}'


async def test_devices_of_a_kind_do_not_hide_each_other(radio: Radio, capsys: pytest.CaptureFixture[str]) -> None:
    """A driver remembers what it heard of its one device; here every device has a driver of its own."""
    radio.add(*(beacon(f"CB:B8:33:4C:88:{n:02X}", -50 - n, manufacturer_data={0x0499: RUUVI}) for n in range(5)))
    rows = await scanned(capsys)
    assert [row["readings"]["temperature"]["value"] for row in rows] == [24.3] * 5


@dataclass(frozen=True)
class Made(Listener):
    """Makes as many readings of an advert as its data is long, but none of data that begins with zero."""

    options: Options
    link: RadioLink
    wanted: tuple[int, ...] = (1, 2)

    @property
    def hear(self) -> Adverts:
        return Adverts(Peer(), companies=self.wanted)

    def decode(self, frame: Advert) -> list[Reading]:
        data = next(data for company, data in frame.company.items() if company in self.wanted)
        if data[0] == 0:
            raise DecodeError("begins with zero")
        return [Reading(f"r{n}", n) for n in range(len(data) - len(self.wanted))]


@dataclass(frozen=True)
class MadeOfOne(Made):
    wanted: tuple[int, ...] = (1,)


KNOWN: dict[str, Any] = {"profile: both": (Made, Options()), "profile: one": (MadeOfOne, Options())}


def test_who_makes_most_of_it_comes_first() -> None:
    seen = scan_air.Seen(SEALED_ADDRESS)
    seen.hear(Advert(SEALED_ADDRESS, "name", -70, {1: b"\x01" * 5}), KNOWN)
    seen.hear(Advert(SEALED_ADDRESS, None, -50, {3: b""}), KNOWN)  # of another kind, and without the name
    assert seen.guesses == ["profile: one", "profile: both"]
    row = seen.row("radio", 1, None)
    assert (row["profile"], row["name"], row["rssi"], len(row["readings"])) == ("one", "name", -50, 4)
    assert row["or"] == [f'both-1: {{profile: both, link: radio, address: "{SEALED_ADDRESS}"}}']


def test_who_makes_nothing_of_it_is_no_guess_unless_nobody_does() -> None:
    seen = scan_air.Seen(SEALED_ADDRESS)
    seen.hear(Advert(SEALED_ADDRESS, company={1: b"\x01\x01"}), KNOWN)  # one reading, and none
    assert (seen.guesses, seen.row("radio", 1, None)["refused"]) == (["profile: one"], None)
    seen = scan_air.Seen(SEALED_ADDRESS)
    seen.hear(Advert(SEALED_ADDRESS, company={2: b"\0"}), KNOWN)
    row = seen.row("radio", 1, None)
    assert (seen.guesses, row["refused"], row["profile"]) == ([], "begins with zero", "both")


def test_a_driver_is_known_by_the_profile_that_uses_it() -> None:
    known = scan_air.known()
    assert {"profile: heart_rate", "profile: uart", "profile: ruuvi", "profile: bthome"} <= known.keys()
    assert "driver: ruuvi" not in known
    assert not any(name.endswith(("modbus", "lines", "han")) for name in known)  # of other links


async def test_an_empty_room(radio: Radio, capsys: pytest.CaptureFixture[str]) -> None:
    assert await scanned(capsys) == []
    await scan_air.scan(stations.Station(BleLinkConfig(ble=ADAPTER)), 0.05, as_json=False)
    assert capsys.readouterr().out.splitlines()[-1].startswith("nothing was heard; ")


async def test_an_adapter_that_cannot_be_used(radio: Radio, capsys: pytest.CaptureFixture[str]) -> None:
    radio.adapter.power_off()
    with pytest.raises(LinkError, match=r"is off: hci0 \(DC:A6:.*; switch it on: `bluetoothctl power on`"):
        await scanned(capsys)
    await scan_air.scan_any(WITHIN, as_json=False)  # a plain scan has more to tell than the air
    assert capsys.readouterr().out.startswith("the air cannot be heard: the Bluetooth adapter is off: hci0")
    await scan_air.scan_any(WITHIN, as_json=True)
    assert capsys.readouterr().out == ""
    radio.adapter.blocked = True
    radio.adapter.power_off()
    with pytest.raises(
        LinkError, match=r"is blocked by rfkill: hci0 .*; switch it on: `sudo rfkill unblock bluetooth`"
    ):
        await scanned(capsys)
    radio.adapter.unplug()
    with pytest.raises(LinkError, match=f"no Bluetooth adapter {ADAPTER}|no Bluetooth adapter here"):
        await scanned(capsys)
    radio.bluez.kill()
    with pytest.raises(LinkError, match="bluetoothd does not run"):
        await scanned(capsys)


async def test_a_plain_scan_takes_the_adapter_that_is_on(radio: Radio, capsys: pytest.CaptureFixture[str]) -> None:
    radio.adapter.power_off()
    other = radio.bluez.add_adapter("00:1A:7D:DA:71:13")
    other.add(beacon("CB:B8:33:4C:88:4F", -71, manufacturer_data={0x0499: RUUVI}))
    await scan_air.scan_any(WITHIN, as_json=False)
    out = capsys.readouterr().out
    assert out.startswith("listening on hci1 (00:1A:7D:DA:71:13) for 0.25 s")
    assert 'radio: {ble: "00:1A:7D:DA:71:13"}' in out
    assert "CB:B8:33:4C:88:4F" in out


@pytest.mark.parametrize("where", [[], [ADAPTER.lower()], ["air"]])
async def test_the_command(radio: Radio, tmp_path: Path, where: list[str]) -> None:
    everybody(radio)
    file = tmp_path / "gateway.yaml"
    file.write_text(f'gateway: {{id: t-1}}\nlinks: {{air: {{ble: "{ADAPTER}"}}}}\n')
    done = await asyncio.to_thread(labgate, "-c", file, "scan", *where, "--timeout", "300ms", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len([row for row in rows if "address" in row]) == 5
    assert all("path" in row for row in rows if "address" not in row)  # ports of this host, in a plain scan
    assert len(rows) == 5 or not where
