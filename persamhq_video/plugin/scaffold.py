"""The scaffold of `persamhq-video plugins new NAME`: a package with a prompt selector, ready to install and change."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Final

from persamhq_video.errors import InputError, OutputError
from persamhq_video.plugin.manager import load_registry

__all__ = ["new_package"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
"""A name is that of a strategy, a module and a package at once."""


def new_package(name: str, folder: Path) -> tuple[Path, ...]:
    """Write the package into `folder`, which must not be there yet; returns the files written, in order.

    Raises InputError for a name that cannot be one of a module, or that is taken by a strategy or an installed package.
    """
    _check_name(name)
    if folder.exists():
        raise InputError(f"{folder} is there already; choose another name or --out")

    # The words of the templates: package names of pip have dashes, classes capitals
    words = {
        "name": name,
        "distribution": name.replace("_", "-"),
        "class_name": "".join(word.capitalize() for word in name.split("_")),
    }
    files = _filled(resources.files("persamhq_video.plugin") / "template", words)
    try:
        for file, text in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise OutputError(f"cannot write {folder}: {exc.strerror or exc}") from exc
    return tuple(folder / file for file in files)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise InputError(f"got the name {name!r}; expected small letters, digits and _, a letter first, as my_strategy")
    if name in metadata.packages_distributions():
        raise InputError(f"a package named {name} is installed; choose another name")
    registry = load_registry()
    if any(entry.name == name for register in registry.registers for entry in register.entries()):
        raise InputError(f"a strategy named {name} is there already (see `plugins list`); choose another name")


def _filled(template: Traversable, words: Mapping[str, str]) -> dict[str, str]:
    """The texts of the package's files by path, with the words filled in."""
    # Files of the template end in .txt, so that no tool takes them for code of this project.
    places = {"package": words["name"], "tests": "tests"}
    files = {}
    for item in sorted(template.iterdir(), key=lambda item: item.name):
        inside = item.iterdir() if item.is_dir() else (item,)
        for file in sorted(inside, key=lambda file: file.name):
            folder = f"{places[item.name]}/" if item.is_dir() else ""
            text = Template(file.read_text(encoding="utf-8")).substitute(words)
            files[folder + file.name.removesuffix(".txt")] = text
    return files
