"""The rules of the rooms that can be read off the source: who imports whom, who starts tasks, how long a module is.

Every rule is a function of one parsed module and is itself tried on snippets that break it and snippets that keep it.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("gateway", "drivers", "simulators")

# What brings simulated devices up sees both sides, by name only: import_module("simulators.x"), no import statement.
BOTH_SIDES = ("gateway.testing", "gateway.demo", "gateway.cli.demo", "gateway.cli.simulate")

# Each group is imported in at most one module of gateway, which turns its exceptions into ours.
IO_LIBRARIES = {
    "aiomqtt": "MQTT",
    "paho": "MQTT",
    "bleak": "BLE",
    "dbus_fast": "D-Bus",
    "serial": "serial",
    "pymodbus": "Modbus",
    "aiosqlite": "SQLite",
    "sqlite3": "SQLite",
    "yaml": "YAML",
    "aiohttp": "HTTP",
    "pyudev": "udev",
    "amqtt": "embedded broker",
}

# Modules that may start a task outside a TaskGroup, each with its reason.
TASK_STARTERS = {"gateway.supervisor": "restarts what failed"}

# Standard modules by which a codec would stop being a pure function of bytes.
IMPURE = {"asyncio", "logging", "os", "pathlib", "random", "select", "socket", "subprocess", "threading", "time"}

START_TASKS = ("create_task", "ensure_future", "gather", "run_coroutine_threadsafe")

LONGEST = 300


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, its text and its syntax tree."""

    name: str
    source: str
    is_package: bool = False

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    def inside(self, *packages: str) -> bool:
        return any(self.name == package or self.name.startswith(package + ".") for package in packages)


Fault = tuple[int, str]  # line, what is wrong


def modules() -> Iterator[Module]:
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        yield Module(".".join(parts[:-1] if is_package else parts), path.read_text("utf-8"), is_package)


def imports(module: Module) -> Iterator[Fault]:
    """Line and dotted name of everything imported anywhere in the module, in functions and by constant name too."""
    yield from statements(module)
    yield from loads(module)


