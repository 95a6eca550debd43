"""The tracker as a method of the DAVIS evaluation: a function from a sequence to its label maps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from persam_hq.evaluation import ConfidenceRow, DavisSequence, SequenceScore, compare_confidence
from persamhq_video.config import RunConfig
from persamhq_video.events import Listener, ProgressMeter
from persamhq_video.executors import Executor
from persamhq_video.io import open_source, write_label_png
from persamhq_video.types import ObjectResult

__all__ = ["TrackerMethod"]

_VOID: Final = 255
"""DAVIS's value for pixels that are not annotated."""
_DOUBTFUL_STATES: Final = ("uncertain", "absent")
"""States in which the tracker itself doubts its mask."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackerMethod:
    """The tracker as a method to score; its label maps are written to the folder `predictions` if there is one.

    The results of its objects are kept by sequence and frame, for `confidence`.
    """

    executor: Executor
    config: RunConfig
    predictions: Path | None
    listener: Listener
    _results: dict[str, list[dict[int, ObjectResult]]] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, sequence: DavisSequence) -> Iterator[NDArray[np.uint8]]:
        """The label map of every frame, first one included."""
        source = open_source(sequence.frame_paths[0].parent, reader=self.config.reader)
        results = self._results[sequence.name] = []
        pace = ProgressMeter(sequence.name, len(sequence))
        self.listener(pace.event("started", 0))
        with closing(self.executor.stream(source.frames(), _objects(sequence.first_mask()))) as stream:
            for count, tracked in enumerate(stream, start=1):
                if self.predictions is not None:
                    path = self.predictions / sequence.name / f"{tracked.frame.name}.png"
                    write_label_png(path, tracked.result.labels)
                results.append({one.object_id: one for one in tracked.result.objects})
                self.listener(pace.event("frame", count))
                yield tracked.result.labels
        self.listener(pace.event("complete", len(sequence)))

    def confidence(self, score: SequenceScore) -> ConfidenceRow:
        """The tracker's own scores and states against the measured J, on the objects and frames of `score`."""
        # DAVIS leaves out the first and the last frame. The evaluation and `_objects` number objects alike: by the
        # annotation's ids, a 0/255 mask by 1.
        _, *frames, _ = self._results[score.name]
        results = [[frame[one.object_id] for frame in frames] for one in score.objects]
        return compare_confidence(
            score.name,
            scores=np.array([[one.score for one in row] for row in results]),
            region=np.stack([one.region for one in score.objects]),
            doubted=np.array([[one.state in _DOUBTFUL_STATES for one in row] for row in results]),
        )


def _objects(first_mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The label map to track from: a single value is object 1; among several, 255 marks pixels without annotation."""
    values = np.unique(first_mask[first_mask > 0])
    if len(values) == 1:
        return (first_mask > 0).astype(np.uint8)
    return np.where(first_mask == _VOID, np.uint8(0), first_mask)
