"""The tracker as a method that the DAVIS evaluation can score."""

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
_DOUBTS: Final = ("uncertain", "absent")


@dataclass(frozen=True, slots=True, eq=False)
class TrackerMethod:
    """The tracker as something to score; every label map is written where predictions are wanted.

    What it says of its objects is kept by sequence and frame, for `confidence`.
    """

    executor: Executor
    config: RunConfig
    predictions: Path | None
    listener: Listener
    _said: dict[str, list[dict[int, ObjectResult]]] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, sequence: DavisSequence) -> Iterator[NDArray[np.uint8]]:
        """The label map of every frame, first one included."""
        source = open_source(sequence.frame_paths[0].parent, reader=self.config.reader)
        said = self._said[sequence.name] = []
        pace = ProgressMeter(sequence.name, len(sequence))
        self.listener(pace.event("started", 0))
        with closing(self.executor.stream(source.frames(), _objects(sequence.first_mask()))) as stream:
            for count, tracked in enumerate(stream, start=1):
                if self.predictions is not None:
                    path = self.predictions / sequence.name / f"{tracked.frame.name}.png"
                    write_label_png(path, tracked.result.labels)
                said.append({one.object_id: one for one in tracked.result.objects})
                self.listener(pace.event("frame", count))
                yield tracked.result.labels
        self.listener(pace.event("complete", len(sequence)))

    def confidence(self, score: SequenceScore) -> ConfidenceRow:
        """What the tracker said of a sequence that it was run on, against its score: the same objects and frames."""
        # The evaluation and `_objects` number objects alike: by the annotation's ids, a 0/255 mask by 1.
        _, *frames, _ = self._said[score.name]
        said = [[frame[one.object_id] for frame in frames] for one in score.objects]
        return compare_confidence(
            score.name,
            scores=np.array([[one.score for one in row] for row in said]),
            region=np.stack([one.region for one in score.objects]),
            doubted=np.array([[one.state in _DOUBTS for one in row] for row in said]),
        )


def _objects(first_mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The objects to follow: a single value is object 1; among several, 255 marks what is not annotated."""
    values = np.unique(first_mask[first_mask > 0])
    if len(values) == 1:
        return (first_mask > 0).astype(np.uint8)
    return np.where(first_mask == _VOID, np.uint8(0), first_mask)
