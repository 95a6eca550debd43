"""Scoring of one clip as in DAVIS: J and F of every object in every frame but the first and the last."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.label_maps import LabelMap, describe_size
from persam_hq.evaluation.metrics.boundary import boundary_measure
from persam_hq.evaluation.metrics.region import Mask, region_similarity
from persam_hq.evaluation.metrics.statistics import MeasureSummary, average, summarize

Protocol = Literal["auto", "2016", "2017"]
"""2016: every non-zero value is the one foreground. 2017: every id of the first annotation is an object.
auto: 2016 where the first annotation is a 0/255 mask, 2017 elsewhere."""

VOID = 255
"""Value of pixels in multi-object annotations that belong to nothing; it counts as background."""


@dataclass(frozen=True, slots=True, eq=False)
class ObjectScore:
    """J and F of one object, (N,) float64 from 0 to 1 each, one value per scored frame."""

    object_id: int
    region: NDArray[np.float64]
    boundary: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Refuse measures that do not have one value per frame."""
        if self.region.ndim != 1 or self.region.shape != self.boundary.shape or not self.region.size:
            msg = f"got J of shape {self.region.shape} and F of {self.boundary.shape}: expected one value a frame"
            raise EvaluationError(msg)

    def __repr__(self) -> str:
        """Id and length."""
        return f"ObjectScore({self.object_id}, {len(self.region)} frames)"

    @property
    def j(self) -> MeasureSummary:
        """Statistics of region similarity."""
        return summarize(self.region)

    @property
    def f(self) -> MeasureSummary:
        """Statistics of the boundary measure."""
        return summarize(self.boundary)


@dataclass(frozen=True, slots=True, eq=False)
class SequenceScore:
    """Scores of all objects of one clip, and the names of the scored frames."""

    name: str
    frame_names: tuple[str, ...]
    objects: tuple[ObjectScore, ...]

    def __post_init__(self) -> None:
        """Refuse a clip without objects, or with measures of other frames."""
        lengths = {len(score.region) for score in self.objects}
        if lengths != {len(self.frame_names)}:
            msg = f"{self.name}: got objects with {sorted(lengths)} values for {len(self.frame_names)} scored frames"
            raise EvaluationError(msg)

    def __repr__(self) -> str:
        """Name and sizes."""
        return f"SequenceScore({self.name!r}, {len(self.objects)} objects, {len(self.frame_names)} frames)"

    @property
    def j(self) -> MeasureSummary:
        """Statistics of region similarity, mean over objects."""
        return average([score.j for score in self.objects])

    @property
    def f(self) -> MeasureSummary:
        """Statistics of the boundary measure, mean over objects."""
        return average([score.f for score in self.objects])

    @property
    def j_and_f(self) -> float:
        """Mean of the means of J and F."""
        return (self.j.mean + self.f.mean) / 2


def evaluate_sequence(
    name: str,
    *,
    annotations: Iterable[LabelMap],
    predictions: Iterable[LabelMap],
    frame_names: Sequence[str] | None = None,
    protocol: Protocol = "auto",
) -> SequenceScore:
    """Score a clip. Both iterables give (H, W) uint8 label maps of every frame, first and last included.

    As in the published evaluation, the first frame (given) and the last are not scored, ids that appear only after
    the first annotation are no objects, and 255 in a multi-object annotation is background. (The published code also
    scores ids below the highest that the first annotation leaves out; in DAVIS there are none.)
    """
    pairs = _paired(name, annotations, predictions, frame_names)
    objects = _ScoredObjects.of_first(name, next(pairs, None), protocol)

    # One row per scored frame, with (J, F) of each object
    names, rows = [], []
    for pair in _without_last(pairs):
        names.append(pair[0])
        rows.append(objects.measures(name, pair))
    if not rows:
        msg = f"{name} has too few frames: expected at least 3, as the first and the last are not scored; leave it out"
        raise EvaluationError(msg)

    # From (frame, object, measure) to (object, measure, frame)
    table = np.asarray(rows, dtype=np.float64).transpose(1, 2, 0)
    scores = [ObjectScore(object_id=i, region=j, boundary=f) for i, (j, f) in zip(objects.ids, table, strict=True)]
    return SequenceScore(name=name, frame_names=tuple(names), objects=tuple(scores))


_Pair = tuple[str, LabelMap, LabelMap]
"""A frame's name, annotation and prediction."""


def _paired(
    name: str,
    annotations: Iterable[LabelMap],
    predictions: Iterable[LabelMap],
    frame_names: Sequence[str] | None,
) -> Iterator[_Pair]:
    """Pair up the frames; refused where one side ends first or sizes differ."""
    for index, (annotation, prediction) in enumerate(zip_longest(annotations, predictions)):
        frame = frame_names[index] if frame_names and index < len(frame_names) else f"{index:05d}"
        if annotation is None or prediction is None:
            absent = "annotation" if annotation is None else "prediction"
            msg = f"{name} has no {absent} for frame {frame}: expected as many predictions as annotations"
            raise EvaluationError(msg)
        if annotation.shape != prediction.shape:
            msg = (
                f"{name}, frame {frame}: the prediction is {describe_size(prediction.shape)}, expected "
                f"{describe_size(annotation.shape)} as annotated; write predictions in the size of the frames"
            )
            raise EvaluationError(msg)
        yield frame, annotation, prediction


def _without_last(pairs: Iterator[_Pair]) -> Iterator[_Pair]:
    """All pairs but the last, which shows itself only when there is no next one."""
    return (pair for pair, _ in pairwise(pairs))


@dataclass(frozen=True, slots=True)
class _ScoredObjects:
    """The objects of the first annotation, which are those to score."""

    ids: tuple[int, ...]
    one_foreground: bool

    @classmethod
    def of_first(cls, name: str, pair: _Pair | None, protocol: Protocol) -> "_ScoredObjects":
        """Read the ids off the first annotation."""
        ids = _ids(pair[1]) if pair else set()
        if protocol == "2016" or (protocol == "auto" and ids == {VOID}):
            scored, one_foreground = ({1} if ids else set()), True
        else:
            scored, one_foreground = ids - {VOID}, False
        if not scored:
            msg = (
                f"{name}: the first annotation has no object: expected ids from 1 to 254, "
                "or a 0/255 mask scored by the protocol of 2016; annotate it or leave the sequence out"
            )
            raise EvaluationError(msg)
        return cls(ids=tuple(sorted(scored)), one_foreground=one_foreground)

    def measures(self, name: str, pair: _Pair) -> list[tuple[float, float]]:
        """J and F of each object in one frame; refused where the prediction has an id of none."""
        frame, annotation, prediction = pair
        if self.one_foreground:
            return [_measures(annotation > 0, prediction > 0)]
        unknown = _ids(prediction) - set(self.ids)
        if unknown:
            msg = (
                f"{name}, frame {frame}: the prediction holds id {min(unknown)}, expected 0 and the first "
                f"annotation's {', '.join(map(str, self.ids))}; number the objects as annotated"
            )
            raise EvaluationError(msg)
        return [_measures(annotation == object_id, prediction == object_id) for object_id in self.ids]


def _ids(labels: LabelMap) -> set[int]:
    """The values of a label map but 0."""
    return set(np.flatnonzero(np.bincount(labels.ravel())).tolist()) - {0}


def _measures(annotation: Mask, segmentation: Mask) -> tuple[float, float]:
    """J and F of one mask."""
    return region_similarity(annotation, segmentation), boundary_measure(annotation, segmentation)
