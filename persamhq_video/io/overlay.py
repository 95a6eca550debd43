"""overlay.mp4: the source with the masks painted over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from persamhq_video.io.encoder import LIMITED_RANGE, VideoCodec
from persamhq_video.io.palette import davis_palette
from persamhq_video.io.video_writer import VideoWriter

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from numpy.typing import NDArray

OVERLAY_OPACITY = 0.45
_PALETTE = davis_palette()
# Wide pictures get wider lines, so that they survive being scaled down to a screen.
_PIXELS_A_LINE_WIDTH = 640

H264 = VideoCodec(
    container="mp4",
    encoder="libx264",
    pixel_format="yuv420p",
    color_range=LIMITED_RANGE,
    options={"crf": "18", "preset": "veryfast", "bf": "0"},
    even=True,
)


class OverlayWriter(VideoWriter):
    """H.264 that any player opens; an odd width or height grows by one pixel."""

    def __init__(self, path: Path, *, opacity: float = OVERLAY_OPACITY) -> None:
        super().__init__(path, H264)
        self._opacity = opacity

    def write(self, image: NDArray[np.uint8], labels: NDArray[np.uint8], *, pts: int, time_base: Fraction) -> None:
        """Add one frame: (H, W, 3) uint8 RGB and its (H, W) uint8 label map."""
        painted = self._padded(paint(image, labels, opacity=self._opacity))
        picture = VideoFrame.from_ndarray(painted, format="rgb24").reformat(
            format=H264.pixel_format,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC,
            threads=1,
        )
        self._encode(picture, pts=pts, time_base=time_base)


def paint(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], *, opacity: float = OVERLAY_OPACITY
) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB with every object tinted in its DAVIS colour and outlined in the full colour."""
    if image.shape[:2] != labels.shape:
        raise ValueError(f"got an image of {image.shape[:2]} and labels of {labels.shape}, expected one size")
    painted = image.copy()
    inside = labels > 0
    tint = _PALETTE[labels[inside]].astype(np.float32)
    painted[inside] = np.rint(image[inside] * np.float32(1 - opacity) + tint * np.float32(opacity)).astype(np.uint8)

    thickness = max(1, round(image.shape[1] / _PIXELS_A_LINE_WIDTH))
    for object_id in np.unique(labels[inside]):
        mask = (labels == object_id).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        colour = tuple(int(channel) for channel in _PALETTE[object_id])
        cv2.drawContours(painted, outlines, -1, colour, thickness)
    return painted
