"""masks.rle.json: every mask as the run-length code of COCO, which pycocotools reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from persamhq_video.types import FrameResult, ObjectResult

RLE_NAME: Final = "masks.rle.json"

_BITS = 5
_MORE, _SIGN = 1 << _BITS, 1 << (_BITS - 1)
_FIRST_CHARACTER = 48


def write_rle(path: Path, frames: Iterable[FrameResult], *, size: tuple[int, int]) -> None:
    """Write a JSON object with `size` [height, width] and `frames`, a line each; one frame is in memory at a time."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'{{"size": {json.dumps(size)}, "frames": [')
        for number, frame in enumerate(frames):
            file.write(",\n" if number else "\n")
            file.write(json.dumps(_entry(frame), ensure_ascii=False))
        file.write("\n]}\n")


def rle_of(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A mask (H, W) as COCO has it: `size` [height, width] and `counts`, the compressed text of its runs.

    Runs go down the columns, zeros first. From the fourth on each is coded as its difference to the last but one, in
    groups of 5 bits, lowest first, each a character.
    """
    height, width = mask.shape
    runs = _runs(mask)
    earlier = [0, 0, 0, *runs[1:]]
    return {"size": [height, width], "counts": "".join(_coded(run - earlier[i]) for i, run in enumerate(runs))}


def _runs(mask: NDArray[np.bool_]) -> list[int]:
    """Lengths of runs of equal pixels, column after column; the first one is of zeros and may be empty."""
    pixels = mask.ravel(order="F").astype(bool)
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    runs: list[int] = np.diff(np.concatenate([[0], edges, [pixels.size]])).tolist()
    return [0, *runs] if pixels.size and pixels[0] else runs


def _coded(number: int) -> str:
    return "".join(map(chr, _characters(number)))


def _characters(number: int) -> Iterator[int]:
    while True:
        group = number & (_MORE - 1)
        number >>= _BITS
        # Done once what is left is only the sign that the highest bit of this group tells already.
        is_last = number == (-1 if group & _SIGN else 0)
        yield (group if is_last else group | _MORE) + _FIRST_CHARACTER
        if is_last:
            return


def _entry(frame: FrameResult) -> dict[str, Any]:
    return {
        "frame": frame.index,
        "name": frame.name,
        "pts_seconds": round(frame.pts_seconds, 6),
        "objects": [_object(frame, entry) for entry in frame.objects],
    }


def _object(frame: FrameResult, entry: ObjectResult) -> dict[str, Any]:
    """`bbox` is [x, y, width, height] as COCO has it, None for an empty mask."""
    box = entry.box
    return {
        "object_id": entry.object_id,
        "state": entry.state,
        "score": entry.score if np.isfinite(entry.score) else None,
        "area": entry.area,
        "bbox": None if box is None else [box[0], box[1], box[2] - box[0] + 1, box[3] - box[1] + 1],
        "segmentation": rle_of(frame.labels == entry.object_id),
    }
