"""Registers of factories by name: plugins fill them at start-up, and a run chooses from them by its configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from persam_hq.errors import did_you_mean, one_line
from persamhq_video.errors import PersamHQVideoError, PluginError
from persamhq_video.foreign import contained
from persamhq_video.plugin.options import Option, check_options, list_options

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """One factory by its name and kind, its keyword arguments being the options, and the plugin it came from."""

    kind: str
    name: str
    factory: Callable[..., T]
    plugin: str

    @property
    def summary(self) -> str:
        """The first line of the factory's docstring, empty if there is none."""
        # A plugin may put anything there
        return str(self.factory.__doc__ or "").strip().partition("\n")[0]

    @property
    def options(self) -> tuple[Option, ...]:
        """The options of the factory."""
        with self._read():
            return list_options(self.factory)

    @contextmanager
    def _read(self) -> Iterator[None]:
        """Annotations, defaults and validators are the plugin's code."""
        what = f"the options of the {self.kind} {self.name!r} of plugin {self.plugin}"

        def failed(reason: str, error: BaseException) -> PluginError:
            del error
            return PluginError(f"{what} cannot be read: {reason}")

        with contained(what, failed, passing=(PersamHQVideoError,)):
            yield

    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Every option, given or by default; a wrong one is a ConfigError."""
        with self._read():
            return check_options(f"{self.kind} {self.name!r}", self.factory, options)

    def make(self, options: Mapping[str, Any]) -> T:
        """A new object with these options; an error of the factory is a PluginError that names the plugin."""
        checked = self.check(options)
        what = f"the {self.kind} {self.name!r} of plugin {self.plugin}"

        def failed(reason: str, error: BaseException) -> PluginError:
            # Whoever writes a factory puts into a ValueError what is wrong with its options
            return PluginError(f"{what} cannot be made: {one_line(error) if type(error) is ValueError else reason}")

        with contained(what, failed, passing=(PersamHQVideoError,)):
            return self.factory(**checked)


class Register(Generic[T]):
    """The factories of one kind by name; `owner` is the plugin whose hook is being called."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        # Set by the manager before each plugin's hook is called
        self.owner = "?"
        self._entries: dict[str, Entry[T]] = {}

    def add(self, name: str, factory: Callable[..., T]) -> None:
        """Register a factory under a name; a name that is taken is a PluginError."""
        # Names stand in flags, before `:OPTION=VALUE`, and in YAML
        if not name or not name.replace("_", "").replace("-", "").isalnum():
            raise PluginError(f"plugin {self.owner} registers the {self.kind} {name!r}; use letters, digits, _ and -")
        if name in self._entries:
            other = self._entries[name].plugin
            raise PluginError(f"the {self.kind} {name!r} is registered twice: by {other} and by {self.owner}")
        if not callable(factory):
            raise PluginError(f"plugin {self.owner} registers the {self.kind} {name!r} with {factory!r}, no factory")
        self._entries[name] = Entry(self.kind, name, factory, self.owner)

    def entries(self) -> tuple[Entry[T], ...]:
        """Everything registered, in the order of the names."""
        return tuple(self._entries[name] for name in sorted(self._entries))

    def entry(self, name: str) -> Entry[T]:
        """The entry of that name, or a PluginError with the known names and the closest one."""
        if name in self._entries:
            return self._entries[name]
        known = sorted(self._entries)
        raise PluginError(
            f"unknown {self.kind} {name!r}{did_you_mean(name, known)}; known: {', '.join(known) or 'none'}"
        )

    def make(self, name: str, options: Mapping[str, Any] | None = None) -> T:
        """A new object from the factory of that name."""
        return self.entry(name).make(options or {})
