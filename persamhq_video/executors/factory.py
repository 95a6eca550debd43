"""The executor for a configuration: inline or on Ray, and with how many workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from persamhq_video.errors import ConfigError
from persamhq_video.executors.driver.video_in_flight import STATE_INTERVAL
from persamhq_video.executors.executor import Executor
from persamhq_video.executors.workers.inline_pool import FRAMES_PER_THREAD, InlinePool
from persamhq_video.executors.workers.worker_pool import RAY_FRAMES_AHEAD, Pool
from persamhq_video.job.machine_limits import available_cores

if TYPE_CHECKING:
    # These need torch, which a worker whose tracker has no use for it does without.
    from persamhq_video.config import RunConfig
    from persamhq_video.job.job import Job

__all__ = ["executor_kind", "open_executor", "resolve_workers", "window_of"]

_MAX_DEFAULT_WORKERS: Final = 4
"""Encode threads, or workers, where none were asked for: each has features and buffers of its own, so memory grows with
them, and a machine with many cores may not be ours alone."""


_LONGEST_START: Final = 30 * 24 * 3600.0
"""Seconds, a month: Ray counts a wait in milliseconds of 64 bits, and `--call-timeout inf` means no limit."""


def open_executor(job: Job) -> Executor:
    """The executor of a resolved configuration, not entered yet."""
    # Where nobody asked for Ray, a machine that it does not start on is none the worse for a run
    config = job.config
    is_chosen = config.executor == "ray" or config.address is not None
    fallback = None if is_chosen else partial(_inline_pool, job)
    return Executor(_pool(job), call_timeout=config.call_timeout, fallback=fallback)


def window_of(job: Job) -> Mapping[str, int]:
    """How far work may run ahead of what is safe on the disk, for the record of a run.

    `frames_ahead` frames per worker are encoded or under way and not tracked; `state_interval`: the state is saved
    after so many frames. What is lost with a process is therefore at most workers * frames_ahead encoded frames beyond
    the last one committed, and state_interval frames up to there.
    """
    workers = resolve_workers(job.config)
    inline = executor_kind(job.config) == "inline"
    # All inline threads share one worker and its features.
    ahead = FRAMES_PER_THREAD * workers if inline else RAY_FRAMES_AHEAD
    return {"workers": 1 if inline else workers, "frames_ahead": ahead, "state_interval": STATE_INTERVAL}


def _inline_pool(job: Job) -> Pool:
    return InlinePool(job, encode_threads=resolve_workers(job.config))


def _pool(job: Job) -> Pool:
    config = job.config
    workers = resolve_workers(config)
    if executor_kind(config) == "inline":
        return _inline_pool(job)

    # Ray takes a second to import, which a run in this process does not need.
    from persamhq_video.executors.workers.ray_pool import Cluster, RayPool
    from persamhq_video.job.weights import find_weights

    # A local worker reads the weights from the same disk; those of a cluster are sent them.
    gpus = config.gpus_per_worker if config.gpus_per_worker is not None else float(config.device == "cuda")
    weights = None if config.address is None else find_weights(config, job.builder)
    cluster = Cluster(
        workers=workers,
        cpus_per_worker=config.threads_per_worker,
        address=config.address,
        gpus_per_worker=gpus,
        weights=weights,
        workers_decode=config.decode == "workers",
        start_timeout=min(config.call_timeout, _LONGEST_START),
        connect_timeout=config.connect_timeout,
    )
    return RayPool(replace(job, config=config.model_copy(update={"workers": workers})), cluster)


def executor_kind(config: RunConfig) -> Literal["inline", "ray"]:
    """The kind of executor; `auto` means Ray where there is something to spread over: workers, a cluster, GPUs."""
    if config.executor == "inline" and config.address is not None:
        raise ConfigError("the inline executor has no use for an address; leave --address out or choose --executor ray")
    if config.executor != "auto":
        return config.executor
    several = (config.workers or 1) > 1 or config.address is not None or _gpus(config) > 1
    return "ray" if several else "inline"


def resolve_workers(config: RunConfig) -> int:
    """Ray workers or inline encode threads: what was asked for, else one per GPU, else by the cores."""
    if config.workers is not None and (config.executor == "inline" or executor_kind(config) == "ray"):
        return config.workers
    if _gpus(config) > 0:
        return _gpus(config) if executor_kind(config) == "ray" else 1
    return max(1, min(_MAX_DEFAULT_WORKERS, available_cores() // config.threads_per_worker))


def _gpus(config: RunConfig) -> int:
    import torch

    return torch.cuda.device_count() if config.device == "cuda" else 0
