"""masks.mkv: the label maps as a lossless video."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from av import VideoFrame

from persamhq_video.io.encoder import FULL_RANGE, VideoCodec
from persamhq_video.io.video_writer import VideoWriter

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from numpy.typing import NDArray

# Version 3 with slices and their checksums; every frame is a key frame, so any one can be read alone.
FFV1_GRAY = VideoCodec(
    container="matroska",
    encoder="ffv1",
    pixel_format="gray",
    color_range=FULL_RANGE,
    options={"level": "3", "slices": "4", "slicecrc": "1", "g": "1"},
)


class LabelVideoWriter(VideoWriter):
    """Grey level = object id, FFV1 in Matroska; Matroska counts milliseconds, so times are within half of one."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, FFV1_GRAY)

    def write(self, labels: NDArray[np.uint8], *, pts: int, time_base: Fraction) -> None:
        """Add one (H, W) uint8 label map."""
        picture = VideoFrame.from_ndarray(np.ascontiguousarray(self._padded(labels)), format="gray")
        self._encode(picture, pts=pts, time_base=time_base)
