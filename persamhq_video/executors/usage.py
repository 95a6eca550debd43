"""The values that executors hand out: tracked frames, and the time, counts and memory that the work took."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from persamhq_video.types import Frame, FrameResult

__all__ = ["TotalUsage", "Tracked", "Usage"]

_MAXIMA = ("features_high_water", "feature_bytes_")
"""Counters by how their names begin that are sizes in bytes, so that workers are compared and not summed."""


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """A frame and its result; the frame is kept for the overlay."""

    frame: Frame
    result: FrameResult


@dataclass(frozen=True, slots=True)
class Usage:
    """What one worker did for one video: seconds by stage, counters, and its peak resident memory in bytes.

    The memory is None where the system does not count it.
    """

    seconds: Mapping[str, float]
    counts: Mapping[str, int]
    peak_memory: int | None


@dataclass(frozen=True, slots=True)
class TotalUsage:
    """What all workers did for one video together; `peak_memory` has one entry per worker."""

    seconds: Mapping[str, float]
    counts: Mapping[str, int]
    peak_memory: tuple[int | None, ...]

    @classmethod
    def of(cls, usages: Sequence[Usage]) -> TotalUsage:
        """Sum the workers' seconds and counts; of sizes in bytes take the largest."""
        seconds: defaultdict[str, float] = defaultdict(float)
        counts: Counter[str] = Counter()
        for usage in usages:
            for stage, spent in usage.seconds.items():
                seconds[stage] += spent
            for name, count in usage.counts.items():
                is_size = name.startswith(_MAXIMA)
                counts[name] = max(counts[name], count) if is_size else counts[name] + count
        return cls(dict(seconds), dict(counts), tuple(usage.peak_memory for usage in usages))
