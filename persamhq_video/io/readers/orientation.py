"""Orientation of decoded pictures, and conversion to upright 8-bit RGB by the same arithmetic for every reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import Type as SideData

from persamhq_video.io.readers.times import time_base_of

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

# Clockwise quarter turns to the directions of the transpose filters that make them: 1 is clockwise, 2 anticlockwise.
_TRANSPOSE_DIRECTIONS = {0: (), 1: ("1",), 2: ("1", "1"), 3: ("2",)}
_MAX_SLANT: Final = 0.0175
"""Tangent of one degree: FFmpeg, too, takes a display matrix that is off by less for a right angle."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """The way from a coded to the displayed picture: clockwise quarter turns, then left and right change sides."""

    turns: int = 0
    is_mirrored: bool = False

    def upright(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the displayed picture."""
        return (width, height) if self.turns % 2 == 0 else (height, width)


# The signs of a display matrix (a, b, c, d), which takes the point (x, y), y downwards, to (ax + cy, bx + dy)
_ORIENTATIONS: Final[dict[tuple[int, ...], Orientation]] = {
    (1, 0, 0, 1): Orientation(0),
    (0, 1, -1, 0): Orientation(1),
    (-1, 0, 0, -1): Orientation(2),
    (0, -1, 1, 0): Orientation(3),
    (-1, 0, 0, 1): Orientation(0, is_mirrored=True),
    (0, 1, 1, 0): Orientation(1, is_mirrored=True),
    (1, 0, 0, -1): Orientation(2, is_mirrored=True),
    (0, -1, -1, 0): Orientation(3, is_mirrored=True),
}


def orientation_of(picture: VideoFrame) -> Orientation:
    """The orientation that a picture's display matrix states; slanted ones are left as they are coded."""
    # The library takes types of side data, and its annotations names alone
    data: Any = cast("Any", picture.side_data).get(SideData.DISPLAYMATRIX)
    if data is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(float)

    # What is small beside the largest is rounding
    least = _MAX_SLANT * max(abs(a), abs(b), abs(c), abs(d))
    signs = tuple(0 if abs(number) <= least else int(np.sign(number)) for number in (a, b, c, d))
    return _ORIENTATIONS.get(signs, Orientation())


class PictureSizeError(Exception):
    """A picture whose size is not that of the pictures before it; internal, readers say which frame that is."""


class UprightConverter:
    """Turns pictures upright and converts them to RGB with one filter chain of FFmpeg.

    The chain is transpose, mirror, scale (bicubic, to the same size), then rgb24, because that is what decord runs and
    what makes both readers equal to the last bit: turning before the conversion decides how subsampled chroma is
    interpolated, and the scale filter's defaults decide rounding and the dither from 10 bits. Colour matrix and range
    are the frame's own tags. Pixel aspect is left alone. Pixel formats may change in mid-stream, sizes may not.
    """

    def __init__(self, stream: VideoStream, picture: VideoFrame) -> None:
        self._stream = stream
        self._build(picture)

    def __call__(self, picture: VideoFrame) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, contiguous, upright."""
        if _properties(picture) != self._expected:
            self._rebuild(picture)
        self._graph.vpush(picture)
        image = self._graph.vpull().to_ndarray()
        return np.ascontiguousarray(image, dtype=np.uint8)

    def _build(self, picture: VideoFrame) -> None:
        self._expected = _properties(picture)
        orientation = orientation_of(picture)
        self._size = orientation.upright(picture.width, picture.height)

        # One thread: a frame is small, and the engine runs several decoders at once.
        self._graph = graph = Graph()
        graph.threads = 1

        # Input, turns, mirror, conversion, output
        nodes = [
            graph.add_buffer(
                width=picture.width,
                height=picture.height,
                format=picture.format,
                time_base=time_base_of(self._stream),
            )
        ]
        nodes += [graph.add("transpose", direction) for direction in _TRANSPOSE_DIRECTIONS[orientation.turns]]
        nodes += [graph.add("hflip")] if orientation.is_mirrored else []
        nodes += [graph.add("scale", f"{self._size[0]}:{self._size[1]}"), graph.add("format", "rgb24")]
        nodes.append(graph.add("buffersink"))
        graph.link_nodes(*nodes).configure()

    def _rebuild(self, picture: VideoFrame) -> None:
        """The chain for a picture of another format; a PictureSizeError where its size changes."""
        before, size = self._expected, self._size
        self._build(picture)
        if self._size != size:
            got, expected = (f"{width}x{height} {name}" for width, height, name, _ in (self._expected, before))
            raise PictureSizeError(f"the picture changes from {expected} to {got} in mid-stream")


def _properties(picture: VideoFrame) -> tuple[int, int, str, Orientation]:
    """What a chain is built for."""
    return picture.width, picture.height, picture.format.name, orientation_of(picture)
