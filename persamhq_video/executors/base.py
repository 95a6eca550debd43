"""What the pipeline asks of an executor, whatever machines are behind it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from persamhq_video.types import Frame, FrameResult


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
        """Seconds and counts are summed, except for high-water marks, of which the highest is told."""
        seconds: defaultdict[str, float] = defaultdict(float)
        counts: Counter[str] = Counter()
        for usage in usages:
            for stage, spent in usage.seconds.items():
                seconds[stage] += spent
            counts.update({name: count for name, count in usage.counts.items() if name != "features_high_water"})
        counts["features_high_water"] = max(usage.counts.get("features_high_water", 0) for usage in usages)
        return cls(dict(seconds), dict(counts), tuple(usage.peak_memory for usage in usages))


class Executor(Protocol):
    """Runs one job on any number of videos, one after the other; ready once entered."""

    def __enter__(self) -> Self:
        """Start the workers and let each build its tracker; what does not fit is said here."""
        ...

    def __exit__(self, *exc: object) -> None:
        """Stop everything that `__enter__` started."""
        ...

    def stream(self, frames: Iterator[Frame], labels: NDArray[np.uint8]) -> Generator[Tracked, None, None]:
        """Results in frame order, the annotated first frame included; only a bounded window is in memory."""
        ...

    def usage(self) -> TotalUsage:
        """What the workers did since the last `stream` began."""
        ...
