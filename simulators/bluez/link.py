"""The link to one peripheral: Connect and Disconnect, what waits for an answer over it, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from dbus_fast import Variant

from simulators.bluez import faults
from simulators.bluez.calls import Call, RefusedError, failed, in_progress, not_ready
from simulators.bluez.model import Peripheral
from simulators.bluez.remote import Table

if TYPE_CHECKING:
    from simulators.bluez.device import Device

Done = Callable[[RefusedError | None], None]


class Link:
    """Of one device. At most one Connect waits at a time; a Disconnect takes bluetoothd's pause."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.up = self.resolved = False
        self.table: Table | None = None  # what was found of its services: kept for the next time
        self.pending: dict[Call, Done] = {}  # operations that wait for an answer of the peripheral
        self._waiting: Done | None = None  # who wants it to come up
        self._to_resolve = True
        self._when_resolved: Done | None = None
        self._finding: asyncio.TimerHandle | None = None  # of services
        self._timer: asyncio.TimerHandle | None = None
        self._disconnects: list[Call] = []
        self._pause: asyncio.TimerHandle | None = None

    @property
    def connecting(self) -> bool:
        """Whether Connect, or Pair, waits for the link."""
        return self._waiting is not None

    def connect(self, call: Call) -> None:
        """Device1.Connect."""
        self.bring_up(call.finish)

    def pair(self, call: Call) -> None:
        """Device1.Pair."""
        self.device.adapter.bluez.pairing.pair(self.device, call)

    def cancel_pairing(self, call: Call) -> None:
        """Device1.CancelPairing."""
        self.device.adapter.bluez.pairing.cancel(self.device, call)

    def bring_up(self, done: Done, resolve: bool = True) -> None:
        """Make the link; `done` is told when it is there, or why not; then find its services. Raises RefusedError."""
        if not self.device.adapter.powered:
            raise not_ready()
        if self.up:
            done(None)
            return
        if self.connecting:
            raise in_progress()
        self._waiting, self._to_resolve = done, resolve
        bluez = self.device.adapter.bluez
        peripheral = self.device.peripheral
        if peripheral is not None and peripheral.faults.connect_errors:
            self._give_up(failed(peripheral.faults.connect_errors.popleft()))
            return
        self._timer = bluez.later(bluez.times.connect, self._give_up, failed(faults.ABORTED_BY_LOCAL))
        self.try_now()

    def try_now(self) -> None:
        """Connect, if that is wanted and the peripheral answers; else its next advert comes here again."""
        peripheral = self.device.peripheral
        if self.connecting and peripheral is not None and self._answers(peripheral):
            delay = peripheral.faults.delays.get("connect", 0.0)
            if delay:
                self.device.adapter.bluez.later(delay, self._come_up, peripheral, self._waiting)
            else:
                self._come_up(peripheral, self._waiting)

    def _answers(self, peripheral: Peripheral) -> bool:
        able = peripheral.connectable and peripheral.advertising and not peripheral.connected
        return able and peripheral.in_range and not peripheral.faults.never_answers

    def _come_up(self, peripheral: Peripheral, wanted_by: Done | None) -> None:
        if self._waiting is None or self._waiting is not wanted_by or not self._answers(peripheral):
            return
        adapter = self.device.adapter
        if not adapter.has_free_slot:
            self._give_up(failed(adapter.slots_error))
            return
        done = self._stop_waiting()
        self.up = True
        self.device.temporary = False
        self.device.put("Connected", Variant("b", True))
        peripheral.link_up(adapter)
        if peripheral.faults.lost_at_once:
            peripheral.faults.lost_at_once -= 1
            adapter.objects.flush()
            self.lost()
            adapter.objects.flush()
            done(failed(faults.ABORTED_BY_LOCAL))
            return
        adapter.bluez.pairing.encrypt(self.device, peripheral)
        done(None)
        if self._to_resolve:
            self.resolve()

    def resolve(self, done: Done | None = None) -> None:
        """Find the services, with a link that is up; `done` is told when that is done, or the link is lost."""
        peripheral = self.device.peripheral
        if peripheral is not None:
            self._when_resolved = done
            delay = peripheral.faults.delays.get("resolve", 0.0)
            self._finding = self.device.adapter.bluez.later(delay, self._resolve, peripheral)

    def _give_up(self, why: RefusedError) -> None:
        self._stop_waiting()(why)

    def _stop_waiting(self) -> Done:
        assert self._waiting is not None
        done, self._waiting = self._waiting, None
        self.device.adapter.bluez.cancel(self._timer)
        self._timer = None
        return done

    def _resolve(self, peripheral: Peripheral) -> None:
        """The services were discovered."""
        if not self.up or peripheral.faults.never_resolves:
            return
        if peripheral.faults.resolves_early:
            self._say_resolved(peripheral)
            bluez = self.device.adapter.bluez
            self._finding = bluez.later(bluez.times.late_objects, self._show, peripheral)
        else:
            self._show(peripheral)
            self._say_resolved(peripheral)

    def _show(self, peripheral: Peripheral) -> None:
        if not self.up:
            return
        if self.table is not None and self.table.services is not peripheral.table:
            self.hide_services()
        if self.table is None:
            self.table = Table(self, peripheral)
            self.table.show()
        self.table.connected(peripheral)

    def _say_resolved(self, peripheral: Peripheral) -> None:
        self.resolved = True
        self.device.add_uuids(tuple(service.uuid for service in peripheral.table))
        self.device.put("ServicesResolved", Variant("b", True))
        self._tell_resolved(None)

    def _tell_resolved(self, error: RefusedError | None) -> None:
        done, self._when_resolved = self._when_resolved, None
        if done is not None:
            done(error)

    def hide_services(self) -> None:
        """Remove the objects of its services, and forget them."""
        if self.table is not None:
            self.table.hide()
            self.table = None

    def disconnect(self, call: Call) -> None:
        """Device1.Disconnect. Also ends a Connect that waits; bluetoothd then answers both at once."""
        if self.connecting:
            self._give_up(failed(faults.CANCELLED))
        if not self.up:
            call.reply()
            return
        self._disconnects.append(call)
        if len(self._disconnects) == 1:
            bluez = self.device.adapter.bluez
            self._pause = bluez.later(bluez.times.disconnect, self._disconnect)

    def _disconnect(self) -> None:
        if not self.up:
            return
        if self.device.adapter.bluez.signals_first:
            self.lost()
            return
        self._end_operations()
        self._unresolve()
        self._answer_disconnects()
        self.device.put("Connected", Variant("b", False))
        self._gone()

    def lost(self) -> None:
        """The link is gone, for whatever reason; all who wait are told."""
        if not self.up:
            return
        self._end_operations()
        self._unresolve()
        self.device.put("Connected", Variant("b", False))
        self._gone()
        self._answer_disconnects()

    def cut(self) -> None:
        """The link is gone and so is bluetoothd, or the adapter: nobody is told."""
        if self.connecting:
            self._stop_waiting()
        if self.table is not None:
            self.table.disconnected()
        self.pending.clear()
        self._disconnects.clear()
        if self.up:
            self.resolved = False
            self._gone()

    def stop_connecting(self, why: RefusedError) -> None:
        """A Connect that waits is answered."""
        if self.connecting:
            self._give_up(why)

    def _answer_disconnects(self) -> None:
        self.device.adapter.bluez.cancel(self._pause)  # else it would end the next link
        self._pause = None
        calls, self._disconnects = self._disconnects, []
        for call in calls:
            call.reply()

    def _end_operations(self) -> None:
        if self.table is not None:
            self.table.disconnected()
        self._tell_resolved(failed(faults.ABORTED_BY_REMOTE))
        self.device.adapter.bluez.pairing.link_lost(self.device)
        for done in list(self.pending.values()):
            done(failed("Operation failed with ATT error: 0x0e"))

    def _unresolve(self) -> None:
        self.resolved = False
        self.device.put("ServicesResolved", Variant("b", False))

    def _gone(self) -> None:
        self.up = False
        self._when_resolved = None
        self.device.adapter.bluez.cancel(self._finding)  # else it would be of the next link
        peripheral = self.device.peripheral
        if peripheral is not None and peripheral.link is self.device.adapter:
            peripheral.link_down()
