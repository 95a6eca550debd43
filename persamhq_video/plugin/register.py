"""Strategies by name: what plugins fill at start-up and a run picks from."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from persamhq_video.errors import PluginError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """One strategy: its factory, called without arguments, and the plugin it came from."""

    name: str
    factory: Callable[[], T]
    plugin: str

    @property
    def summary(self) -> str:
        """The first line of the factory's docstring, empty if there is none."""
        return (self.factory.__doc__ or "").strip().partition("\n")[0]


class Register(Generic[T]):
    """The factories of one kind of strategy, by name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.owner = "?"
        self._entries: dict[str, Entry[T]] = {}

    def add(self, name: str, factory: Callable[[], T]) -> None:
        """Offer a strategy under a name of its own; a name that is taken is a PluginError."""
        if not name or not name.replace("_", "").replace("-", "").isalnum():
            raise PluginError(f"plugin {self.owner} registers the {self.kind} {name!r}; use letters, digits, _ and -")
        if name in self._entries:
            other = self._entries[name].plugin
            raise PluginError(f"the {self.kind} {name!r} is registered twice: by {other} and by {self.owner}")
        if not callable(factory):
            raise PluginError(f"plugin {self.owner} registers the {self.kind} {name!r} with {factory!r}, no factory")
        self._entries[name] = Entry(name, factory, self.owner)

    def entries(self) -> tuple[Entry[T], ...]:
        """Everything registered, in the order of the names."""
        return tuple(self._entries[name] for name in sorted(self._entries))

    def entry(self, name: str) -> Entry[T]:
        """The entry of that name, or a PluginError with the known names and the closest one."""
        if name in self._entries:
            return self._entries[name]
        known = sorted(self._entries)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise PluginError(f"unknown {self.kind} {name!r}{hint}; known: {', '.join(known) or 'none'}")

    def make(self, name: str) -> T:
        """A new strategy of that name."""
        entry = self.entry(name)
        try:
            return entry.factory()
        except Exception as exc:
            raise PluginError(f"the {self.kind} {name!r} of plugin {entry.plugin} cannot be made: {exc}") from exc
