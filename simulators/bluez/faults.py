"""What goes wrong with one peripheral, seen from the host: its link, its services, its answers."""

from collections import deque
from dataclasses import dataclass, field

# Of Connect, as seen in the field; all org.bluez.Error.Failed.
ABORTED_BY_LOCAL, ABORTED_BY_REMOTE = "le-connection-abort-by-local", "le-connection-abort-by-remote"
CANCELLED, SOFTWARE = "br-connection-canceled", "Software caused connection abort"


@dataclass
class Faults:
    """Set at any time; what is counted or queued is used up, one an operation, all else holds until it is reset.

    Operations are `connect`, `read`, `write` and `subscribe`.
    """

    connect_errors: deque[str] = field(default_factory=deque)  # Connect answers Failed with these
    never_answers: bool = False  # Connect is answered by nothing
    lost_at_once: int = 0  # so many links come up and are lost, Connect answers ABORTED_BY_LOCAL
    never_resolves: bool = False  # the link is up, services are not found
    resolves_early: bool = False  # ServicesResolved comes before the objects: bluez/bluez#1489
    delays: dict[str, float] = field(default_factory=dict)  # operation -> s
    att_errors: deque[int] = field(default_factory=deque)  # of reads, writes and subscriptions
    in_progress: int = 0  # so many reads, writes and subscriptions are answered InProgress
    hangs: int = 0  # so many reads, writes and subscriptions are not answered; after 30 s the link is lost
    lose: float = 0.0  # share of notifications that do not arrive
    double: float = 0.0  # share of notifications that arrive twice
