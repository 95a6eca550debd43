"""Which executor a configuration means, and with how many workers."""

from __future__ import annotations

import os
from typing import Final, Literal

import torch

from persamhq_video.config import RunConfig
from persamhq_video.errors import ConfigError
from persamhq_video.executors.base import Executor
from persamhq_video.executors.inline import InlineExecutor
from persamhq_video.job import Job

__all__ = ["executor_kind", "open_executor", "resolve_workers"]

_MOST_WORKERS_BY_ITSELF: Final = 4


def open_executor(job: Job) -> Executor:
    """The executor of a resolved configuration, not entered yet."""
    config = job.config
    workers = resolve_workers(config)
    if executor_kind(config) == "inline":
        return InlineExecutor(job, encode_threads=workers)
    from persamhq_video.executors.ray_executor import Cluster, RayExecutor

    gpus = config.gpus_per_worker if config.gpus_per_worker is not None else float(config.device == "cuda")
    return RayExecutor(job, Cluster(workers=workers, address=config.address, gpus_per_worker=gpus))


def executor_kind(config: RunConfig) -> Literal["inline", "ray"]:
    """`auto` means Ray where there is something to spread over: several workers, a cluster, several GPUs."""
    if config.executor == "inline" and config.address is not None:
        raise ConfigError("the inline executor has no use for an address; leave --address out or choose --executor ray")
    if config.executor != "auto":
        return config.executor
    several = (config.workers or 1) > 1 or config.address is not None or _gpus(config) > 1
    return "ray" if several else "inline"


def resolve_workers(config: RunConfig) -> int:
    """Ray workers or inline encode threads: what was asked for, else one a GPU, else from the cores."""
    if config.workers is not None and (config.executor == "inline" or executor_kind(config) == "ray"):
        return config.workers
    if _gpus(config) > 0:
        return _gpus(config) if executor_kind(config) == "ray" else 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST_WORKERS_BY_ITSELF, cores // config.threads_per_worker))


def _gpus(config: RunConfig) -> int:
    return torch.cuda.device_count() if config.device == "cuda" else 0
