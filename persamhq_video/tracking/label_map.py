"""The result of a frame: the label map that the masks of all objects make together, and a record per object."""

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
    """One label map (H, W) from logits (K, H, W) of objects `present` (K,): each pixel goes to its highest logit.

    A pixel without a positive logit is background; of equal logits the object that comes first has it.
    """
    strongest = torch.zeros_like(logits[0])
    labels = torch.zeros_like(strongest, dtype=torch.uint8)
    for own_logits, is_present, object_id in zip(logits, present.tolist(), ids, strict=True):
        if is_present:
            labels.masked_fill_(own_logits > strongest, object_id)
            strongest = torch.maximum(strongest, own_logits)
    return labels.cpu().numpy()


def object_results(
    decoded: Decoded,
    states: Sequence[PresenceState],
    ids: Sequence[int],
    labels: NDArray[np.uint8],
    *,
    distinct: Tensor,
) -> list[ObjectResult]:
    """The record of each object; its mask is what the label map (H, W) leaves it of its pixels.

    `distinct` (K,) lowers the scores of objects that claim the same pixels, see `mixed_identity`.
    """
    results = []
    scores = (decoded.presence * decoded.certainty * distinct.to(decoded.presence.device)).tolist()
    for row, (object_id, state) in enumerate(zip(ids, states, strict=True)):
        mask = labels == object_id
        # The IoU head is a regression, which may leave the range of an IoU
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
    """The result of a frame, with the frame's own index, time and name."""
    return FrameResult(
        index=frame.index,
        pts=frame.pts,
        time_base=frame.time_base,
        name=frame.name,
        labels=labels,
        objects=tuple(objects),
    )
