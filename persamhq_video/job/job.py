"""A run as it travels to a worker, and how a worker builds its tracker from it."""

from __future__ import annotations

import importlib
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray

from persam_hq.errors import PersamHQError
from persamhq_video.config import RunConfig
from persamhq_video.errors import ConfigError, ExecutorError
from persamhq_video.io import atomic_write, sha256_of
from persamhq_video.job.device_memory import free_memory
from persamhq_video.job.fingerprint import Fingerprint, measure_fingerprint
from persamhq_video.job.strategies import choose_strategies
from persamhq_video.plugin.manager import PluginRegistry, load_registry
from persamhq_video.plugin.sources import PluginSource
from persamhq_video.protocols.strategy import MaskRefiner, PromptSelector
from persamhq_video.protocols.tracker import Tracker
from persamhq_video.tracking.strategy import Strategy

__all__ = ["TRACKER_MODULE", "AnyTracker", "Job", "choose_strategies", "find_weights", "state_types"]

TRACKER_MODULE: Final = "persamhq_video.tracking.build"

AnyTracker = Tracker[Any, Any, Any]


class TrackerModule(Protocol):
    """What a module that makes trackers offers."""

    def build_tracker(
        self, config: RunConfig, selector: Strategy[PromptSelector], refiners: Sequence[Strategy[MaskRefiner]]
    ) -> AnyTracker:
        """The tracker of a resolved configuration."""
        ...

    def weights_path(self, config: RunConfig) -> Path:
        """The weights file that the configuration means; a PersamHQError if there is none."""
        ...

    STATE_TYPES: tuple[type, ...]
    """The dataclasses that a state is made of, beside tensors, arrays and plain values."""


def _package_version() -> str:
    return metadata.version("persam-hq-video")


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a worker needs to do its part: small, picklable, the same for every worker."""

    config: RunConfig
    fingerprint: Fingerprint
    plugins: tuple[PluginSource, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    """The plugins that the strategies are from, and what tells one version of each from another."""
    tracker_module: str = TRACKER_MODULE
    version: str = field(default_factory=_package_version)
    """Of this package where the job was made."""

    def build(self) -> AnyTracker:
        """The tracker, with strategies of this process's own."""
        registry = load_registry(self.plugins, blocked=self.config.blocked_plugins)
        selector, refiners = choose_strategies(self.config, registry)
        self._check_origins(registry)
        return _tracker_module(self.tracker_module).build_tracker(self.config, selector, refiners)

    def check_fingerprint(self, worker: str) -> None:
        """Refuse a worker whose numbers would differ from the driver's."""
        here = measure_fingerprint(self.config, find_weights(self.config, self.tracker_module))
        differences = self.fingerprint.differences(here)
        if self.version != _package_version():
            differences = f"version: {self.version}, {_package_version()}"
        if differences:
            raise ExecutorError(f"{worker} would compute other numbers than the driver ({differences})")

    def delivered(self, weights: NDArray[np.uint8] | None) -> Job:
        """The job with its weights on this machine: where the same file is not here already, `weights` becomes one."""
        if weights is None or self._has_weights():
            return self
        sha256 = self.fingerprint.weights_sha256
        suffix = ".safetensors" if self.config.checkpoint is None else self.config.checkpoint.suffix
        path = Path(tempfile.gettempdir()) / f"persamhq-weights-{sha256[:16]}{suffix}"
        if not path.exists() or sha256_of(path) != sha256:
            # Several workers of one machine may do so at once, so each writes a file of its own.
            own = path.with_name(f"{path.stem}-{secrets.token_hex(8)}{path.suffix}")
            atomic_write(own, weights.tobytes())
            own.replace(path)
        return replace(self, config=self.config.model_copy(update={"checkpoint": path}))

    def for_video(self, config: RunConfig) -> Job:
        """The job with the options of one of its videos, none of which the workers care about."""
        return replace(self, config=config)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """The math threads of the fingerprint, and no gradients."""
        # OpenMP counts threads for each calling thread, so every one of them is told.
        torch.set_num_threads(self.config.threads_per_worker)
        with torch.inference_mode():
            yield

    def feature_budget(self) -> int:
        """Bytes of features that a worker may hold: what was asked for, else a share of what its device has free."""
        budget = self.config.feature_budget
        return free_memory(self.config.device, sharing=self.config.workers or 1) if budget is None else int(budget)

    def release_memory(self) -> None:
        """Give back what the device's allocator keeps."""
        if self.config.device == "cuda":
            torch.cuda.empty_cache()

    def _check_origins(self, registry: PluginRegistry) -> None:
        """Refuse a worker whose plugins are others than the driver's."""
        for name, expected in self.origins.items():
            found = registry.origin(name)
            if found != expected:
                raise ExecutorError(f"the plugin {name} is {found} here and {expected} at the driver; install the same")

    def _has_weights(self) -> bool:
        try:
            return sha256_of(find_weights(self.config, self.tracker_module)) == self.fingerprint.weights_sha256
        except (ConfigError, OSError):
            return False


def find_weights(config: RunConfig, tracker_module: str = TRACKER_MODULE) -> Path:
    """The weights file of a configuration; that there is none is a ConfigError."""
    try:
        return _tracker_module(tracker_module).weights_path(config)
    except PersamHQError as exc:
        raise ConfigError(str(exc)) from exc


def state_types(job: Job) -> tuple[type, ...]:
    """What the states of a job's tracker are made of."""
    return _tracker_module(job.tracker_module).STATE_TYPES


def _tracker_module(name: str) -> TrackerModule:
    return cast("TrackerModule", importlib.import_module(name))
