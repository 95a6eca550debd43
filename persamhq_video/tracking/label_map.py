"""What is said of a frame: the label map that the objects' masks make together, and a record an object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.mask_boxes import inclusive_box_of_array
from persam_hq.segmenter import Decoded
from persamhq_video.types import Frame, FrameResult, ObjectResult, PresenceState

__all__ = ["frame_result", "given_object", "label_map_from_logits", "object_results"]


def label_map_from_logits(logits: Tensor, present: Tensor, ids: Sequence[int]) -> NDArray[np.uint8]:
    """One label map (H, W) from logits (K, H, W): each pixel goes to the object that claims it most."""
    strongest = torch.zeros_like(logits[0])
    labels = torch.zeros_like(strongest, dtype=torch.uint8)
    for claim, here, object_id in zip(logits, present.tolist(), ids, strict=True):
        if here:
            labels.masked_fill_(claim > strongest, object_id)
            strongest = torch.maximum(strongest, claim)
    return labels.cpu().numpy()


def object_results(
    decoded: Decoded, states: Sequence[PresenceState], ids: Sequence[int], labels: NDArray[np.uint8]
) -> list[ObjectResult]:
    """The record of each object; its mask is what is left of it in the label map (H, W)."""
    results = []
    scores = (decoded.presence * decoded.certainty).tolist()
    for row, (object_id, state) in enumerate(zip(ids, states, strict=True)):
        mask = labels == object_id
        iou = min(max(float(decoded.prediction.scores[row]), 0.0), 1.0)
        results.append(
            ObjectResult(
                object_id=object_id,
                state=state,
                score=0.0 if state == "absent" else float(scores[row]),
                similarity=float(decoded.similarity[row]),
                predicted_iou=iou,
                area=int(mask.sum()),
                box=inclusive_box_of_array(mask),
            )
        )
    return results


def given_object(object_id: int, mask: NDArray[np.bool_]) -> ObjectResult:
    """The record of an object on the frame where its mask (H, W) was given."""
    return ObjectResult(
        object_id=object_id,
        state="given",
        score=1.0,
        similarity=1.0,
        predicted_iou=1.0,
        area=int(mask.sum()),
        box=inclusive_box_of_array(mask),
    )


def frame_result(frame: Frame, labels: NDArray[np.uint8], objects: Sequence[ObjectResult]) -> FrameResult:
    """The result of a frame."""
    return FrameResult(
        index=frame.index,
        pts=frame.pts,
        time_base=frame.time_base,
        name=frame.name,
        labels=labels,
        objects=tuple(objects),
    )
