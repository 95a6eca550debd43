"""The writer of masks.rle.json: every mask as the run-length code of COCO, which pycocotools reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from persam_hq.io.rle import coco_counts, run_lengths
from persam_hq.io.text.json_text import json_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from persamhq_video.types import FrameResult, ObjectResult

RLE_NAME: Final = "masks.rle.json"


def write_rle(
    path: Path, frames: Iterable[FrameResult], *, size: tuple[int, int], source_frame: Callable[[int], int]
) -> None:
    """Write a JSON object with `size` [height, width] and `frames`, one line per frame.

    `source_frame` gives the number in the source of an output frame.
    """
    # Written piece by piece, so that one frame is in memory at a time.
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'{{"size": {json.dumps(size)}, "frames": [')
        for number, frame in enumerate(frames):
            file.write(",\n" if number else "\n")
            file.write(json_bytes(_entry(frame, source_frame(frame.index))).decode())
        file.write("\n]}\n")


def rle_of(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A mask (H, W) as COCO has it: `size` [height, width] and `counts`, the compressed text of its runs."""
    height, width = mask.shape
    return {"size": [height, width], "counts": coco_counts(run_lengths(mask))}


def _entry(frame: FrameResult, source_frame: int) -> dict[str, Any]:
    """The entry of a frame in `frames`."""
    return {
        "frame": frame.index,
        "source_frame": source_frame,
        "name": frame.name,
        "pts_seconds": round(frame.pts_seconds, 6),
        "objects": [_object(frame, entry) for entry in frame.objects],
    }


def _object(frame: FrameResult, entry: ObjectResult) -> dict[str, Any]:
    """The entry of an object; `bbox` is [x, y, width, height] as COCO has it, None for an empty mask."""
    # Our boxes include their last row and column, and JSON has no NaN.
    box = entry.box
    return {
        "object_id": entry.object_id,
        "state": entry.state,
        "score": entry.score if np.isfinite(entry.score) else None,
        "area": entry.area,
        "bbox": None if box is None else [box[0], box[1], box[2] - box[0] + 1, box[3] - box[1] + 1],
        "segmentation": rle_of(frame.labels == entry.object_id),
    }
