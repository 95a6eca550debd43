"""Confidence of a method: its own score of each mask compared with the region similarity J that the mask reaches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from persam_hq.errors import EvaluationError


@dataclass(frozen=True, slots=True)
class ConfidenceRow:
    """Confidence over the frames and objects of one sequence, or the mean over several."""

    name: str
    num_objects: int
    score: float
    """Mean score, from 0 to 1."""
    region: float
    """Mean J, from 0 to 1."""
    correlation: float | None
    """Pearson's, from -1 to 1; None where the score or J is the same everywhere."""
    doubted: float
    """Share of the masks that the method itself called uncertain or absent, from 0 to 1."""

    @property
    def gap(self) -> float:
        """Mean score minus mean J, from -1 to 1: positive where the method is overconfident."""
        return self.score - self.region


def compare_confidence(
    name: str, *, scores: NDArray[Any], region: NDArray[Any], doubted: NDArray[np.bool_]
) -> ConfidenceRow:
    """The confidence in one sequence with K objects in N scored frames, which are pooled.

    `scores` and `region` (J) are (K, N) float from 0 to 1; `doubted` is (K, N) bool: masks called uncertain or absent.
    Raises EvaluationError where the three do not have one such shape, or no value.
    """
    shapes = {scores.shape, region.shape, doubted.shape}
    if len(shapes) != 1 or scores.ndim != 2 or not scores.size:
        msg = (
            f"{name}: got scores of shape {scores.shape}, J of {region.shape} and doubts of {doubted.shape}: "
            "expected a value an object and frame of each, at least one"
        )
        raise EvaluationError(msg)
    num_objects, _ = scores.shape
    return ConfidenceRow(
        name=name,
        num_objects=num_objects,
        score=float(np.mean(scores)),
        region=float(np.mean(region)),
        correlation=_correlation(scores.ravel(), region.ravel()),
        doubted=float(np.mean(doubted)),
    )


def mean_confidence(rows: Sequence[ConfidenceRow]) -> ConfidenceRow:
    """The mean over all objects, whatever sequence they are in, as the mean of J is.

    The correlation is the mean over the sequences that have one, weighted by their objects too.
    """
    if not rows:
        raise EvaluationError("nothing to average: expected at least one scored sequence")
    correlated = [(row.correlation, row.num_objects) for row in rows if row.correlation is not None]
    return ConfidenceRow(
        name="mean",
        num_objects=sum(row.num_objects for row in rows),
        score=_over_objects([(row.score, row.num_objects) for row in rows]),
        region=_over_objects([(row.region, row.num_objects) for row in rows]),
        correlation=_over_objects(correlated) if correlated else None,
        doubted=_over_objects([(row.doubted, row.num_objects) for row in rows]),
    )


def _correlation(scores: NDArray[Any], region: NDArray[Any]) -> float | None:
    """Pearson's correlation of two (M,) arrays; None where one of them is constant."""
    if np.ptp(scores) == 0 or np.ptp(region) == 0:
        return None
    return float(np.corrcoef(scores, region)[0, 1])


def _over_objects(values: Sequence[tuple[float, int]]) -> float:
    """The mean of the values of sequences, weighted by their numbers of objects."""
    return sum(value * objects for value, objects in values) / sum(objects for _, objects in values)
