"""Limits of one machine to what a run starts on it, checked before anything is started."""

from __future__ import annotations

import os
from typing import Final

from persamhq_video.config import RunConfig
from persamhq_video.errors import ConfigError

__all__ = ["available_cores", "check_threads"]

_MOST_THREADS: Final = 256
"""Threads that any machine is trusted with. Each has a stack and waits for the others; where a system grants no more of
them, OpenMP and Ray end the process without a word."""
_THREADS_PER_CORE: Final = 8
"""On machines with many cores: so many threads for each find no work any more."""


def available_cores() -> int:
    """The cores that this process may use, where the system tells; else those of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_threads(config: RunConfig) -> None:
    """Refuse more workers with their math threads than this machine can be asked for.

    Machines of a cluster have limits of their own, which Ray knows: a worker that fits nowhere is not started.
    """
    if config.address is not None:
        return
    asked = (config.workers or 1) * config.threads_per_worker
    limit = max(_MOST_THREADS, _THREADS_PER_CORE * available_cores())
    if asked > limit:
        raise ConfigError(
            f"got {config.workers or 1} workers with {config.threads_per_worker} math threads each, expected at most"
            f" {limit} threads on this machine; lower --workers or --threads-per-worker, or use a cluster by --address"
        )
