"""A worker's share of its machine: math threads, memory for features, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch

from persamhq_video.config import RunConfig

__all__ = ["computing", "feature_budget", "free_memory", "release_memory"]

_SHARE: Final = 0.25
"""Of what is free: decoding, decoding threads, the model's own activations and other programs need the rest."""
_LEAST_BYTES: Final = 64_000_000
"""A few frames of features of the largest model, so that encoding can run ahead of tracking at all."""
_UNKNOWN_BYTES: Final = 2_000_000_000
"""Taken as available where the system does not say: a guess that suits a small machine."""
_MEMORY_TABLE: Final = Path("/proc/meminfo")


@contextmanager
def computing(threads: int) -> Iterator[None]:
    """So many math threads, and no gradients; entered around every computation, in the thread that does it."""
    # OpenMP counts threads for each calling thread, so every one of them is told
    torch.set_num_threads(threads)
    with torch.inference_mode():
        yield


def feature_budget(config: RunConfig) -> int:
    """Bytes of features that a worker may hold: what was asked for, else a share of what its device has free."""
    budget = config.feature_budget
    return free_memory(config.device, sharing=config.workers or 1) if budget is None else int(budget)


def free_memory(device: str, *, sharing: int) -> int:
    """Bytes for the features of one of `sharing` workers: a quarter of what the device has free, at least 64 MB."""
    if device == "cuda":
        # Workers of one GPU each find only what the others have left, so nothing is divided here
        free, _ = torch.cuda.mem_get_info()
        return max(_LEAST_BYTES, int(free * _SHARE))
    return max(_LEAST_BYTES, int(_available() * _SHARE / sharing))


def release_memory(device: str) -> None:
    """Give back what the device's allocator keeps in reserve."""
    if device == "cuda":
        torch.cuda.empty_cache()


def _available() -> int:
    """Bytes that the system says programs could still have; a guess where it says nothing."""
    try:
        lines = _MEMORY_TABLE.read_text(encoding="ascii").splitlines()
    except OSError:
        return _UNKNOWN_BYTES
    sizes = dict(line.split(":", 1) for line in lines if ":" in line)
    # The table counts kibibytes
    return int(sizes["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in sizes else _UNKNOWN_BYTES
