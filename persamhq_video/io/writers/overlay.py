"""The writer of overlay.mp4: the source with the masks painted over it; also the H.264 settings of similar videos."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from persam_hq.io.images import davis_palette
from persamhq_video.io.writers.video_encoder import LIMITED_RANGE, VideoCodec

if TYPE_CHECKING:
    from numpy.typing import NDArray

Draw = Callable[["NDArray[np.uint8]", "NDArray[np.uint8]"], "NDArray[np.uint8]"]

OVERLAY_OPACITY = 0.45
"""Share of the tint inside an object: its colour is plain to see, and so is what is below it."""
_PALETTE = davis_palette()
_WIDTH_PER_LINE_PIXEL = 640
"""Pixels of picture width per pixel of outline thickness: lines of wide pictures survive being scaled to a screen."""

# As for the mattes: without B-frames, and without mbtree, whose bytes are not always the same. A rate factor of 18 is
# close to what can be seen, and a quick preset as the video is to be looked at, not kept.
H264 = VideoCodec(
    container="mp4",
    encoder="libx264",
    pixel_format="yuv420p",
    color_range=LIMITED_RANGE,
    options={"crf": "18", "preset": "veryfast", "bf": "0", "mbtree": "0"},
    even=True,
)


class RGBVideo:
    """The video kind of pictures `draw(image, labels)`, (H, W, 3) uint8 RGB like the image, in H.264.

    Any player opens it. An odd width or height is padded by one pixel, as the chroma planes have half the size.
    """

    codec = H264

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def picture(self, image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> VideoFrame:
        """See VideoKind."""
        return h264_picture(self._draw(image, labels))


class Overlay(RGBVideo):
    """The video kind of overlay.mp4: the source with its objects tinted and outlined."""

    def __init__(self, *, opacity: float = OVERLAY_OPACITY) -> None:
        super().__init__(partial(paint, opacity=opacity))


def h264_picture(image: NDArray[np.uint8]) -> VideoFrame:
    """An image (H, W, 3) uint8 RGB as H264 codes it, an odd width or height padded by one pixel."""
    # BT.709 in limited range, as tagged in the file. One thread, and a stated interpolation for the chroma: the bytes
    # depend on both.
    return VideoFrame.from_ndarray(H264.padded(image), format="rgb24").reformat(
        format=H264.pixel_format,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.BICUBIC,
        threads=1,
    )


def paint(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], *, opacity: float = OVERLAY_OPACITY
) -> NDArray[np.uint8]:
    """A copy of an image (H, W, 3) uint8 RGB with every object tinted in its DAVIS colour and outlined in it."""
    if image.shape[:2] != labels.shape:
        raise ValueError(f"got an image of {image.shape[:2]} and labels of {labels.shape}, expected one size")
    painted = image.copy()
    ids = 1 + np.flatnonzero(np.bincount(labels.ravel(), minlength=1)[1:])
    masks = {int(i): (labels == i).astype(np.uint8) for i in ids}

    # Tints, by a table of the 256 levels of each channel, which is faster than blending every pixel
    levels = np.arange(256, dtype=np.float32)[:, None]
    for object_id, mask in masks.items():
        tint = _PALETTE[object_id].astype(np.float32)
        tinted = np.rint(levels * np.float32(1 - opacity) + tint * np.float32(opacity)).astype(np.uint8)
        cv2.copyTo(cv2.LUT(image, tinted[None]), mask, painted)

    # Outlines come last, so that no tint covers them; of holes as well (RETR_CCOMP)
    thickness = max(1, round(image.shape[1] / _WIDTH_PER_LINE_PIXEL))
    for object_id, mask in masks.items():
        outlines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        colour = tuple(int(channel) for channel in _PALETTE[object_id])
        cv2.drawContours(painted, outlines, -1, colour, thickness)
    return painted
