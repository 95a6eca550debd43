"""The writer of overlay.mp4: the source with the masks painted over it; also the H.264 settings of similar videos."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from PIL import Image, ImageDraw, ImageFont

from persam_hq.io.images import davis_palette
from persamhq_video.io.writers.video_encoder import LIMITED_RANGE, VideoCodec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from persamhq_video.types import FrameResult

Draw = Callable[["NDArray[np.uint8]", "NDArray[np.uint8]"], "NDArray[np.uint8]"]

OVERLAY_OPACITY = 0.5
"""Share of the tint inside an object: its colour is plain to see, and so is what is below it."""
_GAMMA = 0.5
"""Exponent that brightens the tints, 0 to 1. DAVIS' palette has channels of 64, 128 and 192, which look like mud over a
picture; they become 128, 181 and 221, so that no two objects get one colour."""
_WIDTH_PER_LINE_PIXEL = 640
"""Pixels of picture width per pixel of outline thickness: lines of wide pictures survive being scaled to a screen."""
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_DIAGONALS_PER_TEXT = 55
"""Size of text: so many fit into the diagonal of the picture."""
_LEAST_TEXT, _MOST_TEXT = 9, 48
"""Pixels between which a small picture's text is still legible and a large picture is not covered."""


def _bright_palette() -> NDArray[np.uint8]:
    """DAVIS' colours (256, 3), brightened."""
    return np.rint(255 * (davis_palette().astype(np.float64) / 255) ** _GAMMA).astype(np.uint8)


_PALETTE = _bright_palette()

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
    """The video kind of overlay.mp4: the source with its objects tinted, outlined and named, and the frame's number.

    `source_frame` gives a frame's number in the source, which is shown too where it is another one.
    """

    def __init__(
        self, *, opacity: float = OVERLAY_OPACITY, source_frame: Callable[[int], int] = lambda index: index
    ) -> None:
        super().__init__(partial(paint, opacity=opacity))
        self._source_frame = source_frame

    def result_picture(self, image: NDArray[np.uint8], result: FrameResult) -> VideoFrame:
        """See ResultVideoKind."""
        painted = self._draw(image, result.labels)
        source = self._source_frame(result.index)
        number = str(result.index) if source == result.index else f"{result.index} (source {source})"
        return h264_picture(write_texts(painted, result, title=number))


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
    """A copy of an image (H, W, 3) uint8 RGB with each object tinted in its colour, outlined white on dark."""
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
    for mask in masks.values():
        outlines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        # White on a dark rim is visible on any background
        cv2.drawContours(painted, outlines, -1, _BLACK, thickness + 2)
        cv2.drawContours(painted, outlines, -1, _WHITE, thickness)
    return painted


def write_texts(painted: NDArray[np.uint8], result: FrameResult, *, title: str) -> NDArray[np.uint8]:
    """A copy of a painted frame (H, W, 3) uint8 RGB with a title in its corner, and id and state beside each object.

    An object without a mask stands in the title, so that it is not missed.
    """
    # Pillow's own font, which is in the package: the same pixels on every machine
    height, width, _ = painted.shape
    size = round(min(max(math.hypot(height, width) / _DIAGONALS_PER_TEXT, _LEAST_TEXT), _MOST_TEXT))
    picture = Image.fromarray(painted)
    draw = ImageDraw.Draw(picture)

    # Each object in the middle of its widest part, where the id is surely on it
    for entry in result.objects:
        if entry.area:
            text = str(entry.object_id) if entry.state in {"given", "present"} else f"{entry.object_id} {entry.state}"
            _put_text(draw, text, middle=_inmost(result.labels == entry.object_id), size=size)
    gone = [str(entry.object_id) for entry in result.objects if not entry.area]
    _put_text(draw, title + (f"   absent: {', '.join(gone)}" if gone else ""), middle=None, size=size)
    return np.array(picture)


def _inmost(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """(x, y) of the pixel of a mask (H, W) that is farthest from its border."""
    # The border of the picture counts as one
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L1, 3)
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return int(x) - 1, int(y) - 1


def _put_text(draw: ImageDraw.ImageDraw, text: str, *, middle: tuple[int, int] | None, size: int) -> None:
    """Write white text on a dark rim around `middle` (x, y), or into the upper left corner; it stays in the picture."""
    font, rim = ImageFont.load_default(size), max(1, size // 8)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font, stroke_width=rim)
    width, height = right - left, bottom - top
    x, y = (size / 2, size / 2) if middle is None else (middle[0] - width / 2, middle[1] - height / 2)

    # Moved inside where it would leave the picture
    x, y = (max(0, min(v, whole - part)) for v, whole, part in zip((x, y), draw.im.size, (width, height), strict=True))
    draw.text((round(x - left), round(y - top)), text, fill=_WHITE, font=font, stroke_width=rim, stroke_fill=_BLACK)
