"""Loading of plugins, once per process: built-in ones, installed ones by entry point, and those that a run names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import pluggy

from persam_hq.errors import did_you_mean, one_line
from persamhq_video.errors import OutputError, PluginError
from persamhq_video.foreign import contained
from persamhq_video.plugin import hookspecs
from persamhq_video.plugin.markers import PROJECT_NAME
from persamhq_video.plugin.registry import Register
from persamhq_video.plugin.sources import PluginSource, load_failures, module_sha256
from persamhq_video.plugin.validation import check_hooks
from persamhq_video.protocols.frame_source import FrameSourceKind
from persamhq_video.protocols.result_sink import AnySink
from persamhq_video.protocols.strategy import MaskRefiner, PromptSelector

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
"""Built-in plugins that need no torch, so that a wrong name of a source or sink is reported at once."""

BUILT_IN: Final[tuple[str, ...]] = (
    "persamhq_plugins.prompt_selectors.top_k_points",
    "persamhq_plugins.prompt_selectors.persam_video",
    "persamhq_plugins.prompt_selectors.dense_prior",
    "persamhq_plugins.prompt_selectors.previous_mask",
    "persamhq_plugins.prompt_selectors.similarity_box",
    "persamhq_plugins.prompt_selectors.multi_peak",
    "persamhq_plugins.prompt_selectors.discriminative",
    "persamhq_plugins.mask_refiners.cascade",
    "persamhq_plugins.mask_refiners.drop_specks",
    "persamhq_plugins.mask_refiners.scale_weights",
    "persamhq_plugins.mask_refiners.hq_only",
    "persamhq_plugins.mask_refiners.largest_component",
    "persamhq_plugins.mask_refiners.fill_holes",
    "persamhq_plugins.mask_refiners.guided_filter",
    "persamhq_plugins.mask_refiners.temporal_smooth",
    *SOURCES_AND_SINKS,
)
"""All built-in plugins, as module names: nothing imports a plugin."""


@dataclass(frozen=True, slots=True, eq=False)
class PluginRegistry:
    """All plugins of this process, and what they have registered by kind.

    `origins` has, by name of the plugin, what tells one version of it from another.
    """

    manager: pluggy.PluginManager
    origins: Mapping[str, str]
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
        """The registers, one per kind."""
        return self.prompt_selectors, self.mask_refiners, self.frame_sources, self.result_sinks

    def origin(self, plugin: str) -> str:
        """The identity of a plugin's version: the hash of its text, or the name and version of its package."""
        return self.origins[plugin]

    def run_finished(self, directory: Path, record: Mapping[str, Any]) -> None:
        """Call `persamhq_run_finished` of each plugin; an error in one is an OutputError, as all frames are done."""
        hook = "persamhq_run_finished"
        for plugin, caller in _callers(self.manager, hook):

            def failed(reason: str, error: BaseException, *, plugin: str = plugin) -> OutputError:
                del error
                return OutputError(f"the plugin {plugin} failed in {hook}: {reason}")

            with contained(f"{hook} of the plugin {plugin}", failed):
                caller(directory=directory, record=record)


