"""A run as it travels to a worker, and how a worker builds its tracker from it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast

from persam_hq.errors import PersamHQError
from persamhq_video.config import RunConfig
from persamhq_video.errors import ConfigError, ExecutorError
from persamhq_video.fingerprint import Fingerprint, measure_fingerprint
from persamhq_video.plugin.manager import PluginRegistry, load_registry
from persamhq_video.plugin.sources import PluginSource
from persamhq_video.protocols import MaskRefiner, PromptSelector, Tracker

__all__ = ["TRACKER_MODULE", "AnyTracker", "Job", "choose_strategies", "find_weights"]

TRACKER_MODULE: Final = "persamhq_video.tracker"

AnyTracker = Tracker[Any, Any, Any]


class TrackerModule(Protocol):
    """What a module that makes trackers offers."""

    def build_tracker(self, config: RunConfig, selector: PromptSelector, refiners: Sequence[MaskRefiner]) -> AnyTracker:
        """The tracker of a resolved configuration."""
        ...

    def weights_path(self, config: RunConfig) -> Path:
        """The weights file that the configuration means; a PersamHQError if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a worker needs to do its part: small, picklable, the same for every worker."""

    config: RunConfig
    fingerprint: Fingerprint
    plugins: tuple[PluginSource, ...] = ()
    tracker_module: str = TRACKER_MODULE

    def build(self) -> AnyTracker:
        """The tracker, with strategies of this process's own."""
        selector, refiners = choose_strategies(self.config, load_registry(self.plugins))
        return _tracker_module(self.tracker_module).build_tracker(self.config, selector, refiners)

    def check_fingerprint(self, worker: str) -> None:
        """Refuse a worker whose numbers would differ from the driver's."""
        here = measure_fingerprint(self.config, find_weights(self.config, self.tracker_module))
        differences = self.fingerprint.differences(here)
        if differences:
            raise ExecutorError(f"{worker} would compute other numbers than the driver ({differences})")


def choose_strategies(config: RunConfig, registry: PluginRegistry) -> tuple[PromptSelector, tuple[MaskRefiner, ...]]:
    """Make the strategies that the configuration names and check that they fit its mode."""
    strategies = config.strategies
    selector = registry.prompt_selectors.make(strategies.prompts)
    if config.mode == "independent" and selector.needs_history:
        raise ConfigError(
            f"the prompt selector {strategies.prompts!r} needs earlier results, which mode independent does not have;"
            " choose another selector or mode chained"
        )
    return selector, tuple(registry.mask_refiners.make(name) for name in strategies.refine)


def find_weights(config: RunConfig, tracker_module: str = TRACKER_MODULE) -> Path:
    """The weights file of a configuration; that there is none is a ConfigError."""
    try:
        return _tracker_module(tracker_module).weights_path(config)
    except PersamHQError as exc:
        raise ConfigError(str(exc)) from exc


def _tracker_module(name: str) -> TrackerModule:
    return cast("TrackerModule", importlib.import_module(name))
