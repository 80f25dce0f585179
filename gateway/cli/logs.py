"""Log lines of the gateway on standard error: for the journal, for a terminal, or as JSON lines."""

import logging
import os
import sys
import time

import msgspec

_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.NOTSET, 7))  # sd-daemon(3)


def set_up(how: str, debug: bool = False) -> None:
    """`how`: "json", or "text": with the journal's priorities where the journal reads it, else with the time.

    `debug`: every frame of every link, too; times have milliseconds then.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if how == "json" else _Journal() if _read_by_journal() else _Text(debug))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)  # of libraries
    logging.getLogger("labgate").setLevel(logging.DEBUG if debug else logging.INFO)
    logging.raiseExceptions = False  # a log nobody takes must not stop the gateway


def _read_by_journal() -> bool:
    """systemd names the journal's stream in JOURNAL_STREAM; processes inherit that, also where stderr is another."""
    try:
        stream = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stream.st_dev}:{stream.st_ino}"


class _Text(logging.Formatter):
    """2026-11-20T10:33:20Z INFO meter-1 is ok; with `fine` times 2026-11-20T10:33:20.123Z."""

    def __init__(self, fine: bool) -> None:
        super().__init__()
        self._fine = fine

    def format(self, record: logging.LogRecord) -> str:
        fraction = f".{int(record.msecs):03d}" if self._fine else ""
        return f"{_moment(record)}{fraction}Z {record.levelname} {super().format(record)}"


class _Journal(logging.Formatter):
    """<6>meter-1 is ok, and the same in front of each further line."""

    def format(self, record: logging.LogRecord) -> str:
        mark = next(f"<{priority}>" for level, priority in _PRIORITIES if record.levelno >= level)
        return "\n".join(mark + line for line in super().format(record).splitlines())


class _Json(logging.Formatter):
    """{"time":"2026-11-20T10:33:20.123Z","level":"info","text":"meter-1 is ok"}, a traceback in "trace"."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": f"{_moment(record)}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "text": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def _moment(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
