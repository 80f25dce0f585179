"""The object tree of a D-Bus server of BlueZ's kind: objects come and go, changes are queued and told in one signal.

As GDBus does it: what changes of one interface is told together, before any reply and any other signal, at the latest
when the loop comes round. Order as measured on bluetoothd 5.66.
"""

import asyncio
from collections.abc import Callable, Mapping

from dbus_fast import Message, Variant

Properties = dict[str, Variant]
Interfaces = dict[str, Properties]

PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"


class Objects:
    """Paths, their interfaces and properties. Everything that changes is said to `emit`, as signals."""

    def __init__(self, emit: Callable[[Message], object]) -> None:
        self._emit = emit
        self._paths: dict[str, Interfaces] = {}
        self._changed: dict[tuple[str, str], tuple[Properties, dict[str, None]]] = {}
        self._soon: asyncio.Handle | None = None

    def __contains__(self, path: str) -> bool:
        return path in self._paths

    def managed(self) -> dict[str, Interfaces]:
        """All of it, for GetManagedObjects. What was queued is told before."""
        self.flush()
        return self._paths

    def interfaces(self, path: str) -> Interfaces:
        """Of one object; empty where there is none."""
        return self._paths.get(path, {})

    def add(self, path: str, interfaces: Mapping[str, Properties]) -> None:
        """A new object; told by InterfacesAdded."""
        self.flush()
        self._paths[path] = {INTROSPECTABLE: {}, PROPERTIES: {}, **interfaces}
        self._emit(Message.new_signal("/", OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, self._paths[path]]))

    def remove(self, path: str) -> None:
        """The object is gone; told by InterfacesRemoved. What was queued of it is never told."""
        if path in self._paths:
            for key in [key for key in self._changed if key[0] == path]:
                del self._changed[key]
            self.flush()
            interfaces = list(self._paths.pop(path))
            self._emit(Message.new_signal("/", OBJECT_MANAGER, "InterfacesRemoved", "oas", [path, interfaces]))

    def clear(self) -> None:
        """All is gone, and nobody is told."""
        self._paths.clear()
        self._changed.clear()

    def get(self, path: str, interface: str, name: str) -> Variant | None:
        """One property; None where it is not there now."""
        return self._paths.get(path, {}).get(interface, {}).get(name)

    def set(self, path: str, interface: str, name: str, value: Variant, always: bool = False) -> None:
        """Change a property, or give it for the first time. The same value is told only with `always`."""
        properties = self._paths.get(path, {}).get(interface)
        if properties is None or (not always and properties.get(name) == value):
            return
        properties[name] = value
        changed, gone = self._queue(path, interface)
        changed[name] = value
        gone.pop(name, None)

    def drop(self, path: str, interface: str, name: str) -> None:
        """A property is not there any more; told as invalidated."""
        properties = self._paths.get(path, {}).get(interface)
        if properties is not None and properties.pop(name, None) is not None:
            changed, gone = self._queue(path, interface)
            changed.pop(name, None)
            gone[name] = None

    def tell(self, path: str, interface: str, name: str, value: Variant) -> None:
        """Set a property and tell it at once, by itself, also when it is the same."""
        self.flush()
        self._paths[path][interface][name] = value
        self._emit(
            Message.new_signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, {name: value}, []])
        )

    def flush(self) -> None:
        """Tell all that has changed, in the order in which objects began to."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        while self._changed:
            (path, interface), (changed, gone) = next(iter(self._changed.items()))
            del self._changed[path, interface]
            if changed or gone:
                body = [interface, changed, list(gone)]
                self._emit(Message.new_signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", body))

    def _queue(self, path: str, interface: str) -> tuple[Properties, dict[str, None]]:
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self.flush)
        return self._changed.setdefault((path, interface), ({}, {}))
