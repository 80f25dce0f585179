"""Lets a D-Bus connection rest between reads while signals pour in: a wake-up costs more than a signal.

A Bluetooth adapter that hears 500 adverts/s wakes us 500 times; read every 40 ms it is 25 times, with 20 signals each.
"""

import asyncio
import contextlib
import fcntl
import math
import termios
from collections.abc import Iterator
from typing import Any

REST = 0.04  # s between reads, at instants that all share; as gateway.links.radio_ears wakes who waits
AT_ONCE = 16  # reads in one go at most: others have their turn


class BusRest:
    """Of one connection of dbus-fast. `signal` is called with each signal that may wait."""

    def __init__(self, bus: Any) -> None:
        self.bus = bus
        self.loop: Any = asyncio.get_running_loop()
        # asyncio has no way to stop reading for a while but for its own transports, and dbus-fast none at all.
        self._selector = getattr(self.loop, "_selector", None)  # another kind of loop has none: then there is no rest
        self._last = -math.inf  # loop time of the last signal
        self._awake = 0  # who wants no rest now
        self._rest: tuple[asyncio.TimerHandle, int, Any, Any] | None = None  # its end; descriptor, and what reads it

    def signal(self, now: float) -> None:
        """A signal was read, at `now` (loop time): what comes next is read with what comes after it.

        The first after a silence lets nobody wait, nor does one behind which more is to be read already.
        """
        last, self._last = self._last, now
        if self._rest is not None or self._awake or now > last + REST or self._selector is None:
            return
        unread = bytearray(4)
        fcntl.ioctl(self.bus._fd, termios.FIONREAD, unread)
        if any(unread):
            return
        fd = self.bus._fd
        reader = self._selector.get_key(fd).data[0]
        callback, args = reader._callback, reader._args  # forgotten with the next line
        if self.loop.remove_reader(fd):
            self._rest = self.loop.call_at((now // REST + 1) * REST, self._read), fd, callback, args

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """All is read as soon as it comes."""
        self._awake += 1
        self._read()
        try:
            yield
        finally:
            self._awake -= 1

    def drain(self) -> None:
        """Read now what has come already: before what follows from it is heard over another connection."""
        self._read()
        unread = bytearray(4)
        for _ in range(AT_ONCE):
            if self.bus._disconnected or self._selector is None:
                return
            fcntl.ioctl(self.bus._fd, termios.FIONREAD, unread)
            if not any(unread):
                return
            reader = self._selector.get_key(self.bus._fd).data[0]
            reader._callback(*reader._args)
            self._read()

    def _read(self) -> None:
        if self._rest is not None:
            (timer, fd, callback, args), self._rest = self._rest, None
            timer.cancel()
            if not self.bus._disconnected:  # else the number may be another's by now
                self.loop.add_reader(fd, callback, *args)
