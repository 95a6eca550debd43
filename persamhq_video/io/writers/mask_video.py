"""masks.mkv: the label maps as a lossless video."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from av import VideoFrame

from persamhq_video.io.writers.video_encoder import FULL_RANGE, VideoCodec

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Version 3 with slices and their checksums; every frame is a key frame, so any one can be read alone.
FFV1_GRAY = VideoCodec(
    container="matroska",
    encoder="ffv1",
    pixel_format="gray",
    color_range=FULL_RANGE,
    options={"level": "3", "slices": "4", "slicecrc": "1", "g": "1"},
)


class LabelVideo:
    """Grey level = object id, FFV1 in Matroska; Matroska counts milliseconds, so times are within half of one."""

    codec = FFV1_GRAY

    def picture(self, image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> VideoFrame:
        """See VideoKind; `image` has no say."""
        del image
        return VideoFrame.from_ndarray(np.ascontiguousarray(labels), format="gray")
