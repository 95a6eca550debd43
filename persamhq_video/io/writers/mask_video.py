"""The writer of masks.mkv: the label maps as a lossless video."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from av import VideoFrame

from persamhq_video.io.writers.video_encoder import FULL_RANGE, VideoCodec

if TYPE_CHECKING:
    from numpy.typing import NDArray

# FFV1 is the lossless codec of archives. Version 3 (`level`) with slices and their checksums shows damage; with a group
# of one frame (`g`) every frame is a key frame, so that any one can be read alone. Full range keeps ids as they are.
FFV1_GRAY = VideoCodec(
    container="matroska",
    encoder="ffv1",
    pixel_format="gray",
    color_range=FULL_RANGE,
    options={"level": "3", "slices": "4", "slicecrc": "1", "g": "1"},
)


class LabelVideo:
    """The video kind of masks.mkv: grey level = object id.

    Matroska counts time in milliseconds, so times are within half a millisecond of the source's.
    """

    codec = FFV1_GRAY

    def picture(self, image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> VideoFrame:
        """See VideoKind; `image` is not used."""
        del image
        return VideoFrame.from_ndarray(np.ascontiguousarray(labels), format="gray")
