"""The values that executors hand on: tracked frames, and what the work took."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from persamhq_video.types import Frame, FrameResult

__all__ = ["TotalUsage", "Tracked", "Usage"]

_HIGHEST_COUNTS = ("features_high_water", "feature_bytes_")


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """A frame and what was found on it; the frame is kept for the overlay."""

    frame: Frame
    result: FrameResult


@dataclass(frozen=True, slots=True)
class Usage:
    """What one worker did for one video: seconds by stage, counters, and its peak resident memory in bytes."""

    seconds: Mapping[str, float]
    counts: Mapping[str, int]
    peak_memory: int


@dataclass(frozen=True, slots=True)
class TotalUsage:
    """The usage of all workers of one video together; memory is told a worker."""

    seconds: Mapping[str, float]
    counts: Mapping[str, int]
    peak_memory: tuple[int, ...]

    @classmethod
    def of(cls, usages: Sequence[Usage]) -> TotalUsage:
        """Seconds and counts are summed; of sizes in bytes the largest is told."""
        seconds: defaultdict[str, float] = defaultdict(float)
        counts: Counter[str] = Counter()
        for usage in usages:
            for stage, spent in usage.seconds.items():
                seconds[stage] += spent
            for name, count in usage.counts.items():
                highest = name.startswith(_HIGHEST_COUNTS)
                counts[name] = max(counts[name], count) if highest else counts[name] + count
        return cls(dict(seconds), dict(counts), tuple(usage.peak_memory for usage in usages))
