"""A job as it travels to the workers: a plain value, and what each worker asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from persamhq_video.config import RunConfig
from persamhq_video.errors import ExecutorError
from persamhq_video.job.compute import computing, feature_budget, release_memory
from persamhq_video.job.fingerprint import Fingerprint, measure_fingerprint
from persamhq_video.job.strategies import choose_strategies
from persamhq_video.job.tracker_builder import AnyTracker, TrackerBuilder, check_origins
from persamhq_video.job.weights import deliver_weights, discard_weights, find_weights, has_weights
from persamhq_video.plugin.manager import load_registry
from persamhq_video.plugin.sources import PluginSource

__all__ = ["Job"]


def _package_version() -> str:
    return metadata.version("persam-hq-video")


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a worker needs to do its part: small, picklable, the same for every worker.

    `origins` are the plugins that the strategies are from, with what tells one version of each from another; `version`
    is that of this package where the job was made, and `delivery` the weights that came with it to this machine. The
    methods are what a worker asks of its job, in the order in which it does (see
    `persamhq_video.executors.workers.worker`).
    """

    config: RunConfig
    fingerprint: Fingerprint
    builder: TrackerBuilder
    plugins: tuple[PluginSource, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    version: str = field(default_factory=_package_version)
    delivery: Path | None = None

    def for_video(self, config: RunConfig) -> Job:
        """The job with the options of one of its videos, none of which the workers care about."""
        return replace(self, config=config)

    def delivered(self, weights: NDArray[np.uint8] | None) -> Job:
        """The job with its weights on this machine: where the same file is not here already, `weights` becomes one."""
        sha256 = self.fingerprint.weights_sha256
        if weights is None or has_weights(self.config, self.builder, sha256):
            return self
        # The embedded weights have no path in the configuration; they are a .safetensors file
        suffix = ".safetensors" if self.config.checkpoint is None else self.config.checkpoint.suffix
        path = deliver_weights(weights, sha256=sha256, suffix=suffix)
        return replace(self, config=self.config.model_copy(update={"checkpoint": path}), delivery=path)

    def discard_delivery(self) -> None:
        """Remove the weights that came to this machine, once the tracker is built from them."""
        if self.delivery is not None:
            discard_weights(self.delivery)

    def check_fingerprint(self, worker: str) -> None:
        """Refuse a worker whose numbers would differ from the driver's."""
        here = measure_fingerprint(self.config, find_weights(self.config, self.builder))
        differences = self.fingerprint.differences(here)
        if self.version != _package_version():
            differences = f"version: {self.version}, {_package_version()}"
        if differences:
            raise ExecutorError(f"{worker} would compute other numbers than the driver ({differences})")

    def build(self) -> AnyTracker:
        """The tracker, with strategies of this process's own."""
        registry = load_registry(self.plugins, blocked=self.config.blocked_plugins)
        selector, refiners = choose_strategies(self.config, registry)
        check_origins(registry, self.origins)
        return self.builder.build(self.config, selector, refiners)

    def computing(self) -> AbstractContextManager[None]:
        """The math threads of the fingerprint, and no gradients."""
        return computing(self.config.threads_per_worker)

    def feature_budget(self) -> int:
        """Bytes of features that a worker may hold."""
        return feature_budget(self.config)

    def release_memory(self) -> None:
        """Give back what the device's allocator keeps."""
        release_memory(self.config.device)
