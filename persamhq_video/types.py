"""The values that cross the stages of the pipeline: frames from a source go in, results with label maps come out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PresenceState = Literal["given", "present", "uncertain", "absent"]
"""Of an object on a frame: its mask was given, found, found with doubt, or the object is not there."""

CallKind = Literal["encode", "track"]
"""What a worker is asked to do with a frame; beginning with a video's first frame counts as `encode`."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded frame in upright display size.

    `image` is (H, W, 3) uint8 RGB; `pts` counts units of `time_base` seconds, as the stream has them; `index` counts
    from 0 in output order; `name` is the stem of the frame's output files.
    """

    index: int
    pts: int
    time_base: Fraction
    image: NDArray[np.uint8]
    name: str

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            message = f"a frame's image is (H, W, 3) uint8 RGB, got {self.image.shape} {self.image.dtype}"
            raise ValueError(message)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width, _ = self.image.shape
        return height, width

    @property
    def pts_seconds(self) -> float:
        """Presentation time in seconds, converted once from the exact time stamp."""
        return float(self.pts * self.time_base)

    def __repr__(self) -> str:
        return f"Frame(index={self.index}, pts={self.pts}, image={self.image.shape})"


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """A source as it is known before its first frame is decoded; sizes are upright display sizes.

    `path` is a file, a folder, or the text that another kind of source takes; `kind` is the name of the kind. What is
    `is_live` comes once: it is not decoded again, so a run of it cannot be resumed. `notes` are lines about how its
    frames are read, where that may not be what their owner thinks. `rotation` is in clockwise degrees, and the picture
    `is_mirrored` after it; both are applied already. `pixel_aspect` is the width of an upright pixel by its height.
    `start` is the time stamp at which written videos begin, for a source whose clock did not stand at zero.
    """

    path: Path | str
    kind: str
    width: int
    height: int
    time_base: Fraction
    frame_rate: Fraction
    num_frames: int | None
    rotation: int
    is_live: bool = False
    notes: tuple[str, ...] = ()
    is_mirrored: bool = False
    pixel_aspect: Fraction = Fraction(1)
    start: int = 0


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """The verdict on one object on one frame.

    `score` in [0, 1] is the confidence that the mask is right; `similarity` in [-1, 1] is the cosine similarity of
    the target embedding to the features under the mask; `predicted_iou` in [0, 1] is the IoU head's; `box` is
    (x0, y0, x1, y1) in pixels, first and last foreground column and row, or None for an empty mask.
    """

    object_id: int
    state: PresenceState
    score: float
    similarity: float
    predicted_iou: float
    area: int
    box: tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """The label map of one frame, (H, W) uint8 with object ids (0 = background), and a record per object."""

    index: int
    pts: int
    time_base: Fraction
    name: str
    labels: NDArray[np.uint8]
    objects: tuple[ObjectResult, ...]

    def __post_init__(self) -> None:
        if self.labels.ndim != 2 or self.labels.dtype != np.uint8:
            message = f"a label map is (H, W) uint8, got {self.labels.shape} {self.labels.dtype}"
            raise ValueError(message)

    @property
    def pts_seconds(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)

    def __repr__(self) -> str:
        return f"FrameResult(index={self.index}, labels={self.labels.shape}, objects={len(self.objects)})"
