"""The command `persamhq-video plugins`: list strategies, show one, or write a package for a new one."""

from __future__ import annotations

import argparse
import inspect
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from persam_hq.errors import did_you_mean
from persamhq_video.errors import PluginError
from persamhq_video.plugin.manager import PluginRegistry, load_registry
from persamhq_video.plugin.options import Option
from persamhq_video.plugin.scaffold import new_package
from persamhq_video.plugin.sources import read_plugins

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """List every strategy, show one, or write a package for a new one."""
    if args.action == "new":
        _new(args.name, Path(args.out or args.name))
        return 0
    registry = load_registry(read_plugins(args.plugins), blocked=args.blocked)
    if args.action == "list":
        _list(registry)
    else:
        _show(registry, args.name)
    return 0


def _new(name: str, folder: Path) -> None:
    """Write a package, and print its files and what to do with them."""
    for file in new_package(name, folder):
        print(file)
    # Its extra brings pytest, which a plain environment does without
    package = shlex.quote(f"{folder.absolute()}[test]")
    print(f"next: pip install {package}; pytest {shlex.quote(str(folder))}; persamhq-video plugins show {name}")


LITE_DEFAULT: Final = "dense_prior"
"""The selector that gives no prompts."""
ON_LITE: Final = (
    "With lite the prompts decide: where they contradict the dense prior (positive points or a box off what matching "
    "finds, a mask unlike it), they stand alone; elsewhere they are drawn over it, and nothing lies outside of a box."
)
"""How prompts and lite's dense prior are weighed, beside every selector that gives prompts."""


def _list(registry: PluginRegistry) -> None:
    """Print every strategy by kind, with its summary and its plugin in columns."""
    for register in registry.registers:
        print(f"{register.kind}s:")
        entries = register.entries()
        # A register may be empty, if all its plugins are blocked
        width = max((len(entry.name) for entry in entries), default=0)
        for entry in entries:
            print(f"  {entry.name:<{width}}  {entry.summary}  [{entry.plugin}]")
    print(f"plugins: {', '.join(registry.plugins)}")


def _show(registry: PluginRegistry, name: str) -> None:
    """Print everything about the strategies of a name; several kinds may each have one."""
    found = [entry for register in registry.registers for entry in register.entries()]
    matching = [entry for entry in found if entry.name == name]
    if not matching:
        known = sorted(entry.name for entry in found)
        raise PluginError(f"no strategy is named {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}")
    for entry in matching:
        print(f"{entry.name}: {entry.kind} of the plugin {entry.plugin}")
        print(inspect.getdoc(entry.factory) or "no description")
        if entry.kind == "prompt selector" and entry.name != LITE_DEFAULT:
            print(ON_LITE)
        _show_options(entry.options)


def _show_options(options: Sequence[Option]) -> None:
    """Print options in columns: name, type, default, and the description, which may be long and comes last."""
    if not options:
        print("options: none")
        return
    print("options:")
    rows = [(option.name, option.type, f"default {option.default}", option.doc) for option in options]
    # The last column is not padded
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, (*widths, 0), strict=True)).rstrip())