def load_registry(
    sources: Sequence[PluginSource] = (), *, built_in: Sequence[str] = BUILT_IN, blocked: Sequence[str] = ()
) -> PluginRegistry:
    """Load every plugin and fill the registers; a plugin that is broken or named twice is a PluginError.

    Plugins named in `blocked` are not even imported; a built-in one may be named by the last part of its module's name.
    """
    # The plugins there are, and those of them that are blocked, maybe also a built-in one that is not loaded anyway
    named = (*(PluginSource(name) for name in built_in), *sources)
    installed = tuple(metadata.entry_points(group=PROJECT_NAME))
    names = dict.fromkeys([*BUILT_IN, *(source.name for source in named), *(point.name for point in installed)])
    blocked_names = _blocked_names(blocked, list(names))

    # Load them
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    origins: dict[str, str] = {}
    for source in named:
        if source.name not in blocked_names:
            plugin = source.load()
            _add(manager, source.name, plugin)
            origins[source.name] = source.sha256 or module_sha256(plugin)
    for point in installed:
        if point.name not in blocked_names:
            _add_installed(manager, point, origins)

    # Let them register
    selectors: Register[PromptSelector] = Register("prompt selector")
    refiners: Register[MaskRefiner] = Register("mask refiner")
    frame_sources: Register[FrameSourceKind] = Register("frame source")
    sinks: Register[AnySink] = Register("result sink")
    _fill(manager, "persamhq_register_prompt_selectors", selectors)
    _fill(manager, "persamhq_register_mask_refiners", refiners)
    _fill(manager, "persamhq_register_frame_sources", frame_sources)
    _fill(manager, "persamhq_register_result_sinks", sinks)
    return PluginRegistry(manager, origins, selectors, refiners, frame_sources, sinks)


def _blocked_names(blocked: Sequence[str], names: Sequence[str]) -> frozenset[str]:
    """The full names of the plugins that are blocked; a name that fits none is a PluginError."""
    # By full name, or by the last part of a module's; a short one may fit several
    found = {asked: [name for name in names if asked in (name, name.rpartition(".")[2])] for asked in blocked}
    for asked, matching in found.items():
        if not matching:
            short = [name.rpartition(".")[2] if not name.endswith(".py") else name for name in names]
            hint = did_you_mean(asked, short)
            raise PluginError(
                f"cannot block the plugin {asked!r}{hint}: there is none of that name; known: {', '.join(short)}"
            )
    return frozenset(name for matching in found.values() for name in matching)


def _add(manager: pluggy.PluginManager, name: str, plugin: object) -> None:
    """Register a loaded plugin with the manager; hooks that nobody calls are a PluginError."""
    if manager.has_plugin(name):
        raise PluginError(f"the plugin {name} is named twice; name it once")
    check_hooks(name, plugin)
    try:
        manager.register(plugin, name=name)
        manager.check_pending()
    except (ValueError, pluggy.PluginValidationError) as exc:
        raise PluginError(f"the plugin {name} cannot be used: {one_line(exc)}") from exc


def _add_installed(manager: pluggy.PluginManager, point: metadata.EntryPoint, origins: dict[str, str]) -> None:
    """Load an entry point, unless its module was named already."""
    # The error has to say which package to uninstall, or the name to block
    package = "?" if point.dist is None else f"{point.dist.name} {point.dist.version}"
    leave_out = f"uninstall {package}, or leave it out with --block-plugin {point.name}"
    with load_failures(
        point.module,
        lambda reason: f"the installed plugin {point.name} ({package}) cannot be loaded: {reason}; {leave_out}",
    ):
        plugin = point.load()
    if not manager.is_registered(plugin):
        _add(manager, point.name, plugin)
        origins[point.name] = package


def _callers(manager: pluggy.PluginManager, hook: str) -> Iterator[tuple[str, pluggy.HookCaller]]:
    """A hook of one plugin after the other, each with the plugin's name, so that errors can name it."""
    plugins = [plugin for _, plugin in manager.list_name_plugin() if plugin is not None]
    for plugin in plugins:
        # pluggy calls a hook of all plugins at once, unless the others are left out.
        others = [other for other in plugins if other is not plugin]
        yield manager.get_name(plugin) or "?", manager.subset_hook_caller(hook, others)


def _fill(manager: pluggy.PluginManager, hook: str, register: Register[Any]) -> None:
    """Let every plugin add its factories of one kind."""
    for plugin, caller in _callers(manager, hook):
        register.owner = plugin

        def failed(reason: str, error: BaseException, *, plugin: str = plugin) -> PluginError:
            del error
            return PluginError(f"the plugin {plugin} failed in {hook}: {reason}")

        # A PluginError is one of the register, which names the plugin itself
        with contained(f"{hook} of the plugin {plugin}", failed, passing=(PluginError,)):
            caller(register=register)
