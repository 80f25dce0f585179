"""The local socket that commands speak to: one JSON object a line, a question first, then answers.

A question is {"do": NAME, …}. The answers are objects, the last one {"end": true} or {"error": text, "reason": …}.
"""

import contextlib
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.errors import ConfigError, LabgateError, LinkError

if TYPE_CHECKING:
    import asyncio

Answer = Callable[[dict[str, Any]], AsyncIterator[dict[str, Any]]]

_LINE = 1_000_000  # bytes; a longer question is refused


class NoDaemonError(LinkError):
    """No daemon listens on the socket."""


def socket_path(given: str | None = None) -> Path:
    """Where the socket of the daemon is: as given, the unit's runtime folder, or the user's."""
    if given:
        return Path(given)
    for folder in (os.environ.get("RUNTIME_DIRECTORY"), "/run/labgate"):
        if (
            folder
            and Path(folder).is_dir()
            and (os.access(folder, os.W_OK) or (Path(folder) / "control.sock").exists())
        ):
            return Path(folder) / "control.sock"
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/labgate-{os.getuid()}") / "labgate" / "control.sock"  # noqa: S108 - without a session there is no other folder of the user's own


async def serve(path: Path, answers: Mapping[str, Answer]) -> None:
    """Answer questions until cancelled. Raises ConfigError when another daemon listens there."""
    import asyncio  # the daemon's side; a command that only asks does without (40 ms)

    clients: set[asyncio.StreamWriter] = set()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                async for answer in _answer(reader, answers):
                    writer.write(msgspec.json.encode(answer) + b"\n")
                    await writer.drain()
        finally:  # a bug in an answer, which asyncio reports, must not leave the client waiting
            clients.discard(writer)
            writer.close()

    server = await asyncio.start_unix_server(client, sock=_bind(path), limit=_LINE)
    try:
        await asyncio.get_running_loop().create_future()  # until cancelled
    finally:
        server.close()
        for writer in clients:
            writer.transport.abort()
        _remove(path)


def _bind(path: Path) -> socket.socket:
    if _listening(path):
        raise ConfigError(f"another labgate listens on {path}; stop it, or choose another --socket")
    wire = socket.socket(socket.AF_UNIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        _remove(path)
        wire.bind(os.fspath(path))
        path.chmod(0o660)  # the unit's group may ask
    except OSError as error:
        wire.close()
        raise ConfigError(
            f"the control socket {path} cannot be made: {error.strerror}; choose another --socket"
        ) from error
    return wire


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _answer(reader: "asyncio.StreamReader", answers: Mapping[str, Answer]) -> AsyncIterator[dict[str, Any]]:
    try:
        question = msgspec.json.decode(await reader.readline(), type=dict[str, Any])
        answer = answers.get(str(question.get("do")))
        if answer is None:
            yield {"error": f"the daemon does not know {question.get('do')!r}; is it of another version?"}
            return
        async for item in answer(question):
            yield item
    except (ValueError, msgspec.DecodeError):
        yield {"error": "not a question; one JSON object a line"}
    except LabgateError as error:
        yield {"error": str(error), "reason": error.reason}
    else:
        yield {"end": True}


def ask(path: Path, do: str, **question: Any) -> Iterator[dict[str, Any]]:
    """Ask the daemon and give its answers as they come. Raises NoDaemonError, LinkError, ConfigError."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as wire:
        try:
            wire.connect(os.fspath(path))
        except PermissionError as error:
            raise LinkError(
                f"you may not speak to the daemon on {path}; join its group labgate", "permission"
            ) from error
        except OSError as error:
            raise NoDaemonError(f"no gateway listens on {path}; start it with labgate run", "missing") from error
        with contextlib.suppress(ConnectionError), wire.makefile("rwb") as lines:
            lines.write(msgspec.json.encode({"do": do, **question}) + b"\n")
            lines.flush()
            while (line := lines.readline()).endswith(b"\n"):
                answer: dict[str, Any] = msgspec.json.decode(line)
                if "error" in answer:
                    if answer.get("reason") == "configuration":
                        raise ConfigError(answer["error"])
                    raise LinkError(answer["error"], answer.get("reason", "network"))
                if answer.get("end"):
                    return
                yield answer
    raise LinkError("the daemon went away in the middle of its answer", "unplugged")


def _listening(path: Path) -> bool:
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return False
    except OSError:
        return False
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as wire:
        return wire.connect_ex(os.fspath(path)) == 0
