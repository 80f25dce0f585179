"""The expected errors, one family; anything else that is raised is a bug."""

from typing import Literal, get_args

Reason = Literal[
    "timeout",  # asked, no answer in time
    "refused",  # the other side is there and says no (TCP port closed, login refused)
    "network",  # no route, no such name, connection broken
    "missing",  # the port or file is not there
    "permission",  # the operating system says no
    "busy",  # another program holds it
    "unplugged",  # it was there and went away
    "garbled",  # bytes that cannot be an answer: checksum, length, wrong unit or function
    "exception",  # a well-formed answer that says no (Modbus exception)
    "decode",  # good bytes that make no sense
    "configuration",  # disabled by an error in the configuration
    "bus_full",  # more asked than the bus can carry
    "silent",  # nothing heard for too long
    "bug",  # an error nobody expected; the log has the traceback
]
REASONS: tuple[str, ...] = get_args(Reason)


class LabgateError(Exception):
    """Base of all expected errors; its text is one line for people: what, where, what to do."""

    reason: Reason = "bug"


class ConfigError(LabgateError):
    """What the user wrote is wrong; restarting will not help."""

    reason: Reason = "configuration"


class LinkError(LabgateError):
    """The wire failed; `reason` says how, from the fixed list."""

    def __init__(self, text: str, reason: Reason = "network", code: int | None = None) -> None:
        """`code` is the number the other side gave, if it gave one (Modbus exception, MQTT reason)."""
        super().__init__(text)
        self.reason = reason
        self.code = code

    @property
    def gone(self) -> bool:
        """Whether the port is not there: it costs nobody anything to look again soon."""
        return self.reason in ("missing", "unplugged")

    @property
    def answered(self) -> bool:
        """Whether the device itself says no; 10 and 11 are of a gateway that does not reach it (Modbus V1.1b3, 7)."""
        return self.reason == "exception" and self.code not in (10, 11)


class DecodeError(LabgateError):
    """The bytes make no sense; they never become a value."""

    reason: Reason = "decode"


class DiskError(LabgateError):
    """The buffer's file cannot be opened, read or written just now."""

    reason: Reason = "permission"


class UnusableError(DiskError):
    """The buffer's file is damaged, or of another format: another try will not help, a new file will."""
