"""The frame sources and result sinks of a job, chosen by name from what the plugins offer.

It needs no torch, so that wrong paths and names are told at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from persamhq_video.config import RunConfig
from persamhq_video.errors import ConfigError, InputError, PersamHQVideoError, PluginError
from persamhq_video.foreign import contained
from persamhq_video.job.checked_source import CheckedSource, source_fault
from persamhq_video.plugin.manager import SOURCES_AND_SINKS, PluginRegistry, load_registry
from persamhq_video.plugin.registry import Entry
from persamhq_video.plugin.sources import PluginSource
from persamhq_video.protocols.frame_source import FrameRequest, FrameSource, FrameSourceKind, FrameWindow
from persamhq_video.protocols.result_sink import AnySink, LabelMapSink, ResultSink, VideoSink

__all__ = ["FILE_SOURCES", "Endpoints", "load_endpoints"]

FILE_SOURCES: Final = ("folder", "video")
"""The built-in sources of files, which may be searched for with patterns and folders of videos."""


@dataclass(frozen=True, slots=True, eq=False)
class Endpoints:
    """The frame sources and result sinks of a job."""

    registry: PluginRegistry

    def choose_source(self, chosen: str | None, video: Path | str) -> tuple[str, FrameSourceKind]:
        """The kind of source named `chosen`, else the one that takes the video: a plugin's before the built-in ones."""
        if chosen is not None:
            return chosen, self._make_source(chosen)

        # Plugins first; two that both take it leave the choice to the user
        takers = self._plugin_takers(str(video))
        if len(takers) > 1:
            both = " and ".join(f"{entry.name!r} ({entry.plugin})" for entry, _ in takers[:2])
            raise PluginError(f"{video}: the frame sources {both} both take it; choose one with --source NAME")
        if takers:
            entry, kind = takers[0]
            return entry.name, kind

        # The built-in ones, in the order of their names
        for entry in self._entries(built_in=True):
            kind = self._make_source(entry.name)
            if kind.accepts(str(video)):
                return entry.name, kind
        raise _not_taken(str(video), self.registry)

    def takes_text(self, chosen: str | None, text: str) -> bool:
        """Whether an input goes to its source as it was given, and is no path or pattern to look for videos with."""
        if chosen is not None:
            return chosen not in FILE_SOURCES
        if self._plugin_takers(text):
            return True
        built_in = [entry.name for entry in self._entries(built_in=True) if entry.name not in FILE_SOURCES]
        return any(self._make_source(name).accepts(text) for name in built_in)

    def open_source(self, config: RunConfig, video: Path | str) -> FrameSource:
        """Open a video with the source that the configuration names, or that takes it."""
        name, kind = self.choose_source(config.source, video)
        request = FrameRequest(
            str(video), FrameWindow(config.start, config.end, config.stride), config.reader, config.max_pixels
        )
        plugin = self.registry.frame_sources.entry(name).plugin
        if plugin in SOURCES_AND_SINKS:
            return kind.open(request)

        # A plugin's is looked at before its first frame, and its frames as they come
        what = f"{video}: the frame source {name!r} (plugin {plugin})"

        def failed(reason: str, error: BaseException) -> InputError:
            del error
            return InputError(f"{what} failed to open it: {reason}")

        with contained(what, failed, passing=(PersamHQVideoError,)):
            source = kind.open(request)
            fault = source_fault(source)
        if fault is not None:
            raise InputError(f"{what} cannot be used: {fault}")
        return CheckedSource(source, what, config.call_timeout)

    def make_sinks(self, names: Sequence[str]) -> dict[str, AnySink]:
        """The sinks of these names, each once; an unknown one is a ConfigError with the closest name."""
        return {name: self._make_sink(name) for name in names}

    def origins(self, config: RunConfig, video: Path | str) -> dict[str, str]:
        """The origins of the plugins not our own that a video's frames or files come from; they tell versions apart."""
        sinks = self.sink_plugins(config.outputs)
        source = self.registry.frame_sources.entry(self.choose_source(config.source, video)[0]).plugin
        return {name: self.registry.origin(name) for name in (source, *sinks) if name not in SOURCES_AND_SINKS}

    def sink_plugins(self, names: Sequence[str]) -> list[str]:
        """The plugins that sinks of these names are from."""
        return [self.registry.result_sinks.entry(name).plugin for name in names]

    def _make_source(self, name: str) -> FrameSourceKind:
        kind = self.registry.frame_sources.make(name)
        if not isinstance(kind, FrameSourceKind):
            plugin = self.registry.frame_sources.entry(name).plugin
            raise PluginError(
                f"the frame source {name!r} of plugin {plugin} is a {type(kind).__name__}; expected is_live,"
                " accepts(text) and open(request)"
            )
        return kind

    def _make_sink(self, name: str) -> AnySink:
        try:
            sink = self.registry.result_sinks.make(name)
        except PluginError as exc:
            raise ConfigError(f"option outputs: {exc}") from exc
        if not isinstance(sink, ResultSink | VideoSink | LabelMapSink):
            plugin = self.registry.result_sinks.entry(name).plugin
            raise PluginError(
                f"the result sink {name!r} of plugin {plugin} is a {type(sink).__name__}; expected needs_pictures,"
                " files(video) and write(folder, video, frames), or videos(video)"
            )
        return sink

    def _entries(self, *, built_in: bool) -> list[Entry[FrameSourceKind]]:
        entries = self.registry.frame_sources.entries()
        return [entry for entry in entries if (entry.plugin in SOURCES_AND_SINKS) == built_in]

    def _plugin_takers(self, text: str) -> list[tuple[Entry[FrameSourceKind], FrameSourceKind]]:
        """The sources of other people's plugins that take an input."""
        kinds = [(entry, self._make_source(entry.name)) for entry in self._entries(built_in=False)]
        return [(entry, kind) for entry, kind in kinds if _accepts(entry, kind, text)]


@lru_cache(maxsize=8)
def load_endpoints(plugins: tuple[PluginSource, ...] = (), blocked: tuple[str, ...] = ()) -> Endpoints:
    """The built-in sources and sinks and those of the plugins, `blocked` left out; a broken plugin is a PluginError."""
    return Endpoints(load_registry(plugins, built_in=SOURCES_AND_SINKS, blocked=blocked))


def _accepts(entry: Entry[FrameSourceKind], kind: FrameSourceKind, text: str) -> bool:
    what = f"the frame source {entry.name!r} of plugin {entry.plugin}"

    def failed(reason: str, error: BaseException) -> PluginError:
        del error
        return PluginError(f"{what} failed to look at {text}: {reason}")

    with contained(what, failed):
        return bool(kind.accepts(text))


def _not_taken(text: str, registry: PluginRegistry) -> InputError:
    known = ", ".join(entry.name for entry in registry.frame_sources.entries())
    if "://" in text:
        return InputError(f"{text}: no frame source takes it; known: {known} (see `persamhq-video plugins list`)")
    return InputError(f"{text}: no such file or folder; give a video file or a folder of frames")
