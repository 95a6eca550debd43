"""Statistics of a measure over a clip, as in DAVIS: mean, recall and decay (Perazzi et al. 2016)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from persam_hq.errors import EvaluationError

# As in the published evaluation of DAVIS
RECALL_THRESHOLD = 0.5
DECAY_BINS = 4


@dataclass(frozen=True, slots=True)
class MeasureSummary:
    """Statistics of one measure over one clip, or their mean over several."""

    mean: float
    recall: float
    """Share of frames above 0.5."""
    decay: float
    """Mean over the first quarter of the clip minus mean over the last; negative where a method gets better."""


def summarize(values: NDArray[Any]) -> MeasureSummary:
    """Statistics of one measure over the frames of a clip, (N,) float with N at least 1."""
    if values.ndim != 1 or values.size == 0:
        msg = f"got values of shape {values.shape}: expected one value a frame, at least one"
        raise EvaluationError(msg)
    first, *_, last = quarters(values)
    return MeasureSummary(
        mean=float(np.mean(values)),
        recall=float(np.mean(values > RECALL_THRESHOLD)),
        decay=float(np.mean(first) - np.mean(last)),
    )


def quarters(values: NDArray[Any]) -> list[NDArray[Any]]:
    """The four bins of the decay; neighbouring bins share a frame, as in the published code."""
    # Halves are rounded up. The published code then stores these indices in 8 bits, which wraps from 257 frames on.
    edges = np.round(np.linspace(1, len(values), DECAY_BINS + 1) + 1e-10).astype(np.int64) - 1
    return [values[start : end + 1] for start, end in pairwise(edges.tolist())]


def average(summaries: Sequence[MeasureSummary]) -> MeasureSummary:
    """Each statistic averaged over objects or clips."""
    if not summaries:
        msg = "nothing to average: expected at least one scored object"
        raise EvaluationError(msg)
    return MeasureSummary(
        mean=float(np.mean([summary.mean for summary in summaries])),
        recall=float(np.mean([summary.recall for summary in summaries])),
        decay=float(np.mean([summary.decay for summary in summaries])),
    )
