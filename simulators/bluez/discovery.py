"""Discovery: who scans, with which filter, and which adverts are reported to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dbus_fast import Variant

from simulators.bluez.calls import Call, failed, in_progress, not_ready
from simulators.bluez.gatt import uuid128
from simulators.bluez.model import Advert, Peripheral

if TYPE_CHECKING:
    from simulators.bluez.adapter import Adapter


@dataclass
class Filter:
    """A discovery filter of one client; what is empty lets all pass."""

    uuids: frozenset[str] = frozenset()
    rssi: int | None = None  # dBm at least
    pathloss: int | None = None  # dB at most
    pattern: str = ""  # how its address or its name begins
    duplicates: bool = False

    def passes(self, address: str, advert: Advert) -> bool:
        """Whether an advert is reported."""
        if self.uuids and not self.uuids & set(advert.uuids):
            return False
        if self.rssi is not None and advert.rssi < self.rssi:
            return False
        if self.pathloss is not None and (advert.tx_power is None or advert.tx_power - advert.rssi > self.pathloss):
            return False
        return not self.pattern or address.startswith(self.pattern) or (advert.name or "").startswith(self.pattern)


def read_filter(options: dict[str, Variant]) -> Filter:
    """The argument of SetDiscoveryFilter."""
    plain: dict[str, Any] = {name: value.value for name, value in options.items()}
    return Filter(
        frozenset(map(uuid128, plain.get("UUIDs", ()))), plain.get("RSSI"), plain.get("Pathloss"),
        plain.get("Pattern", ""), plain.get("DuplicateData", False),
    )  # fmt: skip


@dataclass
class Discovery:
    """Of one adapter. Sessions are by client; the daemon forgets a client's when it leaves the bus."""

    adapter: Adapter
    filters: dict[str, Filter] = field(default_factory=dict)
    sessions: dict[str, None] = field(default_factory=dict)
    _early: list[tuple[Peripheral, Advert]] = field(default_factory=list)
    _begun: bool = False  # adverts are reported

    def set_filter(self, call: Call) -> None:
        """SetDiscoveryFilter; an empty one removes it."""
        if call.body[0]:
            self.filters[call.sender] = read_filter(call.body[0])
        else:
            self.filters.pop(call.sender, None)
        call.reply()

    def get_filters(self, call: Call) -> None:
        """GetDiscoveryFilters: which there are."""
        call.reply("as", ["UUIDs", "RSSI", "Pathloss", "Transport", "DuplicateData", "Discoverable", "Pattern"])

    def start(self, call: Call) -> None:
        """StartDiscovery."""
        adapter = self.adapter
        if not adapter.powered:
            raise not_ready()
        if adapter.start_in_progress:
            adapter.start_in_progress -= 1
            raise in_progress()
        if call.sender in self.sessions:
            raise in_progress()
        first = not self.sessions
        self.sessions[call.sender] = None
        call.reply()
        if first:
            adapter.heal("scan")
            adapter.put("Discovering", Variant("b", True))
            self._begun = False
            adapter.bluez.later(adapter.bluez.times.first_report, self._begin)

    def _begin(self) -> None:
        """Not sooner: bleak looks for adverts only when the answer of StartDiscovery has come round its loop."""
        self._begun = True
        early, self._early = self._early, []
        for peripheral, advert in early:
            self.hear(peripheral, advert)

    def stop(self, call: Call) -> None:
        """StopDiscovery."""
        adapter = self.adapter
        if not adapter.powered:
            raise not_ready()
        if adapter.stop_in_progress:
            adapter.stop_in_progress -= 1
            raise in_progress()
        if call.sender not in self.sessions:
            raise failed("No discovery started")
        del self.sessions[call.sender]
        call.reply()
        self._ended()

    def client_left(self, name: str) -> None:
        """Its session and its filter end."""
        self.filters.pop(name, None)
        if name in self.sessions:
            del self.sessions[name]
            self._ended()

    def _ended(self) -> None:
        if not self.sessions:
            self._early.clear()
            for device in self.adapter.devices.values():
                device.scan_ended()
            self.adapter.objects.flush()
            self.adapter.put("Discovering", Variant("b", False))

    def forget(self) -> None:
        """The adapter is off: all sessions are gone, and their clients are not told."""
        self.sessions.clear()
        self.filters.clear()
        self._early.clear()
        self.adapter.put("Discovering", Variant("b", False))

    @property
    def scans(self) -> bool:
        """Whether anybody does."""
        return bool(self.sessions)

    def hear(self, peripheral: Peripheral, advert: Advert) -> bool:
        """Report an advert to who scans; whether anybody does whose filter lets it pass."""
        filters = [self.filters.get(name) for name in self.sessions]
        if not any(f is None or f.passes(peripheral.address, advert) for f in filters):
            return False
        if not self._begun:
            self._early.append((peripheral, advert))
            return True
        # bluetoothd merges the filters of all clients into one
        said = [f for f in filters if f is not None]
        duplicates = any(f.duplicates for f in said)
        by_loudness = any(f.rssi is not None or f.pathloss is not None for f in said)
        all_rssi = by_loudness or (bool(said) and not self.adapter.bluez.quiet_rssi)
        self.adapter.devices.report(peripheral, advert, duplicates, all_rssi)
        return True
