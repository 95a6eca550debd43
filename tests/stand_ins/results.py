"""Results of a frame, made by hand."""

from fractions import Fraction

import numpy as np

from persamhq_video.compare.shared_tracker import CombinedResult
from persamhq_video.types import FrameResult, ObjectResult

SIZE = (36, 64)


def found(labels, *, index=1, ids=(1,), score=0.75, state="present"):
    """A result whose records fit its label map (H, W)."""
    labels = np.asarray(labels, dtype=np.uint8)
    objects = tuple(_object(labels, i, score=score, state=state) for i in ids)
    return FrameResult(index, index, Fraction(1, 25), f"{index:05d}", labels, objects)


def _object(labels, object_id, *, score, state):
    rows, columns = np.nonzero(labels == object_id)
    box = (int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())) if len(rows) else None
    return ObjectResult(object_id, state, score=score, similarity=0.5, predicted_iou=0.5, area=len(rows), box=box)


def square(left, *, size=8, top=4):
    """A label map with object 1 in a square."""
    labels = np.zeros(SIZE, np.uint8)
    labels[top : top + size, left : left + size] = 1
    return labels


def combined(*labels, index=1, **options):
    results = [found(one, index=index, **options) for one in labels]
    return CombinedResult.of(results, [0.5] * len(results))
