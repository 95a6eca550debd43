"""Validation of a plugin's hooks before any of them is called; messages name the plugin."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from persam_hq.errors import did_you_mean
from persamhq_video.errors import PluginError
from persamhq_video.plugin import hookspecs
from persamhq_video.plugin.markers import PROJECT_NAME

__all__ = ["HOOKS", "check_hooks"]

_PREFIX: Final = "persamhq_"

HOOKS: Final = {
    name: tuple(inspect.signature(function).parameters)
    for name, function in inspect.getmembers(hookspecs, inspect.isfunction)
    if name.startswith(_PREFIX)
}
"""The names of all hooks, with those of their arguments."""


def check_hooks(name: str, plugin: object) -> None:
    """Refuse hooks that do not exist, that are not marked, or that take other arguments; a PluginError says which."""
    # A marked function with another prefix is refused too: pluggy would never call it.
    for hook, function in inspect.getmembers(plugin, inspect.isroutine):
        marked = hasattr(function, f"{PROJECT_NAME}_impl")
        if marked or hook.startswith(_PREFIX):
            _check_hook(name, hook, function, marked=marked)


def _check_hook(plugin: str, hook: str, function: Callable[..., Any], *, marked: bool) -> None:
    if hook not in HOOKS:
        raise PluginError(
            f"the plugin {plugin} has an unknown hook {hook!r}{did_you_mean(hook, HOOKS)}; known: {', '.join(HOOKS)}"
        )
    if not marked:
        raise PluginError(f"the plugin {plugin} has {hook}, but without the marker; put @hookimpl above it")
    wrong = [argument for argument in inspect.signature(function).parameters if argument not in HOOKS[hook]]
    if wrong:
        hint, known = did_you_mean(wrong[0], HOOKS[hook]), ", ".join(HOOKS[hook])
        raise PluginError(f"the plugin {plugin} asks {hook} for the argument {wrong[0]!r}{hint}; it has: {known}")
