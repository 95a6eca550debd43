"""Where plugins come from: modules by name, and files whose text travels with the job."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from persamhq_video.errors import PluginError


@dataclass(frozen=True, slots=True)
class PluginSource:
    """A plugin as it travels: a module name, or the text of a file."""

    name: str
    text: str | None = None

    @property
    def sha256(self) -> str | None:
        """The hash of a file's text, None for a module."""
        return None if self.text is None else hashlib.sha256(self.text.encode()).hexdigest()

    def load(self) -> ModuleType:
        """Import the module, or run the file's text as one."""
        try:
            return importlib.import_module(self.name) if self.text is None else self._run_text(self.text)
        except Exception as exc:
            reason = f"{type(exc).__name__}: {exc}"
            raise PluginError(f"the plugin {self.name} cannot be loaded: {' '.join(reason.split())}") from exc

    def _run_text(self, text: str) -> ModuleType:
        name = f"persamhq_plugin_{hashlib.sha256((self.name + text).encode()).hexdigest()[:12]}"
        if name in sys.modules:  # its objects travel, so its classes must stay the ones they were
            return sys.modules[name]
        module = ModuleType(name)
        module.__file__ = self.name
        # Dataclasses and pickles look their module up by its name.
        sys.modules[name] = module
        try:
            exec(compile(text, self.name, "exec"), module.__dict__)  # noqa: S102 - a plugin is code that the user named
        except BaseException:
            del sys.modules[name]
            raise
        return module


def read_plugins(names: Sequence[str]) -> tuple[PluginSource, ...]:
    """What `--plugin FILE|MODULE` names; files are read here, once, and modules are found where they are loaded."""
    return tuple(_read_plugin(name) for name in names)


def _read_plugin(name: str) -> PluginSource:
    if not name.endswith(".py") and "/" not in name:
        return PluginSource(name)
    path = Path(name)
    try:
        return PluginSource(path.name, path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise PluginError(f"cannot read the plugin {name}: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise PluginError(f"the plugin {name} is no Python text") from exc
