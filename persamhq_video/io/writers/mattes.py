"""mattes/<id>.mp4: one object white on black, for players and editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from av import VideoFrame

from persamhq_video.io.writers.video_encoder import FULL_RANGE, LIMITED_RANGE, VideoCodec

if TYPE_CHECKING:
    from numpy.typing import NDArray

MatteCodec = Literal["h264", "ffv1", "prores"]

MATTE_SUFFIXES: dict[MatteCodec, str] = {"h264": ".mp4", "ffv1": ".mkv", "prores": ".mov"}

# Limited range, tagged so: players that ignore the tag assume it, and show 16 as black and 235 as white either way.
# FFV1 keeps 0 and 255 themselves. No B-frames: decoding and presentation times are then one and the same. No mbtree:
# of equal small pictures x264 makes other bytes once in about a hundred times with it (its vector code alone does).
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
    """One object as a matte; MATTE_SUFFIXES has the usual suffix of a codec's file."""

    def __init__(self, object_id: int, *, codec: MatteCodec = "h264") -> None:
        self.object_id, self.codec = object_id, _CODECS[codec]
        self._make = _PICTURES[codec]

    def picture(self, image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> VideoFrame:
        """See VideoKind; `image` has no say."""
        del image
        matte = np.where(labels == self.object_id, np.uint8(255), np.uint8(0))
        return self._make(self.codec.padded(matte))


def _gray(matte: NDArray[np.uint8]) -> VideoFrame:
    return VideoFrame.from_ndarray(matte, format="gray")


def _yuv420(matte: NDArray[np.uint8]) -> VideoFrame:
    height, width = matte.shape
    planes = np.full((height * 3 // 2, width), 128, dtype=np.uint8)
    planes[:height] = np.where(matte > 0, np.uint8(235), np.uint8(16))
    return VideoFrame.from_ndarray(planes, format="yuv420p")


def _yuv422_10(matte: NDArray[np.uint8]) -> VideoFrame:
    luma = np.where(matte > 0, np.uint16(940), np.uint16(64))
    neutral = np.full_like(luma, 512)
    return VideoFrame.from_ndarray(np.stack([luma, neutral, neutral]), format="yuv422p10le")


_PICTURES = {"h264": _yuv420, "ffv1": _gray, "prores": _yuv422_10}
