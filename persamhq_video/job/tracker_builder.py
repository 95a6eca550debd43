"""The builder of a job's tracker, as a protocol, and the check of plugins before a tracker is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from persamhq_video.config import RunConfig
from persamhq_video.errors import ExecutorError
from persamhq_video.plugin.manager import PluginRegistry
from persamhq_video.protocols.strategy import MaskRefiner, PromptSelector
from persamhq_video.protocols.tracker import Tracker
from persamhq_video.tracking.strategy import Strategy

__all__ = ["AnyTracker", "TrackerBuilder", "check_origins"]

AnyTracker = Tracker[Any, Any, Any]


class TrackerBuilder(Protocol):
    """Builds the tracker of a job in every process that takes part; `VIDEO_TRACKERS` of `tracking.build` is the usual.

    It travels with the job, so it pickles by reference: an instance without fields, of an importable class.
    """

    @property
    def state_types(self) -> tuple[type, ...]:
        """The dataclasses that a state is made of, beside tensors, arrays and plain values."""
        ...

    def build(
        self, config: RunConfig, selector: Strategy[PromptSelector], refiners: Sequence[Strategy[MaskRefiner]]
    ) -> AnyTracker:
        """The tracker of a resolved configuration."""
        ...

    def weights_path(self, config: RunConfig) -> Path:
        """The weights file that the configuration means; a PersamHQError if there is none."""
        ...


def check_origins(registry: PluginRegistry, origins: Mapping[str, str]) -> None:
    """Refuse a worker whose plugins are others than the driver's, by an ExecutorError with both origins."""
    for name, expected in origins.items():
        found = registry.origin(name)
        if found != expected:
            raise ExecutorError(f"the plugin {name} is {found} here and {expected} at the driver; install the same")
