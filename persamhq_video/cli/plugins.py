"""`persamhq-video plugins`."""

from __future__ import annotations

import argparse
import inspect

from persamhq_video.errors import PluginError
from persamhq_video.plugin.manager import PluginRegistry, load_registry
from persamhq_video.plugin.sources import read_plugins

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """List every strategy, or show one."""
    registry = load_registry(read_plugins(args.plugins))
    if args.name is None:
        _list(registry)
    else:
        _show(registry, args.name)
    return 0


def _list(registry: PluginRegistry) -> None:
    for register in registry.registers:
        print(f"{register.kind}s:")
        entries = register.entries()
        width = max((len(entry.name) for entry in entries), default=0)
        for entry in entries:
            print(f"  {entry.name:<{width}}  {entry.summary}  [{entry.plugin}]")
    print(f"plugins: {', '.join(registry.plugins)}")


def _show(registry: PluginRegistry, name: str) -> None:
    found = [(register.kind, entry) for register in registry.registers for entry in register.entries()]
    matching = [(kind, entry) for kind, entry in found if entry.name == name]
    if not matching:
        known = ", ".join(sorted(entry.name for _, entry in found))
        raise PluginError(f"no strategy is named {name!r}; known: {known}")
    for kind, entry in matching:
        print(f"{entry.name}: {kind} of the plugin {entry.plugin}")
        print(inspect.getdoc(entry.factory) or "no description")
