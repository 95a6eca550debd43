"""One plugin manager a process: the built-in plugins, installed ones by entry point, and those of the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pluggy

from persamhq_video.errors import OutputError, PluginError
from persamhq_video.frame_source import FrameSourceKind
from persamhq_video.plugin import hookspecs
from persamhq_video.plugin.markers import PROJECT_NAME
from persamhq_video.plugin.register import Register
from persamhq_video.plugin.sources import PluginSource
from persamhq_video.protocols import MaskRefiner, PromptSelector
from persamhq_video.result_sink import AnySink

SOURCES_AND_SINKS: Final[tuple[str, ...]] = (
    "persamhq_plugins.frame_sources.folder",
    "persamhq_plugins.frame_sources.video",
    "persamhq_plugins.frame_sources.stream",
    "persamhq_plugins.result_sinks.masks",
    "persamhq_plugins.result_sinks.mask_video",
    "persamhq_plugins.result_sinks.mattes",
    "persamhq_plugins.result_sinks.overlay",
    "persamhq_plugins.result_sinks.scores",
    "persamhq_plugins.result_sinks.rle",
    "persamhq_plugins.result_sinks.alpha",
)
"""Loaded without torch, so that wrong names are told at once."""

BUILT_IN: Final[tuple[str, ...]] = (
    "persamhq_plugins.prompt_selectors",
    "persamhq_plugins.mask_refiners",
    *SOURCES_AND_SINKS,
)


@dataclass(frozen=True, slots=True, eq=False)
class PluginRegistry:
    """Everything that the plugins of this process offer."""

    manager: pluggy.PluginManager
    prompt_selectors: Register[PromptSelector]
    mask_refiners: Register[MaskRefiner]
    frame_sources: Register[FrameSourceKind]
    result_sinks: Register[AnySink]

    @property
    def plugins(self) -> tuple[str, ...]:
        """The names of the plugins in the order they were loaded."""
        return tuple(name for name, _ in self.manager.list_name_plugin())

    @property
    def registers(self) -> tuple[Register[Any], ...]:
        """One register a kind of thing that plugins offer."""
        return self.prompt_selectors, self.mask_refiners, self.frame_sources, self.result_sinks

    def run_finished(self, directory: Path, record: Mapping[str, Any]) -> None:
        """Tell the observers; that one of them fails is an OutputError, as the frames are through."""
        try:
            self.manager.hook.persamhq_run_finished(directory=directory, record=record)
        except Exception as exc:
            raise OutputError(f"a plugin failed in persamhq_run_finished: {type(exc).__name__}: {exc}") from exc


def load_registry(sources: Sequence[PluginSource] = (), *, built_in: Sequence[str] = BUILT_IN) -> PluginRegistry:
    """Load every plugin and let it register what it offers; a broken or doubled one is a PluginError."""
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    for source in (*(PluginSource(name) for name in built_in), *sources):
        _add(manager, source)
    _add_entry_points(manager)

    selectors: Register[PromptSelector] = Register("prompt selector")
    refiners: Register[MaskRefiner] = Register("mask refiner")
    _fill(manager, "persamhq_register_prompt_selectors", selectors)
    _fill(manager, "persamhq_register_mask_refiners", refiners)
    frame_sources: Register[FrameSourceKind] = Register("frame source")
    sinks: Register[AnySink] = Register("result sink")
    _fill(manager, "persamhq_register_frame_sources", frame_sources)
    _fill(manager, "persamhq_register_result_sinks", sinks)
    return PluginRegistry(manager, selectors, refiners, frame_sources, sinks)


def _add(manager: pluggy.PluginManager, source: PluginSource) -> None:
    try:
        manager.register(source.load(), name=source.name)
        manager.check_pending()
    except (ValueError, pluggy.PluginValidationError) as exc:
        raise PluginError(f"the plugin {source.name} cannot be used: {' '.join(str(exc).split())}") from exc


def _add_entry_points(manager: pluggy.PluginManager) -> None:
    try:
        manager.load_setuptools_entrypoints(PROJECT_NAME)
        manager.check_pending()
    except Exception as exc:
        reason = " ".join(str(exc).split())
        raise PluginError(f"an installed plugin (entry point group {PROJECT_NAME}) cannot be loaded: {reason}") from exc


def _fill(manager: pluggy.PluginManager, hook: str, register: Register[Any]) -> None:
    """Call one registration hook, one plugin at a time, so that every entry knows where it came from."""
    plugins = [plugin for _, plugin in manager.list_name_plugin() if plugin is not None]
    for plugin in plugins:
        register.owner = manager.get_name(plugin) or "?"
        caller = manager.subset_hook_caller(hook, [other for other in plugins if other is not plugin])
        try:
            caller(register=register)
        except PluginError:
            raise
        except Exception as exc:
            reason = f"{type(exc).__name__}: {exc}"
            raise PluginError(f"the plugin {register.owner} failed in {hook}: {reason}") from exc
