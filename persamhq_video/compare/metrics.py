"""Measures that are collected while results come: scores, areas and states per strategy, and their agreement."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from persamhq_video.compare.shared_tracker import CombinedResult
from persamhq_video.types import FrameResult, ObjectResult

__all__ = ["Agreement", "StrategyMetrics", "mean_object_iou"]

Labels = NDArray[np.uint8]


def mean_object_iou(first: FrameResult, second: FrameResult) -> float:
    """The mean over objects of the IoU of their masks in two label maps; 1 for an object that is in neither."""
    pairs = zip(first.objects, second.objects, strict=True)
    return float(np.mean([_iou(first.labels, one, second.labels, other) for one, other in pairs]))


class StrategyMetrics:
    """A fold over the results of one strategy; every list has one value per frame after the first, which is given.

    `stability` is the IoU of each label map with the one before it, mean over objects: low where masks flicker or jump,
    and also where the object moves fast, so it is comparable on one video only. `scores` are the mean over objects,
    `areas` the share of the picture that all masks cover, `seconds` the time that tracking took.
    """

    def __init__(self) -> None:
        self.scores: list[float] = []
        self.areas: list[float] = []
        self.stability: list[float] = []
        self.seconds: list[float] = []
        self._states: Counter[str] = Counter()
        self._last: FrameResult | None = None

    def add(self, result: FrameResult, seconds: float) -> None:
        """Take in the next frame."""
        # The first one is given, and has no frame before it
        if self._last is not None:
            self.scores.append(float(np.mean([entry.score for entry in result.objects])))
            self.areas.append(sum(entry.area for entry in result.objects) / result.labels.size)
            self.stability.append(mean_object_iou(self._last, result))
            self.seconds.append(seconds)
            self._states.update(entry.state for entry in result.objects)
        self._last = result

    def share(self, state: str) -> float:
        """The share, 0-1, of all objects on all frames that were in a state."""
        return self._states[state] / max(1, self._states.total())


class Agreement:
    """A fold over the results of all strategies: the IoU of every two of them, mean over objects, a value per frame."""

    def __init__(self, count: int) -> None:
        self._count = count
        # The values of each two strategies by their numbers, the smaller one first
        self._pairs: dict[tuple[int, int], list[float]] = {pair: [] for pair in combinations(range(count), 2)}

    def add(self, combined: CombinedResult) -> float:
        """Take in the next frame; returns the mean over all pairs."""
        results = combined.results
        for (one, other), values in self._pairs.items():
            values.append(mean_object_iou(results[one], results[other]))
        return float(np.mean([values[-1] for values in self._pairs.values()]))

    def between(self, one: int, other: int) -> list[float]:
        """The values of two strategies."""
        return self._pairs[min(one, other), max(one, other)]

    def of(self, number: int) -> list[float]:
        """The mean of one strategy with all others, a value per frame."""
        others = [self.between(number, other) for other in range(self._count) if other != number]
        return [float(value) for value in np.mean(others, axis=0)]


def _iou(labels: Labels, one: ObjectResult, other_labels: Labels, other: ObjectResult) -> float:
    # Only the overlap of both boxes is looked at: masks cannot meet elsewhere, and areas are counted already.
    part = _common_part(one, other)
    common = np.count_nonzero((labels[part] == one.object_id) & (other_labels[part] == other.object_id)) if part else 0
    union = one.area + other.area - common
    return common / union if union else 1.0


def _common_part(one: ObjectResult, other: ObjectResult) -> tuple[slice, slice] | None:
    """Rows and columns in which two boxes overlap, None where they do not; a box includes its last row and column."""
    if one.box is None or other.box is None:
        return None
    x0, y0 = (max(one.box[edge], other.box[edge]) for edge in (0, 1))
    x1, y1 = (min(one.box[edge], other.box[edge]) for edge in (2, 3))
    return (slice(y0, y1 + 1), slice(x0, x1 + 1)) if x0 <= x1 and y0 <= y1 else None
