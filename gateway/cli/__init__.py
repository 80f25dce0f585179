"""The command `labgate`: imports a command only when it is used, and turns every expected error into one line."""

import argparse
import importlib
import io
import os
import sys
from typing import Any, NoReturn

from gateway.errors import ConfigError, LabgateError

COMMANDS = {
    "run": "run the gateway in the foreground (what systemd starts)",
    "check": "check the configuration: everything that can be known without hardware or hub",
    "schema": "print the JSON schema of the configuration",
    "demo": "show the main job live: broker, simulated devices, gateway, and what the hub receives",
    "simulate": "one simulated device on a real wire",
    "scan": "what is there: serial ports, the air, or the unit ids that answer on a Modbus link",
    "pair": "pair with a Bluetooth device, so that it lets itself be read",
    "devices": "devices of the running gateway: state, reason, age, rate",
    "read": "one sample from one device, now",
    "tail": "samples as they are taken",
    "decode": "decode one captured frame or register block, without hardware",
    "replay": "a recording through a driver, without hardware",
    "ledger": "what was taken, confirmed, held and dropped",
    "audit": "at the hub: what became of every sample, of all gateways",
    "forget": "clear what the hub retains of a gateway or device that is gone",
}
CONFIG = "/etc/labgate/gateway.yaml"
FAILED, WRONG, INTERRUPTED = 1, 2, 130  # exit codes beside 0


class Parser(argparse.ArgumentParser):
    """argparse with errors in one line; options are never abbreviated, so that scripts do not break later."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end with 2."""
        _, unknown, rest = message.partition("unrecognized arguments: ")
        if unknown:
            message += _did_you_mean(rest.split("=")[0].split()[0], self._option_string_actions)
        self.exit(WRONG, f"{self.prog}: {_one_line(message)}; {self.prog} --help shows what there is\n")


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0 done, 1 failed, 2 wrong configuration or usage."""
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):  # a line is seen as soon as it is written, in a pipe too
            sys.stdout.reconfigure(line_buffering=True, errors="replace")
        code = _run(sys.argv[1:] if argv is None else argv)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except (KeyboardInterrupt, LabgateError, OSError) as error:
        return _end(error)
    except BaseExceptionGroup as group:
        expected, bugs = group.split((KeyboardInterrupt, LabgateError, OSError))
        if expected is None or bugs is not None:
            raise
        return _end(first_of(expected))


def first_of(error: BaseException) -> BaseException:
    """The first error of a group of errors."""
    return first_of(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _end(error: BaseException) -> int:
    """Say in one line why it ended; nothing where nobody needs to be told."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):  # the reader has seen enough (| head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    text = str(error)
    if isinstance(error, OSError):
        text = (f"{error.filename}: " if error.filename else "") + (error.strerror or text)
    print(f"labgate: {_one_line(text)}", file=sys.stderr)
    return WRONG if isinstance(error, ConfigError) else FAILED


def _one_line(text: str) -> str:
    """Names that were given may hold anything; what is said of them is one line, harmless in a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _run(argv: list[str]) -> int:
    given = _parser().parse_args(argv)
    name, rest = given.command, given.rest
    if name is None:
        raise ConfigError("no command given; labgate --help lists them")
    if name not in COMMANDS:
        raise ConfigError(f"no command {name!r}{_did_you_mean(name, COMMANDS)}; labgate --help lists them")
    module = importlib.import_module(f"gateway.cli.{name}")
    if name == "simulate":  # the simulators have a command line of their own
        return int(module.run(rest))
    parser = Parser(prog=f"labgate {name}", description=_sentence(module), epilog=f"example: {module.EXAMPLE}")
    parser.add_argument("-c", "--config", metavar="FILE", default=given.config, help="the configuration")
    parser.add_argument("--socket", metavar="PATH", default=given.socket, help="the running gateway's control socket")
    module.arguments(parser)
    return int(module.run(parser.parse_args(rest)))


def _parser() -> Parser:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {text}" for name, text in COMMANDS.items())
    parser = Parser(
        prog="labgate",
        usage="labgate [-c FILE] COMMAND ...",
        description=f"Edge gateway of an open IoT lab.\n\ncommands:\n{listed}",
        epilog="labgate COMMAND --help says more. Exit code: 0 done, 1 failed, 2 wrong configuration or usage.",
    )
    default = os.environ.get("LABGATE_CONFIG") or CONFIG
    parser.add_argument(
        "-c", "--config", metavar="FILE", default=default, help=f"default: $LABGATE_CONFIG, then {CONFIG}"
    )
    parser.add_argument("--socket", metavar="PATH", help="the running gateway's control socket, if it is elsewhere")
    parser.add_argument("--version", action="version", version=f"labgate {_version()}")
    parser.add_argument("command", metavar="COMMAND", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _version() -> str:
    from gateway.version import VERSION

    return VERSION


def _sentence(module: Any) -> str:
    """The first paragraph of a command's module is its description."""
    text: str = module.__doc__
    return text.partition("\n\n")[0]


def _did_you_mean(word: str, known: Any) -> str:
    from gateway.problem import did_you_mean

    close = did_you_mean(word, known)
    return f"; did you mean {close}?" if close else ""
