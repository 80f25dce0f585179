"""The record of every value a simulator ever gave: JSON lines, for comparing with what arrived at the hub."""

import asyncio
import json
import time
from collections.abc import Iterable
from pathlib import Path

from simulators.modbus_slave import Given

_FLUSH_AFTER = 0.5  # seconds a line may wait in memory

Moment = tuple[float, float]
"""Wall clock and CLOCK_BOOTTIME, in seconds."""


class Truth:
    """Appends to `path`; `flush()` when all is said. A kill that cannot be caught loses at most the last half second.

    A line: {"t": wall clock (s), "boot": CLOCK_BOOTTIME (s), "device": how it is reached, "unit_id": on its bus, or
    null, "unit": of the value, "name": quantity, "value": as given}. Raises OSError where the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lines: list[str] = []
        self._names: dict[tuple[str, str], str] = {}
        self._timer: asyncio.TimerHandle | None = None

    @staticmethod
    def now() -> Moment:
        """When values are about to be given."""
        return time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)

    def record(self, device: str, unit_id: int | None, values: Iterable[Given], when: Moment) -> None:
        """Takes values that were given."""
        t, boot = when
        unit_text = "null" if unit_id is None else unit_id
        head = f'{{"t":{t:.6f},"boot":{boot:.6f},"device":{json.dumps(device)},"unit_id":{unit_text}'
        if not self._lines:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_AFTER, self.flush)
        for name, unit, value in values:
            named = self._names.get((name, unit))
            if named is None:
                named = self._names[name, unit] = f',"unit":{json.dumps(unit)},"name":{json.dumps(name)},"value":'
            self._lines.append(f"{head}{named}{value}}}\n")

    def flush(self) -> None:
        """Hands what is in memory to the system."""
        lines, self._lines = self._lines, []
        self._file.writelines(lines)
        self._file.flush()

    def close(self) -> None:
        """Flushes and closes; nothing may be recorded any more."""
        if self._timer is not None:
            self._timer.cancel()
        self.flush()
        self._file.close()