def loads(module: Module) -> Iterator[Fault]:
    """Line and dotted name of what is imported by calling a function with a constant name."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(
                ast.Name("import_module" | "__import__") | ast.Attribute(_, "import_module"),
                [ast.Constant(str(name)), *_],
            ):
                yield node.lineno, name


def statements(module: Module) -> Iterator[Fault]:
    """Line and dotted name of what import statements import.

    `from a import b` gives "a.b": whether b is a module or a name in one is the reader's question.
    """
    package = module.name if module.is_package else module.name.rpartition(".")[0]
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(origin, names, level):
                if level:
                    base = ".".join(package.split(".")[: len(package.split(".")) - level + 1])
                    origin = f"{base}.{origin}" if origin else base
                yield from ((node.lineno, f"{origin}.{alias.name}") for alias in names)


def top(name: str) -> str:
    return name.partition(".")[0]


def door_names() -> set[str]:
    """The names a driver may take from gateway: those in __all__ of gateway/__init__.py."""
    tree = ast.parse((ROOT / "gateway/__init__.py").read_text("utf-8"))
    for node in tree.body:
        match node:
            case ast.Assign([ast.Name("__all__")], value):
                return set(ast.literal_eval(value))
    pytest.fail("gateway/__init__.py has no __all__")


# Rules


def drivers_import_only_the_door(module: Module) -> Iterator[Fault]:
    if module.room != "drivers":
        return
    codec = module.inside("drivers.codecs")
    libraries = {"pydantic", "cryptography"} if codec else {"pydantic"}
    door = {"gateway", *(f"gateway.{name}" for name in door_names())}
    for line, name in imports(module):
        if top(name) == "gateway" and name not in door:
            yield line, f"imports {name}; a driver imports only the names in __all__ of gateway/__init__.py"
        elif top(name) == "drivers" and name != "drivers.codecs" and not name.startswith("drivers.codecs."):
            yield line, f"imports {name}; of drivers only the codecs may be imported"
        elif codec and top(name) in IMPURE:
            yield line, f"imports {name}; a codec is a pure function of bytes"
        elif top(name) not in {"gateway", "drivers"} | libraries | sys.stdlib_module_names:
            yield line, f"imports {name}; drivers import the door, their codecs, the standard library and pydantic"


def gateway_imports_no_driver(module: Module) -> Iterator[Fault]:
    if module.room == "gateway":
        for line, name in statements(module) if module.inside(*BOTH_SIDES) else imports(module):
            if top(name) in ("drivers", "simulators", "tests"):
                yield line, f"imports {name}; gateway knows no device model, it loads drivers by configured name"


def simulators_are_strangers(module: Module) -> Iterator[Fault]:
    if module.room == "simulators":
        for line, name in imports(module):
            if top(name) in ("gateway", "drivers", "tests"):
                yield line, f"imports {name}; a simulator is written from the vendor's document and shares no code"


def tasks_belong_to_groups(module: Module) -> Iterator[Fault]:
    """`create_task` only on what this module shows to be a TaskGroup; nothing else that starts a task."""
    if module.name in TASK_STARTERS:
        return
    groups = task_groups(module.tree)
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(ast.Name("asyncio"), name) if name in START_TASKS:
                yield node.lineno, f"asyncio.{name} starts a task outside a TaskGroup"
            case ast.Attribute(receiver, "create_task") if label(receiver) not in groups:
                yield node.lineno, f"{ast.unparse(receiver)}.create_task: not visibly a TaskGroup; annotate it as one"
            case ast.ImportFrom("asyncio", names):
                for alias in names:
                    if alias.name in START_TASKS:
                        yield node.lineno, f"imports asyncio.{alias.name}, which starts tasks outside a TaskGroup"


def label(node: ast.AST) -> str:
    """The last name of `x`, `self.x` or `a.b.x`."""
    match node:
        case ast.Name(name) | ast.Attribute(_, name):
            return name
        case _:
            return ""


def task_groups(tree: ast.Module) -> set[str]:
    """Names bound by `async with TaskGroup() as NAME`, annotated as a TaskGroup, or assigned from such a name."""

    def mentions(node: ast.AST | None) -> bool:
        return node is not None and any(label(part) == "TaskGroup" for part in ast.walk(node))

    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.withitem(ast.Call(call), ast.AST() as target) if mentions(call):
                found.add(label(target))
            case ast.AnnAssign(target, annotation) if mentions(annotation):
                found.add(label(target))
            case ast.arg(name, annotation) if mentions(annotation):
                found.add(name)
    for node in ast.walk(tree):
        match node:
            case ast.Assign([target], ast.Name(name)) if name in found:
                found.add(label(target))
    return found


def codecs_are_synchronous(module: Module) -> Iterator[Fault]:
    if module.inside("drivers.codecs"):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
                yield node.lineno, "is asynchronous; a codec is a pure function of bytes"


def first_line_says_what_for(module: Module) -> Iterator[Fault]:
    first = module.tree.body[0] if module.tree.body else None
    match first:
        case ast.Expr(ast.Constant(str(text)), lineno=1) if text.partition("\n")[0].strip():
            return
    yield 1, "the first line must be a docstring that says what the module is for"


def short_enough(module: Module) -> Iterator[Fault]:
    length = len(module.source.splitlines())
    if length > LONGEST:
        yield length, f"has {length} lines, {length - LONGEST} more than {LONGEST}; split it by what changes together"


def prints_only_to_people(module: Module) -> Iterator[Fault]:
    if module.inside("gateway.cli", "gateway.demo", "simulators"):
        return
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(ast.Name("print")):
                yield node.lineno, "prints; only commands and simulators speak to a person, all else logs"


Rule = Callable[[Module], Iterator[Fault]]
RULES: list[Rule] = [
    drivers_import_only_the_door,
    gateway_imports_no_driver,
    simulators_are_strangers,
    tasks_belong_to_groups,
    codecs_are_synchronous,
    first_line_says_what_for,
    short_enough,
    prints_only_to_people,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_source_keeps(rule: Rule) -> None:
    faults = [f"{module.name}:{line}: {what}" for module in modules() for line, what in rule(module)]
    assert not faults, "\n" + "\n".join(faults)


def importers(sources: Iterator[Module]) -> dict[str, set[str]]:
    """Which modules of gateway import the I/O libraries of each group."""
    found: dict[str, set[str]] = defaultdict(set)
    for module in sources:
        if module.room == "gateway":
            for _, name in imports(module):
                if group := IO_LIBRARIES.get(top(name)):
                    found[group].add(module.name)
    return found


def test_each_io_library_has_one_importer() -> None:
    shared = {group: names for group, names in importers(modules()).items() if len(names) > 1}
    assert not shared, f"each of these belongs in one module of gateway: {shared}"


def test_every_listed_task_starter_exists() -> None:
    assert set(TASK_STARTERS) <= {module.name for module in modules()}


# The rules themselves

BROKEN = [
    (drivers_import_only_the_door, "drivers.modbus", "from gateway import buffer"),
    (drivers_import_only_the_door, "drivers.modbus", "import gateway.buffer"),
    (drivers_import_only_the_door, "drivers.modbus", "from gateway.errors import LinkError"),
    (drivers_import_only_the_door, "drivers.modbus", "def f():\n    import pymodbus"),
    (drivers_import_only_the_door, "drivers.modbus", "from drivers import other"),
    (drivers_import_only_the_door, "drivers.modbus", "from . import other"),
    (drivers_import_only_the_door, "drivers.modbus", "import cryptography"),
    (drivers_import_only_the_door, "drivers.codecs.bthome", "from .. import modbus"),
    (drivers_import_only_the_door, "drivers.codecs.bthome", "import asyncio"),
    (drivers_import_only_the_door, "drivers.modbus", "import simulators"),
    (gateway_imports_no_driver, "gateway.app", "def f():\n    from drivers.modbus import Modbus"),
    (gateway_imports_no_driver, "gateway.app", "import importlib\nimportlib.import_module('simulators.modbus')"),
    (gateway_imports_no_driver, "gateway.app", "__import__('drivers')"),
    (gateway_imports_no_driver, "gateway.testing", "from simulators import modbus"),
    (simulators_are_strangers, "simulators.modbus", "from gateway import Reading"),
    (simulators_are_strangers, "simulators.modbus", "import drivers.codecs.registers as r"),
    (tasks_belong_to_groups, "gateway.mqtt", "asyncio.create_task(f())"),
    (tasks_belong_to_groups, "gateway.mqtt", "start = asyncio.ensure_future"),
    (tasks_belong_to_groups, "gateway.mqtt", "await asyncio.gather(a(), b())"),
    (tasks_belong_to_groups, "gateway.mqtt", "from asyncio import create_task as go"),
    (tasks_belong_to_groups, "gateway.mqtt", "loop = asyncio.get_running_loop()\nloop.create_task(f())"),
    (tasks_belong_to_groups, "gateway.mqtt", "asyncio.get_running_loop().create_task(f())"),
    (codecs_are_synchronous, "drivers.codecs.registers", "async def decode(): ..."),
    (first_line_says_what_for, "gateway.app", ""),
    (first_line_says_what_for, "gateway.app", "import os"),
    (first_line_says_what_for, "gateway.app", '\n"""Late."""'),
    (first_line_says_what_for, "gateway.app", '"""\nLate."""'),
    (short_enough, "gateway.app", "x = 1\n" * 301),
    (prints_only_to_people, "gateway.app", "def f():\n    print(1)"),
]

KEPT = [
    (drivers_import_only_the_door, "drivers.modbus", "from gateway import Polled, Reading\nimport struct, pydantic"),
    (drivers_import_only_the_door, "drivers.modbus", "from .codecs import registers\nfrom drivers.codecs.x import f"),
    (drivers_import_only_the_door, "drivers.codecs.bthome", "from . import registers\nimport cryptography.hazmat"),
    (drivers_import_only_the_door, "drivers.codecs.bthome", "from gateway import DecodeError"),
    (gateway_imports_no_driver, "gateway.driver", "importlib.import_module(f'drivers.{name}')"),
    (gateway_imports_no_driver, "gateway.testing", "importlib.import_module('simulators.modbus')"),
    (simulators_are_strangers, "simulators.modbus", "from simulators import wire\nimport asyncio"),
    (tasks_belong_to_groups, "gateway.app", "async with asyncio.TaskGroup() as g:\n    g.create_task(f())"),
    (tasks_belong_to_groups, "gateway.app", "def f(group: asyncio.TaskGroup):\n    group.create_task(f())"),
    (tasks_belong_to_groups, "gateway.app", "x: TaskGroup | None\nself._group = x\nself._group.create_task(f())"),
    (codecs_are_synchronous, "drivers.modbus", "async def read(): ..."),
    (first_line_says_what_for, "gateway.app", '"""Runs."""'),
    (short_enough, "gateway.app", "x = 1\n" * 300),
    (prints_only_to_people, "gateway.cli.read", "print(1)"),
    (prints_only_to_people, "simulators.modbus", "print(1)"),
]


@pytest.mark.parametrize(("rule", "name", "source"), BROKEN)
def test_rule_finds(rule: Rule, name: str, source: str) -> None:
    assert list(rule(Module(name, source)))


@pytest.mark.parametrize(("rule", "name", "source"), KEPT)
def test_rule_allows(rule: Rule, name: str, source: str) -> None:
    assert not list(rule(Module(name, source)))


def test_importers_are_found_in_functions_and_grouped() -> None:
    sources = [
        Module("gateway.mqtt", "import aiomqtt"),
        Module("gateway.uplink", "def f():\n    from paho.mqtt import client"),
        Module("gateway.links.serial", "from serial.tools import list_ports"),
        Module("drivers.x", "import serial"),
    ]
    assert importers(iter(sources)) == {"MQTT": {"gateway.mqtt", "gateway.uplink"}, "serial": {"gateway.links.serial"}}
