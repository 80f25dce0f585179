"""A D-Bus of our own: a dbus-daemon that nobody else speaks to, in a temporary folder.

    async with PrivateBus() as bus:
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address

Whoever connects to `bus.address` may own every name and say everything. It ends with the process that started it.
"""

import asyncio
import ctypes
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / ".tools/bin"  # where make puts what the system lacks
READY_WITHIN = 10.0  # s
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None)

CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>custom</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_destination="*" eavesdrop="true"/>
    <allow receive_type="method_call"/><allow receive_type="signal"/><allow receive_sender="*"/>
  </policy>
  <limit name="max_connections_per_user">2000</limit>
  <limit name="max_completed_connections">2000</limit>
</busconfig>
"""


def find_daemon() -> str | None:
    """The dbus-daemon of PATH, else of the usual folders, else of .tools; None without one."""
    return shutil.which("dbus-daemon") or shutil.which("dbus-daemon", path=f"/usr/bin:{TOOLS}")


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class PrivateBus:
    """The daemon and its address, which stays the same when it is killed and started again."""

    def __init__(self) -> None:
        self.address = ""  # "unix:path=/tmp/…"
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._daemon: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "PrivateBus":
        self._folder = tempfile.TemporaryDirectory(prefix="labgate-bus-")  # readable by nobody else
        folder = Path(self._folder.name)
        self.address = f"unix:path={folder}/bus"  # short: a socket's path has at most 107 bytes
        (folder / "bus.conf").write_text(CONFIGURATION.format(socket=folder / "bus"))
        try:
            await self.start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def pid(self) -> int | None:
        """Of the daemon, while it runs."""
        return self._daemon.pid if self._daemon is not None else None

    async def start(self) -> None:
        """Start the daemon (again). Raises RuntimeError where there is none, or it does not come up."""
        program = find_daemon()
        if program is None:
            raise RuntimeError("no dbus-daemon on this machine; on Debian: sudo apt install dbus-daemon")
        assert self._folder is not None, "not entered"
        folder = Path(self._folder.name)
        (folder / "bus").unlink(missing_ok=True)
        with (folder / "log").open("a") as log:  # not our standard error: a daemon that outlives us would hold a pipe
            self._daemon = await asyncio.create_subprocess_exec(
                program, f"--config-file={folder}/bus.conf", "--nofork", "--nopidfile", "--print-address=1",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                process_group=0, preexec_fn=_end_with_parent,  # Ctrl-C is for whoever started it
            )  # fmt: skip
        assert self._daemon.stdout is not None
        async with asyncio.timeout(READY_WITHIN):
            ready = await self._daemon.stdout.readline()
        if not ready:
            await self.kill()
            said = (folder / "log").read_text().strip().splitlines()
            raise RuntimeError(f"{program} ended at once: {said[-1] if said else 'it said nothing'}")

    async def kill(self) -> None:
        """kill -9: all connections to it end."""
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            if daemon.returncode is None:
                daemon.kill()
            await daemon.communicate()
