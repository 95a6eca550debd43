"""The image-prompt protocol: masks from one box and from one point on single frames of annotated clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.label_maps import Frame
from persam_hq.evaluation.metrics.overlap import OverlapRow, mean_boundary_iou, mean_image_iou
from persam_hq.evaluation.metrics.region import Mask, region_similarity
from persam_hq.evaluation.protocols.davis_dataset import DavisSequence
from persam_hq.mask_boxes import outer_box_of_array

COLUMNS = ("box mIoU", "box bIoU", "point mIoU", "point bIoU", "best of 3")
"""Columns of the table, in the order of the scores of each row."""
FEWEST_PIXELS = 20
"""Frames whose object has fewer pixels are left out: nobody would prompt for it. Chosen."""


class Predictor(Protocol):
    """The predictor that is measured, with the calls of segment_anything; SamPredictor is one."""

    def set_image(self, image: Frame) -> None:
        """Make (H, W, 3) uint8 RGB the current image."""
        ...

    def predict(
        self,
        point_coords: Any = None,
        point_labels: Any = None,
        box: Any = None,
        mask_input: Any = None,
        multimask_output: bool = True,  # noqa: FBT001, FBT002 - scripts pass it by position
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Masks (N, H, W), predicted IoU (N,) and low-resolution logits."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class PromptAnswers:
    """The masks of one frame: annotated (H, W) bool, from a box, from a point, and the three that a point may mean."""

    annotation: Mask
    box: Mask
    point: Mask
    point_three: tuple[Mask, ...]

    def __repr__(self) -> str:
        return f"PromptAnswers({self.annotation.shape})"


def evaluate_prompts(
    predictor: Predictor, sequences: Sequence[DavisSequence], *, every: int = 10, report: Callable[[str], None]
) -> list[OverlapRow]:
    """One row per clip, over every N-th frame from the first on; `report` is given the name of each clip."""
    if every < 1:
        raise EvaluationError(f"got every={every}: expected at least 1; 1 takes every frame")
    rows = []
    for sequence in sequences:
        report(sequence.name)
        rows.append(_score(sequence.name, list(_answers(predictor, sequence, every=every))))
    return rows


def object_box(mask: Mask) -> NDArray[np.float32]:
    """The box (4,) of a mask (H, W) with a pixel in it: x0, y0, x1, y1, the outer edges of its pixels."""
    return np.array(outer_box_of_array(mask), dtype=np.float32)


def most_interior_point(mask: Mask) -> NDArray[np.float32]:
    """The pixel (2,) (x, y) of a mask (H, W) that lies farthest from its border; the image's border is one."""
    # One pixel of background around makes the image's border a border of the mask
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return np.array([x, y], dtype=np.float32)


def _answers(predictor: Predictor, sequence: DavisSequence, *, every: int) -> Iterator[PromptAnswers]:
    """The masks for the frames that count; all objects of an annotation are one."""
    for index, (frame, labels) in enumerate(zip(sequence.frames(), sequence.annotations(), strict=True)):
        annotation = labels > 0
        if index % every == 0 and np.count_nonzero(annotation) >= FEWEST_PIXELS:
            predictor.set_image(frame)
            yield _answer(predictor, annotation)


def _answer(predictor: Predictor, annotation: Mask) -> PromptAnswers:
    """The masks for the current image, prompted by the annotation's box and by its most interior point."""
    point = {"point_coords": most_interior_point(annotation)[None], "point_labels": [1]}
    from_box, _, _ = predictor.predict(box=object_box(annotation), multimask_output=False)
    from_point, _, _ = predictor.predict(**point, multimask_output=False)
    three, _, _ = predictor.predict(**point, multimask_output=True)
    return PromptAnswers(annotation=annotation, box=from_box[0], point=from_point[0], point_three=tuple(three))


def _score(name: str, answers: list[PromptAnswers]) -> OverlapRow:
    """The scores of one clip, in the order of COLUMNS."""
    if not answers:
        msg = f"sequence {name} shows its object on none of the frames that count: expected one; take more of them"
        raise EvaluationError(msg)
    box = [(answer.annotation, answer.box) for answer in answers]
    point = [(answer.annotation, answer.point) for answer in answers]
    best = [max(region_similarity(answer.annotation, mask) for mask in answer.point_three) for answer in answers]
    scores = (
        mean_image_iou(box),
        mean_boundary_iou(box),
        mean_image_iou(point),
        mean_boundary_iou(point),
        float(np.mean(best)),
    )
    return OverlapRow(name=name, images=len(answers), scores=scores)
