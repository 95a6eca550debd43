"""The writer of alpha.mov: the objects cut out of the source, for editors that put something else behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from persamhq_video.io.writers.video_encoder import LIMITED_RANGE, VideoCodec

if TYPE_CHECKING:
    from numpy.typing import NDArray

# ProRes 4444 is the profile with an alpha channel; editors on every system read it. Its chroma planes have full size,
# so that odd widths and heights need no padding.
PRORES_4444 = VideoCodec(
    container="mov",
    encoder="prores_ks",
    pixel_format="yuva444p10le",
    color_range=LIMITED_RANGE,
    options={"profile": "4444", "alpha_bits": "16"},
)


class CutOut:
    """The video kind of alpha.mov: alpha is full inside the objects and zero outside, colours are the source's."""

    codec = PRORES_4444

    def picture(self, image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> VideoFrame:
        """See VideoKind."""
        alpha = np.where(labels > 0, np.uint8(255), np.uint8(0))
        picture = VideoFrame.from_ndarray(np.dstack([image, alpha]), format="rgba")
        # RGB has full range, the video limited. One thread, so that the bytes do not depend on the machine.
        return picture.reformat(
            format=PRORES_4444.pixel_format,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
