"""Failure sheets: pictures of the worst frames of a clip, with the predicted and the annotated objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from persam_hq.evaluation import DavisSequence, SequenceScore
from persamhq_video.io import paint

__all__ = ["NUM_WORST", "FrameScore", "draw_failure", "failure_sheet", "worst_frames", "write_failures"]

NUM_WORST: Final = 5
"""Frames on a sheet: enough to see whether a clip fails in one place or in several."""

_TILE_WIDTH: Final = 640
"""Pixels; two tiles beside each other fit a screen."""
_COLUMNS: Final = 2
_CAPTION_HEIGHT: Final = 28
_JPEG_QUALITY: Final = 90
_WHITE: Final = (255, 255, 255)
_BLACK: Final = (0, 0, 0)

Picture = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""


@dataclass(frozen=True, slots=True)
class FrameScore:
    """J and F of one frame, 0 to 1, mean over objects; `index` is its place in the clip, 0 for the first frame."""

    name: str
    index: int
    j: float
    f: float

    @property
    def caption(self) -> str:
        """The text above the picture."""
        return f"{self.name}   J {100 * self.j:.1f}   F {100 * self.f:.1f}"


def write_failures(
    sequence: DavisSequence, predictions: Iterable[NDArray[np.uint8]], score: SequenceScore, folder: Path
) -> Path:
    """Write `folder`/<sequence>.jpg; `predictions` are the label maps that were scored, first frame included."""
    path = folder / f"{sequence.name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(failure_sheet(sequence, predictions, worst_frames(score))).save(path, quality=_JPEG_QUALITY)
    return path


def worst_frames(score: SequenceScore, *, count: int = NUM_WORST) -> tuple[FrameScore, ...]:
    """The scored frames with the lowest mean of J and F over all objects, the worst one first."""
    region = np.mean([scored.region for scored in score.objects], axis=0)
    boundary = np.mean([scored.boundary for scored in score.objects], axis=0)
    order = np.argsort(region + boundary, kind="stable")[:count]
    # The first frame of the clip is not scored
    return tuple(FrameScore(score.frame_names[i], int(i) + 1, float(region[i]), float(boundary[i])) for i in order)


def failure_sheet(
    sequence: DavisSequence, predictions: Iterable[NDArray[np.uint8]], frames: Iterable[FrameScore]
) -> Picture:
    """One picture of the given frames in their order, two in a row."""
    order = [scored.index for scored in frames]
    captions = {scored.index: scored.caption for scored in frames}

    # The clip is read once, in its own order, and only the tiles are kept
    tiles: dict[int, Picture] = {}
    clip = zip(sequence.frames(), sequence.annotations(), predictions, strict=True)
    for index, (frame, annotation, prediction) in enumerate(clip):
        if index in captions:
            picture = draw_failure(frame, annotation, prediction, width=_TILE_WIDTH)
            tiles[index] = np.vstack([_caption(captions[index], width=_TILE_WIDTH), picture])
    return _grid([tiles[index] for index in order])


def draw_failure(
    frame: Picture, annotation: NDArray[np.uint8], prediction: NDArray[np.uint8], *, width: int
) -> Picture:
    """A frame `width` pixels wide: predicted objects (H, W) in their colours, annotated ones (H, W) outlined white."""
    # Everything in the size of the tile: pixels by their mean, ids by their nearest
    size = (width, round(frame.shape[0] * width / frame.shape[1]))
    picture = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    truth, found = (
        np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        for labels in (annotation, prediction)
    )

    picture = paint(picture, found)
    for object_id in np.unique(truth[truth > 0]):
        outlines, _ = cv2.findContours((truth == object_id).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        # White on a dark rim is visible on any background
        cv2.drawContours(picture, outlines, -1, _BLACK, 3)
        cv2.drawContours(picture, outlines, -1, _WHITE, 1)
    return picture


def _caption(text: str, *, width: int) -> Picture:
    """A black bar (h, w, 3) with the text."""
    bar = np.zeros((_CAPTION_HEIGHT, width, 3), dtype=np.uint8)
    cv2.putText(bar, text, (8, _CAPTION_HEIGHT - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.55, _WHITE, 1, cv2.LINE_AA)
    return bar


def _grid(tiles: list[Picture]) -> Picture:
    """Tiles of one size in rows; places left over in the last row are black."""
    columns = min(_COLUMNS, len(tiles))
    blank = np.zeros_like(tiles[0])
    padded = tiles + [blank] * (-len(tiles) % columns)
    return np.vstack([np.hstack(padded[start : start + columns]) for start in range(0, len(padded), columns)])
