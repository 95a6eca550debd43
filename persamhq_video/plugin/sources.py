"""Sources of plugins: modules by name, and files, whose text travels with the job to every worker."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType

from persam_hq.errors import did_you_mean
from persamhq_video.errors import PluginError
from persamhq_video.foreign import contained


@dataclass(frozen=True, slots=True)
class PluginSource:
    """A plugin as it is sent to workers: a module name, or the name and text of a file."""

    name: str
    text: str | None = None

    @property
    def sha256(self) -> str | None:
        """The hash of a file's text, None for a module."""
        return None if self.text is None else hashlib.sha256(self.text.encode()).hexdigest()

    def load(self) -> ModuleType:
        """Import the module, or run the file's text as one."""
        with load_failures(self.name, lambda reason: f"the plugin {self.name} cannot be loaded: {reason}"):
            return importlib.import_module(self.name) if self.text is None else self._run_text(self.text)

    def _run_text(self, text: str) -> ModuleType:
        """The text of a file as a module, whose name depends on the text; the same module for the same text."""
        # Objects of it are pickled, so its classes have to stay the same ones in a process.
        name = f"persamhq_plugin_{hashlib.sha256((self.name + text).encode()).hexdigest()[:12]}"
        if name in sys.modules:
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


@contextmanager
def load_failures(name: str, message: Callable[[str], str]) -> Iterator[None]:
    """Whatever the import of a plugin raises becomes a PluginError, whose message is made of the reason."""

    def failed(reason: str, error: BaseException) -> PluginError:
        return PluginError(message(load_failure(error, name) or reason))

    with contained(f"the import of the plugin {name}", failed):
        yield


def load_failure(error: BaseException, name: str) -> str | None:
    """The reason why the plugin `name` cannot be imported, and what to do, where more is known than the error says."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r}) as it was imported; put what it runs under `if __name__ == ...`"
    if isinstance(error, SyntaxError):
        return f"SyntaxError in line {error.lineno}: {error.msg}"
    # Either the plugin itself is missing, or something that it imports.
    if isinstance(error, ModuleNotFoundError) and error.name:
        if name == error.name or name.startswith(f"{error.name}."):
            hint = did_you_mean(error.name, sorted(metadata.packages_distributions()))
            return f"there is no module {error.name!r}{hint}; name a .py file, or an installed module"
        return f"it needs the module {error.name!r}, which is not installed"
    return None


def module_sha256(module: object) -> str:
    """The hash of the file that a module came from, or its name where it came from none."""
    file = getattr(module, "__file__", None)
    return repr(module) if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()


def read_plugins(names: Sequence[str]) -> tuple[PluginSource, ...]:
    """The plugins that `--plugin FILE|MODULE` names; files are read here, once, modules are found when loaded."""
    return tuple(_read_plugin(name) for name in names)


def _read_plugin(name: str) -> PluginSource:
    """A plugin by its name, which is that of a file if it has a slash or ends in .py."""
    if not name.endswith(".py") and "/" not in name:
        return PluginSource(name)

    path = Path(name)
    try:
        return PluginSource(path.name, path.read_text(encoding="utf-8"))
    except OSError as exc:
        # Perhaps another file beside it was meant
        folder = path.parent
        beside = [file.name for file in folder.glob("*.py")] if folder.is_dir() else []
        hint = did_you_mean(path.name, beside)
        raise PluginError(f"cannot read the plugin {name}{hint}: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise PluginError(f"the plugin {name} is no Python text") from exc
