"""A run as it travels to a worker, and how a worker builds its tracker from it."""

from __future__ import annotations

import importlib
import secrets
import tempfile
from collections.abc import Iterator, Sequence
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
from persamhq_video.fingerprint import Fingerprint, measure_fingerprint
from persamhq_video.io import atomic_write, sha256_of
from persamhq_video.memory import free_memory
from persamhq_video.plugin.manager import PluginRegistry, load_registry
from persamhq_video.plugin.sources import PluginSource
from persamhq_video.protocols import MaskRefiner, PromptSelector, Tracker

__all__ = ["TRACKER_MODULE", "AnyTracker", "Job", "choose_strategies", "find_weights", "state_types"]

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
    tracker_module: str = TRACKER_MODULE
    version: str = field(default_factory=_package_version)
    """Of this package where the job was made."""

    def build(self) -> AnyTracker:
        """The tracker, with strategies of this process's own."""
        selector, refiners = choose_strategies(self.config, load_registry(self.plugins))
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

    def _has_weights(self) -> bool:
        try:
            return sha256_of(find_weights(self.config, self.tracker_module)) == self.fingerprint.weights_sha256
        except (ConfigError, OSError):
            return False


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


def state_types(job: Job) -> tuple[type, ...]:
    """What the states of a job's tracker are made of."""
    return _tracker_module(job.tracker_module).STATE_TYPES


def _tracker_module(name: str) -> TrackerModule:
    return cast("TrackerModule", importlib.import_module(name))
