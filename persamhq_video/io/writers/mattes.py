"""The writer of mattes/<id>.mp4: one video per object, white on black, for players and editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from av import VideoFrame

from persamhq_video.io.writers.video_encoder import FULL_RANGE, LIMITED_RANGE, VideoCodec

if TYPE_CHECKING:
    from numpy.typing import NDArray

MatteCodec = Literal["h264", "ffv1", "prores"]

MATTE_SUFFIXES: dict[MatteCodec, str] = {"h264": ".mp4", "ffv1": ".mkv", "prores": ".mov"}
"""The usual suffix of each codec's files."""

# h264: limited range, tagged so: players that ignore the tag assume it, and show 16 as black and 235 as white either
# way. A constant rate factor of 3 is nearly lossless, and cheap for black and white. No B-frames: decoding and
# presentation times are then the same. No mbtree: with it, x264's vector code makes other bytes of the same small
# pictures in about one run of a hundred.
# ffv1: lossless, in full range, so that 0 and 255 are kept; settings as in masks.mkv.
# prores: 4:2:2 at 10 bits, the format that editors work with.
_CODECS: dict[MatteCodec, VideoCodec] = {
    "h264": VideoCodec(
        container="mp4",
        encoder="libx264",
        pixel_format="yuv420p",
        color_range=LIMITED_RANGE,
        options={"crf": "3", "preset": "faster", "bf": "0", "mbtree": "0"},
        even=True,
    ),
    "ffv1": VideoCodec(
        container="matroska",
        encoder="ffv1",
        pixel_format="gray",
        color_range=FULL_RANGE,
        options={"level": "3", "slices": "4", "slicecrc": "1", "g": "1"},
    ),
    "prores": VideoCodec(
        container="mov",
        encoder="prores_ks",
        pixel_format="yuv422p10le",
        color_range=LIMITED_RANGE,
        options={"profile": "standard"},
        even=True,
    ),
}


class Matte:
    """The video kind of a matte: one object white on black, in one of three codecs."""

    def __init__(self, object_id: int, *, codec: MatteCodec = "h264") -> None:
        self.object_id, self.codec = object_id, _CODECS[codec]
        self._picture_of = _PICTURES[codec]

    def picture(self, image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> VideoFrame:
        """See VideoKind; `image` is not used."""
        del image
        matte = np.where(labels == self.object_id, np.uint8(255), np.uint8(0))
        return self._picture_of(self.codec.padded(matte))


# The pictures of a matte (H, W), 0 or 255, in each codec's pixel format. They are filled in directly rather than
# converted from RGB, so that black and white come out exact.


def _gray(matte: NDArray[np.uint8]) -> VideoFrame:
    return VideoFrame.from_ndarray(matte, format="gray")


def _yuv420(matte: NDArray[np.uint8]) -> VideoFrame:
    # Luma is 16 to 235 in limited range; both chroma planes, a quarter of its size each, lie below it at neutral 128.
    height, width = matte.shape
    planes = np.full((height * 3 // 2, width), 128, dtype=np.uint8)
    planes[:height] = np.where(matte > 0, np.uint8(235), np.uint8(16))
    return VideoFrame.from_ndarray(planes, format="yuv420p")


def _yuv422_10(matte: NDArray[np.uint8]) -> VideoFrame:
    # The same numbers at 10 bits, four times as large. PyAV takes all planes of this format at full width.
    luma = np.where(matte > 0, np.uint16(940), np.uint16(64))
    neutral = np.full_like(luma, 512)
    return VideoFrame.from_ndarray(np.stack([luma, neutral, neutral]), format="yuv422p10le")


_PICTURES = {"h264": _yuv420, "ffv1": _gray, "prores": _yuv422_10}
