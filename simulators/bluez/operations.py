"""Operations over a link: one at a time on each object, delayed, refused, paired for, or left without an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simulators.bluez.calls import Call, RefusedError, att_refusal, failed, in_progress
from simulators.bluez.gatt import INSUFFICIENT_AUTHENTICATION, INSUFFICIENT_ENCRYPTION, AttError
from simulators.bluez.objects import Objects

if TYPE_CHECKING:
    from simulators.bluez.link import Link

WANT_KEYS = (INSUFFICIENT_AUTHENTICATION, INSUFFICIENT_ENCRYPTION)


class Operations:
    """What the objects of a device do with its peripheral."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._running: dict[tuple[str, str], Call] = {}  # (operation, path)

    @property
    def objects(self) -> Objects:
        """The objects of the daemon."""
        return self.link.device.adapter.objects

    def run(self, operation: str, path: str, call: Call, act: Callable[[], None]) -> None:
        """Do `act`, which answers the call, when the peripheral would have answered; raises RefusedError."""
        peripheral = self.link.device.peripheral
        if not self.link.up or not self.link.resolved or peripheral is None:
            raise failed("Not connected")
        faults = peripheral.faults
        if faults.in_progress:
            faults.in_progress -= 1
            raise in_progress()
        if (operation, path) in self._running:
            raise in_progress()
        self._running[operation, path] = call
        self.link.pending[call] = lambda error: self._done(operation, path, call, error)
        if faults.hangs or not peripheral.in_range:
            bluez = self.link.device.adapter.bluez
            if faults.hangs:
                faults.hangs -= 1
            bluez.later(bluez.times.att, self._timed_out, call)
        elif delay := faults.delays.get(operation):
            self.link.device.adapter.bluez.later(delay, self._act, operation, path, call, act)
        else:
            self._act(operation, path, call, act)

    def _act(self, operation: str, path: str, call: Call, act: Callable[[], None], paired: bool = False) -> None:
        peripheral = self.link.device.peripheral
        if call not in self.link.pending or peripheral is None:
            return
        try:
            if peripheral.faults.att_errors:
                raise AttError(peripheral.faults.att_errors.popleft())
            act()
        except AttError as error:
            refusal = att_refusal(error)
            if error.code not in WANT_KEYS or paired:
                self._done(operation, path, call, refusal)
                return

            bluez = self.link.device.adapter.bluez

            def then(encrypted: bool) -> None:
                if encrypted:
                    self._act(operation, path, call, act, paired=True)
                elif bluez.pairing.refused_reads_hang:
                    bluez.later(bluez.times.att, self._timed_out, call)
                else:
                    self._done(operation, path, call, refusal)

            bluez.pairing.elevate(self.link.device, then)
        except RefusedError as error:
            self._done(operation, path, call, error)
        else:
            self._done(operation, path, call)

    def _done(self, operation: str, path: str, call: Call, error: RefusedError | None = None) -> None:
        self._running.pop((operation, path), None)
        if self.link.pending.pop(call, None) is not None and error is not None:
            call.refuse(error)

    def _timed_out(self, call: Call) -> None:
        """ATT allows 30 s for an answer, then the link is of no use any more: Core 5.4, volume 3, part F, 3.3.3."""
        if call in self.link.pending:
            self.link.lost()
